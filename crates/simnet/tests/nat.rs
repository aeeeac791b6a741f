//! NATs behave as RFC 4787 names it: mapping, filtering, hairpinning, timeouts, ports; and as firewalls for IPv6.

#![allow(clippy::unwrap_used)] // Helpers that run only inside tests unwrap as tests do.

mod common;

use std::net::SocketAddr;

use common::{PORT, SECOND, addr, home, host, ip, ms, try_send, wait};
use telemesh_simnet::{
    Conditions, Dependence, DropReason, NatConfig, Network, PortChoice, Realm, Scope, SocketId,
};

const HOME: &str = "198.51.100.1";
const HOME_2: &str = "198.51.100.2";
/// Two ports of one server, and another server.
const SERVER: &str = "192.0.2.1:5000";
const SERVER_OTHER_PORT: &str = "192.0.2.1:5001";
const OTHER_SERVER: &str = "192.0.2.2:5000";

/// A home and servers in the open.
struct Lab {
    network: Network,
    nat: telemesh_simnet::NatId,
    inside: SocketId,
    server: SocketId,
    server_other_port: SocketId,
    other_server: SocketId,
}

fn lab(config: NatConfig) -> Lab {
    let mut network = Network::new(1);
    let (nat, _, inside) = home(&mut network, HOME, config);
    let (host_1, server) = host(&mut network, Realm::INTERNET, "192.0.2.1");
    let server_other_port = network.bind(host_1, addr("0.0.0.0:5001")).unwrap();
    let (_, other_server) = host(&mut network, Realm::INTERNET, "192.0.2.2");
    Lab { network, nat, inside, server, server_other_port, other_server }
}

impl Lab {
    /// Sends from inside and returns the external endpoint that the receiver sees.
    fn out(&mut self, to: &str) -> SocketAddr {
        let seen = try_send(&mut self.network, self.inside, addr(to)).unwrap();
        assert_eq!(seen.ip(), ip(HOME), "translated");
        seen
    }

    fn back(&mut self, from: SocketId, to: SocketAddr) -> Result<SocketAddr, DropReason> {
        try_send(&mut self.network, from, to)
    }
}

#[test]
fn a_reply_comes_back_through_every_kind_and_shows_the_private_address() {
    for config in [
        NatConfig::full_cone(),
        NatConfig::address_restricted(),
        NatConfig::port_restricted(),
        NatConfig::symmetric(),
    ] {
        let mut lab = lab(config);
        let seen = lab.out(SERVER);
        lab.network.send(lab.network.time(), lab.server, seen, b"reply").unwrap();
        let delivery = common::drain(&mut lab.network).pop().unwrap();
        assert_eq!(delivery.socket, lab.inside);
        assert_eq!((delivery.from, delivery.to), (addr(SERVER), addr("192.168.1.2:5000")));
    }
}

#[test]
fn endpoint_independent_mapping_shows_everybody_the_same_port() {
    for config in [NatConfig::full_cone(), NatConfig::address_restricted(), NatConfig::port_restricted()] {
        let mut lab = lab(config);
        let seen = lab.out(SERVER);
        assert_eq!(seen, SocketAddr::new(ip(HOME), PORT), "a free port is preserved");
        assert_eq!(lab.out(SERVER_OTHER_PORT), seen);
        assert_eq!(lab.out(OTHER_SERVER), seen);
        assert_eq!(lab.network.mapping_count(lab.nat), Ok(1));
    }
}

#[test]
fn address_dependent_mapping_shows_each_address_another_port() {
    let config = NatConfig::new(Dependence::AddressDependent, Dependence::AddressDependent);
    let mut lab = lab(config);
    let seen = lab.out(SERVER);
    assert_eq!(lab.out(SERVER_OTHER_PORT), seen);
    assert_ne!(lab.out(OTHER_SERVER), seen);
    assert_eq!(lab.network.mapping_count(lab.nat), Ok(2));
}

