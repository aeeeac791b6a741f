//! Meshes under random faults, one seed after the other: whatever the network does, bytes arrive once, in order and
//! unchanged, links that can come up do, and strangers hear nothing.
//!
//! `TELEMESH_SEEDS=10000` runs more seeds than CI does, `TELEMESH_SEED=17` a single one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a scenario that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt;
use telemesh_channel::{Acceptor, ChannelError};
use telemesh_mesh::{Link, PathAddress};
use telemesh_simnet::{Conditions, DropReason, FaultCounts, Scope};
use telemesh_testkit::{Node, SimTransport, TRANSFER, Tally, World, serve, transfer};

/// Seeds that CI runs.
const SEEDS: u64 = 200;

/// How often each fault must have fired in a run of all seeds, or the run has shown nothing.
const LEAST: u64 = 10;

#[test]
fn bytes_arrive_once_in_order_and_unchanged_whatever_the_network_does() {
    let fired = Mutex::new(BTreeMap::new());
    let next = AtomicU64::new(seeds().start);
    // Every seed is a world of its own in one thread; several worlds run side by side.
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds().contains(&seed) {
                break;
            }
            let outcome = World::run(seed, scenario);
            assert!(outcome.problems.is_empty(), "seed {seed}: {:?}", outcome.problems);
            for (fault, count) in outcome.fired {
                *fired.lock().unwrap().entry(fault).or_insert(0) += count;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(run);
        }
    });
    let fired = fired.into_inner().unwrap();
    if std::env::var_os("TELEMESH_SEED").is_none() {
        println!("faults fired: {fired:?}");
        for (fault, count) in fired {
            assert!(count >= LEAST, "{fault} fired only {count} times");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_under_faults() {
    let run = |seed| World::run(seed, scenario).trace;
    for seed in 0..3 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(0), run(1));
}

fn seeds() -> Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("TELEMESH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TELEMESH_SEEDS").unwrap_or(SEEDS),
    }
}

struct Outcome {
    problems: Vec<String>,
    fired: BTreeMap<&'static str, u64>,
    trace: u64,
}

/// Two nodes that send to each other while one fault after the other strikes, and a stranger who tries everything.
async fn scenario(world: World) -> Outcome {
    // The first stays where it is, the second roams and dials: if both moved at once nobody could tell them where the
    // other went.
    let nodes = [world.node("alice"), world.node("bob")];
    let stranger = world.stranger();
    let tallies = [Arc::<Tally>::default(), Arc::default()];
    for (node, tally) in nodes.iter().zip(&tallies) {
        node.mesh().handle(TRANSFER, Arc::new(serve(tally))).unwrap();
    }
    world.link(&nodes[1], &nodes[0]).await;

    let sent = AtomicU64::new(0);
    let faults = async {
        let mut own = BTreeMap::new();
        for _ in 0..8 {
            strike(&world, &nodes, &tallies, &mut own).await;
            harass(&world, &stranger, &nodes);
        }
        calm(&world);
        own
    };
    let mut problems = Vec::new();
    let mut fired = {
        let senders = async {
            tokio::join!(keep_sending(&nodes[0], &nodes[1], &sent), keep_sending(&nodes[1], &nodes[0], &sent))
        };
        tokio::select! {
            biased;
            fired = faults => fired,
            _ = senders => BTreeMap::new(),
        }
    };

    // The weather is fine again: the link comes up by itself, and transfers pass both ways.
    for (from, to) in [(0, 1), (1, 0)] {
        if let Err(problem) = recovered(&nodes[from], &nodes[to], &sent).await {
            problems.push(problem);
        }
    }
    problems.extend(tallies.iter().flat_map(|tally| tally.wrong()));
    if stranger.unread() > 0 {
        problems.push(format!("{} packets were sent to a stranger", stranger.unread()));
    }
    let (counts, trace) = world.with_network(|network| (network.counts(), network.trace_hash()));
    count(&counts, &mut fired);
    Outcome { problems, fired, trace }
}

