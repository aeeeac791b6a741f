//! Keeps what an endpoint must not forget in one file: contacts, invites, and what it remembers of its peers' handshakes.
//!
//! [`FileStore`] implements [`PeerStore`](telemesh_mesh::PeerStore). What was saved is on the disk when `save` returns, and a
//! group of changes is there as a whole or not at all: redb commits and syncs.
//!
//! In reading order: `store` (tables), `rows` (what is in them). Who may have the file is `telemesh-database`'s business.

mod rows;
mod store;

pub use store::FileStore;
pub use telemesh_database::OpenError;

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
