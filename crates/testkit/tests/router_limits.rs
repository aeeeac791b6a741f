//! What a router and its tickets are good for, at the limit and past it; how many routers are asked; circuits that are none; and
//! how long a router takes to answer pings while it is asked for somebody.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scenario that cannot go on has failed")]

use std::time::Duration;

use bytes::Bytes;
use telemesh_channel::{Body, Connection, Introduction, Open, Opener as _, Target};
use telemesh_link::{BridgeConfig, PacketKind, classify};
use telemesh_mesh::{Invite, LinkError, LinkInfo, PathAddress};
use telemesh_testkit::{Bare, Node, Rogue, World};
use telemesh_wire::{CircuitId, Frame, PathHint};
use tokio::time::{Instant, sleep};

const DAY: Duration = Duration::from_secs(86_400);

/// Who somebody is, without any address.
fn keys_of(node: &Node) -> LinkInfo {
    LinkInfo::new(node.info().keys().clone()).unwrap()
}

/// How a node is reached through its router by whoever has never met that.
async fn by_ticket(node: &Node, router: &Node) -> LinkInfo {
    for _ in 0..100 {
        sleep(Duration::from_millis(20)).await;
        let info = node.info();
        let hint = info.paths().iter().find(|path| path.router() == Some(router.hashname())).cloned();
        if let Some(PathHint::Router(hint)) = hint {
            return LinkInfo::new(info.keys().clone()).unwrap().with_path(*hint).unwrap();
        }
    }
    panic!("no ticket");
}

#[test]
fn a_ticket_is_good_for_thirty_days_and_not_for_one_more() {
    for (days, good) in [(29, true), (31, false)] {
        World::run(1, |world| async move {
            let router = world.router("router");
            let (alice, bob) = (world.node("alice"), world.node("bob"));
            world.use_router(&bob, &router).await;
            let info = by_ticket(&bob, &router).await;
            bob.mesh().add_contact(keys_of(&alice)).unwrap();
            router.clock().jump_ahead(DAY * days);
            let linked = alice.mesh().link(info).await;
            assert_eq!(linked.is_ok(), good, "after {days} days: {linked:?}");
            // She has not even got as far as the router.
            assert_eq!(router.mesh().find(&alice.hashname()).is_some(), good);
        });
    }
}

#[test]
fn so_many_may_be_looked_for_by_routers_uris_at_a_time_and_not_one_more() {
    World::run(2, |world| async move {
        let router = world.router("router");
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.use_router(&bob, &router).await;
        by_ticket(&bob, &router).await;
        let uri =
            bob.mesh().invite_via(&router.hashname(), Invite::once()).unwrap().unwrap().to_secret_string();
        router.crash();
        let dial = || {
            let (mesh, uri) = (alice.mesh(), uri.clone());
            tokio::spawn(async move { mesh.link(uri.as_str()).await.map(|_| ()) })
        };
        let dialling: Vec<_> = (0..64).map(|_| dial()).collect();
        sleep(Duration::from_secs(1)).await;
        assert!(dialling.iter().all(|dialling| !dialling.is_finished()));
        let refused = dial().await.unwrap();
        assert!(matches!(refused, Err(LinkError::TooMany(64))), "{refused:?}");
        // Whoever gives up makes room.
        for dialling in dialling {
            assert!(matches!(dialling.await.unwrap(), Err(LinkError::NoIntroducer(_))));
        }
        let again = dial();
        sleep(Duration::from_secs(1)).await;
        assert!(!again.is_finished());
    });
}

/// Routers that are asked about one peer at a time.
const MAX_ASKED: usize = 3;

