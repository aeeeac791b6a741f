//! Two routers that are each other's routers: what is asked of one does not go round between them, and neither do circuits.
//! Counted on the simulated network.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scenario that cannot go on has failed")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::Acceptor as _;
use telemesh_link::{PacketKind, classify};
use telemesh_mesh::{Link, LinkError};
use telemesh_testkit::simnet::Network;
use telemesh_testkit::{Node, TRANSFER, Tally, Tapped, World, serve, transfer};
use tokio::time::{Instant, sleep, timeout};

/// Two that have both routers and no direct path.
struct Scene {
    routers: [Node; 2],
    alice: Node,
    bob: Node,
    tally: Arc<Tally>,
}

async fn scene(world: &World) -> Scene {
    let routers = [world.router("one"), world.router("other")];
    let (alice, bob) = (world.node("alice"), world.node("bob"));
    let [one, other] = &routers;
    world.use_router(one, other).await;
    world.use_router(other, one).await;
    for node in [&alice, &bob] {
        world.use_router(node, one).await;
        world.use_router(node, other).await;
    }
    for router in &routers {
        assert!(router.mesh().links().iter().filter(|link| link.is_router()).count() == 1);
    }
    bob.mesh().add_contact(alice.hashname()).unwrap();
    block(world, &alice, &bob);
    let tally = Arc::<Tally>::default();
    bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
    Scene { routers, alice, bob, tally }
}

fn block(world: &World, one: &Node, other: &Node) {
    world.with_network(|network| {
        network.block(one.host(), other.host());
        network.block(other.host(), one.host());
    });
}

/// What went over the network in some time.
struct Traffic {
    /// Packets to both routers.
    to_routers: usize,
    /// Packets of circuits that anybody has sent.
    in_circuits: u64,
    /// Of those, packets that a router has sent on.
    forwarded: u64,
}

impl Scene {
    /// What was sent since this was asked last, when both routers had forwarded so many.
    fn traffic(&self, world: &World, before: u64) -> Traffic {
        let at: Vec<_> =
            self.routers.iter().flat_map(Node::addresses).filter_map(|path| path.socket_address()).collect();
        let tapped = world.take_tapped();
        let in_circuit = |tapped: &&Tapped| classify(&tapped.payload) == Ok(PacketKind::Circuit);
        Traffic {
            to_routers: tapped.iter().filter(|tapped| at.contains(&tapped.to)).count(),
            in_circuits: tapped.iter().filter(in_circuit).count().try_into().unwrap(),
            forwarded: self.forwarded() - before,
        }
    }

    /// Packets that both routers have forwarded.
    fn forwarded(&self) -> u64 {
        self.routers.iter().map(|router| router.mesh().routing().unwrap().packets).sum()
    }

    /// Circuits of both routers.
    fn circuits(&self) -> usize {
        self.routers.iter().map(|router| router.mesh().routing().unwrap().circuits).sum()
    }
}

impl Traffic {
    /// Whoever sends into a circuit has its packet forwarded once at most: by the router that it goes to, and by no other.
    fn goes_once_at_most(&self) {
        let sent = self.in_circuits - self.forwarded;
        // One that was on its way when the time began was sent before.
        assert!(self.forwarded <= sent + 10, "{} packets, forwarded {} times", sent, self.forwarded);
    }
}

#[test]
fn somebody_whom_neither_knows_is_asked_for_and_not_passed_round() {
    World::run(1, |world| async move {
        let scene = scene(&world).await;
        let Scene { routers, alice, .. } = &scene;
        let nobody = world.node("nobody").hashname();
        sleep(Duration::from_secs(200)).await;
        let before = scene.forwarded();
        world.take_tapped();
        sleep(Duration::from_secs(60)).await;
        let idle = scene.traffic(&world, before);
        // Both routers look for the same one, each asks the other, and a client asks both.
        for router in routers {
            router.mesh().add_contact(nobody).unwrap().connect();
        }
        let dialled = alice.mesh().link(nobody).await;
        assert!(matches!(dialled, Err(LinkError::TimedOut(_))), "{dialled:?}");
        sleep(Duration::from_secs(30)).await;
        let asking = scene.traffic(&world, before + idle.forwarded);
        idle.goes_once_at_most();
        asking.goes_once_at_most();
        // Four introductions in each round of an attempt, and whether a router is still there that does not answer them.
        assert!(asking.to_routers > idle.to_routers + 20, "they were asked: {}", asking.to_routers);
        assert!(asking.to_routers <= idle.to_routers + 200, "{} packets", asking.to_routers);
    });
}

