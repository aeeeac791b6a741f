//! A router that lies, tampers and repeats: it can lose, delay and reorder what goes through it, and nothing else. No byte
//! arrives altered, nobody links with anybody else's keys, nothing grows, and when it behaves again links come up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a scenario that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use telemesh_channel::{Acceptor as _, Body, Connection, Open, Opener, Target};
use telemesh_connect::CONNECT;
use telemesh_hashname::Hashname;
use telemesh_keys::KeySet;
use telemesh_mesh::{Claim, Link, LinkError, LinkInfo, PathAddress, Standing, Verdict};
use telemesh_path::PATH;
use telemesh_testkit::simnet::NatConfig;
use telemesh_testkit::{Node, Rogue, TRANSFER, Tally, Trick, World, serve, transfer};
use telemesh_wire::CircuitId;
use tokio::time::{Instant, sleep, timeout};

/// Who somebody is, without any address.
fn keys_of(node: &Node) -> LinkInfo {
    LinkInfo::new(node.info().keys().clone()).unwrap()
}

/// Keys of nobody.
fn anybody(seed: u64) -> LinkInfo {
    LinkInfo::new(KeySet::generate(&mut StdRng::seed_from_u64(seed)).public().clone()).unwrap()
}

/// Nothing goes straight from one to the other.
fn keep_apart(world: &World, one: &Node, other: &Node) {
    world.with_network(|network| {
        network.block(one.host(), other.host());
        network.block(other.host(), one.host());
    });
}

/// Sends something that a router passes on.
fn connect(link: &Link, circuit: u64, body: Body) {
    let connection = Connection { circuit: CircuitId::routed(circuit), body };
    let body = connection.encode().unwrap();
    // Whoever floods does not care what the socket takes.
    let _ = link.notify(Open::unreliable(CONNECT).with_body(body));
}

fn peers(node: &Node) -> Vec<Hashname> {
    let mut peers: Vec<_> = node.mesh().links().iter().map(Link::hashname).collect();
    peers.sort();
    peers
}

/// Two that have only a rogue router in common, and count what they get.
struct Scene {
    router: Node,
    rogue: Rogue,
    alice: Node,
    bob: Node,
    tally: Arc<Tally>,
}

async fn scene(world: &World) -> Scene {
    let (router, rogue) = world.rogue("router");
    let (alice, bob) = (world.node("alice"), world.node("bob"));
    keep_apart(world, &alice, &bob);
    let tally = Arc::<Tally>::default();
    for node in [&alice, &bob] {
        world.use_router(node, &router).await;
        node.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
    }
    bob.mesh().add_contact(keys_of(&alice)).unwrap();
    Scene { router, rogue, alice, bob, tally }
}

impl Scene {
    /// The router behaves: the link is there and carries whole transfers, both ways, and nothing was ever altered.
    async fn heals(&self) {
        self.rogue.behave();
        for (from, to) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
            let link = from.mesh().find(&to.hashname()).expect("the link is there");
            link.connect();
            let up = link.up(Duration::from_secs(90)).await;
            assert!(up.is_ok(), "{up:?}: {}", link.explain());
            let whole = timeout(Duration::from_secs(120), transfer(&link, 7_777, 200_000)).await;
            assert!(matches!(whole, Ok(Ok(()))), "{whole:?}: {}", link.explain());
        }
        assert_eq!(self.tally.wrong(), Vec::<String>::new());
        self.keeps_within_limits();
    }

    /// Nobody has links with others than before, or more paths than fit.
    fn keeps_within_limits(&self) {
        let sorted = |mut peers: Vec<Hashname>| {
            peers.sort();
            peers
        };
        let (router, alice, bob) = (self.router.hashname(), self.alice.hashname(), self.bob.hashname());
        assert_eq!(peers(&self.alice), sorted(vec![router, bob]));
        assert_eq!(peers(&self.bob), sorted(vec![router, alice]));
        for link in self.alice.mesh().links().iter().chain(&self.bob.mesh().links()) {
            let paths = link.explain().paths;
            let circuits = paths.iter().filter(|path| !path.address.is_direct()).count();
            assert!(paths.len() <= 32 && circuits <= 8, "{}", link.explain());
        }
    }
}

