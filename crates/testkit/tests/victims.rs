//! What a crowd of contacts can make an endpoint send to somebody who has nothing to do with it: packets to a victim, counted
//! on the simulated network, stay within the budget of probes of its prefix, however many ask for them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scenario that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use telemesh_channel::{Open, Opener};
use telemesh_keys::KeySet;
use telemesh_link::QUIC_PROBE_COST;
use telemesh_mesh::{Link, LinkInfo, PathAddress};
use telemesh_path::PATH;
use telemesh_testkit::{Node, Tapped, World};
use telemesh_wire::{Credential, RouterHint};
use tokio::time::{Instant, sleep};

/// Probes that one prefix gets at once, and per second after that: the endpoint's limit, from `docs/SECURITY-MODEL.md`.
const BURST: usize = 30;
const PER_SECOND: usize = 10;

/// Nobody lives here; all of it is one prefix.
const VICTIMS: [u8; 3] = [203, 0, 113];

fn victim(number: u32) -> SocketAddr {
    let [a, b, c] = VICTIMS;
    let [.., high, low] = number.to_be_bytes();
    let ip = Ipv4Addr::new(a, b, c, 1 + high % 100);
    SocketAddr::from((ip, 1_000 + u16::from(low)))
}

/// As a victim, but the peer says that QUIC is spoken there.
fn quic_victim(number: u32) -> SocketAddr {
    let udp = victim(number);
    SocketAddr::new(udp.ip(), udp.port() + QUIC_PORTS)
}

/// From here on ports are said to be those of QUIC.
const QUIC_PORTS: u16 = 50_000;

fn path(address: SocketAddr) -> PathAddress {
    if address.port() < QUIC_PORTS { PathAddress::Udp(address) } else { PathAddress::Quic(address) }
}

/// Another one for each number, 32 of them in each of the prefixes.
fn elsewhere(number: u16) -> SocketAddr {
    let [prefix, host] = (number * 8).to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(100, 100, prefix, 1 + host), 9))
}

fn is_victim(tapped: &Tapped) -> bool {
    matches!(tapped.to.ip(), IpAddr::V4(ip) if ip.octets()[..3] == VICTIMS)
}

/// Packets that a victim gets for one that the simulation shows: what goes to QUIC's addresses makes a transport dial, which
/// `telemesh-quic` tests to be no more than so many.
fn weight(tapped: &Tapped) -> usize {
    match path(tapped.to) {
        PathAddress::Quic(_) => usize::try_from(QUIC_PROBE_COST).unwrap(),
        _ => 1,
    }
}

/// Tells a node's only peer that the node is at these addresses.
fn claim(node: &Node, addresses: impl IntoIterator<Item = SocketAddr>) {
    let mut info = LinkInfo::unresolved(node.hashname());
    for address in addresses {
        info = info.with_path(path(address)).unwrap();
    }
    let body = telemesh_path::encode(&info, 0);
    node.mesh().links()[0].notify(Open::unreliable(PATH).with_body(body)).unwrap();
}

/// Packets to the victims while time passes, and whether no second had more than its share.
async fn watch(world: &World, time: Duration) -> usize {
    let (started, mut sent) = (Instant::now(), 0);
    while started.elapsed() < time {
        sleep(Duration::from_millis(100)).await;
        let tapped = world.take_tapped();
        sent += tapped.iter().filter(|tapped| is_victim(tapped)).map(weight).sum::<usize>();
        let allowed = BURST + PER_SECOND * (1 + started.elapsed().as_millis() as usize / 1_000);
        assert!(sent <= allowed, "{sent} packets in {:?}, {allowed} are allowed", started.elapsed());
    }
    sent
}

async fn crowd(world: &World, alice: &Node, count: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    for number in 0..count {
        let node = world.node(&format!("peer {number}"));
        world.link(&node, alice).await;
        nodes.push(node);
    }
    world.take_tapped();
    nodes
}

/// One peer names a thousand of these, and its link lives.
async fn a_thousand_candidates(world: World, victim: fn(u32) -> SocketAddr) {
    let alice = world.node_with_quic("alice");
    let mallory = crowd(&world, &alice, 1).await.remove(0);
    let claims = async {
        for round in 0..32 {
            claim(&mallory, (0..32).map(|number| victim(round * 32 + number)));
            sleep(Duration::from_millis(500)).await;
        }
    };
    let (sent, ()) = tokio::join!(watch(&world, Duration::from_secs(60)), claims);
    assert!(sent >= BURST, "it was tried: {sent}");
    let links = alice.mesh().links();
    assert!(links.len() == 1 && links[0].explain().paths.len() <= 32);
    links[0].ping().await.unwrap();
}

#[test]
fn a_peer_with_a_thousand_candidates_gets_a_victim_no_more_than_the_budget() {
    World::run(1, |world| a_thousand_candidates(world, victim));
}

#[test]
fn a_peer_with_a_thousand_candidates_for_quic_gets_a_victim_no_more_than_the_budget() {
    World::run(1, |world| a_thousand_candidates(world, quic_victim));
}

#[test]
fn candidates_for_udp_and_for_quic_share_one_budget() {
    let both = |number: u32| if number.is_multiple_of(2) { victim(number) } else { quic_victim(number) };
    World::run(1, |world| a_thousand_candidates(world, both));
}

