//! Scenarios about paths: fail-over, roaming, observers, keepalives, and the end of a link.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use telemesh_wire::PathAddress;

use super::harness::{BOTH, Datagram, World, address, keys, millis, network_of, secs};
use crate::timers::MAX_CIRCUIT_PATHS;
use crate::{BirthdayRefusal, DownReason, Event, MAX_CANDIDATES, PathState, State};

/// Two endpoints that are both in networks 1 and 2, connected, with both paths proven.
fn connected_twice(seed: u64) -> World {
    let mut world = World::new(seed);
    world.add_node(keys(1, BOTH));
    world.add_node(keys(2, BOTH));
    for (place, host) in [(0, 1), (1, 2)] {
        world.nodes[place].addresses = BTreeMap::from([(1, address(1, host, 1)), (2, address(2, host, 1))]);
    }
    world.introduce(0, 1);
    world.introduce(1, 0);
    world.connect(0);
    world.run(secs(1));
    for place in [0, 1] {
        let proven = world.nodes[place].link().paths().filter(|path| path.state == PathState::Proven).count();
        assert_eq!(proven, 2, "node {place} has a path in use and a spare");
    }
    world
}

fn active(world: &mut World, place: usize) -> SocketAddr {
    world.nodes[place].link().path().unwrap().address.socket_address().unwrap()
}

/// Both ends send every 50 ms; returns how long it takes until both have received something again.
fn time_to_recover(world: &mut World) -> std::time::Duration {
    let begin = world.now;
    world.nodes[0].received.clear();
    world.nodes[1].received.clear();
    for _ in 0..200 {
        for place in [0, 1] {
            world.send(place, &[0; 100]);
        }
        world.run(millis(50));
        if world.nodes.iter().all(|node| !node.received.is_empty()) {
            return world.now - begin;
        }
    }
    panic!("no recovery: {}\n{}", world.nodes[0].link().explain(begin), world.nodes[1].link().explain(begin));
}

#[test]
fn data_moves_to_the_spare_path_within_a_second_when_the_path_in_use_dies() {
    for seed in 0..10 {
        let mut world = connected_twice(seed);
        let network = super::harness::network_of(active(&mut world, 0));
        world.faults(network).dead = true;
        let took = time_to_recover(&mut world);
        assert!(took < secs(1), "it took {took:?}");
        assert_eq!(world.sent_of_type(1).len(), 2, "the session stays: no new handshake");
        for place in [0, 1] {
            let link = world.nodes[place].link();
            assert_eq!(link.state(), State::Up);
            assert_ne!(
                super::harness::network_of(link.path().unwrap().address.socket_address().unwrap()),
                network
            );
        }
    }
}

#[test]
fn the_shorter_path_is_chosen_and_like_ones_do_not_alternate() {
    let mut world = connected_twice(1);
    world.faults(1).delay = millis(60);
    world.faults(2).delay = millis(20);
    world.run(secs(200));
    for place in [0, 1] {
        assert_eq!(super::harness::network_of(active(&mut world, place)), 2);
        world.nodes[place].events.clear();
    }
    world.faults(1).delay = millis(19);
    world.run(secs(600));
    for node in &world.nodes {
        assert!(!node.events.iter().any(|event| matches!(event, Event::PathChanged { .. })));
    }
}

#[test]
fn an_endpoint_whose_source_port_changes_keeps_its_link_and_recovers_within_a_second() {
    for roamer in [0, 1] {
        let mut world = World::connected(7);
        let moved = address(1, 99, 999);
        world.nodes[roamer].addresses.insert(1, moved);
        assert!(time_to_recover(&mut world) < secs(1));
        assert_eq!(active(&mut world, 1 - roamer), moved);
        assert_eq!(world.sent_of_type(1).len(), 1);
        assert_eq!((world.nodes[0].ups(), world.nodes[1].ups()), (1, 1));
    }
}

#[test]
fn a_network_change_on_an_idle_link_is_repaired_at_once() {
    let mut world = World::connected(7);
    let moved = address(1, 99, 999);
    world.nodes[0].addresses.insert(1, moved);
    let now = world.now;
    world.nodes[0].link().network_changed(now);
    world.run(millis(200));
    assert_eq!(active(&mut world, 1), moved, "the peer knows the new address before it has anything to send");
}

