//! Where this network's gateway is, and from which address it is reached.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// The gateway of the default route; `None` where the system does not show it in a file.
pub(crate) fn gateway() -> Option<Ipv4Addr> {
    if !cfg!(any(target_os = "linux", target_os = "android")) {
        return None;
    }
    gateway_in(&std::fs::read_to_string("/proc/net/route").ok()?)
}

/// In what Linux says (proc_net(5)): a line per route, words of hexadecimal digits, addresses as they lie in memory.
fn gateway_in(routes: &str) -> Option<Ipv4Addr> {
    const VIA_GATEWAY: u32 = 0x2;
    let gateway = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |nth: usize| u32::from_str_radix(words.get(nth)?, 16).ok();
        let metric: u32 = words.get(6)?.parse().ok()?;
        let is_default = number(1)? == 0 && number(7)? == 0 && number(3)? & VIA_GATEWAY != 0;
        is_default.then_some((metric, Ipv4Addr::from(number(2)?.to_ne_bytes())))
    };
    routes.lines().skip(1).filter_map(gateway).min_by_key(|(metric, _)| *metric).map(|(_, gateway)| gateway)
}

/// The address from which packets to the gateway leave. Connecting a UDP socket asks the system for a route and sends nothing.
pub(crate) fn source_towards(gateway: Ipv4Addr) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((gateway, crab_nat::GATEWAY_PORT)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(source) => Some(source),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    fn routes(lines: &[(&str, &str, &str, u32, &str)]) -> String {
        let line = |(destination, gateway, flags, metric, mask): &(&str, &str, &str, u32, &str)| {
            format!("eth0\t{destination}\t{gateway}\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
        };
        HEAD.to_owned() + &lines.iter().map(line).collect::<String>()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_gateway_is_that_of_the_best_default_route() {
        let text = routes(&[
            ("0001A8C0", "00000000", "0001", 0, "00FFFFFF"),
            ("00000000", "0101A8C0", "0003", 600, "00000000"),
            ("00000000", "010200C0", "0003", 100, "00000000"),
            ("00000000", "00000000", "0001", 0, "00000000"),
        ]);
        assert_eq!(gateway_in(&text), Some(Ipv4Addr::new(192, 0, 2, 1)));
    }

    #[test]
    fn what_is_no_route_is_none() {
        for text in [
            "",
            HEAD,
            &(HEAD.to_owned() + "eth0\tx\ty\n"),
            &(HEAD.to_owned() + "eth0\t00000000\tzz\t0003\t0\t0\t0\t00000000\n"),
        ] {
            assert_eq!(gateway_in(text), None, "{text}");
        }
    }
}
