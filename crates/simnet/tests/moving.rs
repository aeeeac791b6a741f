//! Hosts that move: addresses change, uplinks come and go, sockets close; and the rules of binding and sending.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{A, B, PORT, SECOND, addr, home, host, ip, ms, pair, try_send};
use telemesh_simnet::{
    BindError, Conditions, DropReason, NatConfig, Network, Realm, Scope, SendError, TopologyError,
};

#[test]
fn after_a_change_of_address_the_old_one_is_unreachable_and_the_new_one_works() {
    let mut pair = pair();
    pair.network.change_address(pair.b, ip("192.0.2.2"), ip("203.0.113.2")).unwrap();
    assert_eq!(pair.network.counts().address_changes, 1);
    assert_eq!(try_send(&mut pair.network, pair.at_a, addr(B)), Err(DropReason::NoRoute));
    assert_eq!(try_send(&mut pair.network, pair.at_a, addr("203.0.113.2:5000")), Ok(addr(A)));
    assert_eq!(try_send(&mut pair.network, pair.at_b, addr(A)), Ok(addr("203.0.113.2:5000")));
    assert_eq!(pair.network.addresses(pair.b).collect::<Vec<_>>(), [ip("203.0.113.2")]);
}

#[test]
fn what_is_on_its_way_to_the_old_address_is_dropped() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().delay(ms(10)));
    pair.network.send(Duration::ZERO, pair.at_a, addr(B), b"x").unwrap();
    pair.network.change_address(pair.b, ip("192.0.2.2"), ip("203.0.113.2")).unwrap();
    assert_eq!(pair.network.deliver(SECOND), None);
    assert_eq!(pair.counts().dropped(DropReason::AddressGone), 1);
}

#[test]
fn an_address_that_comes_back_works_again() {
    let mut pair = pair();
    pair.network.remove_address(pair.b, ip("192.0.2.2")).unwrap();
    assert_eq!(try_send(&mut pair.network, pair.at_a, addr(B)), Err(DropReason::NoRoute));
    let result = pair.network.send(SECOND, pair.at_b, addr(A), b"x");
    assert_eq!(result, Err(SendError::NoSourceAddress(addr(A))));
    pair.network.add_address(pair.b, Realm::INTERNET, ip("192.0.2.2")).unwrap();
    assert!(try_send(&mut pair.network, pair.at_a, addr(B)).is_ok());
}

#[test]
fn another_host_can_take_an_address_over() {
    let mut pair = pair();
    pair.network.remove_address(pair.b, ip("192.0.2.2")).unwrap();
    let (successor, _) = host(&mut pair.network, Realm::INTERNET, "192.0.2.2");
    pair.network.send(SECOND, pair.at_a, addr(B), b"x").unwrap();
    assert_eq!(pair.network.deliver(SECOND).unwrap().host, successor);
}

#[test]
fn a_laptop_roams_from_one_home_to_another() {
    let mut network = Network::new(1);
    let (cafe, laptop, socket) = home(&mut network, "198.51.100.1", NatConfig::port_restricted());
    let phone = network.add_nat(Realm::INTERNET, [ip("198.51.100.2")], NatConfig::port_restricted()).unwrap();
    let (_, server) = host(&mut network, Realm::INTERNET, "192.0.2.1");
    let before = try_send(&mut network, socket, addr(A)).unwrap();

    network.add_address(laptop, phone.inside(), ip("10.0.0.2")).unwrap();
    assert_eq!(try_send(&mut network, socket, addr(A)), Ok(before), "the first uplink is preferred");
    network.remove_address(laptop, ip("192.168.1.2")).unwrap();
    let after = try_send(&mut network, socket, addr(A)).unwrap();
    assert_eq!(after.ip(), ip("198.51.100.2"));
    assert_eq!(try_send(&mut network, server, before), Err(DropReason::AddressGone));
    assert!(try_send(&mut network, server, after).is_ok());
    assert_eq!(network.mapping_count(cafe), Ok(1), "the old NAT knows nothing of it");
}

#[test]
fn uplinks_can_be_told_apart_by_their_addresses() {
    let mut network = Network::new(1);
    let laptop = network.add_host(Realm::INTERNET, [ip("192.0.2.10"), ip("192.0.2.20")]).unwrap();
    let (_, server) = host(&mut network, Realm::INTERNET, "192.0.2.1");
    network.bind(laptop, addr("[::]:5000")).unwrap();
    let slow = Scope::Addresses { from: ip("192.0.2.1"), to: ip("192.0.2.20") };
    network.set_conditions(slow, Conditions::new().delay(ms(50)));
    network.send(Duration::ZERO, server, addr("192.0.2.20:5000"), b"slow").unwrap();
    network.send(Duration::ZERO, server, addr("192.0.2.10:5000"), b"fast").unwrap();
    let arrived = common::drain(&mut network);
    assert_eq!((arrived[0].payload.as_slice(), arrived[0].at), (&b"fast"[..], ms(0)));
    assert_eq!((arrived[1].payload.as_slice(), arrived[1].at), (&b"slow"[..], ms(50)));
}