#[test]
fn spares_that_are_kept_warm_do_not_pull_an_idle_link_from_path_to_path() {
    for seed in 0..10 {
        let mut world = connected_twice(seed);
        for network in [1, 2] {
            world.faults(network).jitter = millis(8);
        }
        world.run(secs(30));
        world.nodes.iter_mut().for_each(|node| node.events.clear());
        world.run(secs(600));
        for node in &world.nodes {
            let changes =
                node.events.iter().filter(|event| matches!(event, Event::PathChanged { .. })).count();
            assert_eq!(changes, 0, "seed {seed}");
        }
    }
}

#[test]
fn many_ports_are_tried_by_no_link_that_is_down_or_direct() {
    let mut world = World::pair(3);
    let now = world.now;
    let to = PathAddress::Udp(address(1, 9, 9));
    assert_eq!(world.nodes[0].link().begin_birthday(now, to), Err(BirthdayRefusal::NotNeeded));
    let mut world = World::connected(3);
    let now = world.now;
    assert_eq!(world.nodes[0].link().begin_birthday(now, to), Err(BirthdayRefusal::NotNeeded));
    assert_eq!(world.nodes[0].link().explain(now).birthday, None);
}

#[test]
fn a_path_change_between_like_paths_is_called_similar() {
    let mut world = connected_twice(3);
    let network = super::harness::network_of(active(&mut world, 0));
    world.faults(network).dead = true;
    time_to_recover(&mut world);
    let similar = |event: &Event| matches!(event, Event::PathChanged { similar: true, .. });
    assert!(world.nodes[0].events.iter().any(similar));
}

#[cfg(not(feature = "danger-no-probe-check"))]
#[test]
fn an_observer_that_races_copies_does_not_get_the_traffic() {
    // From the network, and as if it were on our own machine.
    for observer in [address(1, 66, 66), SocketAddr::from(([127, 1, 0, 1], 66))] {
        race(observer);
    }
}

fn race(observer: SocketAddr) {
    let mut world = World::connected(5);
    let (from, to) = (world.nodes[0].addresses[&1], world.nodes[1].addresses[&1]);
    for _ in 0..100 {
        let before = world.log.len();
        world.send(0, &[1; 100]);
        // The copy arrives first, from the observer's address; the original is then dropped as a duplicate.
        let sent_now = world.log[before..].to_vec();
        for sent in sent_now {
            if sent.from == from {
                world.deliver(Datagram { from: observer, to, bytes: sent.bytes });
            }
        }
        world.send(1, &[2; 200]);
        world.run(millis(30));
    }
    assert_eq!(active(&mut world, 1), from);
    let to_observer: Vec<_> = world.log.iter().filter(|sent| sent.to == observer).collect();
    assert!(!to_observer.is_empty(), "it is probed");
    assert!(to_observer.len() < 15, "{} packets went to the observer", to_observer.len());
    assert!(to_observer.iter().all(|sent| sent.bytes.len() != 233), "no data went there");
    assert_eq!(world.nodes[0].received.len(), 100);
}

#[test]
fn an_idle_link_stays_up_with_a_few_packets_a_minute() {
    let mut world = World::connected(1);
    let before = world.log.len();
    world.run(secs(3_000));
    let sent = world.log.len() - before;
    assert!((200..=500).contains(&sent), "{sent} packets in 50 minutes");
    assert_eq!((world.nodes[0].link().state(), world.nodes[1].link().state()), (State::Up, State::Up));
    assert!(world.nodes.iter().all(|node| !node.events.iter().any(|event| matches!(event, Event::Down(_)))));
}

#[test]
fn a_silent_peer_is_down_within_75_seconds_also_when_only_one_direction_is_broken() {
    for one_way in [false, true] {
        let mut world = World::connected(1);
        let cut = world.nodes[0].addresses[&1];
        if one_way {
            world.deaf.insert(cut);
        } else {
            world.blocked.insert(cut);
        }
        world.run(secs(75));
        assert!(world.nodes[0].events.contains(&Event::Down(DownReason::TimedOut)), "one way: {one_way}");
        assert!(!one_way || world.nodes[1].sent > 0);
        world.deaf.clear();
        world.blocked.clear();
        world.run(secs(75));
        assert_eq!(world.nodes[0].link().state(), State::Up, "it is wanted, so it comes back");
        assert_eq!(world.nodes[1].link().state(), State::Up);
        assert!(!world.nodes[0].events.contains(&Event::PeerRestarted), "it is the same process");
    }
}

#[test]
fn the_responder_notices_too_that_the_peer_is_gone() {
    let mut world = World::connected(1);
    world.nodes[0].alive = false;
    world.run(secs(80));
    assert!(world.nodes[1].events.contains(&Event::Down(DownReason::TimedOut)));
    let before = world.log.len();
    world.run(secs(1_000));
    assert_eq!(world.log.len(), before, "nobody wants the link there, so nothing more is sent");
}