#[test]
fn a_symmetric_nat_gives_each_destination_a_port_and_keeps_it() {
    let mut lab = lab(NatConfig::symmetric());
    let destinations = [SERVER, SERVER_OTHER_PORT, OTHER_SERVER];
    let first = destinations.map(|to| lab.out(to));
    assert_ne!(first[0], first[1]);
    assert_ne!(first[0], first[2]);
    assert_ne!(first[1], first[2]);
    assert_eq!(destinations.map(|to| lab.out(to)), first, "the same destination keeps its mapping");
    assert_eq!(lab.network.mapping_count(lab.nat), Ok(3));
}

#[test]
fn a_full_cone_lets_everybody_in() {
    let mut lab = lab(NatConfig::full_cone());
    let seen = lab.out(SERVER);
    for from in [lab.server, lab.server_other_port, lab.other_server] {
        assert!(lab.back(from, seen).is_ok());
    }
}

#[test]
fn address_dependent_filtering_lets_in_any_port_of_a_known_address() {
    let mut lab = lab(NatConfig::address_restricted());
    let seen = lab.out(SERVER);
    assert!(lab.back(lab.server, seen).is_ok());
    assert!(lab.back(lab.server_other_port, seen).is_ok());
    assert_eq!(lab.back(lab.other_server, seen), Err(DropReason::NatFiltered));
    lab.out(OTHER_SERVER);
    assert!(lab.back(lab.other_server, seen).is_ok());
}

#[test]
fn address_and_port_dependent_filtering_lets_in_known_endpoints_only() {
    let mut lab = lab(NatConfig::port_restricted());
    let seen = lab.out(SERVER);
    assert!(lab.back(lab.server, seen).is_ok());
    assert_eq!(lab.back(lab.server_other_port, seen), Err(DropReason::NatFiltered));
    assert_eq!(lab.back(lab.other_server, seen), Err(DropReason::NatFiltered));
    lab.out(SERVER_OTHER_PORT);
    assert!(lab.back(lab.server_other_port, seen).is_ok());
}

#[test]
fn on_a_symmetric_nat_only_the_destination_of_a_mapping_may_use_it() {
    let mut lab = lab(NatConfig::symmetric());
    let for_server = lab.out(SERVER);
    let for_other = lab.out(OTHER_SERVER);
    assert!(lab.back(lab.server, for_server).is_ok());
    assert!(lab.back(lab.other_server, for_other).is_ok());
    assert_eq!(lab.back(lab.other_server, for_server), Err(DropReason::NatFiltered));
}

#[test]
fn unsolicited_datagrams_are_dropped_and_leave_no_mapping_behind() {
    let mut lab = lab(NatConfig::full_cone());
    let external = SocketAddr::new(ip(HOME), PORT);
    assert_eq!(lab.back(lab.server, external), Err(DropReason::NatUnsolicited));
    assert_eq!(lab.network.mapping_count(lab.nat), Ok(0));
    assert_eq!(lab.out(SERVER), external, "and the port is still there to be preserved");
}

#[test]
fn a_private_address_means_nothing_outside() {
    let mut lab = lab(NatConfig::full_cone());
    lab.out(SERVER);
    assert_eq!(lab.back(lab.server, addr("192.168.1.2:5000")), Err(DropReason::NoRoute));
}

#[test]
fn a_mapping_times_out_exactly() {
    let mut lab = lab(NatConfig::full_cone().mapping_timeout(30 * SECOND));
    let seen = lab.out(SERVER);
    wait(&mut lab.network, 30 * SECOND - ms(1));
    assert!(lab.back(lab.server, seen).is_ok());
    wait(&mut lab.network, ms(1));
    assert_eq!(lab.back(lab.server, seen), Err(DropReason::NatUnsolicited), "inbound did not refresh it");
}

#[test]
fn datagrams_from_inside_keep_a_mapping_alive() {
    let mut lab = lab(NatConfig::symmetric().mapping_timeout(30 * SECOND));
    let seen = lab.out(SERVER);
    for _ in 0..10 {
        wait(&mut lab.network, 29 * SECOND);
        assert_eq!(lab.out(SERVER), seen);
    }
    wait(&mut lab.network, 30 * SECOND);
    assert_ne!(lab.out(SERVER), seen, "a new mapping has a new random port");
}

