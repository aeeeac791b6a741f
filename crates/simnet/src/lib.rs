//! A simulated network of datagrams under virtual time: hosts, NATs and faults, decided by one seed.
//!
//! Nothing here opens a socket, spawns a task or reads a clock. The caller hands in the time as a [`Duration`]
//! since the start of the simulation, sends datagrams from sockets, asks when the next one arrives, moves its
//! own clock there and takes out what has arrived:
//!
//! ```
//! use std::time::Duration;
//! use telemesh_simnet::{Conditions, Network, Realm, Scope};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut network = Network::new(7);
//! let alice = network.add_host(Realm::INTERNET, ["192.0.2.1".parse()?])?;
//! let bob = network.add_host(Realm::INTERNET, ["192.0.2.2".parse()?])?;
//! let from = network.bind(alice, "0.0.0.0:4000".parse()?)?;
//! let to = network.bind(bob, "0.0.0.0:5000".parse()?)?;
//! network.set_conditions(Scope::Everywhere, Conditions::new().delay(Duration::from_millis(20)));
//!
//! network.send(Duration::ZERO, from, "192.0.2.2:5000".parse()?, b"hello")?;
//! let now = network.next_delivery_at().ok_or("nothing is on its way")?;
//! let delivery = network.deliver(now).ok_or("nothing has arrived")?;
//! assert_eq!((delivery.at, delivery.socket), (Duration::from_millis(20), to));
//! assert_eq!(delivery.payload, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! # What is simulated
//! - **Realms** (RFC 2663): the internet, and one realm inside each NAT. Addresses are unique within a realm,
//!   so two homes may both use 192.168.1.2. NATs may stand behind NATs.
//! - **Hosts** with any number of addresses, in one realm or in several.
//! - **NATs** in the terms of RFC 4787: mapping, filtering, hairpinning, timeouts, port choice. For a family in
//!   which a NAT has no external address it is a stateful firewall, as home devices are for IPv6.
//! - **Conditions** of each directed route: delay, jitter, loss, reordering, duplication, corruption, rate with
//!   a queue, MTU. Besides: partitions, changes of address, reboots of a NAT. All may change at any time, and
//!   all are counted in [`FaultCounts`].
//!
//! # What is not
//! IP fragments (an oversized datagram is dropped, as with don't-fragment set), ICMP, ECN, multicast, and delay
//! or loss between a host and its own NAT: conditions hold once, on the realm in which the destination is found.
//!
//! # Determinism
//! The same calls on a network with the same seed give the same events, which [`Network::trace_hash`] checks.
//! Each route and each NAT draws from a generator of its own, so one flow's fate does not depend on how
//! much other traffic there was. The generator is our own, so a seed keeps its meaning across releases of
//! libraries.
//!
//! [`Duration`]: std::time::Duration

mod address;
mod conditions;
mod counts;
mod error;
mod flights;
mod forwarding;
mod nat;
mod network;
mod random;
mod route;
mod sockets;
mod time;
mod topology;
mod trace;

pub use address::{HostId, NatId, Realm, SocketId};
pub use conditions::{Conditions, Scope};
pub use counts::{DropReason, FaultCounts};
pub use error::{BindError, SendError, TopologyError};
pub use nat::{Dependence, NatConfig, PortChoice};
pub use network::{Delivery, MAX_PAYLOAD, Network};
pub use trace::{Event, EventKind, Step};

/// Makes the README's code run as documentation tests, so that it cannot go stale.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
