//! Birthday probing: a symmetric NAT and a port-restricted one, what is left behind afterwards, and peers that abuse it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::net::IpAddr;
use std::time::Duration;

use telemesh_channel::{Open, Opener as _};
use telemesh_connect::CONNECT;
use telemesh_link::{BIRTHDAY_PAUSE, BIRTHDAY_PORTS, BIRTHDAY_SOCKETS, BirthdayOutcome, DATA_OVERHEAD};
use telemesh_mesh::{Claim, Link, LinkInfo, PathAddress, Verdict};
use telemesh_path::{BIRTHDAY, PATH, encode};
use telemesh_testkit::simnet::NatConfig;
use telemesh_testkit::{Node, World};
use telemesh_wire::{Body, Circuit, Connection};
use tokio::time::{Instant, sleep};

/// When the third comparison is due, which is the first one that tries many ports, and what comes before it.
const BEGIN: Duration = Duration::from_secs(15);

/// The longest that one attempt takes.
const ATTEMPT: Duration = Duration::from_secs(12);

/// Packets of one attempt.
const MOST: usize = BIRTHDAY_PORTS + BIRTHDAY_SOCKETS;

fn keys_of(node: &Node) -> LinkInfo {
    LinkInfo::new(node.info().keys().clone()).unwrap()
}

fn is_direct(link: &Link) -> bool {
    link.path().is_some_and(|path| path.address.is_direct())
}

/// Two nodes behind such NATs, linked through a router, and the link as the first has it.
async fn meet(world: &World, first: NatConfig, second: NatConfig) -> (Node, [Node; 2], Link) {
    let router = world.router("router");
    let (one, two) = (world.nat(first), world.nat(second));
    let nodes = [world.node_behind(one, "alice"), world.node_behind(two, "bob")];
    let [alice, bob] = &nodes;
    world.use_router(alice, &router).await;
    world.use_router(bob, &router).await;
    bob.mesh().add_contact(keys_of(alice)).unwrap();
    let link = alice.mesh().link(keys_of(bob)).await.unwrap();
    (router, nodes, link)
}

/// Waits until the link is direct at both ends; how long that took, if it was in time.
async fn goes_direct(link: &Link, back: &Link, within: Duration) -> Option<Duration> {
    let begin = Instant::now();
    while begin.elapsed() < within {
        if is_direct(link) && is_direct(back) {
            return Some(begin.elapsed());
        }
        sleep(Duration::from_millis(20)).await;
    }
    None
}

#[test]
fn a_symmetric_nat_and_a_port_restricted_one_are_opened_in_one_attempt_nearly_always() {
    let mut took = Vec::new();
    for seed in 0..20 {
        let (hard, soft) = (NatConfig::symmetric(), NatConfig::port_restricted());
        let (first, second) = if seed % 2 == 0 { (hard, soft) } else { (soft, hard) };
        took.extend(World::run(seed, |world| async move {
            let (_router, [alice, bob], link) = meet(&world, first, second).await;
            let back = bob.mesh().find(&alice.hashname()).unwrap();
            let took = goes_direct(&link, &back, BEGIN + ATTEMPT).await;
            if took.is_some() {
                let told = link.explain();
                assert!(matches!(told.birthday.unwrap().outcome, BirthdayOutcome::Direct(_)), "{told}");
                // It stays, and costs a few sockets at most.
                sleep(Duration::from_secs(150)).await;
                assert!(is_direct(&link) && is_direct(&back), "{}\n{}", link.explain(), back.explain());
                let open = [alice.extra_sockets(), bob.extra_sockets()];
                assert!((1..=4).contains(&(open[0] + open[1])), "{open:?}");
            }
            took
        }));
    }
    // 98 of 100 are expected: a miss or two is bad luck, more is a mistake.
    assert!(took.len() >= 18, "{took:?}");
    assert!(
        took.iter().all(|took| *took > Duration::from_secs(10)),
        "what is simple is tried before: {took:?}"
    );
}