#[test]
fn so_many_routers_are_asked_about_somebody_and_then_the_next_ones() {
    World::run(6, |world| async move {
        let routers: Vec<_> =
            (0..=MAX_ASKED).map(|number| world.rogue(&format!("router {number}"))).collect();
        let alice = world.node("alice");
        for (router, _) in &routers {
            world.use_router(&alice, router).await;
        }
        // Links with the routers ask for spare ways too.
        let asked = |target: &Node| {
            let target = Target::Hashname(target.hashname());
            let was_asked = |(_, rogue): &(Node, Rogue)| {
                rogue.take_introductions().iter().any(|(_, introduction)| introduction.target == target)
            };
            routers.iter().map(was_asked).collect::<Vec<_>>()
        };
        // One can be reached through the last router that is asked, the other through the first that is not.
        let (within, beyond) = (world.node("within"), world.node("beyond"));
        for (node, (router, _)) in [&within, &beyond].into_iter().zip(&routers[MAX_ASKED - 1..]) {
            world.use_router(node, router).await;
            node.mesh().add_contact(keys_of(&alice)).unwrap();
        }
        alice.mesh().link(keys_of(&within)).await.unwrap();
        assert_eq!(asked(&within), [true, true, true, false]);
        // Whoever did not help has had its turn.
        let begin = Instant::now();
        alice.mesh().link(keys_of(&beyond)).await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(2), "after {:?}", begin.elapsed());
        assert!(asked(&beyond)[MAX_ASKED]);
    });
}

/// Routers of whom a link remembers what they were asked for.
const MAX_ASKED_CIRCUITS: usize = 16;

#[test]
fn a_link_remembers_so_many_circuits_that_it_has_asked_for_and_forgets_the_oldest_for_one_more() {
    World::run(7, |world| async move {
        let alice = world.node("alice");
        let mut routers = Vec::new();
        for number in 0..=MAX_ASKED_CIRCUITS {
            let (router, rogue) = world.rogue(&format!("router {number}"));
            let link = world.use_router(&alice, &router).await;
            assert!(link.router(false));
            routers.push((router, rogue, link));
        }
        let nobody = world.node("nobody").hashname();
        alice.mesh().add_contact(nobody).unwrap().connect();
        // Which circuit a router is asked for while it is the only one.
        let asked = async |number: usize| {
            let (_, rogue, link) = &routers[number];
            link.router(true);
            sleep(Duration::from_millis(200)).await;
            link.router(false);
            sleep(Duration::from_millis(200)).await;
            let mut circuits: Vec<_> = rogue
                .take_introductions()
                .into_iter()
                .map(|(_, introduction)| introduction.circuit)
                .collect();
            circuits.dedup();
            let [circuit] = circuits[..] else { panic!("one circuit: {circuits:?}") };
            circuit
        };
        let mut circuits = Vec::new();
        for number in 0..MAX_ASKED_CIRCUITS {
            circuits.push(asked(number).await);
        }
        for (number, circuit) in circuits.iter().enumerate() {
            assert_eq!(asked(number).await, *circuit, "asking again makes no other");
        }
        // One more takes the place of the oldest, and of no other.
        let last = asked(MAX_ASKED_CIRCUITS).await;
        for (number, circuit) in circuits.iter().enumerate().skip(1) {
            assert_eq!(asked(number).await, *circuit, "router {number}");
        }
        assert_eq!(asked(MAX_ASKED_CIRCUITS).await, last);
        assert_ne!(asked(0).await, circuits[0]);
    });
}

/// A circuit packet that holds these bytes.
fn circuit_packet(number: CircuitId, inside: &[u8]) -> Vec<u8> {
    [&[5, 0, 0, 0], &number.to_bytes()[..], inside].concat()
}

/// A packet of type 4 that nobody can open.
fn data() -> Vec<u8> {
    let mut packet = vec![7; 100];
    packet[..4].copy_from_slice(&[4, 0, 0, 0]);
    packet
}

fn ask(mallory: &mut Bare, target: &Node, circuit: CircuitId) {
    ask_for(mallory, Target::Hashname(target.hashname()), circuit);
}

