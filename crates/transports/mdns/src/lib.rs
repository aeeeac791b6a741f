//! Finds endpoints on the local network, and lets them find this one for as long as it wants to be found.
//!
//! [`Mdns`] implements [`Discovery`](telemesh_transport::Discovery) over multicast DNS (RFC 6762) and DNS-based service
//! discovery (RFC 6763), with the service [`SERVICE`]. No router and no internet are needed.
//!
//! - **Hearing is passive.** Per interface and address family there is one socket that is in the multicast group and receives.
//!   It sends nothing: no query, no announcement, no answer. (That a host joins a group is the kernel's to tell, by IGMP and
//!   MLD.)
//! - **Announcing is asked for.** Between [`announce`](telemesh_transport::Discovery::announce) and
//!   [`withdraw`](telemesh_transport::Discovery::withdraw) it announces hashname, keys and port, asks who else is there and
//!   answers those who ask, all by multicast; at the end it says goodbye. On each interface it tells the addresses of that
//!   interface only.
//! - **What is heard is a claim.** The keys have been checked against the hashname, and the paths lead to the network that the
//!   announcement came from: nobody can aim us at another one. Anything else is for a handshake to prove.
//!
//! # How it is built
//!
//! [`Message`] reads a packet, with limits on everything. `announcement` writes one. `heard` remembers endpoints, `announcer`
//! owns the timers; both know no socket and no clock, and `machine` joins them. `interfaces` and `sockets` are the system's
//! side, and [`Mdns`] drives it all from
//! [`poll_discovered`](telemesh_transport::Discovery::poll_discovered), without a task or a thread of its own.
//!
//! # Out of scope
//!
//! Other services, unicast answers (which could be aimed at others), and networks on which an interface has only link-local
//! addresses.

mod announcement;
mod announcer;
mod heard;
mod interfaces;
mod machine;
mod mdns;
mod message;
mod names;
mod sockets;

pub use announcement::{MAX_ANNOUNCEMENT, write_announcement};
pub use heard::{MAX_ENDPOINTS, MAX_TTL};
pub use mdns::{Mdns, Options};
pub use message::{Claim, MAX_CLAIM_PATHS, MAX_CLAIMS, MAX_PACKET, MAX_RECORDS, Message, MessageError};
pub use names::{PORT, SERVICE};

// The README's code compiles with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
