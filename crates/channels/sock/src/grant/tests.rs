//! Which grants there are, and what they allow.

use proptest::prelude::*;

use super::*;

fn grant(text: &str) -> SockGrant {
    text.parse().unwrap()
}

fn connects(grant: &SockGrant, address: &str) -> bool {
    grant.allows(Action::Connect, None, address.parse().unwrap())
}

#[test]
fn a_grant_is_shown_as_it_was_written() {
    for text in [
        "sock:10.0.0.1:22",
        "sock:10.0.0.0/8:*",
        "sock:0.0.0.0/0:443",
        "sock:127.0.0.1:*",
        "sock:[::1]:22",
        "sock:[fd00::]/8:8000-8010",
        "sock:[::]/0:443",
        "sock:host.name:443",
        "sock:localhost:80",
        "sock-udp:10.0.0.1:53",
        "sock-bind:127.0.0.1:8080",
        "sock-bind:0.0.0.0:8000-8010",
        "sock-udp-bind:[::1]:5353",
    ] {
        assert_eq!(grant(text).to_string(), text);
    }
}

#[test]
fn anything_else_is_refused_in_words_that_name_the_form() {
    for (text, hint) in [
        ("sock", "missing"),
        ("sock:10.0.0.1", "port"),
        ("sock:10.0.0.1:", "port"),
        ("sock:10.0.0.1:0", "port"),
        ("sock:10.0.0.1:0-5", "port"),
        ("sock:10.0.0.1:65536", "port"),
        ("sock:10.0.0.1:22-22", "lower"),
        ("sock:10.0.0.1:30-20", "lower"),
        ("sock:10.0.0.1:22,23", "port"),
        ("sock:*:22", "host name"),
        ("sock:10.0.0.1/8:22", "the network is 10.0.0.0/8"),
        ("sock:10.0.0.1/32:22", "without /32"),
        ("sock:10.0.0.0/33:22", "below 32"),
        ("sock:10.0.0.0/08:22", "below 32"),
        ("sock:10.0.0.0/+8:22", "below 32"),
        ("sock:[fd00::1]/8:22", "the network is fd00::/8"),
        ("sock:[fd00::]/129:22", "below 128"),
        ("sock:fd00::1:22", "brackets"),
        ("sock:[fe80::1%eth0]:22", "brackets"),
        ("sock:[::ffff:10.0.0.1]:22", "10.0.0.1"),
        ("sock:127.1:22", "write that host as 127.0.0.1"),
        ("sock:0x7f000001:22", "write that host as 127.0.0.1"),
        ("sock:010.0.0.1:22", "write that host as 8.0.0.1"),
        ("sock:Host.Name:22", "write that host as host.name"),
        ("sock:host.name.:22", "write that host as host.name"),
        ("sock:a.localhost:22", "write that host as localhost"),
        ("sock:host.name/8:22", "begins with an address"),
        ("sock-bind:host.name:22", "not at a name"),
        ("sock-tcp:10.0.0.1:22", "unknown action"),
        ("sock:10.0.0.1:\u{202e}22", "port"),
    ] {
        let error = text.parse::<SockGrant>().unwrap_err().to_string();
        assert!(
            error.contains(hint) && error.contains("sock:10.0.0.1:22") && error.is_ascii(),
            "{text}: {error}"
        );
        assert!(is_sock_grant(text));
    }
    assert!(!is_sock_grant("socks:10.0.0.1:22") && !is_sock_grant("link"));
}

#[test]
fn a_grant_allows_its_targets_and_nothing_beside_them() {
    let one = grant("sock:10.0.0.1:22");
    assert!(connects(&one, "10.0.0.1:22") && connects(&one, "[::ffff:10.0.0.1]:22"));
    assert!(connects(&one, "[64:ff9b::10.0.0.1]:22"), "the same machine behind a translator");
    assert!(!connects(&one, "10.0.0.1:23") && !connects(&one, "10.0.0.2:22"));
    for other in [Action::Udp, Action::Bind, Action::UdpBind] {
        assert!(!one.allows(other, None, "10.0.0.1:22".parse().unwrap()));
    }
    let network = grant("sock:10.0.0.0/8:20-22");
    assert!(connects(&network, "10.0.0.0:20") && connects(&network, "10.255.255.255:22"));
    assert!(!connects(&network, "10.0.0.0:19") && !connects(&network, "10.0.0.0:23"));
    assert!(!connects(&network, "9.255.255.255:20") && !connects(&network, "11.0.0.0:20"));
    let six = grant("sock:[fd00::]/8:*");
    assert!(connects(&six, "[fd12::1]:1") && connects(&six, "[fdff::1]:65535"));
    assert!(
        !connects(&six, "[fd12::1]:0") && !connects(&six, "[fe00::1]:1") && !connects(&six, "10.0.0.1:1")
    );
}

