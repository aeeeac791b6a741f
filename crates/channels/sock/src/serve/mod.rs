//! What this endpoint does for its peers, if they may: one file for each request.

mod bind;
mod connect;
mod udp;

pub(crate) use bind::bind;
pub(crate) use connect::connect;
pub(crate) use udp::{IDLE, receive, udp, udp_bind};