#[test]
fn a_wildcard_socket_sends_from_the_realm_of_the_destination() {
    let mut network = Network::new(1);
    let office = network.add_nat(Realm::INTERNET, [ip("198.51.100.1")], NatConfig::symmetric()).unwrap();
    let (gateway, socket) = host(&mut network, Realm::INTERNET, "192.0.2.1");
    network.add_address(gateway, office.inside(), ip("10.0.0.1")).unwrap();
    host(&mut network, office.inside(), "10.0.0.2");
    host(&mut network, Realm::INTERNET, "192.0.2.2");
    assert_eq!(try_send(&mut network, socket, addr("10.0.0.2:5000")), Ok(addr("10.0.0.1:5000")));
    assert_eq!(try_send(&mut network, socket, addr(B)), Ok(addr(A)));
}

#[test]
fn a_socket_bound_to_one_address_is_bound_to_its_fate() {
    let mut pair = pair();
    let fixed = pair.network.bind(pair.b, addr("192.0.2.2:6000")).unwrap();
    assert_eq!(try_send(&mut pair.network, fixed, addr(A)), Ok(addr("192.0.2.2:6000")));
    pair.network.change_address(pair.b, ip("192.0.2.2"), ip("203.0.113.2")).unwrap();
    let result = pair.network.send(SECOND, fixed, addr(A), b"x");
    assert_eq!(result, Err(SendError::NoSourceAddress(addr(A))));
    let new = addr("203.0.113.2:6000");
    assert_eq!(try_send(&mut pair.network, pair.at_a, new), Err(DropReason::PortClosed));
}

#[test]
fn a_crashed_endpoint_gets_nothing_and_its_successor_nothing_of_its() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().delay(ms(10)));
    pair.network.send(Duration::ZERO, pair.at_a, addr(B), b"x").unwrap();
    assert!(pair.network.unbind(pair.at_b));
    assert!(!pair.network.unbind(pair.at_b));
    assert_eq!(pair.network.deliver(SECOND), None);
    assert_eq!(pair.counts().dropped(DropReason::PortClosed), 1);
    let result = pair.network.send(SECOND, pair.at_b, addr(A), b"x");
    assert_eq!(result, Err(SendError::UnknownSocket));

    let again = pair.network.bind(pair.b, SocketAddr::new(ip("::"), PORT)).unwrap();
    assert_ne!(again, pair.at_b);
    pair.network.send(SECOND, pair.at_a, addr(B), b"y").unwrap();
    assert_eq!(pair.network.deliver(2 * SECOND).unwrap().socket, again);
}

#[test]
fn the_narrowest_socket_gets_a_datagram() {
    let mut network = Network::new(1);
    let target = network.add_host(Realm::INTERNET, [ip("192.0.2.2"), ip("192.0.2.3")]).unwrap();
    let fixed = network.bind(target, addr("192.0.2.2:7000")).unwrap();
    let other = network.bind(target, addr("192.0.2.3:7000")).unwrap();
    let any = network.bind(target, addr("0.0.0.0:7001")).unwrap();
    let (_, sender) = host(&mut network, Realm::INTERNET, "192.0.2.1");
    for (to, socket) in [("192.0.2.2:7000", fixed), ("192.0.2.3:7000", other), ("192.0.2.3:7001", any)] {
        network.send(Duration::ZERO, sender, addr(to), b"x").unwrap();
        assert_eq!(network.deliver(SECOND).unwrap().socket, socket);
    }
}

#[test]
fn sockets_that_would_overlap_are_refused() {
    let mut pair = pair();
    let mut bind = |address: &str| pair.network.bind(pair.a, addr(address));
    assert_eq!(bind("[::]:5000"), Err(BindError::AddressInUse(addr("[::]:5000"))));
    assert_eq!(bind("0.0.0.0:5000"), Err(BindError::AddressInUse(addr("0.0.0.0:5000"))));
    assert_eq!(bind("192.0.2.1:5000"), Err(BindError::AddressInUse(addr(A))));
    assert_eq!(bind("192.0.2.2:6000"), Err(BindError::AddressNotAvailable(ip("192.0.2.2"))));
    assert!(bind("192.0.2.1:6000").is_ok());
    assert_eq!(bind("0.0.0.0:6000"), Err(BindError::AddressInUse(addr("0.0.0.0:6000"))));
    assert!(bind("0.0.0.0:6001").is_ok());
}

