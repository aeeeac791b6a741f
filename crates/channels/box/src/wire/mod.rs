//! What goes over a link ([`frames`]) and what is inside a seal ([`letter`]).

pub(crate) mod bytes;
pub(crate) mod frames;
pub(crate) mod label;
pub(crate) mod letter;