#[test]
fn no_network_and_no_name_stands_for_an_address_that_must_be_named() {
    let name = Name::new("rebound.example").unwrap();
    let every = [
        grant("sock:0.0.0.0/0:*"),
        grant("sock:[::]/0:*"),
        grant("sock:127.0.0.0/8:*"),
        grant("sock:[fe80::]/10:*"),
        grant("sock:169.254.0.0/16:*"),
        grant("sock:rebound.example:*"),
        grant("sock:localhost:*"),
    ];
    for address in [
        "127.0.0.2:80",
        "0.0.0.0:80",
        "[::ffff:127.0.0.2]:80",
        "[::127.0.0.2]:80",
        "[64:ff9b::127.0.0.1]:80",
        "169.254.169.254:80",
        "[64:ff9b::a9fe:a9fe]:80",
        "[fd00:ec2::254]:80",
        "[fe80::1]:80",
        "255.255.255.255:80",
        "224.0.0.1:80",
        "[ff02::1]:80",
        "[::]:80",
    ] {
        let address = address.parse().unwrap();
        assert!(!every.iter().any(|grant| grant.allows(Action::Connect, Some(&name), address)), "{address}");
    }
    assert!(connects(&grant("sock:127.0.0.1:80"), "[::ffff:127.0.0.1]:80"));
    assert!(!connects(&grant("sock:127.0.0.1:80"), "[64:ff9b::127.0.0.1]:80"));
    assert!(connects(&grant("sock:169.254.169.254:80"), "169.254.169.254:80"));
    let local = grant("sock:localhost:80");
    assert!(
        connects(&local, "127.0.0.1:80") && connects(&local, "[::1]:80") && !connects(&local, "0.0.0.0:80")
    );
    assert!(every[5].allows(Action::Connect, Some(&name), "1.1.1.1:80".parse().unwrap()));
    assert!(
        !every[5].allows(Action::Connect, None, "1.1.1.1:80".parse().unwrap()),
        "only when asked by that name"
    );
}

#[test]
fn a_name_is_looked_up_only_if_a_grant_may_allow_what_is_found() {
    let name = Name::new("db.example").unwrap();
    for (text, may) in [
        ("sock:db.example:5432", true),
        ("sock:10.0.0.0/8:5432", true),
        ("sock:10.0.0.0/8:*", true),
        ("sock:10.0.0.1:5432", true),
        ("sock:other.example:5432", false),
        ("sock:db.example:5433", false),
        ("sock-udp:db.example:5432", false),
    ] {
        assert_eq!(grant(text).may_allow(Action::Connect, &name, 5432), may, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_read_is_shown_as_it_was(text in "sock(-udp|-bind)?:[\\[\\]0-9a-f.:/x*]{1,30}:[0-9*-]{1,11}") {
        if let Ok(grant) = text.parse::<SockGrant>() {
            prop_assert_eq!(grant.to_string().parse::<SockGrant>(), Ok(grant));
        }
    }

    #[test]
    fn a_network_allows_what_shares_its_bits(address: u32, other: u32, bits in 0u8..32) {
        let network = masked(Ipv4Addr::from_bits(address).into(), bits).unwrap();
        let grant: SockGrant = format!("sock:{network}/{bits}:*").parse().unwrap();
        let other = Ipv4Addr::from_bits(other);
        let shares = bits == 0 || (address ^ other.to_bits()) >> (32 - bits) == 0;
        let allowed = grant.allows(Action::Connect, None, (other, 1).into());
        prop_assert_eq!(allowed, shares && !is_special(other.into()));
    }
}