#[test]
fn port_zero_picks_free_dynamic_ports_until_there_are_none() {
    let mut pair = pair();
    let mut ports = std::collections::BTreeSet::new();
    for _ in 49_152..=65_535 {
        let socket = pair.network.bind(pair.a, addr("0.0.0.0:0")).unwrap();
        ports.insert(pair.network.local_address(socket).unwrap().port());
    }
    assert_eq!((ports.len(), ports.first()), (16_384, Some(&49_152)));
    assert_eq!(pair.network.bind(pair.a, addr("0.0.0.0:0")), Err(BindError::NoFreePort));
}

#[test]
fn impossible_destinations_are_refused_and_not_counted() {
    let mut pair = pair();
    for to in ["0.0.0.0:1", "224.0.0.251:5353", "255.255.255.255:1", "[ff02::1]:1", "192.0.2.2:0"] {
        let result = pair.network.send(Duration::ZERO, pair.at_a, addr(to), b"x");
        assert_eq!(result, Err(SendError::UnusableDestination(addr(to))));
    }
    let ipv6 = addr("[2001:db8::1]:1");
    let result = pair.network.send(Duration::ZERO, pair.at_a, ipv6, b"x");
    assert_eq!(result, Err(SendError::NoSourceAddress(ipv6)));
    assert_eq!(pair.network.counts().sent, 0);
    assert_eq!(try_send(&mut pair.network, pair.at_a, addr("192.0.2.99:1")), Err(DropReason::NoRoute));
}

#[test]
fn an_ipv4_mapped_destination_is_the_ipv4_one() {
    let mut pair = pair();
    assert_eq!(try_send(&mut pair.network, pair.at_a, addr("[::ffff:192.0.2.2]:5000")), Ok(addr(A)));
}

#[test]
fn addresses_belong_to_one_at_a_time() {
    let mut pair = pair();
    let taken = Err(TopologyError::AddressTaken(ip("192.0.2.1")));
    assert_eq!(pair.network.add_host(Realm::INTERNET, [ip("192.0.2.1")]), taken);
    let fresh_then_taken = [ip("192.0.2.3"), ip("192.0.2.1")];
    assert_eq!(pair.network.add_host(Realm::INTERNET, fresh_then_taken), taken);
    assert!(pair.network.add_host(Realm::INTERNET, [ip("192.0.2.3")]).is_ok(), "nothing was left behind");
    assert_eq!(
        pair.network.change_address(pair.b, ip("192.0.2.2"), ip("192.0.2.1")),
        Err(TopologyError::AddressTaken(ip("192.0.2.1")))
    );
    assert!(try_send(&mut pair.network, pair.at_a, addr(B)).is_ok());
    for unusable in ["0.0.0.0", "::", "224.0.0.1", "::ffff:192.0.2.9"] {
        let result = pair.network.add_address(pair.a, Realm::INTERNET, ip(unusable));
        assert_eq!(result, Err(TopologyError::UnusableAddress(ip(unusable))));
    }
}

#[test]
fn ids_of_another_network_are_refused() {
    let mut full = Network::new(1);
    let (nat, _, _) = home(&mut full, "198.51.100.1", NatConfig::full_cone());
    let (foreign, socket) = host(&mut full, Realm::INTERNET, "192.0.2.1");
    let mut empty = Network::new(1);
    assert_eq!(empty.add_host(nat.inside(), []), Err(TopologyError::UnknownRealm));
    assert_eq!(empty.reboot_nat(nat), Err(TopologyError::UnknownNat));
    assert_eq!(empty.mapping_count(nat), Err(TopologyError::UnknownNat));
    assert_eq!(empty.remove_address(foreign, ip("192.0.2.1")), Err(TopologyError::UnknownHost));
    assert_eq!(empty.bind(foreign, addr("0.0.0.0:1")), Err(BindError::UnknownHost));
    assert_eq!(empty.send(Duration::ZERO, socket, addr(A), b"x"), Err(SendError::UnknownSocket));
    assert_eq!(empty.addresses(foreign).count(), 0);
    assert!(!empty.unbind(socket));
}

#[test]
fn time_does_not_run_backwards() {
    let mut pair = pair();
    assert_eq!(pair.network.deliver(SECOND), None);
    pair.network.send(Duration::ZERO, pair.at_a, addr(B), b"x").unwrap();
    assert_eq!(pair.network.next_delivery_at(), Some(SECOND));
    assert_eq!(pair.network.deliver(ms(999)), None);
    assert_eq!(pair.network.deliver(SECOND).unwrap().at, SECOND);
}