#[test]
fn only_so_many_candidates_are_kept_and_working_ones_stay() {
    let mut world = World::connected(1);
    let now = world.now;
    for host in 0..200 {
        let to = PathAddress::Udp(address(3, host, 1));
        world.nodes[0].link().add_candidate(now, to);
    }
    world.run(secs(5));
    let untried = world.nodes[0].link().paths().filter(|path| path.state == PathState::Candidate).count();
    assert_eq!(untried, 0, "those that the budget held back get their turn");
    assert_eq!(world.nodes[0].link().paths().count(), MAX_CANDIDATES);
    let probes = world.log.iter().filter(|sent| super::harness::network_of(sent.to) == 3).count();
    assert!(probes <= 30 + 50, "{probes} probes went to one prefix in five seconds");
    assert_eq!(world.nodes[0].link().state(), State::Up);
    assert_eq!(active(&mut world, 0), world.nodes[1].addresses[&1]);
}

#[test]
fn a_ping_measures_the_round_trip() {
    let mut world = World::connected(1);
    world.faults(1).delay = millis(42);
    let now = world.now;
    let id = world.nodes[0].link().ping(now).unwrap();
    world.run(secs(1));
    let path = PathAddress::Udp(world.nodes[1].addresses[&1]);
    assert!(world.nodes[0].events.contains(&Event::Pong { id, rtt: millis(84), path }));
}

#[test]
fn an_endpoint_learns_how_its_address_looks_from_outside() {
    let world = World::connected(1);
    for place in [0, 1] {
        let ours = world.nodes[place].addresses[&1];
        let observed = |event: &Event| matches!(event, Event::Observed { address, .. } if *address == ours);
        let count = world.nodes[place].events.iter().filter(|event| observed(event)).count();
        assert!(count <= 1, "said once, not with every probe");
        assert!(place == 1 || count == 1);
    }
}

#[test]
fn heavy_loss_does_not_bring_a_link_down() {
    let mut world = World::connected(11);
    world.faults(1).loss = 30;
    for _ in 0..600 {
        world.send(0, &[0; 100]);
        world.run(millis(200));
    }
    let down = |event: &Event| matches!(event, Event::Down(_));
    assert!(!world.nodes.iter().any(|node| node.events.iter().any(down)));
    assert!(world.nodes[1].received.len() > 350);
}

#[test]
fn circuits_have_so_many_places_and_take_none_of_an_address() {
    let mut world = World::connected(7);
    let now = world.now;
    let link = world.nodes[0].link();
    for host in 0..20 {
        link.add_candidate(now, PathAddress::Udp(address(9, host, 1)));
    }
    let count = |link: &mut crate::Link| {
        let circuits = link.paths().filter(|path| !path.address.is_direct()).count();
        (circuits, link.paths().count() - circuits)
    };
    let (_, direct) = count(link);
    for number in 0..1_000 {
        let router = telemesh_hashname::Hashname::from_bytes([9; 32]);
        let circuit = telemesh_wire::Circuit { router, id: telemesh_wire::CircuitId::routed(number) };
        link.add_candidate(now, PathAddress::Circuit(circuit));
        let (circuits, still) = count(link);
        assert!(circuits <= MAX_CIRCUIT_PATHS && still == direct, "{circuits} circuits, {still} addresses");
    }
    assert_eq!(count(link).0, MAX_CIRCUIT_PATHS);
}

#[test]
fn addresses_that_somebody_may_have_made_up_get_initiations_within_the_budget_of_probes() {
    let mut world = World::new(7);
    world.add_node(keys(1, BOTH));
    world.add_node(keys(2, BOTH));
    world.introduce(0, 1);
    let now = world.now;
    // One prefix, where nobody answers; and one that the owner has named.
    for host in 0..20 {
        world.nodes[0].link().add_hinted_candidate(now, PathAddress::Udp(address(9, host, 1)));
    }
    world.nodes[0].addresses.insert(9, address(9, 99, 1));
    world.faults(1).dead = true;
    world.faults(9).dead = true;
    world.connect(0);
    let (mut hinted, mut given) = (0, 0);
    for second in 0..600 {
        world.run(secs(1));
        let sent = world.sent_of_type(1);
        hinted = sent.iter().filter(|sent| network_of(sent.to) == 9).count();
        given = sent.iter().filter(|sent| network_of(sent.to) == 1).count();
        assert!(hinted <= 30 + 10 * (second + 1), "{hinted} in {second} s");
    }
    assert!(hinted > 30 && given > 10, "{hinted} hinted, {given} given");
}