#[test]
fn a_hundred_peers_that_each_name_a_victim_share_one_budget() {
    World::run(2, |world| async move {
        let alice = world.node("alice");
        let peers = crowd(&world, &alice, 100).await;
        for (number, peer) in (0..).zip(&peers) {
            claim(peer, [victim(number)]);
        }
        let sent = watch(&world, Duration::from_secs(60)).await;
        assert!(sent > BURST, "more of them were tried: {sent}");
    });
}

#[test]
fn a_hundred_peers_that_each_name_many_share_one_budget_too_and_links_live() {
    World::run(3, |world| async move {
        let alice = world.node("alice");
        let peers = crowd(&world, &alice, 100).await;
        let claims = async {
            for round in 0..10 {
                for (number, peer) in (0..).zip(&peers) {
                    claim(peer, (0..32).map(|place| victim(number * 320 + round * 32 + place)));
                }
                sleep(Duration::from_secs(1)).await;
            }
        };
        let (sent, ()) = tokio::join!(watch(&world, Duration::from_secs(30)), claims);
        assert!(sent > BURST, "{sent}");
        // Honest ones find their way all the while.
        let bob = world.node("bob");
        let link = world.link(&bob, &alice).await;
        bob.move_to(world.fresh_address());
        link.ping().await.unwrap();
    });
}

#[test]
fn a_path_that_was_proven_once_is_no_way_around_the_budget() {
    World::run(4, |world| async move {
        let alice = world.node("alice");
        let peers = crowd(&world, &alice, 20).await;
        // They have each lived at a victim's address, and have left it.
        let ips: Vec<IpAddr> = (0..20u8)
            .map(|host| IpAddr::V4(Ipv4Addr::new(VICTIMS[0], VICTIMS[1], VICTIMS[2], 1 + host)))
            .collect();
        for (peer, ip) in peers.iter().zip(&ips) {
            peer.move_to(*ip);
            peer.mesh().links()[0].ping().await.unwrap();
        }
        sleep(Duration::from_secs(10)).await;
        for peer in &peers {
            peer.move_to(world.fresh_address());
        }
        for peer in &peers {
            peer.mesh().links()[0].ping().await.unwrap();
        }
        world.take_tapped();
        let sent = watch(&world, Duration::from_secs(60)).await;
        // What was in use is asked twice whether it still works, and then given up.
        assert!(sent <= 3 * 20, "{sent}");
    });
}

/// A router that a peer makes up: keys of nobody, addresses of victims.
fn made_up_router(number: u8, addresses: impl IntoIterator<Item = SocketAddr>) -> RouterHint {
    let keys = KeySet::generate(&mut StdRng::from_seed([number; 32]));
    let mut router = LinkInfo::new(keys.public().clone()).unwrap();
    for address in addresses {
        router = router.with_path(path(address)).unwrap();
    }
    RouterHint { router, ticket: Credential::new(vec![number; 68]).unwrap() }
}

#[test]
fn routers_that_a_peer_makes_up_are_asked_within_the_budget() {
    World::run(5, |world| made_up_routers(world, victim));
    World::run(5, |world| made_up_routers(world, quic_victim));
}

async fn made_up_routers(world: World, victim: fn(u32) -> SocketAddr) {
    let alice = world.node_with_quic("alice");
    let peers = crowd(&world, &alice, 20).await;
    for (number, peer) in (0u32..).zip(&peers) {
        alice.mesh().find(&peer.hashname()).unwrap().connect();
        let mut info = LinkInfo::unresolved(peer.hashname());
        for router in 0..2u32 {
            let addresses = (0..8).map(|place| victim(number * 100 + router * 32 + place));
            let hint = made_up_router((number * 2 + router) as u8, addresses);
            info = info.with_path(hint).unwrap();
        }
        let body = telemesh_path::encode(&info, 0);
        peer.mesh().links()[0].notify(Open::unreliable(PATH).with_body(body)).unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    world.take_tapped();
    // Gone without a word: Alice looks for other ways.
    peers.iter().for_each(Node::crash);
    let sent = watch(&world, Duration::from_secs(180)).await;
    assert!(sent > BURST, "they were asked: {sent}");
    // Nobody is looked for any more: they are needed no more.
    for peer in &peers {
        alice.mesh().find(&peer.hashname()).iter().for_each(Link::close);
    }
    sleep(Duration::from_secs(300)).await;
    assert!(alice.mesh().links().len() == 20, "{} links", alice.mesh().links().len());
}

#[test]
fn many_victims_get_no_more_than_a_packet_for_each_time_they_were_named() {
    World::run(6, |world| async move {
        let alice = world.node("alice");
        let mallory = crowd(&world, &alice, 1).await.remove(0);
        // Each of them has a budget of its own, but a link has only so many candidates.
        for round in 0..20u16 {
            claim(&mallory, (0..32).map(|number| elsewhere(round * 32 + number)));
            sleep(Duration::from_millis(500)).await;
        }
        sleep(Duration::from_secs(60)).await;
        let tapped = world.take_tapped();
        let sent = tapped.iter().filter(|tapped| tapped.to.port() == 9).count();
        assert!(sent >= 100, "{sent}");
        assert!(sent <= 20 * 32, "{sent} packets for {} names", 20 * 32);
    });
}
