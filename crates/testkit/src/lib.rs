//! Meshes on a simulated network, under virtual time: what the whole stack is tested with.
//!
//! A [`World`] runs in one thread of a paused tokio runtime. It has a `telemesh-simnet` network, on which real meshes run
//! with real handshakes, engines and channels; only sockets, clocks and randomness are simulated. One seed decides
//! everything, so a failing seed fails again.
//!
//! ```
//! use telemesh_testkit::World;
//!
//! World::run(7, |world| async move {
//!     let alice = world.node("alice");
//!     let bob = world.node("bob");
//!     let link = world.link(&alice, &bob).await;
//!     assert!(link.state().is_up());
//! });
//! ```

mod bare;
mod clock;
mod lan;
mod node;
mod rogue;
mod transfer;
mod transport;
mod world;

pub use bare::{Bare, Heard};
pub use clock::SkewedClock;
pub use lan::{Lan, LanDiscovery, Said};
pub use node::Node;
pub use rogue::{Rogue, Trick};
pub use transfer::{TRANSFER, Tally, serve, transfer};
pub use transport::{SimNetwork, SimTransport, Tapped, Valve};
pub use world::World;

pub use telemesh_simnet as simnet;

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
