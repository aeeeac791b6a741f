//! The messages of the channel, byte by byte. Nothing here does I/O.
//!
//! After the open message, whose body is an [`Hello`], both directions carry messages: a type in one byte, the length of
//! what follows in four (the highest first), and that many bytes. Numbers inside are varints, as in protobuf, in their
//! shortest form.

mod buffer;
mod entry;
mod frames;
mod hello;
mod parser;

pub(crate) use buffer::{Malformed, Reader, put_varint};
pub(crate) use entry::{Content, Entry, Time};
pub(crate) use frames::{
    Decision, FromReceiver, FromSender, HEADER, MAX_DECISION, Prefix, decode_decisions, encode_decision,
    put_data_header,
};
pub(crate) use hello::Hello;
pub(crate) use parser::{Parsed, Parser};

#[cfg(test)]
mod tests;

/// Bytes of a hash (blake3's default).
pub(crate) const HASH: usize = 32;
/// A hash of a file's content or of a list.
pub(crate) type Hash = [u8; HASH];