#[test]
fn datagrams_from_outside_keep_a_mapping_alive_only_where_asked() {
    let config = NatConfig::port_restricted().mapping_timeout(30 * SECOND);
    for (config, alive) in [(config.clone(), false), (config.refresh_inbound(true), true)] {
        let mut lab = lab(config);
        let seen = lab.out(SERVER);
        wait(&mut lab.network, 20 * SECOND);
        assert!(lab.back(lab.server, seen).is_ok());
        wait(&mut lab.network, 20 * SECOND);
        assert_eq!(lab.back(lab.server, seen).is_ok(), alive);
    }
}

#[test]
fn a_permission_times_out_although_the_mapping_lives_on() {
    let mut lab = lab(NatConfig::port_restricted().mapping_timeout(30 * SECOND));
    let seen = lab.out(SERVER);
    wait(&mut lab.network, 20 * SECOND);
    assert_eq!(lab.out(OTHER_SERVER), seen);
    wait(&mut lab.network, 20 * SECOND);
    assert_eq!(lab.back(lab.server, seen), Err(DropReason::NatFiltered));
    assert!(lab.back(lab.other_server, seen).is_ok());
}

#[test]
fn a_rebooted_nat_forgets_everything() {
    let mut lab = lab(NatConfig::symmetric());
    let seen = lab.out(SERVER);
    lab.network.reboot_nat(lab.nat).unwrap();
    assert_eq!(lab.network.counts().nat_reboots, 1);
    assert_eq!(lab.network.mapping_count(lab.nat), Ok(0));
    assert_eq!(lab.back(lab.server, seen), Err(DropReason::NatUnsolicited));
    let new = lab.out(SERVER);
    assert_ne!(new, seen);
    assert!(lab.back(lab.server, new).is_ok());
}

#[test]
fn a_nat_with_a_new_external_address_forgets_everything() {
    let mut lab = lab(NatConfig::full_cone());
    let seen = lab.out(SERVER);
    lab.network.change_nat_address(lab.nat, ip(HOME), ip("198.51.100.9")).unwrap();
    assert_eq!(lab.network.counts().address_changes, 1);
    assert_eq!(lab.back(lab.server, seen), Err(DropReason::NoRoute));
    let new = SocketAddr::new(ip("198.51.100.9"), PORT);
    assert_eq!(lab.back(lab.server, new), Err(DropReason::NatUnsolicited));
    assert_eq!(try_send(&mut lab.network, lab.inside, addr(SERVER)), Ok(new));
    assert!(lab.back(lab.server, new).is_ok());
}

#[test]
fn hairpinning_is_off_unless_asked_for_and_shows_the_external_address() {
    for hairpin in [false, true] {
        let mut lab = lab(NatConfig::full_cone().hairpin(hairpin));
        let (_, neighbour) = host(&mut lab.network, lab.nat.inside(), "192.168.1.3");
        let seen = lab.out(SERVER);
        let result = try_send(&mut lab.network, neighbour, seen);
        if hairpin {
            let seen_neighbour = result.unwrap();
            assert_eq!(seen_neighbour.ip(), ip(HOME));
            assert_ne!(seen_neighbour, seen);
            assert_eq!(try_send(&mut lab.network, lab.inside, seen_neighbour), Ok(seen));
        } else {
            assert_eq!(result, Err(DropReason::NatHairpin));
        }
    }
}

#[test]
fn filtering_applies_to_hairpins() {
    let mut lab = lab(NatConfig::port_restricted().hairpin(true));
    let (_, neighbour) = host(&mut lab.network, lab.nat.inside(), "192.168.1.3");
    let seen = lab.out(SERVER);
    let seen_neighbour = try_send(&mut lab.network, neighbour, addr(SERVER)).unwrap();
    assert_eq!(try_send(&mut lab.network, neighbour, seen), Err(DropReason::NatFiltered));
    assert_eq!(try_send(&mut lab.network, lab.inside, seen_neighbour), Ok(seen));
}

