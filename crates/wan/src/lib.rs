//! A bad network between real UDP sockets, in user space: it forwards between an address on which it listens and a
//! target, and on the way delays, loses, reorders, duplicates, corrupts, and holds to a rate with a limited queue. It
//! needs no privileges, so it serves where the kernel has no `netem`, or nobody may use it.
//!
//! What happens to a datagram is decided by [`telemesh_simnet`], the same model with which whole meshes are simulated:
//! one seed decides everything that is left to chance. [`Model`] is that model as a link with two ways and many flows,
//! without sockets or clock. [`Forwarder`] puts sockets and a clock around it.
//!
//! ```
//! use std::net::UdpSocket;
//! use std::time::Duration;
//! use telemesh_wan::{Conditions, Forwarder, Ways};
//!
//! # fn main() -> std::io::Result<()> {
//! let server = UdpSocket::bind("127.0.0.1:0")?;
//! let slow = Conditions::new().delay(Duration::from_millis(5));
//! let forwarder = Forwarder::bind("127.0.0.1:0".parse().unwrap(), server.local_addr()?, Ways::both(slow), 1)?;
//! let address = forwarder.address();
//! let running = forwarder.spawn()?;
//!
//! let client = UdpSocket::bind("127.0.0.1:0")?;
//! client.send_to(b"hello", address)?;
//! let mut buffer = [0; 16];
//! let (length, from) = server.recv_from(&mut buffer)?;
//! server.send_to(&buffer[..length], from)?;
//! assert_eq!(client.recv_from(&mut buffer)?, (5, address));
//! assert_eq!(running.stop()?.there.delivered, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # How exact it is
//! Datagrams leave when the clock has reached their time, within what the machine permits: one thread waits with the
//! kernel's high-resolution timers, 0.1 ms late at most while a core is free; as root it goes before other programs.
//! [`Report::late`] says how late it was.
//! A datagram's time begins when it was read, so a forwarder that gets no core adds to the delay.
//!
//! # What it does not do
//! ECN marks, ICMP and the kernel's fragments do not pass. Both ends see the forwarder's addresses and not each other's:
//! for a protocol that looks at them it is a NAT with endpoint-independent mapping and filtering by address and port.

mod flows;
mod forwarder;
mod model;
mod report;

pub use forwarder::{Forwarder, Running};
pub use model::{Arrived, Flow, MAX_FLOWS, Model, Way, Ways};
pub use report::{Late, Report};
pub use telemesh_simnet::{Conditions, DropReason, FaultCounts};

/// Makes the README's code run as documentation tests, so that it cannot go stale.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
