//! Path addresses: their one spelling, and what is none.

use std::net::SocketAddr;

use telemesh_hashname::Hashname;
use telemesh_wire::{
    ExtraSocket, LinkInfo, ParsePathAddressError, PathAddress, socket_address_from_bytes,
    socket_address_to_bytes,
};

const HASHNAME: &str = "27ywx5e5ylzxfzxrhptowvwntqrd3jhksyxrfkzi6jfn64d3lwxa";

#[test]
fn addresses_are_written_as_they_are_read() {
    for text in [
        "udp:192.0.2.1:42424",
        "udp:[2001:db8::1]:42424",
        "udp:[fe80::1%3]:42424",
        "quic:192.0.2.1:443",
        "quic:[2001:db8::1]:443",
        &format!("peer:{HASHNAME}"),
    ] {
        let address: PathAddress = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        assert_eq!(serde_json::to_string(&address).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<PathAddress>(&format!("\"{text}\"")).unwrap(), address);
    }
}

#[test]
fn ipv4_in_ipv6_clothing_is_ipv4() {
    let plain: PathAddress = "udp:192.0.2.1:42424".parse().unwrap();
    assert_eq!("udp:[::ffff:192.0.2.1]:42424".parse(), Ok(plain));
    let mapped = PathAddress::Udp("[::ffff:192.0.2.1]:42424".parse().unwrap());
    assert_ne!(mapped, plain);
    assert_eq!(mapped.canonical(), plain);
    let mapped = mapped.socket_address().unwrap();
    assert_eq!(socket_address_to_bytes(mapped).len(), 6);
    assert_eq!(
        socket_address_from_bytes(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, 0xa5, 0xb8]),
        Ok(plain.socket_address().unwrap())
    );
}

#[test]
fn places_that_nothing_can_be_sent_to_are_no_addresses() {
    for text in [
        "udp:192.0.2.1:0",
        "udp:0.0.0.0:1",
        "udp:[::]:1",
        "udp:[::ffff:0.0.0.0]:1",
        "udp:224.0.0.251:5353",
        "udp:[ff02::fb]:5353",
        "udp:255.255.255.255:1",
        "quic:0.0.0.0:443",
    ] {
        assert_eq!(text.parse::<PathAddress>(), Err(ParsePathAddressError::Unusable), "{text}");
    }
    assert!("udp:127.0.0.1:1".parse::<PathAddress>().is_ok(), "loopback is somewhere");
    assert!(socket_address_to_bytes("0.0.0.0:1".parse::<SocketAddr>().unwrap()).is_empty());
}

#[test]
fn other_texts_are_refused_with_what_was_expected() {
    for text in
        ["", "192.0.2.1:42424", "tcp:192.0.2.1:1", "UDP:192.0.2.1:1", " udp:192.0.2.1:1", "2001:db8::1"]
    {
        assert_eq!(text.parse::<PathAddress>(), Err(ParsePathAddressError::UnknownKind), "{text}");
    }
    for text in [
        "udp:",
        "udp:192.0.2.1",
        "udp:192.0.2.1:65536",
        "udp:192.0.2.1:1 ",
        "udp:2001:db8::1:1",
        "udp:host.example:1",
        "quic:127.1:443",
    ] {
        assert_eq!(text.parse::<PathAddress>(), Err(ParsePathAddressError::SocketAddress), "{text}");
    }
    for text in ["peer:", "peer:abc", &format!("peer:{}", HASHNAME.to_uppercase())] {
        assert!(matches!(text.parse::<PathAddress>(), Err(ParsePathAddressError::Router(_))), "{text}");
    }
}

#[test]
fn debug_shows_a_short_hashname() {
    let address: PathAddress = format!("peer:{HASHNAME}").parse().unwrap();
    assert_eq!(format!("{address:?}"), "peer:27ywx5e5");
    assert_eq!(format!("{:?}", "udp:192.0.2.1:1".parse::<PathAddress>().unwrap()), "udp:192.0.2.1:1");
}

#[test]
fn an_extra_socket_is_written_down_as_the_address_it_sends_to() {
    for (to, shown) in [
        ("192.0.2.1:7", "udp:192.0.2.1:7"),
        ("[2001:db8::1]:7", "udp:[2001:db8::1]:7"),
        ("[::ffff:192.0.2.1]:7", "udp:192.0.2.1:7"),
    ] {
        let extra = |number| PathAddress::Extra(ExtraSocket { to: to.parse().unwrap(), number }).canonical();
        assert_eq!(extra(3).to_string(), shown);
        assert_ne!(extra(3), extra(4), "two sockets are two paths");
        assert!(extra(3).is_direct() && extra(3).router().is_none());
        let plain: PathAddress = shown.parse().unwrap();
        assert_eq!(extra(3).socket_address(), plain.socket_address());
        let info = LinkInfo::unresolved(Hashname::from_bytes([1; 32])).with_path(extra(3)).unwrap();
        let read = LinkInfo::from_json(&info.to_json()).unwrap();
        assert_eq!(read.addresses().collect::<Vec<_>>(), [plain], "the number goes nowhere");
    }
}
