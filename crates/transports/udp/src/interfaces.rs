//! The addresses of this machine's network interfaces.

use std::net::IpAddr;

/// Addresses that other machines may reach this one by, in the order of the interfaces; empty if there are none.
///
/// Loopback is left out, and so are link-local addresses: without the name of an interface, which differs from machine to
/// machine, nobody else can use them.
pub(crate) fn reachable_addresses() -> Vec<IpAddr> {
    let interfaces = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::debug!(%error, "cannot list the network interfaces");
            return Vec::new();
        }
    };
    let mut addresses = Vec::new();
    for address in interfaces
        .iter()
        .filter(|interface| interface.is_oper_up())
        .map(if_addrs::Interface::ip)
        .filter(is_reachable)
    {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

fn is_reachable(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !link_local && !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_link_local_addresses_are_of_no_use_to_others() {
        for address in ["127.0.0.1", "::1", "169.254.3.4", "fe80::1", "0.0.0.0", "::", "224.0.0.1"] {
            assert!(!is_reachable(&address.parse().unwrap()), "{address}");
        }
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(is_reachable(&address.parse().unwrap()), "{address}");
        }
    }
}
