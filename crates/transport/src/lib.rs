//! The small traits that transports implement, and what knows the network around them.
//!
//! A [`Transport`] carries whole datagrams between path addresses: UDP, QUIC datagrams, or memory in a test. It knows
//! nothing of links, keys or trust. A [`Discovery`] tells endpoints of the same network about each other, and a
//! [`NetworkWatch`] when this machine's network is another one; a [`PortMapping`] has a gateway lead packets here. The mesh is written against these traits and never against one
//! transport.
//!
//! # Batches in, batches out
//! A system call per datagram is what limits most user-space protocols, so both directions move batches:
//!
//! - [`Transmit`] is a run of equally long segments for one destination (only the last may be shorter). A transport that
//!   can hands the whole run to the kernel in one call (generic segmentation offload, GSO); the others split it.
//! - [`ReceiveBatch`] owns the buffers that one poll fills. What came in leaves it as [`Received`] runs of one source, each
//!   in a buffer of its own that is decrypted in place.
//!
//! # Who calls what
//! Any thread may send, inline, without a task in between. One task receives, and one task (the mesh's driver) waits for
//! writability on behalf of everybody who was told [`SendError::Blocked`]: this is as many wakers as an operating system
//! socket under tokio has. The traits are poll-based and name no runtime.
//!
//! # Out of scope
//! Reliability, order, encryption, retries. A transport may lose, duplicate and reorder; it must not alter or merge
//! datagrams, and it must never send anything by itself: an endpoint that is not public by choice stays silent towards
//! strangers, and only the mesh knows who is one.

mod discovery;
mod error;
mod mapping;
mod receive;
mod transmit;
mod transport;
mod watch;

pub use discovery::{Announcement, Discovery, DiscoveryError, DiscoveryEvent};
pub use error::SendError;
pub use mapping::PortMapping;
pub use receive::{Arrival, BUFFER_SIZE, COPY_LIMIT, Datagrams, ReceiveBatch, Received};
pub use telemesh_wire::{ExtraSocket, PathAddress};
pub use transmit::{Ecn, MAX_DATAGRAM, Transmit};
pub use transport::Transport;
pub use watch::{NetworkChange, NetworkWatch};

// The README's code compiles and runs with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