fn ask_for(mallory: &mut Bare, target: Target, circuit: CircuitId) {
    let body = Body::Packet(Bytes::from(data()));
    let introduction = Introduction { target, circuit, body };
    let open = Open::unreliable("peer").with_body(introduction.encode().unwrap());
    mallory.send_frame(&Frame::Notice { open });
}

#[test]
fn circuits_inside_circuits_unknown_ones_and_those_of_others_lead_nowhere() {
    World::run(3, |world| async move {
        let router = world.router("router");
        let alice = world.node("alice");
        world.use_router(&alice, &router).await;
        let (mut mallory, mut other) = (world.bare(), world.bare());
        mallory.connect(&router).await;
        other.connect(&router).await;
        let number = CircuitId::asked(5);
        ask(&mut mallory, &alice, number);
        mallory.run_for(Duration::from_secs(1)).await;
        let routing = || router.mesh().routing().unwrap();
        assert_eq!((routing().circuits, routing().introductions), (1, 1));
        let [PathAddress::Udp(to), ..] = router.addresses()[..] else { panic!("an address") };
        let dropped = || alice.mesh().metrics().dropped_in_all();

        // What is right goes on to Alice, who can do nothing with it.
        let before = dropped();
        mallory.send_packet(to, &circuit_packet(number, &data()));
        mallory.run_for(Duration::from_secs(1)).await;
        assert_eq!((routing().packets, dropped()), (1, before + 1));
        // A circuit inside a circuit, three deep, ends with her too.
        let inner = circuit_packet(number, &circuit_packet(number, &data()));
        assert_eq!(classify(&inner), Ok(PacketKind::Circuit));
        mallory.send_packet(to, &circuit_packet(number, &inner));
        mallory.run_for(Duration::from_secs(1)).await;
        assert_eq!((routing().packets, dropped()), (2, before + 2));

        // Another contact's packets with the same number, unknown numbers, and those of whom the router does not know: nothing.
        let stranger = world.stranger();
        stranger.send(to, &circuit_packet(number, &data()));
        other.send_packet(to, &circuit_packet(number, &data()));
        mallory.send_packet(to, &circuit_packet(CircuitId::asked(6), &data()));
        mallory.send_packet(to, &circuit_packet(CircuitId::routed(5), &data()));
        other.run_for(Duration::from_secs(1)).await;
        assert_eq!((routing().packets, dropped(), stranger.unread()), (2, before + 2, 0));

        // To oneself, to the router, and under a number that is the router's to give.
        for circuit in [CircuitId::asked(7), CircuitId::routed(7)] {
            let target = if circuit.is_routed() { &alice } else { &router };
            ask(&mut mallory, target, circuit);
        }
        mallory.run_for(Duration::from_secs(1)).await;
        assert_eq!((routing().circuits, routing().introductions), (1, 1));
        assert!(alice.mesh().links().len() == 1);
    });
}

#[test]
fn introductions_that_have_to_be_opened_take_from_the_budget_of_strangers() {
    World::run(5, |world| async move {
        let (router, _rogue) = world.rogue("router");
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.use_router(&alice, &router).await;
        alice.mesh().invite(Invite::once()).unwrap();
        sleep(Duration::from_secs(1)).await;
        let to_alice = router.mesh().find(&alice.hashname()).unwrap();
        for number in 0..1_000 {
            let body = Body::Sealed(Bytes::from(vec![7; 300]));
            let connection = Connection { circuit: CircuitId::routed(number), body };
            let open = Open::unreliable("connect").with_body(connection.encode().unwrap());
            to_alice.notify(open).unwrap();
        }
        sleep(Duration::from_millis(100)).await;
        let metrics = alice.mesh().metrics();
        let count =
            |what: &str| metrics.dropped.iter().find(|(name, _)| **name == *what).map_or(0, |(_, n)| *n);
        // An eighth of the strangers' burst before there is load, then one router's share of it.
        let opened = count("not trusted");
        assert!((100..=126 + 50 + 30).contains(&opened), "{opened}: {metrics:?}");
        assert!(metrics.dropped_in_all() >= 1_000, "{metrics:?}");
        // Whoever comes another way finds room.
        let invite = alice.mesh().invite(Invite::once()).unwrap().to_secret_string();
        bob.mesh().link(invite.as_str()).await.unwrap();
    });
}

