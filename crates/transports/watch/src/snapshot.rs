//! What a machine's network looks like at one moment, as far as it matters to links.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use telemesh_transport::NetworkChange;

/// The addresses by which others could reach this machine, and those from which it sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Of interfaces that are up; without loopback, and without those that mean something on one cable only.
    addresses: BTreeSet<IpAddr>,
    /// From which packets to the internet leave, for IPv4 and IPv6. Changes with the default route.
    sources: [Option<IpAddr>; 2],
}

impl Snapshot {
    /// Looks now. Nothing is sent.
    ///
    /// # Errors
    /// When the system does not list its interfaces.
    pub fn take() -> io::Result<Self> {
        let interfaces = if_addrs::get_if_addrs()?;
        let up = interfaces.iter().filter(|interface| interface.is_oper_up());
        let addresses = up.map(if_addrs::Interface::ip).filter(is_reachable).collect();
        Ok(Self { addresses, sources: SOMEWHERE.map(source_towards) })
    }

    /// What has changed since `before`; `None` if nothing has.
    #[must_use]
    pub fn since(&self, before: &Self) -> Option<NetworkChange> {
        let lost = before.addresses.difference(&self.addresses).next().is_some();
        if lost || self.sources != before.sources {
            return Some(NetworkChange::Moved);
        }
        (self.addresses != before.addresses).then_some(NetworkChange::Gained)
    }
}

fn is_reachable(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !link_local && !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

/// From where a packet would leave. Connecting a UDP socket asks the system for a route and sends nothing.
fn source_towards(destination: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match destination {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(destination).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Addresses that are nobody's (RFC 5737, RFC 3849), so that they are reached by the default route if by any.
const SOMEWHERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(addresses: &[&str], source: Option<&str>) -> Snapshot {
        let parsed = |text: &&str| text.parse().unwrap();
        Snapshot {
            addresses: addresses.iter().map(parsed).collect(),
            sources: [source.as_ref().map(parsed), None],
        }
    }

    #[test]
    fn what_is_new_is_told_from_what_may_be_broken() {
        let home = snapshot(&["192.0.2.1"], Some("192.0.2.1"));
        let cable_too = snapshot(&["192.0.2.1", "198.51.100.1"], Some("192.0.2.1"));
        let by_cable = snapshot(&["192.0.2.1", "198.51.100.1"], Some("198.51.100.1"));
        let nothing = snapshot(&[], None);
        assert_eq!(home.since(&home), None);
        assert_eq!(cable_too.since(&home), Some(NetworkChange::Gained));
        assert_eq!(home.since(&cable_too), Some(NetworkChange::Moved));
        assert_eq!(by_cable.since(&cable_too), Some(NetworkChange::Moved), "another default route");
        assert_eq!(nothing.since(&home), Some(NetworkChange::Moved));
        assert_eq!(home.since(&nothing), Some(NetworkChange::Moved), "it is back");
    }

    #[test]
    fn addresses_of_one_machine_or_one_cable_do_not_count() {
        for address in ["127.0.0.1", "::1", "169.254.3.4", "fe80::1", "0.0.0.0", "::", "224.0.0.1"] {
            assert!(!is_reachable(&address.parse().unwrap()), "{address}");
        }
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(is_reachable(&address.parse().unwrap()), "{address}");
        }
    }
}
