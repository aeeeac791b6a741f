//! Keeps what an endpoint must not forget in one file: contacts, invites, and what it remembers of its peers' handshakes.
//!
//! [`FileStore`] implements [`PeerStore`](telemesh_mesh::PeerStore). What was saved is on the disk when `save` returns, and a
//! group of changes is there as a whole or not at all: redb commits and syncs.
//!
//! In reading order: `open` (the file and who may have it), `store` (tables), `rows` (what is in them).

mod open;
mod rows;
mod store;

pub use open::OpenError;
pub use store::FileStore;

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
