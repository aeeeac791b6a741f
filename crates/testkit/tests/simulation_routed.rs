//! Two meshes behind NATs and a router under random faults, one seed after the other: bytes arrive once, in order and unchanged,
//! the link comes up when any way exists, strangers hear nothing, and the router's tables stay small.
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
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rand::RngExt;
use telemesh_channel::Acceptor;
use telemesh_mesh::{Link, LinkInfo};
use telemesh_simnet::{NatConfig, NatId, Network, Realm};
use telemesh_testkit::{Node, SimTransport, TRANSFER, Tally, World, serve};
use weather::{Outcome, bad_weather, calm, count, harass, keep_sending, recovered};

#[test]
fn whatever_happens_to_nats_and_routers_bytes_arrive_and_links_come_up() {
    weather::run_seeds(scenario);
}

#[test]
fn the_same_seed_gives_the_same_trace_through_routers() {
    let run = |seed| World::run(seed, scenario).trace;
    for seed in 0..3 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(0), run(1));
}

/// Between transfers, so that many faults can strike in little time of ours.
const PAUSE: Duration = Duration::from_millis(200);

/// An endpoint behind a NAT, or on the internet.
struct Client {
    node: Node,
    nat: Option<NatId>,
    outside: IpAddr,
    tally: Arc<Tally>,
}

struct Scene {
    router: Node,
    clients: [Client; 2],
    stranger: SimTransport,
}

fn client(world: &World, name: &str) -> Client {
    let kind = match world.random(|rng| rng.random_range(0..5)) {
        0 => None,
        1 => Some(NatConfig::full_cone()),
        2 => Some(NatConfig::address_restricted()),
        3 => Some(NatConfig::port_restricted()),
        _ => Some(NatConfig::symmetric()),
    };
    let (node, nat, outside) = match kind {
        Some(config) => {
            let outside = world.fresh_address();
            let nat =
                world.with_network(|network| network.add_nat(Realm::INTERNET, [outside], config)).unwrap();
            (world.node_behind(nat, name), Some(nat), outside)
        }
        None => {
            let node = world.node(name);
            let outside = node.addresses()[0].socket_address().unwrap().ip();
            (node, None, outside)
        }
    };
    let tally = Arc::<Tally>::default();
    node.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
    Client { node, nat, outside, tally }
}

/// Two nodes that know a router and each other's keys, send to each other while one fault after the other strikes, and are
/// pestered by a stranger.
async fn scenario(world: World) -> Outcome {
    let router = world.router("router");
    let clients = [client(&world, "alice"), client(&world, "bob")];
    let mut scene = Scene { router, clients, stranger: world.stranger() };
    for client in &scene.clients {
        world.use_router(&client.node, &scene.router).await;
    }
    let keys = |client: &Client| LinkInfo::new(client.node.info().keys().clone()).unwrap();
    let [alice, bob] = &scene.clients;
    bob.node.mesh().add_contact(keys(alice)).unwrap();
    alice.node.mesh().link(keys(bob)).await.unwrap();

    let sent = AtomicU64::new(0);
    let mut fired = BTreeMap::new();
    for _ in 0..6 {
        let Scene { clients: [alice, bob], .. } = &scene;
        let (alice, bob) = (&alice.node, &bob.node);
        let fault = async { strike(&world, &scene).await };
        let senders = async {
            tokio::join!(keep_sending(alice, bob, &sent, PAUSE), keep_sending(bob, alice, &sent, PAUSE))
        };
        let (fault, moved) = tokio::select! {
            biased;
            struck = fault => struck,
            _ = senders => unreachable!("they never end"),
        };
        *fired.entry(fault).or_insert(0) += 1;
        if let Some((which, outside)) = moved {
            scene.clients[which].outside = outside;
        }
        world.with_network(Network::heal);
        pester(&world, &scene);
    }
    calm(&world);

    let mut problems = Vec::new();
    for (from, to) in [(0, 1), (1, 0)] {
        let [from, to] = [from, to].map(|which: usize| &scene.clients[which].node);
        if let Err(problem) = recovered(from, to, &sent, 100_000).await {
            problems.push(problem);
        }
    }
    problems.extend(scene.clients.iter().flat_map(|client| client.tally.wrong()));
    problems.extend(out_of_bounds(&scene));
    let (counts, trace) = world.with_network(|network| (network.counts(), network.trace_hash()));
    count(&counts, &mut fired);
    Outcome { problems, fired, trace }
}