#[test]
fn two_hundred_strangers_with_one_ticket_keep_nobody_else_out() {
    World::run(6, |world| async move {
        let router =
            world.node_with("router", |builder| builder.router(BridgeConfig::default()).max_links(200));
        let (alice, bob, carol, dave) =
            (world.node("alice"), world.node("bob"), world.node("carol"), world.node("dave"));
        for node in [&alice, &bob] {
            world.use_router(node, &router).await;
        }
        let (to_alice, to_bob) = (by_ticket(&alice, &router).await, by_ticket(&bob, &router).await);
        let Some(PathHint::Router(hint)) = to_alice.paths().first() else { panic!("a ticket") };
        let mut let_in = Vec::new();
        for _ in 0..200 {
            let mut stranger = world.bare();
            if stranger.visit(&router, hint.ticket.clone()).await {
                let ticket = Bytes::copy_from_slice(hint.ticket.as_bytes());
                for number in 0..16 {
                    ask_for(&mut stranger, Target::Ticket(ticket.clone()), CircuitId::asked(number));
                }
                let_in.push(stranger);
            }
        }
        // A quarter of half of the links, and half of her circuits.
        let circuits = router.mesh().routing().unwrap().circuits;
        let seen = (let_in.len(), circuits);

        let invite = router.mesh().invite(Invite::once()).unwrap().to_secret_string();
        let newcomer = carol.mesh().link(invite.as_str()).await;
        assert!(newcomer.is_ok(), "{seen:?}: {newcomer:?}");
        // Bob's circuit to Alice, who are apart otherwise.
        world.with_network(|network| {
            network.block(alice.host(), bob.host());
            network.block(bob.host(), alice.host());
        });
        alice.mesh().add_contact(keys_of(&bob)).unwrap();
        let circuit = bob.mesh().link(keys_of(&alice)).await;
        assert!(circuit.is_ok(), "{seen:?}: {circuit:?}");
        // Somebody else's ticket is as good as before.
        bob.mesh().add_contact(keys_of(&dave)).unwrap();
        dave.mesh().link(to_bob).await.unwrap();
        assert_eq!(seen, (25, 128));
    });
}

/// Round trips of pings to the router while the asker looks for one of three; the worlds are the same otherwise.
fn pings_of_an_asker(which: usize) -> Vec<Duration> {
    World::run(4, |world| async move {
        let router = world.router("router");
        let alice = world.node("alice");
        let others = [world.node("unknown"), world.node("offline"), world.node("refusing")];
        for node in [&alice, &others[1], &others[2]] {
            world.use_router(node, &router).await;
        }
        others[1].crash();
        sleep(Duration::from_secs(200)).await;
        let dialling = tokio::spawn({
            let (mesh, target) = (alice.mesh(), others[which].hashname());
            async move { mesh.link(target).await }
        });
        let to_router = alice.mesh().find(&router.hashname()).unwrap();
        let mut pings = Vec::new();
        for _ in 0..280 {
            pings.push(to_router.ping().await.unwrap().rtt);
            sleep(Duration::from_millis(59)).await;
        }
        assert!(matches!(dialling.await.unwrap(), Err(LinkError::TimedOut(_))));
        pings
    })
}

#[test]
fn pings_to_the_router_take_as_long_whoever_is_asked_for() {
    let unknown = pings_of_an_asker(0);
    assert_eq!(unknown.len(), 280);
    assert_eq!(pings_of_an_asker(1), unknown);
    assert_eq!(pings_of_an_asker(2), unknown);
}