#[test]
fn neighbours_reach_each_other_without_the_nat() {
    let mut lab = lab(NatConfig::symmetric());
    let (_, neighbour) = host(&mut lab.network, lab.nat.inside(), "192.168.1.3");
    assert_eq!(try_send(&mut lab.network, neighbour, addr("192.168.1.2:5000")), Ok(addr("192.168.1.3:5000")));
    assert_eq!(lab.network.mapping_count(lab.nat), Ok(0));
}

#[test]
fn traffic_inside_has_conditions_of_its_own() {
    let mut lab = lab(NatConfig::full_cone().hairpin(true));
    let (_, neighbour) = host(&mut lab.network, lab.nat.inside(), "192.168.1.3");
    let seen = lab.out(SERVER);
    lab.network.set_conditions(Scope::Everywhere, Conditions::new().delay(ms(40)));
    lab.network.set_conditions(Scope::Inside(lab.nat), Conditions::new().delay(ms(1)));
    for (to, delay) in [(addr("192.168.1.2:5000"), 1), (seen, 1), (addr(SERVER), 40)] {
        let start = lab.network.time();
        lab.network.send(start, neighbour, to, b"x").unwrap();
        assert_eq!(common::drain(&mut lab.network)[0].at - start, ms(delay), "to {to}");
    }
}

#[test]
fn homes_may_use_the_same_private_addresses() {
    let mut network = Network::new(1);
    let (_, first, at_first) = home(&mut network, HOME, NatConfig::full_cone());
    let (_, second, at_second) = home(&mut network, HOME_2, NatConfig::full_cone());
    host(&mut network, Realm::INTERNET, "192.0.2.1");
    try_send(&mut network, at_first, addr(SERVER)).unwrap();
    let seen = try_send(&mut network, at_second, addr(SERVER)).unwrap();
    network.send(network.time(), at_first, seen, b"x").unwrap();
    let delivery = common::drain(&mut network).pop().unwrap();
    assert_eq!((delivery.host, delivery.to), (second, addr("192.168.1.2:5000")));
    assert_ne!(first, second);
}

/// Both learn the other's external endpoint and send to it at the same time, twice. Whether both hear the other.
fn punch(one: NatConfig, other: NatConfig) -> bool {
    let mut network = Network::new(1);
    network.set_conditions(Scope::Everywhere, Conditions::new().delay(ms(20)));
    let (_, a, at_a) = home(&mut network, HOME, one);
    let (_, b, at_b) = home(&mut network, HOME_2, other);
    host(&mut network, Realm::INTERNET, "192.0.2.1");
    let outside_a = try_send(&mut network, at_a, addr(SERVER)).unwrap();
    let outside_b = try_send(&mut network, at_b, addr(SERVER)).unwrap();
    let (mut to_a, mut to_b) = (outside_a, outside_b);
    let mut heard = (false, false);
    for _ in 0..3 {
        let now = network.time();
        network.send(now, at_a, to_b, b"x").unwrap();
        network.send(now, at_b, to_a, b"x").unwrap();
        for delivery in common::drain(&mut network) {
            // As a path would: who hears somebody answers to where it came from.
            if delivery.host == a {
                (heard.0, to_b) = (true, delivery.from);
            } else if delivery.host == b {
                (heard.1, to_a) = (true, delivery.from);
            }
        }
    }
    heard == (true, true)
}

#[test]
fn hole_punching_works_for_exactly_the_pairs_for_which_it_should() {
    let kinds = [
        NatConfig::full_cone(),
        NatConfig::address_restricted(),
        NatConfig::port_restricted(),
        NatConfig::symmetric(),
    ];
    for (row, one) in kinds.iter().enumerate() {
        for (column, other) in kinds.iter().enumerate() {
            // A symmetric NAT's new port passes a filter by address, but none by port.
            let works = row.max(column) < 3 || row.min(column) < 2;
            assert_eq!(punch(one.clone(), other.clone()), works, "{row} with {column}");
        }
    }
}