/// Transfers without end, each on a channel of its own; broken ones are given up.
async fn keep_sending(from: &Node, to: &Node, sent: &AtomicU64) {
    let peer = to.hashname();
    loop {
        let link = from.try_mesh().and_then(|mesh| mesh.find(&peer));
        let number = sent.fetch_add(1, Ordering::Relaxed);
        let done = match link {
            Some(link) => transfer(&link, number, 40_000 + number % 7 * 10_000).await.is_ok(),
            None => false,
        };
        if !done {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn recovered(from: &Node, to: &Node, sent: &AtomicU64) -> Result<(), String> {
    let link = from.mesh().find(&to.hashname()).ok_or("a contact was lost")?;
    link.up(Duration::from_secs(90)).await.map_err(|error| format!("the link stays down: {error}"))?;
    let all = async {
        let next = || transfer(&link, sent.fetch_add(1, Ordering::Relaxed), 300_000);
        match next().await {
            // The link may still look up that led to the process before a restart: the news comes once.
            Err(error) if ChannelError::of(&error) == Some(&ChannelError::PeerRestarted) => next().await,
            done => done,
        }
    };
    match tokio::time::timeout(Duration::from_secs(120), all).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("a transfer failed in fine weather: {error}; {}", link.explain())),
        Err(_) => Err(format!("a transfer is stuck in fine weather; {}", link.explain())),
    }
}

/// One random fault, and some time under it.
async fn strike(
    world: &World,
    nodes: &[Node; 2],
    tallies: &[Arc<Tally>; 2],
    own: &mut BTreeMap<&'static str, u64>,
) {
    let kind = world.random(|rng| rng.random_range(0..8));
    let victim = world.random(|rng| rng.random_range(0..2usize));
    let time = Duration::from_millis(world.random(|rng| rng.random_range(200..8_000)));
    let [a, b] = [nodes[victim].host(), nodes[1 - victim].host()];
    let mut note = |fault| *own.entry(fault).or_insert(0) += 1;
    match kind {
        0 | 1 => bad_weather(world),
        2 => {
            note("partition");
            world.with_network(|network| network.partition(&[a], &[b]));
        }
        3 => {
            note("one-way partition");
            world.with_network(|network| network.block(a, b));
        }
        4 => {
            note("address change");
            nodes[1].move_to(world.fresh_address());
        }
        5 => {
            note("crash and restart");
            nodes[victim].crash();
            tokio::time::sleep(time / 4).await;
            restart(&nodes[victim], &nodes[1 - victim], &tallies[victim]);
        }
        6 => {
            note("clock jump");
            let jump = Duration::from_secs(world.random(|rng| rng.random_range(1..400)) * 86_400);
            let ahead = world.random(|rng| rng.random_bool(0.5));
            let clock = nodes[victim].clock();
            if ahead { clock.jump_ahead(jump) } else { clock.jump_back(jump) }
        }
        _ => {
            note("new socket");
            nodes[1].mesh().network_changed().unwrap();
        }
    }
    tokio::time::sleep(time).await;
    world.with_network(telemesh_simnet::Network::heal);
}

fn restart(node: &Node, other: &Node, tally: &Arc<Tally>) {
    let mesh = node.start();
    mesh.handle(TRANSFER, Arc::new(serve(tally))).unwrap();
    let info = other.try_mesh().map(|mesh| mesh.link_info());
    let link: Link = mesh.add_contact(info.expect("one node crashes at a time")).unwrap();
    link.connect();
}

fn bad_weather(world: &World) {
    let conditions = world.random(|rng| {
        Conditions::new()
            .delay(Duration::from_millis(rng.random_range(1..150)))
            .jitter(Duration::from_millis(rng.random_range(0..40)))
            .loss(rng.random_range(0.0..0.15))
            .reorder(rng.random_range(0.0..0.2), Duration::from_millis(30))
            .duplicate(rng.random_range(0.0..0.1))
            .corrupt(rng.random_range(0.0..0.05))
    });
    world.with_network(|network| network.set_conditions(Scope::Everywhere, conditions));
}

fn calm(world: &World) {
    let conditions = Conditions::new().delay(Duration::from_millis(20));
    world.with_network(|network| {
        network.heal();
        network.set_conditions(Scope::Everywhere, conditions);
    });
}

/// A stranger sends bytes of every type and of many sizes to both nodes.
fn harass(world: &World, stranger: &SimTransport, nodes: &[Node; 2]) {
    for address in nodes.iter().flat_map(Node::addresses) {
        let PathAddress::Udp(to) = address else { continue };
        for kind in 0..8u8 {
            let size = world.random(|rng| match rng.random_range(0..4) {
                0 => 1_200,
                1 => 32,
                _ => rng.random_range(0..2_000),
            });
            let mut packet = vec![0; size];
            world.random(|rng| rng.fill(&mut packet[..]));
            for (byte, value) in packet.iter_mut().zip([kind, 0, 0, 0]) {
                *byte = value;
            }
            stranger.send(to, &packet);
        }
    }
}

fn count(counts: &FaultCounts, fired: &mut BTreeMap<&'static str, u64>) {
    let all = [
        ("loss", counts.dropped(DropReason::Loss)),
        ("delay", counts.delayed),
        ("jitter", counts.jittered),
        ("reordering", counts.reordered),
        ("duplication", counts.duplicated),
        ("corruption", counts.corrupted),
        ("dropped in a partition", counts.dropped(DropReason::Partition)),
        (
            "dropped on the way to an old address",
            counts.dropped(DropReason::NoRoute) + counts.dropped(DropReason::AddressGone),
        ),
    ];
    for (fault, times) in all {
        *fired.entry(fault).or_insert(0) += times;
    }
}