/// Whatever has grown beyond what two clients need.
fn out_of_bounds(scene: &Scene) -> Vec<String> {
    let mut problems = Vec::new();
    if scene.stranger.unread() > 0 {
        problems.push(format!("{} packets were sent to a stranger", scene.stranger.unread()));
    }
    let mesh = scene.router.mesh();
    let circuits = mesh.routing().map_or(0, |stats| stats.circuits);
    // Either end has as many as one may have to the other.
    if circuits > 2 * telemesh_link::MAX_CIRCUITS_PER_PAIR {
        problems.push(format!("the router holds {circuits} circuits"));
    }
    let links = mesh.links().len();
    if links != 2 {
        problems.push(format!("the router has {links} links"));
    }
    for link in scene.clients.iter().flat_map(|client| client.node.mesh().links()) {
        let paths = link.explain().paths.len();
        if paths > 32 {
            problems.push(format!("{paths} paths of one link"));
        }
    }
    problems
}

/// One random fault, and some time under it. Which one, and who is seen at another address since.
async fn strike(world: &World, scene: &Scene) -> (&'static str, Option<(usize, IpAddr)>) {
    let kind = world.random(|rng| rng.random_range(0..9));
    let which = world.random(|rng| rng.random_range(0..2usize));
    let time = Duration::from_millis(world.random(|rng| rng.random_range(200..5_000)));
    let victim = &scene.clients[which];
    let [a, b] = [victim.node.host(), scene.clients[1 - which].node.host()];
    let router = scene.router.host();
    let mut moved = None;
    let fault = match kind {
        0 | 1 => {
            bad_weather(world);
            "bad weather"
        }
        2 => {
            world.with_network(|network| network.partition(&[a], &[b]));
            "no way but the router"
        }
        3 => {
            world.with_network(|network| network.partition(&[a], &[router]));
            "no way to the router"
        }
        4 => {
            world.with_network(|network| network.partition(&[a], &[b, router]));
            "no way at all"
        }
        5 => {
            let fresh = world.fresh_address();
            match victim.nat {
                // All its mappings are gone then.
                Some(nat) => world
                    .with_network(|network| network.change_nat_address(nat, victim.outside, fresh))
                    .unwrap(),
                None => victim.node.move_to(fresh),
            }
            moved = Some((which, fresh));
            "address change"
        }
        6 => {
            match victim.nat {
                Some(nat) => world.with_network(|network| network.reboot_nat(nat)).unwrap(),
                None => victim.node.mesh().network_changed().unwrap(),
            }
            "NAT reboot"
        }
        7 => {
            victim.node.crash();
            tokio::time::sleep(time / 4).await;
            let mesh = victim.node.start();
            mesh.handle(TRANSFER, Arc::new(serve(&victim.tally))).unwrap();
            mesh.links().iter().for_each(Link::connect);
            "crash and restart"
        }
        _ => {
            scene.router.crash();
            tokio::time::sleep(time / 4).await;
            let mesh = scene.router.start();
            mesh.links().iter().for_each(Link::connect);
            "crash and restart of the router"
        }
    };
    tokio::time::sleep(time).await;
    (fault, moved)
}

/// A stranger sends bytes of every type to the router and to where the clients are seen.
fn pester(world: &World, scene: &Scene) {
    let routers = scene.router.addresses().into_iter().filter_map(|address| address.socket_address());
    let clients = scene.clients.iter().map(|client| SocketAddr::new(client.outside, 42_424));
    harass(world, &scene.stranger, routers.chain(clients).collect::<Vec<_>>());
}