#[test]
fn a_datagram_on_its_way_meets_the_nat_as_it_is_on_arrival() {
    let mut lab = lab(NatConfig::port_restricted());
    lab.network.set_conditions(Scope::Everywhere, Conditions::new().delay(ms(20)));
    let external = SocketAddr::new(ip(HOME), PORT);
    lab.network.send(ms(0), lab.server, external, b"early").unwrap();
    lab.network.send(ms(10), lab.inside, addr(SERVER), b"opens").unwrap();
    let sockets: Vec<_> = common::drain(&mut lab.network).iter().map(|delivery| delivery.socket).collect();
    assert_eq!(sockets, [lab.inside, lab.server], "opened at 10 ms, arrived at 20 ms");
}

#[test]
fn nats_stand_behind_nats() {
    let mut network = Network::new(1);
    let carrier = network.add_nat(Realm::INTERNET, [ip(HOME)], NatConfig::port_restricted()).unwrap();
    let inner = network.add_nat(carrier.inside(), [ip("100.64.0.1")], NatConfig::full_cone()).unwrap();
    let (_, inside) = host(&mut network, inner.inside(), "192.168.1.2");
    let (_, server) = host(&mut network, Realm::INTERNET, "192.0.2.1");
    let (_, stranger) = host(&mut network, Realm::INTERNET, "192.0.2.2");
    let seen = try_send(&mut network, inside, addr(SERVER)).unwrap();
    assert_eq!(seen.ip(), ip(HOME));
    assert_eq!(try_send(&mut network, server, seen), Ok(addr(SERVER)));
    assert_eq!(try_send(&mut network, stranger, seen), Err(DropReason::NatFiltered));
    network.reboot_nat(inner).unwrap();
    assert_eq!(try_send(&mut network, server, seen), Err(DropReason::NatUnsolicited), "at the inner one");
}

#[test]
fn a_nat_without_an_address_of_a_family_is_its_firewall() {
    let mut network = Network::new(1);
    let (nat, inside_host, inside) = home(&mut network, HOME, NatConfig::port_restricted());
    network.add_address(inside_host, nat.inside(), ip("2001:db8:1::2")).unwrap();
    let server_host = network.add_host(Realm::INTERNET, [ip("192.0.2.1"), ip("2001:db8::1")]).unwrap();
    let server = network.bind(server_host, addr("[::]:5000")).unwrap();
    let inside_address = addr("[2001:db8:1::2]:5000");

    assert_eq!(try_send(&mut network, server, inside_address), Err(DropReason::NatUnsolicited));
    assert_eq!(try_send(&mut network, inside, addr("[2001:db8::1]:5000")), Ok(inside_address));
    assert_eq!(try_send(&mut network, server, inside_address), Ok(addr("[2001:db8::1]:5000")));
    assert_eq!(try_send(&mut network, inside, addr(SERVER)), Ok(SocketAddr::new(ip(HOME), PORT)));
    wait(&mut network, 120 * SECOND);
    assert_eq!(try_send(&mut network, server, inside_address), Err(DropReason::NatUnsolicited));

    network.remove_address(inside_host, ip("2001:db8:1::2")).unwrap();
    assert_eq!(try_send(&mut network, server, inside_address), Err(DropReason::NoRoute));
}

#[test]
fn a_firewall_keeps_the_port_towards_everybody_whatever_its_kind() {
    let mut network = Network::new(1);
    let nat = network.add_nat(Realm::INTERNET, [], NatConfig::symmetric()).unwrap();
    let (_, inside) = host(&mut network, nat.inside(), "192.0.2.10");
    let (_, server) = host(&mut network, Realm::INTERNET, "192.0.2.1");
    host(&mut network, Realm::INTERNET, "192.0.2.2");
    for to in [SERVER, OTHER_SERVER] {
        assert_eq!(try_send(&mut network, inside, addr(to)), Ok(addr("192.0.2.10:5000")));
    }
    assert!(try_send(&mut network, server, addr("192.0.2.10:5000")).is_ok(), "still permitted");
}

#[test]
fn a_datagram_taken_out_late_meets_the_nat_as_it_was_on_arrival() {
    let mut lab = lab(NatConfig::full_cone().mapping_timeout(30 * SECOND));
    let seen = lab.out(SERVER);
    lab.network.set_conditions(Scope::Everywhere, Conditions::new().delay(29 * SECOND));
    lab.network.send(lab.network.time(), lab.server, seen, b"x").unwrap();
    let delivery = lab.network.deliver(60 * SECOND).unwrap();
    assert_eq!((delivery.socket, delivery.at), (lab.inside, 29 * SECOND));
}