#[test]
fn the_sockets_of_a_link_are_closed_when_it_ends() {
    World::run(3, |world| async move {
        let (_router, [alice, bob], link) =
            meet(&world, NatConfig::symmetric(), NatConfig::port_restricted()).await;
        let back = bob.mesh().find(&alice.hashname()).unwrap();
        goes_direct(&link, &back, BEGIN + ATTEMPT).await.unwrap();
        assert!(alice.extra_sockets() > 0);
        assert!(matches!(link.path().unwrap().address, PathAddress::Extra(_)), "{}", link.explain());
        assert!(alice.mesh().forget(&bob.hashname()));
        assert_eq!(alice.extra_sockets(), 0);
    });
}

#[test]
fn two_symmetric_nats_keep_the_router_and_nothing_is_left_of_the_attempt() {
    World::run(4, |world| async move {
        let (_router, [alice, bob], link) =
            meet(&world, NatConfig::symmetric(), NatConfig::symmetric()).await;
        sleep(Duration::from_secs(20)).await;
        assert_eq!(alice.extra_sockets(), BIRTHDAY_SOCKETS, "{}", link.explain());
        assert!(link.explain().to_string().contains("going on"), "{}", link.explain());
        sleep(Duration::from_secs(10)).await;
        assert!(!is_direct(&link));
        let told = link.explain().to_string();
        assert!(told.contains("1000 ports of 198.18."), "{told}");
        assert!(told.contains("256 sockets opened: nothing got through"), "{told}");
        assert_eq!([alice.extra_sockets(), bob.extra_sockets()], [0, 0]);
    });
}

/// A node behind a symmetric NAT, its router, and so many contacts behind NATs of their own that say they are elsewhere.
async fn with_liars(world: &World, liars: usize) -> (Node, Node, Vec<(Node, Link)>) {
    let router = world.router("router");
    let target = world.node_behind(world.nat(NatConfig::symmetric()), "target");
    world.use_router(&target, &router).await;
    let mut all = Vec::new();
    for nth in 0..liars {
        let liar = world.node_behind(world.nat(NatConfig::symmetric()), &format!("liar {nth}"));
        world.use_router(&liar, &router).await;
        target.mesh().add_contact(keys_of(&liar)).unwrap();
        let link = liar.mesh().link(keys_of(&target)).await.unwrap();
        all.push((liar, link));
    }
    (router, target, all)
}

/// Says that the liar is somewhere, and that it has begun.
fn lie(liar: &Node, link: &Link, at: IpAddr) {
    let info = LinkInfo::unresolved(liar.hashname()).with_path(PathAddress::Udp((at, 443).into())).unwrap();
    link.notify(Open::unreliable(PATH).with_body(encode(&info, BIRTHDAY))).unwrap();
}

/// The router says so, too: it is as malicious as the liar.
fn vouch(router: &Node, target: &Node, liar: &Node, at: IpAddr) {
    let (to_target, who) = (router.mesh().find(&target.hashname()).unwrap(), liar.hashname());
    for path in target.mesh().find(&who).unwrap().explain().paths {
        let PathAddress::Circuit(Circuit { id: circuit, .. }) = path.address else { continue };
        let seen = Connection { circuit, body: Body::Seen { who, at: Some((at, 443).into()) } };
        to_target.notify(Open::unreliable(CONNECT).with_body(seen.encode().unwrap())).unwrap();
    }
}

/// Datagrams of birthday probing and all datagrams that went to such addresses.
fn count(world: &World, is_victim: impl Fn(&IpAddr) -> bool) -> (usize, usize) {
    let tapped = world.take_tapped();
    let there = || tapped.iter().filter(|tapped| is_victim(&tapped.to.ip()));
    (there().filter(|tapped| tapped.payload.len() == DATA_OVERHEAD).count(), there().count())
}

