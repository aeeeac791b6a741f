//! Which destinations a socket may be asked to send to.
//!
//! Paths come from peers, so a destination may be anything. Refusing early is more than tidiness: Linux answers port zero,
//! a link-local address without an interface, or a far address from a loopback socket with `EINVAL`, which is also how it
//! says that segmentation offload does not work, and quinn-udp then turns offload off for the whole socket.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether a socket bound to `local` can send to `destination` at all.
pub(crate) fn is_usable(local: SocketAddr, destination: SocketAddr) -> bool {
    if destination.port() == 0 {
        return false;
    }
    match (local, destination) {
        (SocketAddr::V4(local), SocketAddr::V4(destination)) => {
            names_one_host_v4(*destination.ip())
                && (!local.ip().is_loopback() || destination.ip().is_loopback())
        }
        (SocketAddr::V6(local), SocketAddr::V6(destination)) => {
            names_one_host_v6(*destination.ip())
                && (!destination.ip().is_unicast_link_local() || destination.scope_id() != 0)
                && (!local.ip().is_loopback() || destination.ip().is_loopback())
        }
        _ => false,
    }
}

fn names_one_host_v4(ip: Ipv4Addr) -> bool {
    !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast()
}

fn names_one_host_v6(ip: Ipv6Addr) -> bool {
    // A mapped address is an IPv4 address in disguise: rules about IPv4 addresses would not see it.
    !ip.is_unspecified() && !ip.is_multicast() && ip.to_ipv4_mapped().is_none()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use super::*;

    fn usable(local: &str, destination: &str) -> bool {
        is_usable(local.parse().unwrap(), destination.parse().unwrap())
    }

    #[test]
    fn a_socket_sends_within_its_own_family_only() {
        assert!(usable("0.0.0.0:1", "192.0.2.1:42424"));
        assert!(usable("[::]:1", "[2001:db8::1]:42424"));
        assert!(!usable("0.0.0.0:1", "[2001:db8::1]:42424"));
        assert!(!usable("[::]:1", "192.0.2.1:42424"));
        assert!(!usable("[::]:1", "[::ffff:192.0.2.1]:42424"));
    }

    #[test]
    fn addresses_that_name_no_single_host_are_refused() {
        for destination in ["192.0.2.1:0", "0.0.0.0:42424", "255.255.255.255:42424", "224.0.0.251:5353"] {
            assert!(!usable("0.0.0.0:1", destination), "{destination}");
        }
        for destination in ["[2001:db8::1]:0", "[::]:42424", "[ff02::fb]:5353", "[fe80::1]:42424"] {
            assert!(!usable("[::]:1", destination), "{destination}");
        }
    }

    #[test]
    fn a_link_local_address_needs_its_interface() {
        let destination = SocketAddrV6::new("fe80::1".parse().unwrap(), 42_424, 0, 2);
        assert!(is_usable("[::]:1".parse().unwrap(), destination.into()));
    }

    #[test]
    fn a_loopback_socket_stays_on_loopback() {
        assert!(usable("127.0.0.1:1", "127.0.0.1:2"));
        assert!(!usable("127.0.0.1:1", "192.0.2.1:2"));
        assert!(usable("[::1]:1", "[::1]:2"));
        assert!(!usable("[::1]:1", "[2001:db8::1]:2"));
        assert!(usable("0.0.0.0:1", "127.0.0.1:2"));
    }
}
