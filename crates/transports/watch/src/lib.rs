//! Notices when the addresses of this machine change, and when packets leave it another way.
//!
//! [`SystemWatch`] implements [`NetworkWatch`](telemesh_transport::NetworkWatch). The system says that something is new
//! (`signal`), and what it is comes of comparing a [`Snapshot`] with the one before: so nothing that the system says is parsed, and
//! nothing is missed that was said in a way we do not know.
//!
//! # Out of scope
//!
//! What to do about it, and how often: the mesh decides that. A gateway that is replaced by another one while our own address
//! stays the same is not noticed here; links find out by themselves when their packets get lost.

mod signal;
mod snapshot;
mod watch;

pub use snapshot::Snapshot;
pub use watch::SystemWatch;

// The README's code compiles with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
