//! Has the gateway of this network lead packets to a port of this machine, by PCP, NAT-PMP or UPnP IGD.
//!
//! [`PortMapper`] implements [`PortMapping`](telemesh_transport::PortMapping). It is a task (`mapper`) that gets, renews and gives back
//! leases; the protocols are libraries (`gateway`), and what they bring is looked at (`address`) before anybody is told.
//!
//! # Out of scope
//!
//! IPv6, where a firewall rather than an address is in the way, and gateways behind gateways: an external address that is private
//! itself leads nobody here.

mod address;
mod gateway;
mod mapper;
mod route;

pub use address::is_public;
pub use mapper::{Options, PortMapper};

// The README's code compiles with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
