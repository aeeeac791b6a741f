//! Reliable, ordered, flow-controlled streams inside a link, without I/O.
//!
//! A link delivers single packets, encrypted and authenticated, that may be lost, doubled or
//! reordered. An [`Engine`] turns them into many independent byte streams, with loss recovery,
//! congestion control, flow control, priorities and path-MTU discovery. It holds no socket, starts
//! no task and reads no clock: the caller says what time it is.
//!
//! # The run loop
//!
//! ```text
//! packet from the link  -> handle_packet(now, packet)
//! timer ran out         -> handle_timeout(now)
//! application           -> open, write, read, finish, reset, stop
//!
//! after any of these, until each has nothing more to say:
//!     poll_transmit -> packets to seal and send      poll_event -> what the application may want
//!     poll_timeout  -> when to call handle_timeout
//! ```
//!
//! # What is inside
//!
//! The state machine is `quinn-proto`, with a crypto session that passes bytes through: the link has
//! authenticated and encrypted every packet already. No type of it shows in this crate's interface.
//!
//! **Starting an engine costs no packet.** Both ends run the whole QUIC handshake in memory, client
//! and server, from one [`Seed`] that both can compute, and keep their own half of the result. So
//! either side may send data in its first packet, and no handshake is ever seen on the wire.
//!
//! # Out of scope
//!
//! Authentication and encryption (`telemesh-link`), addresses and paths (the engine believes that it
//! has a single one), unreliable messages (they do not need an engine), and wake-ups (the mesh).

mod config;
mod congestion;
mod crypto;
mod engine;
mod error;
mod event;
mod seed;
mod start;
mod trace;

pub use config::{Config, MAX_PACKET, MIN_PACKET};
pub use engine::{Engine, Read, Stats};
pub use error::{EngineError, ReadError, StreamError, WriteError};
pub use event::{Event, StreamId};
pub use seed::{ENGINE_VERSION, Seed};
#[cfg(feature = "qlog")]
pub use trace::QlogWriter;

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