/// Transfers without end from one to the other; broken ones are given up.
async fn keep_sending(from: &Node, to: &Node) {
    for number in 0.. {
        let link = from.mesh().find(&to.hashname()).unwrap();
        let sent = timeout(Duration::from_secs(5), transfer(&link, number, 30_000 + number * 1_000)).await;
        if !matches!(sent, Ok(Ok(()))) {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Some time of transfers under these tricks, and then a router that behaves. How often each was played.
fn tampered(seed: u64, tricks: &'static [Trick], part: f64) -> BTreeMap<Trick, u64> {
    World::run(seed, |world| async move {
        let stranger = world.stranger();
        let scene = scene(&world).await;
        scene.alice.mesh().link(keys_of(&scene.bob)).await.unwrap();
        scene.rogue.play(tricks, part);
        let sending = async {
            tokio::join!(keep_sending(&scene.alice, &scene.bob), keep_sending(&scene.bob, &scene.alice));
        };
        let _ = timeout(Duration::from_secs(15), sending).await;
        scene.heals().await;
        assert_eq!(stranger.unread(), 0);
        scene.rogue.played()
    })
}

#[test]
fn whatever_a_router_does_to_packets_no_byte_arrives_altered() {
    let mut played = BTreeMap::<Trick, u64>::new();
    for seed in 0..6 {
        for (trick, times) in tampered(seed, &Trick::ALL, 0.2) {
            *played.entry(trick).or_default() += times;
        }
    }
    for trick in Trick::ALL {
        let times = played.get(&trick).copied().unwrap_or(0);
        assert!(times >= 20, "{trick:?} was played only {times} times");
    }
}

#[test]
fn each_trick_on_every_packet_is_an_outage_at_most() {
    for (seed, tricks) in (20..).zip([
        &[Trick::Drop][..],
        &[Trick::Hold],
        &[Trick::Twice],
        &[Trick::Flip],
        &[Trick::Cut],
        &[Trick::Replay],
        &[Trick::Astray],
        &[Trick::Back],
    ]) {
        assert!(tampered(seed, tricks, 1.0).values().sum::<u64>() > 0, "{tricks:?}");
    }
}

#[test]
fn introductions_that_are_kept_back_and_repeated_later_to_everybody_lead_to_nothing() {
    World::run(40, |world| async move {
        let scene = scene(&world).await;
        // Somebody who has Bob as a contact, and not Alice.
        let carol = world.node("carol");
        world.use_router(&carol, &scene.router).await;
        carol.mesh().add_contact(keys_of(&scene.bob)).unwrap();
        scene.rogue.pass_on(false);
        let dialling = tokio::spawn({
            let (mesh, bob) = (scene.alice.mesh(), keys_of(&scene.bob));
            async move { mesh.link(bob).await }
        });
        sleep(Duration::from_secs(40)).await;
        assert!(matches!(dialling.await.unwrap(), Err(LinkError::TimedOut(_))), "nobody passed it on");
        let kept = scene.rogue.take_introductions();
        let packets: Vec<Body> = kept.into_iter().map(|(_, introduction)| introduction.body).collect();
        assert!(packets.len() >= 6 && packets.iter().all(|body| matches!(body, Body::Packet(_))));
        let before =
            [scene.bob.mesh().metrics(), carol.mesh().metrics()].map(|metrics| metrics.dropped_in_all());
        let links = scene.router.mesh().links();
        for round in 0..50u64 {
            for (number, body) in (0u64..).zip(&packets) {
                for link in &links {
                    connect(link, round * 100 + number, body.clone());
                }
            }
            sleep(Duration::from_millis(200)).await;
        }
        let after =
            [scene.bob.mesh().metrics(), carol.mesh().metrics()].map(|metrics| metrics.dropped_in_all());
        assert!(after[0] > before[0] + 100 && after[1] > before[1] + 100, "they came: {before:?}, {after:?}");
        assert!(carol.mesh().find(&scene.alice.hashname()).is_none());
        scene.heals().await;
    });
}

#[test]
fn a_router_that_answers_with_its_own_keys_or_somebody_elses_is_not_who_was_asked_for() {
    World::run(41, |world| async move {
        let scene = scene(&world).await;
        // In league with the router, and a contact of everybody's.
        let mallory = world.node("mallory");
        world.use_router(&mallory, &scene.router).await;
        keep_apart(&world, &mallory, &scene.alice);
        scene.alice.mesh().add_contact(keys_of(&mallory)).unwrap();
        mallory.mesh().add_contact(keys_of(&scene.alice)).unwrap();
        let (alice, bob) = (scene.alice.hashname(), scene.bob.hashname());
        scene.rogue.pass_on(false);
        let dialling = tokio::spawn({
            let mesh = scene.alice.mesh();
            async move { mesh.link(bob).await }
        });
        sleep(Duration::from_secs(2)).await;
        let asked = scene.rogue.take_introductions();
        let (_, introduction) = asked.first().expect("she asks").clone();
        assert_eq!(introduction.target, Target::Hashname(bob));
        assert!(matches!(introduction.body, Body::Keys(_)));
        // Her question goes to Mallory, who calls her back, through the circuit that she asked for and through others.
        let to_mallory = scene.router.mesh().find(&mallory.hashname()).unwrap();
        let to_alice = scene.router.mesh().find(&alice).unwrap();
        for circuit in 0..5 {
            connect(&to_mallory, circuit, introduction.body.clone());
            connect(&to_alice, circuit, Body::Keys(Box::new(keys_of(&scene.router))));
            connect(&to_alice, circuit + 10, Body::Keys(Box::new(keys_of(&mallory))));
            connect(&to_alice, circuit + 20, Body::Keys(Box::new(anybody(circuit))));
            sleep(Duration::from_secs(1)).await;
        }
        let link = scene.alice.mesh().find(&bob).unwrap();
        assert!(!link.state().is_up(), "{}", link.explain());
        scene.rogue.behave();
        let linked = dialling.await.unwrap().unwrap();
        assert_eq!(linked.hashname(), bob);
        transfer(&linked, 1, 50_000).await.unwrap();
        assert_eq!(scene.tally.wrong(), Vec::<String>::new());
        assert_eq!(scene.alice.mesh().links().len(), 3);
    });
}

#[test]
fn a_flood_of_introductions_takes_no_place_of_an_address_and_no_memory() {
    World::run(42, |world| async move {
        let (router, _rogue) = world.rogue("router");
        // She lets everybody in: whatever a router brings could become a link.
        let alice = world.node_with("alice", |builder| {
            builder.policy(|claim: &Claim<'_>| match claim.standing {
                Standing::Barred => Verdict::Ignore,
                _ => Verdict::Accept,
            })
        });
        world.use_router(&alice, &router).await;
        // Bob is known by his address only, which nothing has come from yet.
        let bob = world.node("bob");
        bob.mesh().add_contact(alice.info()).unwrap();
        keep_apart(&world, &alice, &bob);
        alice.mesh().add_contact(bob.info()).unwrap().connect();
        let to_alice = router.mesh().find(&alice.hashname()).unwrap();
        let keys = keys_of(&bob);
        for round in 0..200u64 {
            for number in 0..40 {
                connect(&to_alice, round * 1_000 + number, Body::Keys(Box::new(keys.clone())));
            }
            connect(&to_alice, round * 1_000 + 50, Body::Keys(Box::new(anybody(round))));
            let noise: Vec<u8> = world.random(|rng| (0..400).map(|_| rng.random()).collect());
            connect(&to_alice, round * 1_000 + 60, Body::Packet(Bytes::from(noise.clone())));
            connect(&to_alice, round * 1_000 + 70, Body::Sealed(Bytes::from(noise)));
            sleep(Duration::from_millis(50)).await;
        }
        let link = alice.mesh().find(&bob.hashname()).unwrap();
        let explained = link.explain();
        // 8,000 times her keys were asked for. That is no reason for as many handshakes.
        let initiations = explained.initiations_sent;
        assert!((8..=32 + 10 + 6 * 8).contains(&initiations), "{initiations} initiations");
        let direct = explained.paths.iter().filter(|path| path.address.is_direct()).count();
        assert!(direct >= 1 && explained.paths.len() <= direct + 8, "{explained}");
        let most = alice.mesh().links().len();
        assert!(most > 100, "the policy wants everybody: {most}");
        // When Bob can be reached he is, without the router, and of all the others nothing is left.
        router.crash();
        world.with_network(telemesh_testkit::simnet::Network::heal);
        link.up(Duration::from_secs(90)).await.unwrap_or_else(|error| panic!("{error}: {}", link.explain()));
        sleep(Duration::from_secs(60)).await;
        assert!(alice.mesh().links().len() <= 2, "{} links", alice.mesh().links().len());
    });
}

#[test]
fn a_router_that_says_where_others_are_is_not_believed() {
    World::run(43, |world| async move {
        let scene = scene(&world).await;
        let link = scene.alice.mesh().link(keys_of(&scene.bob)).await.unwrap();
        let mallory = world.fresh_address();
        let to_alice = scene.router.mesh().find(&scene.alice.hashname()).unwrap();
        // In Bob's name, and in its own.
        for (who, port) in [(scene.bob.hashname(), 1), (scene.router.hashname(), 2)] {
            let there = PathAddress::Udp(SocketAddr::new(mallory, port));
            let info = LinkInfo::unresolved(who).with_path(there).unwrap();
            to_alice
                .notify(Open::unreliable(PATH).with_body(telemesh_path::encode(&info, telemesh_path::ASK)))
                .unwrap();
        }
        world.take_tapped();
        sleep(Duration::from_secs(20)).await;
        let tapped = world.take_tapped();
        let count = |port| tapped.iter().filter(|tapped| tapped.to == SocketAddr::new(mallory, port)).count();
        assert_eq!(count(1), 0, "nothing goes where Bob is said to be");
        assert!(count(2) >= 1, "the router may say where it is itself");
        assert!(!link.explain().to_string().contains(&mallory.to_string()), "{}", link.explain());
        transfer(&link, 1, 50_000).await.unwrap();
        scene.heals().await;
    });
}

#[test]
fn a_router_that_lies_about_addresses_does_not_keep_two_from_a_direct_path() {
    World::run(44, |world| async move {
        let honest = world.router("honest");
        let (router, rogue) = world.rogue("router");
        let (one, two) = (world.nat(NatConfig::port_restricted()), world.nat(NatConfig::port_restricted()));
        let (alice, bob) = (world.node_behind(one, "alice"), world.node_behind(two, "bob"));
        for node in [&alice, &bob] {
            world.use_router(node, &honest).await;
            world.use_router(node, &router).await;
        }
        bob.mesh().add_contact(keys_of(&alice)).unwrap();
        // Each sees itself at twenty places, one after the other, none of which is its own.
        let mut lies = Vec::new();
        for number in 0..20u8 {
            for (place, node) in (0u8..).zip([&alice, &bob]) {
                let to = router.mesh().find(&node.hashname()).unwrap();
                let seen = to.path().and_then(|path| path.address.socket_address()).unwrap();
                let real = lies.iter().find(|(_, lie)| *lie == seen).map_or(seen, |(real, _)| *real);
                let lie = SocketAddr::from(([203, 0, 113, 1 + place * 100 + number], 9));
                rogue.lie(real, lie);
                lies.push((real, lie));
                let link = node.mesh().find(&router.hashname()).unwrap();
                for _ in 0..3 {
                    let _ = link.ping().await;
                    sleep(Duration::from_millis(300)).await;
                }
            }
        }
        world.take_tapped();
        let started = Instant::now();
        let link = alice.mesh().link(keys_of(&bob)).await.unwrap();
        while !link.path().is_some_and(|path| path.address.is_direct()) {
            assert!(started.elapsed() < Duration::from_secs(30), "{}", link.explain());
            sleep(Duration::from_millis(50)).await;
        }
        // They were told some of the lies, and probed them within the budget.
        let victims = |tapped: &telemesh_testkit::Tapped| lies.iter().any(|(_, lie)| *lie == tapped.to);
        let probed = world.take_tapped().iter().filter(|tapped| victims(tapped)).count();
        let allowed = 2 * (30 + 10 * (1 + started.elapsed().as_secs() as usize));
        assert!(probed >= 1, "the lies were told");
        assert!(probed <= allowed, "{probed} of {allowed}");
    });
}