/// The router that a link's data goes through.
fn way(link: &Link, routers: &[Node; 2]) -> usize {
    let router = link.path().and_then(|path| path.address.router().copied());
    let place = routers.iter().position(|node| Some(node.hashname()) == router);
    place.unwrap_or_else(|| panic!("{}", link.explain()))
}

#[test]
fn somebody_who_is_reached_through_either_is_there_when_one_of_them_dies() {
    World::run(2, |world| async move {
        let scene = scene(&world).await;
        let Scene { routers, alice, bob, tally } = &scene;
        let link = alice.mesh().link(bob.hashname()).await.unwrap();
        let ups = link.state().ups;
        let mut died = BTreeSet::new();
        for round in 0..4 {
            sleep(Duration::from_secs(1)).await;
            let before = scene.forwarded();
            world.take_tapped();
            transfer(&link, round, 100_000).await.unwrap();
            sleep(Duration::from_secs(10)).await;
            let traffic = scene.traffic(&world, before);
            assert!(traffic.forwarded >= 80, "it goes through a router: {}", traffic.forwarded);
            traffic.goes_once_at_most();
            assert!(scene.circuits() <= MOST_CIRCUITS, "{} circuits", scene.circuits());
            // The one that is in use dies, and comes back some time after the other one has taken over.
            let dead = way(&link, routers);
            died.insert(dead);
            routers[dead].crash();
            let started = Instant::now();
            transfer(&link, 100 + round, 20_000).await.unwrap();
            assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
            assert_eq!(way(&link, routers), 1 - dead);
            routers[dead].start().links().iter().for_each(Link::connect);
            sleep(Duration::from_secs(120)).await;
        }
        assert_eq!(link.state().ups, ups, "the link itself did not notice");
        assert_eq!((tally.whole(), tally.wrong().len()), (8, 0));
        assert_eq!(died.len(), 2, "each has died");
    });
}

/// Six links, each with two ways round at most that either end may have asked for, at the router that is no end of it.
const MOST_CIRCUITS: usize = 6 * 2 * 2;

#[test]
fn routers_that_reach_somebody_only_through_each_other_lead_nobody_there() {
    World::run(3, |world| async move {
        let scene = scene(&world).await;
        let Scene { routers, alice, bob, tally } = &scene;
        let [one, other] = routers;
        let link = alice.mesh().link(bob.hashname()).await.unwrap();
        // The first router loses its way to Bob, and finds one through the second.
        for router in routers {
            router.mesh().find(&bob.hashname()).unwrap().connect();
        }
        block(&world, one, bob);
        sleep(Duration::from_secs(120)).await;
        let round_about = one.mesh().find(&bob.hashname()).unwrap();
        assert_eq!(way(&round_about, routers), 1);
        transfer(&link, 1, 50_000).await.unwrap();
        assert_eq!(way(&link, routers), 1, "a router that needs another one is none");
        // Now the second has none either, but through the first.
        block(&world, other, bob);
        world.take_tapped();
        for _ in 0..18 {
            let before = scene.forwarded();
            let _ = timeout(Duration::from_secs(10), transfer(&link, 2, 20_000)).await;
            sleep(Duration::from_millis(100)).await;
            let traffic = scene.traffic(&world, before);
            traffic.goes_once_at_most();
            assert!(traffic.to_routers <= 1_000, "{} packets", traffic.to_routers);
        }
        for router in routers {
            let to_bob = router.mesh().find(&bob.hashname()).unwrap();
            assert!(!to_bob.state().is_up(), "{}", to_bob.explain());
        }
        world.with_network(Network::heal);
        block(&world, alice, bob);
        link.connect();
        link.up(Duration::from_secs(90)).await.unwrap_or_else(|error| panic!("{error}: {}", link.explain()));
        transfer(&link, 3, 50_000).await.unwrap();
        assert_eq!(tally.wrong(), Vec::<String>::new());
    });
}
