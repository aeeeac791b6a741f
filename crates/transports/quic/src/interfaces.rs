//! The addresses of this machine's network interfaces by which others may reach it.

use std::net::IpAddr;

/// In the order of the interfaces, without loopback and without those that mean something on one network only.
pub(crate) fn reachable_addresses() -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => {
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
        }
        Err(error) => tracing::debug!(%error, "cannot list the network interfaces"),
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