#[test]
fn a_network_that_passes_one_port_only_drops_the_rest() {
    let mut lab = lab(NatConfig::full_cone().egress_ports([443, 5001]));
    lab.out(SERVER_OTHER_PORT);
    assert_eq!(try_send(&mut lab.network, lab.inside, addr(SERVER)), Err(DropReason::NatEgress));
    assert_eq!(lab.network.counts().dropped(DropReason::NatEgress), 1);
}

#[test]
fn a_nat_runs_out_of_ports_and_recovers_when_mappings_time_out() {
    let mut lab = lab(NatConfig::symmetric().ports(2_000..=2_001));
    lab.out(SERVER);
    lab.out(SERVER_OTHER_PORT);
    assert_eq!(
        try_send(&mut lab.network, lab.inside, addr(OTHER_SERVER)),
        Err(DropReason::NatPortsExhausted)
    );
    wait(&mut lab.network, 120 * SECOND);
    assert!((2_000..=2_001).contains(&lab.out(OTHER_SERVER).port()));
}

#[test]
fn two_hosts_that_want_the_same_port_get_two() {
    let mut lab = lab(NatConfig::full_cone().port_choice(PortChoice::Preserve));
    let (neighbour, at_neighbour) = host(&mut lab.network, lab.nat.inside(), "192.168.1.3");
    let first = lab.out(SERVER);
    let second = try_send(&mut lab.network, at_neighbour, addr(SERVER)).unwrap();
    assert_eq!(first.port(), PORT);
    assert_ne!(second.port(), PORT);
    lab.network.send(lab.network.time(), lab.server, second, b"x").unwrap();
    assert_eq!(common::drain(&mut lab.network)[0].host, neighbour);
}

#[test]
fn each_host_keeps_to_one_of_several_external_addresses() {
    let mut network = Network::new(1);
    let pool = [ip("198.51.100.1"), ip("198.51.100.2"), ip("198.51.100.3")];
    let nat = network.add_nat(Realm::INTERNET, pool, NatConfig::symmetric()).unwrap();
    host(&mut network, Realm::INTERNET, "192.0.2.1");
    host(&mut network, Realm::INTERNET, "192.0.2.2");
    let mut used = Vec::new();
    for number in 2..12 {
        let (_, socket) = host(&mut network, nat.inside(), &format!("10.0.0.{number}"));
        let seen = try_send(&mut network, socket, addr(SERVER)).unwrap().ip();
        assert_eq!(try_send(&mut network, socket, addr(OTHER_SERVER)).unwrap().ip(), seen);
        used.push(seen);
    }
    assert!(pool.iter().all(|address| used.contains(address)), "{used:?}");
}

#[test]
fn a_nat_can_change_its_ways() {
    let mut lab = lab(NatConfig::full_cone());
    let seen = lab.out(SERVER);
    assert!(lab.back(lab.other_server, seen).is_ok());
    lab.network.set_nat_config(lab.nat, NatConfig::port_restricted()).unwrap();
    assert_eq!(lab.back(lab.other_server, seen), Err(DropReason::NatFiltered));
    assert_eq!(lab.out(OTHER_SERVER), seen);
    assert!(lab.back(lab.other_server, seen).is_ok());
}

#[test]
fn a_partition_holds_between_homes_even_before_a_mapping_shows_who_is_meant() {
    let mut network = Network::new(1);
    let (_, a, at_a) = home(&mut network, HOME, NatConfig::full_cone());
    let (_, b, at_b) = home(&mut network, HOME_2, NatConfig::full_cone());
    network.block(a, b);
    let outside_b = SocketAddr::new(ip(HOME_2), PORT);
    assert_eq!(try_send(&mut network, at_a, outside_b), Err(DropReason::Partition));
    assert!(try_send(&mut network, at_b, SocketAddr::new(ip(HOME), PORT)).is_ok(), "a's NAT was opened");
    assert_eq!(try_send(&mut network, at_a, outside_b), Err(DropReason::Partition));
}
