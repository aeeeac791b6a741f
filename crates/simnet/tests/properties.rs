//! What holds for every network, whatever is done to it: the same seed gives the same run, and no datagram is ever
//! unaccounted for.

#![allow(clippy::unwrap_used)] // Helpers that run only inside tests unwrap as tests do.

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::{B, PORT, addr, ms, pair};
use proptest::prelude::*;
use telemesh_simnet::{
    Conditions, Dependence, DropReason, HostId, NatConfig, NatId, Network, PortChoice, Realm, Scope, SocketId,
};

/// Something done to a network of [`World`]'s kind. Numbers choose among what is there.
#[derive(Debug, Clone)]
enum Action {
    Send {
        from: usize,
        to: usize,
        size: usize,
    },
    /// Sends to where the receiver last heard somebody from.
    Reply {
        from: usize,
        size: usize,
    },
    Wait(Duration),
    Everywhere(Conditions),
    Between(usize, usize, Conditions),
    Block(usize, usize),
    Heal,
    Move(usize),
    Reboot(usize),
    Rebind(usize),
}

/// Three hosts in the open and three homes, of which one has two hosts.
struct World {
    network: Network,
    hosts: Vec<HostId>,
    sockets: Vec<SocketId>,
    nats: Vec<NatId>,
    /// Where each host can perhaps be reached: its NAT's address, or its own in the open and for the neighbour.
    known_at: Vec<SocketAddr>,
    last_heard: Vec<Option<SocketAddr>>,
    moves: u32,
}

impl World {
    fn new(seed: u64, configs: &[NatConfig]) -> Self {
        let mut network = Network::new(seed);
        let mut nats = Vec::new();
        let mut realms = vec![Realm::INTERNET; 3];
        for (number, config) in (1..).zip(configs) {
            let external = IpAddr::V4(Ipv4Addr::new(198, 51, 100, number));
            let nat = network.add_nat(Realm::INTERNET, [external], config.clone()).unwrap();
            nats.push(nat);
            realms.push(nat.inside());
        }
        realms.push(nats[0].inside());
        let mut world = World {
            network,
            hosts: Vec::new(),
            sockets: Vec::new(),
            nats,
            known_at: Vec::new(),
            last_heard: Vec::new(),
            moves: 0,
        };
        for (number, realm) in (1..).zip(realms) {
            let public = realm == Realm::INTERNET;
            let ip = Ipv4Addr::new(if public { 11 } else { 10 }, 0, 0, number);
            let host = world.network.add_host(realm, [IpAddr::V4(ip)]).unwrap();
            world.hosts.push(host);
            world.sockets.push(world.network.bind(host, ([0, 0, 0, 0], PORT).into()).unwrap());
            let home = Ipv4Addr::new(198, 51, 100, number.saturating_sub(3));
            world.known_at.push((if (4..7).contains(&number) { home } else { ip }, PORT).into());
            world.last_heard.push(None);
        }
        world
    }

    fn act(&mut self, action: &Action) {
        let pick = |choice: usize| choice % self.hosts.len();
        match *action {
            Action::Send { from, to, size } => self.send(pick(from), self.known_at[pick(to)], size),
            Action::Reply { from, size } => {
                let from = pick(from);
                if let Some(to) = self.last_heard[from] {
                    self.send(from, to, size);
                }
            }
            Action::Wait(time) => self.run_until(self.network.time() + time),
            Action::Everywhere(conditions) => self.network.set_conditions(Scope::Everywhere, conditions),
            Action::Between(a, b, conditions) => {
                self.network.set_conditions_between(self.hosts[pick(a)], self.hosts[pick(b)], conditions);
            }
            Action::Block(a, b) => self.network.block(self.hosts[pick(a)], self.hosts[pick(b)]),
            Action::Heal => self.network.heal(),
            Action::Move(host) => {
                let host = self.hosts[pick(host)];
                let old = self.network.addresses(host).next().unwrap();
                self.moves += 1;
                let new = IpAddr::V4(Ipv4Addr::from_bits(0x0c00_0000 + self.moves));
                self.network.change_address(host, old, new).unwrap();
            }
            Action::Reboot(nat) => self.network.reboot_nat(self.nats[nat % self.nats.len()]).unwrap(),
            Action::Rebind(host) => {
                let host = pick(host);
                assert!(self.network.unbind(self.sockets[host]));
                let any = ([0, 0, 0, 0], PORT).into();
                self.sockets[host] = self.network.bind(self.hosts[host], any).unwrap();
            }
        }
        self.check();
    }

