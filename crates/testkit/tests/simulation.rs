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

mod weather;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rand::RngExt;
use telemesh_channel::Acceptor;
use telemesh_mesh::Link;
use telemesh_testkit::{Node, TRANSFER, Tally, World, serve};
use weather::{Outcome, bad_weather, calm, count, harass, keep_sending, recovered};

#[test]
fn bytes_arrive_once_in_order_and_unchanged_whatever_the_network_does() {
    weather::run_seeds(scenario);
}

#[test]
fn the_same_seed_gives_the_same_trace_under_faults() {
    let run = |seed| World::run(seed, scenario).trace;
    for seed in 0..3 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(0), run(1));
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
            let addresses = nodes.iter().flat_map(Node::addresses);
            harass(&world, &stranger, addresses.filter_map(|address| address.socket_address()));
        }
        calm(&world);
        own
    };
    let mut problems = Vec::new();
    let mut fired = {
        let senders = async {
            tokio::join!(
                keep_sending(&nodes[0], &nodes[1], &sent, Duration::ZERO),
                keep_sending(&nodes[1], &nodes[0], &sent, Duration::ZERO)
            )
        };
        tokio::select! {
            biased;
            fired = faults => fired,
            _ = senders => BTreeMap::new(),
        }
    };

    // The weather is fine again: the link comes up by itself, and transfers pass both ways.
    for (from, to) in [(0, 1), (1, 0)] {
        if let Err(problem) = recovered(&nodes[from], &nodes[to], &sent, 300_000).await {
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
