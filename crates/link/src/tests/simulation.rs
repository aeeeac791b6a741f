//! Random faults over many seeds. The invariants hold in every one of them; each protection that a `danger` feature takes
//! out is one that they notice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use rand::RngExt as _;

use super::harness::{BOTH, Datagram, FaultCounts, World, address, keys, millis, secs};
use crate::{Event, State};

/// Size on the wire of the data packets here: 32 + 1 + 200. No packet of the link's own has it.
const DATA_SIZE: usize = 233;
/// Seeds per run; more with the environment variable `TELEMESH_SEEDS`.
const SEEDS: u64 = 60;

/// Replays and invents packets; nothing may ever be sent to it.
fn replayer() -> SocketAddr {
    address(1, 66, 6)
}

/// Sends copies of packets before the originals arrive; may be probed, but never gets data.
fn racer() -> SocketAddr {
    address(1, 77, 7)
}

fn payload(place: usize, number: u64) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(place).unwrap(); 200];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

struct Simulation {
    world: World,
    next_number: u64,
    seen: Vec<BTreeSet<u64>>,
    /// Whether the gates read nothing from strangers once the two have met.
    only_known: bool,
    restarts: u32,
}

impl Simulation {
    fn new(seed: u64, only_known: bool) -> Self {
        let mut world = World::new(seed);
        for number in [1, 2] {
            world.add_node(keys(number, BOTH));
            let place = usize::from(number) - 1;
            world.nodes[place].addresses =
                BTreeMap::from([(1, address(1, number, 1)), (2, address(2, number, 1))]);
        }
        world.introduce(0, 1);
        world.introduce(1, 0);
        Self { world, next_number: 0, seen: vec![BTreeSet::new(); 2], only_known, restarts: 0 }
    }

    fn chance(&mut self, per_mille: u32) -> bool {
        self.world.random.random_range(0..1_000) < per_mille
    }

    fn weather(&mut self) {
        for network in [1, 2] {
            let [loss, duplicate, corrupt, jitter, delay] =
                [20, 15, 5, 80, 60].map(|limit| self.world.random.random_range(0..limit));
            let dead = self.chance(100);
            let faults = self.world.faults(network);
            (faults.loss, faults.duplicate, faults.corrupt) = (loss, duplicate, corrupt);
            (faults.jitter, faults.delay) = (millis(jitter.into()), millis(u64::from(delay) + 1));
            faults.dead = dead;
        }
    }

    /// One step of trouble.
    fn step(&mut self) {
        if self.chance(20) {
            self.weather();
        }
        if self.chance(5) {
            // A NAT forgets, or an endpoint moves.
            let (place, network) =
                (self.world.random.random_range(0..2), self.world.random.random_range(1..=2));
            let port = self.world.random.random_range(1_000..60_000);
            let host = u8::try_from(place).unwrap() + 1;
            self.world.nodes[place].addresses.insert(network, address(network, host, port));
        }
        if self.chance(2) {
            let place = self.world.random.random_range(0..2);
            let number = u8::try_from(place).unwrap() + 1;
            self.restarts += 1;
            self.world.restart(place, keys(number, BOTH));
            self.world.connect(place);
        }
        self.close_to_strangers();
        if self.chance(5) {
            self.world.nodes[0].settings.skew =
                self.world.random.random_range(-40_000_000_000_000..40_000_000_000_000);
        }
        if self.chance(150) && !self.world.log.is_empty() {
            self.replay();
        }
        for place in [0, 1] {
            self.next_number += 1;
            let before = self.world.log.len();
            self.world.send(place, &payload(place, self.next_number));
            if self.chance(100) {
                self.race(before);
            }
        }
        let pause = self.world.random.random_range(1..120);
        self.world.run(millis(pause));
        self.check();
    }

    /// From when both have a tag of the other's, that has to be enough.
    fn close_to_strangers(&mut self) {
        let met = self.world.nodes.iter().all(|node| node.ups() > 0);
        for place in [0, 1] {
            if self.only_known && met && self.world.nodes[place].settings.strangers.burst > 0 {
                self.world.close_to_strangers(place);
            }
        }
    }

    fn replay(&mut self) {
        let place = self.world.random.random_range(0..self.world.log.len());
        let old = self.world.log[place].clone();
        if old.bytes[0] != 1 {
            self.world.deliver(old);
        } else if self.world.nodes.iter().any(|node| node.accepted.contains(&old.bytes)) {
            // From a stranger's address: an answer would go there. One that was never taken on may be, by any way.
            self.world.deliver(Datagram { from: replayer(), ..old });
        }
    }