    fn send(&mut self, from: usize, to: SocketAddr, size: usize) {
        let payload: Vec<_> = (0..size).map(|index| u8::try_from(index % 256).unwrap()).collect();
        self.network.send(self.network.time(), self.sockets[from], to, &payload).unwrap();
    }

    fn run_until(&mut self, until: Duration) {
        while let Some(delivery) = self.network.deliver(until) {
            assert!(delivery.at <= until);
            let receiver = delivery.host.index();
            assert_eq!(delivery.socket, self.sockets[receiver]);
            self.last_heard[receiver] = Some(delivery.from);
            self.network.recycle(delivery.payload);
        }
        assert!(self.network.next_delivery_at().is_none_or(|next| next > until));
    }

    /// Each datagram is in exactly one place, and in the network's numbers as well as in its pairs'.
    fn check(&self) {
        let counts = self.network.counts();
        let dropped: u64 = DropReason::ALL.iter().map(|&reason| counts.dropped(reason)).sum();
        assert_eq!(dropped, counts.dropped_in_all());
        let in_flight = self.network.in_flight() as u64;
        assert_eq!(counts.sent + counts.duplicated, counts.delivered + dropped + in_flight);
    }
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let chance = || prop_oneof![Just(0.0), 0.0..0.5, Just(1.0)];
    let time = || (0u64..100).prop_map(ms);
    let rate = prop_oneof![Just(None), (1_000u64..100_000, 0u64..20_000).prop_map(Some)];
    let mtu = prop_oneof![Just(None), (28usize..1_500).prop_map(Some)];
    (time(), time(), chance(), (chance(), time()), chance(), chance(), rate, mtu).prop_map(
        |(delay, jitter, loss, (reorder, by), duplicate, corrupt, rate, mtu)| {
            let mut conditions = Conditions::new().delay(delay).jitter(jitter).loss(loss);
            conditions = conditions.reorder(reorder, by).duplicate(duplicate).corrupt(corrupt);
            if let Some((rate, queue)) = rate {
                conditions = conditions.rate(rate, queue);
            }
            if let Some(mtu) = mtu {
                conditions = conditions.mtu(mtu);
            }
            conditions
        },
    )
}

