//! The network interfaces of this machine, and which addresses belong to the network behind each.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use if_addrs::IfAddr;

/// Interfaces that are listened on: a machine with more has most of them for containers, of which each interface is a network of its
/// own.
const MAX_INTERFACES: usize = 32;

/// Which interfaces are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All that lead to others.
    Network,
    /// Only the one that leads to this machine itself.
    Loopback,
}

/// An interface with its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    addresses: Vec<Subnet>,
}

/// An address, and how many bits of it are the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Subnet {
    address: IpAddr,
    prefix: u8,
}

impl Interface {
    /// One with this address.
    #[cfg(test)]
    pub(crate) fn for_tests(index: u32, address: &str, prefix: u8) -> Self {
        Self { index, addresses: vec![Subnet { address: address.parse().unwrap(), prefix }] }
    }

    /// Its own addresses.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.iter().map(|subnet| subnet.address).collect()
    }

    /// Whether it has an address of this family.
    pub(crate) fn speaks(&self, v4: bool) -> bool {
        self.addresses.iter().any(|subnet| subnet.address.is_ipv4() == v4)
    }

    /// Its first IPv4 address.
    pub(crate) fn v4(&self) -> Option<std::net::Ipv4Addr> {
        self.addresses.iter().find_map(|subnet| match subnet.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    /// Whether a host with this address is on the network behind the interface.
    pub(crate) fn is_local(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|subnet| subnet.contains(ip))
    }
}

impl Subnet {
    fn contains(self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                let host_bits = 32_u32.saturating_sub(self.prefix.into());
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                one.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                let host_bits = 128_u32.saturating_sub(self.prefix.into());
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                one.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// The interfaces that are up and have addresses, in the order of their indexes.
///
/// # Errors
/// When the system does not say.
pub(crate) fn list(wanted: Wanted) -> io::Result<Vec<Interface>> {
    let mut by_index: BTreeMap<u32, Vec<Subnet>> = BTreeMap::new();
    for interface in if_addrs::get_if_addrs()? {
        let is_wanted = interface.is_loopback() == (wanted == Wanted::Loopback);
        let Some(index) = interface.index.filter(|_| is_wanted) else { continue };
        let subnet = match &interface.addr {
            IfAddr::V4(v4) => Subnet { address: v4.ip.into(), prefix: v4.prefixlen },
            IfAddr::V6(v6) => Subnet { address: v6.ip.into(), prefix: v6.prefixlen },
        };
        by_index.entry(index).or_default().push(subnet);
    }
    let interfaces = by_index.into_iter().take(MAX_INTERFACES).map(|(index, mut addresses)| {
        addresses.sort_unstable();
        addresses.dedup();
        Interface { index, addresses }
    });
    Ok(interfaces.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(subnets: &[(&str, u8)]) -> Interface {
        let addresses = subnets
            .iter()
            .map(|(address, prefix)| Subnet { address: address.parse().unwrap(), prefix: *prefix })
            .collect();
        Interface { index: 1, addresses }
    }

    #[test]
    fn an_address_is_local_within_the_prefix_and_not_one_bit_beyond() {
        let interface = interface(&[("10.1.2.3", 23), ("fd00::1", 64)]);
        for local in ["10.1.2.0", "10.1.3.255", "fd00::ffff:ffff:ffff:ffff"] {
            assert!(interface.is_local(local.parse().unwrap()), "{local}");
        }
        for foreign in ["10.1.4.0", "10.1.1.255", "fd00:0:0:1::1", "8.8.8.8", "::1", "127.0.0.1"] {
            assert!(!interface.is_local(foreign.parse().unwrap()), "{foreign}");
        }
    }

    #[test]
    fn prefixes_at_both_ends_are_understood() {
        assert!(interface(&[("192.0.2.1", 32)]).is_local("192.0.2.1".parse().unwrap()));
        assert!(!interface(&[("192.0.2.1", 32)]).is_local("192.0.2.2".parse().unwrap()));
        assert!(interface(&[("192.0.2.1", 0)]).is_local("8.8.8.8".parse().unwrap()));
        assert!(!interface(&[("2001:db8::1", 128)]).is_local("2001:db8::2".parse().unwrap()));
    }

    #[test]
    fn the_loopback_interface_is_listed_only_where_it_is_wanted() {
        let is_loopback = |interface: &Interface| interface.addresses().iter().any(IpAddr::is_loopback);
        let loopback = list(Wanted::Loopback).unwrap();
        assert!(!loopback.is_empty() && loopback.iter().all(is_loopback));
        assert!(!list(Wanted::Network).unwrap().iter().any(is_loopback));
    }
}
