//! QUIC transport that answers only those who know the listener's key.
//!
//! For networks that let only QUIC pass, or only port 443. [`QuicTransport`] implements
//! [`Transport`](telemesh_transport::Transport): link packets travel as datagrams ([RFC 9221]) of QUIC connections, in two
//! parts where one is too small ([`Splitter`], [`Joiner`]).
//!
//! # Silence
//! A QUIC server answers anybody: with a handshake, with the versions that it speaks, with a reset for what it does not know.
//! Here nothing of the kind happens. A transport that only dials opens no socket before it dials, and hears only who it
//! dialled. A listener, which is public by choice, answers those who know its public key: the first connection id of a dial
//! carries a MAC under a key that follows from that. Everything else is dropped in front of quinn, by a filter that keeps
//! nothing and looks at a few bytes ([`Outside`]).
//!
//! So a dialler has to be told whose key to show, with [`Transport::expect`](telemesh_transport::Transport::expect).
//!
//! # Connections
//! One for each address, made with the first packet that is sent there and closed after a minute without any. Those that
//! nothing comes back on are made anew. Inbound ones are bounded in all and for each source, and closed after ten seconds if
//! nobody here has sent anything back: the mesh answers only whom it trusts.
//!
//! # Out of scope
//! Identity: the keys of TLS are made anew in every process and prove nothing. Who is there is proved by the link's handshake
//! inside, as on every transport. QUIC's own encryption is on top of the link's and is not relied on.
//!
//! [RFC 9221]: https://www.rfc-editor.org/rfc/rfc9221

mod admission;
mod connection;
mod filter;
mod halves;
mod ids;
mod interfaces;
mod keys;
mod limits;
mod outside;
mod port;
mod shared;
mod signal;
mod socket;
mod tls;
mod transport;

use std::net::SocketAddr;

use telemesh_transport::PathAddress;

pub use halves::{GROUP, HEADER, Joiner, MAX_WAITING, Packet, Splitter};
pub use limits::{
    Config, DIAL_DATAGRAMS, MAX_EXPECTED, MAX_HANDSHAKES, MAX_INBOUND, MAX_INBOUND_PER_SOURCE,
    MAX_KEYS_PER_ADDRESS, MAX_OUTBOUND,
};
pub use outside::{Kind, Outside};
pub use transport::QuicTransport;

/// The one spelling of an address: a socket for both families shows IPv4 as IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    PathAddress::Quic(address).canonical().socket_address().unwrap_or(address)
}

// The README's code compiles and runs with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