fn nat_config() -> impl Strategy<Value = NatConfig> {
    let dependence = || {
        prop_oneof![
            Just(Dependence::EndpointIndependent),
            Just(Dependence::AddressDependent),
            Just(Dependence::AddressAndPortDependent)
        ]
    };
    let choice =
        prop_oneof![Just(PortChoice::Preserve), Just(PortChoice::Sequential), Just(PortChoice::Random)];
    (dependence(), dependence(), any::<bool>(), any::<bool>(), choice, 1u64..500, 0u16..4).prop_map(
        |(mapping, filtering, hairpin, refresh, choice, timeout, ports)| {
            NatConfig::new(mapping, filtering)
                .hairpin(hairpin)
                .refresh_inbound(refresh)
                .port_choice(choice)
                .mapping_timeout(ms(timeout))
                .ports(PORT - 1..=PORT - 1 + ports)
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let host = || any::<usize>();
    let size = || prop_oneof![0usize..64, 1_000usize..1_500];
    prop_oneof![
        12 => (host(), host(), size()).prop_map(|(from, to, size)| Action::Send { from, to, size }),
        8 => (host(), size()).prop_map(|(from, size)| Action::Reply { from, size }),
        8 => (0u64..200).prop_map(|time| Action::Wait(ms(time))),
        1 => conditions().prop_map(Action::Everywhere),
        1 => (host(), host(), conditions()).prop_map(|(a, b, c)| Action::Between(a, b, c)),
        1 => (host(), host()).prop_map(|(a, b)| Action::Block(a, b)),
        1 => Just(Action::Heal),
        1 => host().prop_map(Action::Move),
        1 => host().prop_map(Action::Reboot),
        1 => host().prop_map(Action::Rebind),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_datagram_is_accounted_for_and_the_same_seed_gives_the_same_run(
        seed in any::<u64>(),
        configs in prop::array::uniform3(nat_config()),
        actions in prop::collection::vec(action(), 1..150),
    ) {
        let mut hashes = [0; 2];
        for hash in &mut hashes {
            let mut world = World::new(seed, &configs);
            for action in &actions {
                world.act(action);
            }
            world.run_until(Duration::from_secs(1_000_000));
            world.check();
            prop_assert_eq!(world.network.in_flight(), 0);
            *hash = world.network.trace_hash();
        }
        prop_assert_eq!(hashes[0], hashes[1]);
    }

    #[test]
    fn without_reordering_copies_arrive_in_the_order_sent(
        first in conditions(),
        second in conditions(),
        gaps in prop::collection::vec(0u64..50, 2..60),
    ) {
        let mut pair = pair();
        let mut now = Duration::ZERO;
        let mut arrived = Vec::new();
        for (number, gap) in (0..).zip(&gaps) {
            // The conditions change halfway.
            let current = if number < gaps.len() as u64 / 2 { first } else { second };
            let current = current.reorder(0.0, Duration::ZERO).corrupt(0.0);
            pair.network.set_conditions(Scope::Everywhere, current);
            pair.network.send(now, pair.at_a, addr(B), &common::numbered(number, 8)).unwrap();
            now += ms(*gap);
            while let Some(delivery) = pair.network.deliver(now) {
                arrived.push(common::number(&delivery.payload));
            }
        }
        arrived.extend(common::drain(&mut pair.network).iter().map(|d| common::number(&d.payload)));
        prop_assert!(arrived.is_sorted(), "{:?}", arrived);
    }
}

/// Traffic under all faults at once, from one seed.
fn busy_run(seed: u64, payload: u8) -> Network {
    let configs =
        [NatConfig::full_cone(), NatConfig::port_restricted(), NatConfig::symmetric().hairpin(true)];
    let mut world = World::new(seed, &configs);
    let conditions = Conditions::new()
        .delay(ms(20))
        .jitter(ms(5))
        .loss(0.05)
        .reorder(0.05, ms(10))
        .duplicate(0.05)
        .corrupt(0.05)
        .rate(28_000, 2_000)
        .mtu(1_200);
    world.network.set_conditions(Scope::Everywhere, conditions);
    for round in 0..300 {
        for from in 0..world.hosts.len() {
            let to = world.known_at[(from + round) % 3];
            let now = world.network.time();
            let size = if round % 50 == 49 { 1_300 } else { 600 };
            world.network.send(now, world.sockets[from], to, &vec![payload; size]).unwrap();
            world.act(&Action::Reply { from, size: 100 });
        }
        world.act(&Action::Wait(ms(7)));
        match round {
            100 => world.act(&Action::Block(0, 1)),
            150 => world.act(&Action::Heal),
            200 => world.act(&Action::Reboot(2)),
            250 => world.act(&Action::Move(4)),
            _ => {}
        }
    }
    world.run_until(Duration::from_secs(1_000));
    world.network
}

#[test]
fn a_busy_run_fires_every_fault_and_repeats_itself() {
    let first = busy_run(1, 7);
    let counts = first.counts();
    let fired = [counts.delayed, counts.jittered, counts.queued, counts.reordered, counts.duplicated];
    assert!(fired.into_iter().chain([counts.corrupted]).all(|count| count >= 20), "{counts:?}");
    for reason in [DropReason::Loss, DropReason::QueueFull, DropReason::TooBig, DropReason::Partition] {
        assert!(counts.dropped(reason) >= 10, "{reason:?}: {counts:?}");
    }
    assert_eq!((counts.nat_reboots, counts.address_changes), (1, 1));

    let second = busy_run(1, 7);
    assert_eq!(first.trace_hash(), second.trace_hash());
    assert_eq!(counts, second.counts());
}

#[test]
fn another_seed_or_another_byte_gives_another_trace() {
    let hash = busy_run(1, 7).trace_hash();
    assert_ne!(hash, busy_run(2, 7).trace_hash());
    assert_ne!(hash, busy_run(1, 8).trace_hash());
}

#[test]
fn one_flow_does_not_change_the_fate_of_another() {
    let run = |others: bool| {
        let mut pair = pair();
        let (_, bystander) = common::host(&mut pair.network, Realm::INTERNET, "192.0.2.3");
        pair.network.set_conditions(Scope::Everywhere, Conditions::new().loss(0.5));
        let mut arrived = Vec::new();
        for number in 0..200 {
            if others {
                pair.network.send(ms(number), bystander, addr(B), &[0; 8]).unwrap();
            }
            pair.network.send(ms(number), pair.at_a, addr(B), &common::numbered(number, 8)).unwrap();
            while let Some(delivery) = pair.network.deliver(ms(number)) {
                if delivery.from == addr(common::A) {
                    arrived.push(common::number(&delivery.payload));
                }
            }
        }
        arrived
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn two_flows_have_fates_of_their_own() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().loss(0.5));
    let mut differs = false;
    for _ in 0..100 {
        let there = common::try_send(&mut pair.network, pair.at_a, addr(B)).is_ok();
        let back = common::try_send(&mut pair.network, pair.at_b, addr(common::A)).is_ok();
        differs |= there != back;
    }
    assert!(differs);
}

#[test]
fn the_trace_tells_times_and_ends_apart() {
    let run = |at, conditions| {
        let mut pair = pair();
        pair.network.set_conditions(Scope::Everywhere, conditions);
        pair.network.send(at, pair.at_a, addr(B), &[0; 100]).unwrap();
        common::drain(&mut pair.network);
        pair.network.trace_hash()
    };
    let hashes = [
        run(ms(1), Conditions::new()),
        run(ms(2), Conditions::new()),
        run(ms(1), Conditions::new().delay(ms(1))),
        run(ms(1), Conditions::new().loss(1.0)),
        run(ms(1), Conditions::new().mtu(100)),
        run(ms(1), Conditions::new().corrupt(1.0)),
    ];
    let different: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(different.len(), hashes.len());
    assert_eq!(hashes[0], run(ms(1), Conditions::new()));
}

#[test]
fn memory_given_back_does_not_show_in_later_datagrams() {
    let mut pair = pair();
    for payload in [&b"a long one"[..], b"short", b"", b"longer again"] {
        pair.network.send(pair.network.time(), pair.at_a, addr(B), payload).unwrap();
        let delivery = pair.network.deliver(pair.network.time()).unwrap();
        assert_eq!(delivery.payload, payload);
        pair.network.recycle(delivery.payload);
    }
}

#[test]
fn the_events_kept_are_the_last_ones_and_tell_the_story() {
    let mut pair = pair();
    pair.network.keep_events(3);
    pair.network.send(ms(1), pair.at_a, addr(B), b"one").unwrap();
    assert!(pair.network.deliver(ms(1)).is_some());
    pair.network.block(pair.a, pair.b);
    pair.network.send(ms(2), pair.at_a, addr(B), b"two").unwrap();
    let lines: Vec<_> = pair.network.events().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "    0.001000s host 0 -> host 1 is blocked",
            "    0.002000s #1 192.0.2.1:5000 -> 192.0.2.2:5000 3 bytes: Sent",
            "    0.002000s #1 192.0.2.1:5000 -> 192.0.2.2:5000 3 bytes: Dropped(Partition)",
        ]
    );
    let hash = pair.network.trace_hash();
    pair.network.keep_events(0);
    assert_eq!(pair.network.events().count(), 0);
    assert_eq!(pair.network.trace_hash(), hash, "keeping events changes nothing else");
}