#[test]
fn a_contact_that_is_not_where_it_says_has_nothing_sent_there() {
    World::run(8, |world| async move {
        let (_router, target, all) = with_liars(&world, 1).await;
        let (liar, link) = &all[0];
        let victim = world.fresh_address();
        world.take_tapped();
        for _ in 0..10 {
            lie(liar, link, victim);
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(count(&world, |ip| *ip == victim).0, 0);
        assert_eq!(target.extra_sockets(), 0);
    });
}

#[test]
fn a_hundred_contacts_and_their_router_have_a_victim_probed_no_more_than_one_contact_does() {
    for liars in [1, 100] {
        World::run(5, |world| async move {
            let (router, target, all) = with_liars(&world, liars).await;
            let victim = world.fresh_address();
            world.take_tapped();
            for _ in 0..11 {
                for (liar, link) in &all {
                    vouch(&router, &target, liar, victim);
                    lie(liar, link, victim);
                }
                sleep(Duration::from_secs(5)).await;
            }
            let (small, all) = count(&world, |ip| *ip == victim);
            assert!(small > MOST / 2, "it was tried: {small}");
            assert!(small <= MOST, "{small}");
            // And what goes to candidates that a peer tells, which has a budget of its own.
            assert!(all - small <= 30 + 10 * 55, "{all}");
        });
    }
}

#[test]
fn a_hundred_contacts_and_their_router_that_name_many_victims_share_the_budget_of_one_endpoint() {
    World::run(6, |world| async move {
        let (router, target, all) = with_liars(&world, 100).await;
        let victim = |nth: usize| IpAddr::from([203, 0, u8::try_from(nth).unwrap(), 7]);
        world.take_tapped();
        for _ in 0..12 {
            for (nth, (liar, link)) in all.iter().enumerate() {
                vouch(&router, &target, liar, victim(nth));
                lie(liar, link, victim(nth));
            }
            sleep(Duration::from_secs(5)).await;
        }
        let attempts = 60 / usize::try_from(BIRTHDAY_PAUSE.as_secs()).unwrap();
        let (small, _) = count(&world, |ip| matches!(ip, IpAddr::V4(ip) if ip.octets()[..2] == [203, 0]));
        assert!(small > MOST, "several were tried: {small}");
        assert!(small <= attempts * MOST, "{small}");
    });
}

#[test]
fn private_addresses_are_not_worth_it() {
    World::run(7, |world| async move {
        let (router, target, all) = with_liars(&world, 1).await;
        let (liar, link) = &all[0];
        world.take_tapped();
        for private in ["192.168.1.1", "10.0.0.1", "127.0.0.1", "100.64.0.1", "fd00::1"] {
            vouch(&router, &target, liar, private.parse().unwrap());
            lie(liar, link, private.parse().unwrap());
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(count(&world, |_| true).0, 0);
        assert_eq!(target.extra_sockets(), 0);
    });
}

#[test]
fn a_guest_gets_no_attempt_and_a_contact_in_its_place_does() {
    for is_contact in [false, true] {
        World::run(9, |world| async move {
            let router = world.router("router");
            let target = world.node_with("target", |builder| builder.policy(|_: &Claim<'_>| Verdict::Accept));
            let guest = world.node("guest");
            world.use_router(&target, &router).await;
            world.use_router(&guest, &router).await;
            world.with_network(|network| {
                network.block(target.host(), guest.host());
                network.block(guest.host(), target.host());
            });
            if is_contact {
                target.mesh().add_contact(keys_of(&guest)).unwrap();
            }
            let link = guest.mesh().link(keys_of(&target)).await.unwrap();
            let victim = world.fresh_address();
            world.take_tapped();
            for _ in 0..5 {
                vouch(&router, &target, &guest, victim);
                lie(&guest, &link, victim);
                sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(count(&world, |ip| *ip == victim).0 > 0, is_contact);
            assert_eq!(target.extra_sockets() > 0, is_contact);
        });
    }
}
