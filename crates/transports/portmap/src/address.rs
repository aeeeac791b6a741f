//! Whether what a gateway calls its external address can be one.

use std::net::{IpAddr, Ipv4Addr};

/// Whether an address could be somebody's on the internet. Not: this machine's own, those of private and shared networks (RFC 1918,
/// RFC 6598), of one cable, of protocols and benchmarks (RFC 6890), multicast, and reserved ones. IPv6 is never the external
/// address of a gateway that translates.
///
/// Networks for documentation (RFC 5737) count as anybody's: nobody is there, and tests need some.
#[must_use]
pub fn is_public(address: &IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocols = (a, b, c) == (192, 0, 0);
    let benchmarks = a == 198 && (18..20).contains(&b);
    let reserved = a == 0 || a >= 224;
    let own = address.is_loopback() || address.is_link_local() || *address == Ipv4Addr::UNSPECIFIED;
    !(own || address.is_private() || shared || protocols || benchmarks || reserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_told_from_addresses_of_the_internet() {
        for nonsense in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "192.0.0.9",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::1",
            "2001:db8::1",
            "::ffff:1.1.1.1",
        ] {
            assert!(!is_public(&nonsense.parse().unwrap()), "{nonsense}");
        }
        for public in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.1"] {
            assert!(is_public(&public.parse().unwrap()), "{public}");
        }
    }
}