    fn race(&mut self, since: usize) {
        let sent_now = self.world.log[since..].to_vec();
        for sent in sent_now {
            if sent.bytes[0] == 4 && super::harness::network_of(sent.to) == 1 {
                self.world.deliver(Datagram { from: racer(), ..sent });
            }
        }
    }

    fn check(&mut self) {
        for place in [0, 1] {
            for bytes in std::mem::take(&mut self.world.nodes[place].received) {
                assert_eq!((bytes.len(), bytes[199]), (200, u8::try_from(1 - place).unwrap()), "unchanged");
                let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                self.world.delivered += 1;
                assert!(self.seen[place].insert(number), "payload {number} came out twice");
            }
        }
    }

    fn finish(&mut self) {
        for network in [1, 2] {
            *self.world.faults(network) = super::harness::Faults::default();
        }
        for place in [0, 1] {
            let now = self.world.now;
            // What the mesh does when the path channel or its own transports tell it of new addresses.
            let addresses: Vec<_> = self.world.nodes[1 - place].addresses.values().copied().collect();
            for address in addresses {
                self.world.nodes[place].link().add_candidate(now, telemesh_wire::PathAddress::Udp(address));
            }
            self.world.connect(place);
        }
        self.world.run(secs(150));
        for place in [0, 1] {
            assert_eq!(self.world.nodes[place].link().state(), State::Up, "a link that can come up does");
        }
        self.check();
        for place in [0, 1] {
            self.next_number += 1;
            assert!(self.world.send(place, &payload(place, self.next_number)));
        }
        self.world.run(secs(1));
        let before = self.seen.iter().map(BTreeSet::len).sum::<usize>();
        self.check();
        assert_eq!(self.seen.iter().map(BTreeSet::len).sum::<usize>(), before + 2, "data flows both ways");
        assert!(!self.world.log.iter().any(|sent| sent.to == replayer()), "a stranger was answered");
        let leaked = |sent: &&Datagram| sent.to == racer() && sent.bytes.len() == DATA_SIZE;
        assert_eq!(
            self.world.log.iter().filter(leaked).count(),
            0,
            "data went to an address that proved nothing"
        );
    }
}

fn simulate(seed: u64) -> World {
    // Every other seed shows that nobody who had a session ever has to stand in the line of the strangers.
    let mut simulation = Simulation::new(seed, seed % 2 == 1);
    simulation.world.connect(0);
    for _ in 0..600 {
        simulation.step();
    }
    simulation.finish();
    let recognized: u64 = simulation.world.nodes.iter().map(|node| node.gate.recognized()).sum();
    assert!(simulation.restarts == 0 || recognized > 0 || !simulation.only_known, "tags are used");
    simulation.world
}

#[test]
fn invariants_hold_whatever_the_network_does() {
    let mut counts = FaultCounts::default();
    let (mut delivered, mut moved, mut restarted) = (0, 0, 0);
    let seeds = std::env::var("TELEMESH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        let world =
            std::panic::catch_unwind(|| simulate(seed)).unwrap_or_else(|_| panic!("seed {seed} fails"));
        let events = || world.nodes.iter().flat_map(|node| &node.events);
        moved += events().filter(|event| matches!(event, Event::PathChanged { .. })).count();
        restarted += events().filter(|event| matches!(event, Event::PeerRestarted)).count();
        delivered += world.delivered;
        counts.lost += world.counts.lost;
        counts.duplicated += world.counts.duplicated;
        counts.corrupted += world.counts.corrupted;
        counts.reordered += world.counts.reordered;
    }
    // About 1,200 payloads are sent per seed; half of the time something is broken.
    assert!(delivered > seeds * 600, "{delivered} payloads in {seeds} seeds");
    assert!(moved > 200 && restarted > 20, "{moved} moves, {restarted} restarts");
    assert!(counts.lost > 1_000 && counts.duplicated > 1_000, "{counts:?}");
    assert!(counts.corrupted > 500 && counts.reordered > 500, "{counts:?}");
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let packets =
        |seed| simulate(seed).log.into_iter().map(|sent| (sent.from, sent.bytes)).collect::<Vec<_>>();
    assert_eq!(packets(3), packets(3));
    assert_ne!(packets(3), packets(4));
}
