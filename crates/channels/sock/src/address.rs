//! What an IP address really means: forms in which one address hides in another, and addresses that no network stands for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that is connected to: the IPv4 one of an IPv4-mapped (`::ffff:127.0.0.1`, RFC 4291 section 2.5.5.2) or
/// IPv4-compatible address (`::127.0.0.1`, section 2.5.5.1, which nothing else is meant by), any other as it is.
pub(crate) fn normalised(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.segments() {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => embedded(high, low).into(),
        _ => address,
    }
}

/// The address that a grant must allow for this one: behind a translator's address (`64:ff9b::10.0.0.1`, RFC 6052 section 2.1)
/// it is the IPv4 one, although the connection goes to the translator.
pub(crate) fn meant(address: IpAddr) -> IpAddr {
    match normalised(address) {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low).into(),
            _ => v6.into(),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

/// Whether only a grant that names exactly this address allows it, however large a network another grant names: loopback,
/// link-local, a cloud's metadata service, unspecified, multicast, broadcast, and networks that lead to any of these.
///
/// Sources: the registries of RFC 6890, and the documentation of the clouds.
pub(crate) fn is_special(address: IpAddr) -> bool {
    match meant(address) {
        IpAddr::V4(v4) => is_special_v4(v4),
        IpAddr::V6(v6) => is_special_v6(v6),
    }
}

fn is_special_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    // "This network" with the unspecified address, loopback; multicast, and what is reserved, with the broadcast address.
    matches!(first, 0 | 127 | 224..)
        // Link-local, with most metadata services: 169.254.169.254 and others.
        || (first == 169 && second == 254)
        || METADATA_V4.contains(&address)
}

fn is_special_v6(address: Ipv6Addr) -> bool {
    address.is_unspecified()
        || address.is_loopback()
        || METADATA_V6.contains(&address)
        || match address.segments() {
            // Link-local, and site-local as it once was (RFC 3879); multicast.
            [0xfe80..=0xfeff | 0xff00.., ..] => true,
            // 6to4 and Teredo carry an IPv4 address that somebody else's relay sends to (RFC 3056, RFC 4380).
            [0x2002, ..] | [0x2001, 0, ..] => true,
            // Translators of the local network (RFC 8215) and translated addresses (RFC 7915): who knows to what.
            [0x64, 0xff9b, 1, ..] | [0, 0, 0, 0, 0xffff, 0, _, _] => true,
            _ => false,
        }
}

/// Metadata services that are not link-local: Alibaba's, Oracle's, Azure's.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// Metadata services in unique local addresses: Amazon's, Google's.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_inside_an_address_is_found() {
        for (text, connected, checked) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
            ("::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1"),
            ("::ffff:7f00:1", "127.0.0.1", "127.0.0.1"),
            ("::127.0.0.1", "127.0.0.1", "127.0.0.1"),
            ("::7f00:1", "127.0.0.1", "127.0.0.1"),
            ("64:ff9b::127.0.0.1", "64:ff9b::7f00:1", "127.0.0.1"),
            ("64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe", "169.254.169.254"),
            ("::1", "::1", "::1"),
            ("::", "::", "::"),
            ("::2", "0.0.0.2", "0.0.0.2"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!((normalised(ip(text)), meant(ip(text))), (ip(connected), ip(checked)), "{text}");
        }
    }

    #[test]
    fn what_no_network_stands_for() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:0.0.0.0",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "::ffff:0:127.0.0.1",
            "2002:7f00:1::1",
            "2001::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(is_special(ip(text)), "{text}");
        }
        for text in [
            "1.1.1.1",
            "10.0.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "223.255.255.255",
            "64:ff9b::10.0.0.1",
            "2001:db8::1",
            "2606:4700::1111",
            "fd00::1",
            "fd00:ec2::253",
            "2001:1::1",
        ] {
            assert!(!is_special(ip(text)), "{text}");
        }
    }
}
