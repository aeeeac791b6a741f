//! How a NAT behaves, in the terms of RFC 4787, and presets under the older names.

mod table;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::time::{Nanos, nanos};

pub(crate) use table::{Nat, Translation};

/// On what of the remote endpoint a NAT's behaviour depends (RFC 4787, sections 4.1 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependence {
    /// On nothing: one mapping for all remotes; or everybody may send to it.
    EndpointIndependent,
    /// On the remote address.
    AddressDependent,
    /// On the remote address and port.
    AddressAndPortDependent,
}

/// Which external port a new mapping gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortChoice {
    /// The internal port where it is free ("port preservation"), else a random one.
    Preserve,
    /// One after the other.
    Sequential,
    /// Any free one.
    Random,
}

/// How a NAT behaves. Start from a preset.
///
/// All mappings time out 120 seconds after the last datagram from inside (the least that RFC 4787 allows,
/// REQ-5), external ports are 1024 to 65535, and there is no hairpinning: many home devices lack it, so a test that
/// needs it should say so.
///
/// A NAT without an external address in some family does not translate that family: addresses inside are
/// valid outside, too, and only `filtering` and the timeout apply, as in a home device's IPv6 firewall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatConfig {
    pub(crate) mapping: Dependence,
    pub(crate) filtering: Dependence,
    pub(crate) hairpin: bool,
    pub(crate) mapping_timeout: Nanos,
    pub(crate) refresh_inbound: bool,
    pub(crate) port_choice: PortChoice,
    pub(crate) ports: RangeInclusive<u16>,
    /// Empty: all.
    pub(crate) egress_ports: Vec<u16>,
}

impl NatConfig {
    /// A NAT with this mapping and this filtering behaviour, which preserves ports where it can.
    pub fn new(mapping: Dependence, filtering: Dependence) -> Self {
        Self {
            mapping,
            filtering,
            hairpin: false,
            mapping_timeout: nanos(Duration::from_secs(120)),
            refresh_inbound: false,
            port_choice: PortChoice::Preserve,
            ports: 1024..=65535,
            egress_ports: Vec::new(),
        }
    }

    /// One mapping for all remotes, and everybody may send to it.
    pub fn full_cone() -> Self {
        Self::new(Dependence::EndpointIndependent, Dependence::EndpointIndependent)
    }

    /// One mapping for all remotes; only addresses that were sent to may send back, from any port.
    pub fn address_restricted() -> Self {
        Self::new(Dependence::EndpointIndependent, Dependence::AddressDependent)
    }

    /// One mapping for all remotes; only the very endpoints that were sent to may send back.
    pub fn port_restricted() -> Self {
        Self::new(Dependence::EndpointIndependent, Dependence::AddressAndPortDependent)
    }

    /// A mapping with a random port of its own for each remote endpoint, which alone may send back.
    pub fn symmetric() -> Self {
        Self::new(Dependence::AddressAndPortDependent, Dependence::AddressAndPortDependent)
            .port_choice(PortChoice::Random)
    }

    /// Whether hosts inside reach each other over external addresses (RFC 4787, section 6). If so, the
    /// receiver sees the sender's external address, and filtering applies as for datagrams from outside.
    #[must_use]
    pub fn hairpin(mut self, hairpin: bool) -> Self {
        self.hairpin = hairpin;
        self
    }

    /// How long a mapping, and the permission of one remote to use it, outlives the last datagram that
    /// refreshed it.
    #[must_use]
    pub fn mapping_timeout(mut self, timeout: Duration) -> Self {
        self.mapping_timeout = nanos(timeout);
        self
    }

    /// Whether datagrams from outside refresh mappings as well (RFC 4787, section 4.3).
    #[must_use]
    pub fn refresh_inbound(mut self, refresh: bool) -> Self {
        self.refresh_inbound = refresh;
        self
    }

    /// How external ports are chosen.
    #[must_use]
    pub fn port_choice(mut self, choice: PortChoice) -> Self {
        self.port_choice = choice;
        self
    }

    /// The external ports on each of the NAT's addresses.
    ///
    /// # Panics
    /// If the range is empty or begins with port zero.
    #[must_use]
    pub fn ports(mut self, ports: RangeInclusive<u16>) -> Self {
        assert!(!ports.is_empty() && *ports.start() > 0, "external ports begin at 1");
        self.ports = ports;
        self
    }

    /// Lets only datagrams to these destination ports out, as networks do that pass nothing but port 443.
    /// None means that all may leave.
    #[must_use]
    pub fn egress_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.egress_ports = ports.into_iter().collect();
        self
    }
}
