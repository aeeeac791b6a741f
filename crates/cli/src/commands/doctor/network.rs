//! The machine in its network: addresses that others could reach, how large packets may be, and the ports we want.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::report::Check;
use crate::listen::ListenAddress;

/// The least that IPv6 asks of a network (RFC 8200 section 5). Our smallest packets need nearly as much.
#[cfg(target_os = "linux")]
const LEAST_MTU: usize = 1_280;

/// Addresses that are listed; a machine with containers has many.
const SHOWN: usize = 8;

pub(super) fn checks() -> Vec<Check> {
    vec![addresses(), packet_size()]
}

/// Whether the addresses in the configuration can be had.
pub(super) fn listening(wanted: &[ListenAddress], is_up: bool) -> Check {
    const NAME: &str = "listen";
    if wanted.is_empty() {
        return Check::ok(NAME, "any port, as the configuration names none");
    }
    let shown: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    if is_up {
        return Check::skipped(NAME, format!("an endpoint is up and may have {shown}"));
    }
    for address in wanted {
        let advice = match bind(address.socket()) {
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                (error, "another program has it: end that one, or choose another port")
            }
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                (error, "no interface has this address: use 0.0.0.0 or [::], or one of those below")
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                (error, "ports below 1024 are for root: choose one above")
            }
            Err(error) => (error, "choose another address in the configuration file"),
        };
        return Check::failed(NAME, format!("cannot listen on {address}: {}", advice.0), advice.1);
    }
    Check::ok(NAME, format!("{shown} can be had"))
}

/// A socket of one family only, as the transport has it.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn addresses() -> Check {
    const NAME: &str = "addresses";
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => {
            let interfaces: Vec<_> = interfaces.iter().map(|one| (one.name.as_str(), one.ip())).collect();
            judge(NAME, &interfaces)
        }
        Err(error) => Check::warning(
            NAME,
            format!("the interfaces cannot be listed: {error}"),
            "name the address to listen on in the configuration file",
        ),
    }
}

fn judge(name: &'static str, interfaces: &[(&str, IpAddr)]) -> Check {
    let mut usable: Vec<_> = interfaces.iter().filter(|(_, ip)| is_usable(ip)).collect();
    if usable.is_empty() {
        let advice = "connect the machine to a network; links on this machine work all the same";
        return Check::warning(name, "no interface has an address that others could reach", advice);
    }
    let rest = usable.len().saturating_sub(SHOWN);
    usable.truncate(SHOWN);
    let mut shown: Vec<String> = usable.iter().map(|(interface, ip)| format!("{ip} ({interface})")).collect();
    if rest > 0 {
        shown.push(format!("and {rest} more"));
    }
    Check::ok(name, shown.join(", "))
}

fn is_usable(ip: &IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(link_local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

/// Linux tells without being asked in its own language.
#[cfg(target_os = "linux")]
fn packet_size() -> Check {
    let mut small = Vec::new();
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path().join("mtu")) else { continue };
        let Ok(size) = text.trim().parse::<usize>() else { continue };
        let shown = format!("{} {size}", entry.file_name().to_string_lossy());
        if size < LEAST_MTU { small.push(shown) } else { sizes.push(shown) }
    }
    if !small.is_empty() {
        let advice =
            format!("links need packets of {LEAST_MTU} bytes: `ip link set dev NAME mtu {LEAST_MTU}`");
        return Check::warning("packet-size", format!("too small: {}", small.join(", ")), advice);
    }
    if sizes.is_empty() {
        return Check::skipped("packet-size", "the interfaces do not say");
    }
    sizes.sort();
    sizes.truncate(SHOWN);
    Check::ok("packet-size", format!("in bytes: {}", sizes.join(", ")))
}

#[cfg(not(target_os = "linux"))]
fn packet_size() -> Check {
    Check::skipped("packet-size", "this system does not say without asking each interface")
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    #[test]
    fn only_addresses_that_others_can_use_count() {
        let interfaces = |list: &[&'static str]| -> Vec<(&'static str, IpAddr)> {
            list.iter().map(|ip| ("if0", ip.parse().unwrap())).collect()
        };
        let alone = judge("addresses", &interfaces(&["127.0.0.1", "::1", "169.254.1.1", "fe80::1"]));
        assert_eq!(alone.status, Status::Warning);
        let reachable = judge("addresses", &interfaces(&["127.0.0.1", "192.0.2.1"]));
        assert_eq!((reachable.status, reachable.found.as_str()), (Status::Ok, "192.0.2.1 (if0)"));
        let many = judge("addresses", &interfaces(&["192.0.2.1"; 20]));
        assert!(many.found.ends_with("and 12 more"), "{}", many.found);
    }

    #[test]
    fn a_port_that_is_taken_is_found_unless_it_is_ours() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let taken = [ListenAddress::Udp(held.local_addr().unwrap())];
        assert_eq!(listening(&taken, false).status, Status::Failed);
        assert_eq!(listening(&taken, true).status, Status::Skipped);
        drop(held);
        assert_eq!(listening(&["192.0.2.77:4242".parse().unwrap()], false).status, Status::Failed);
        assert_eq!(listening(&["127.0.0.1:0".parse().unwrap()], false).status, Status::Ok);
    }
}
