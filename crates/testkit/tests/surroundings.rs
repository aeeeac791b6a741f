//! An endpoint that is told by a watch that its network has changed: links follow, and a network that flaps makes no storm.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking, their helpers too")]

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use telemesh_mesh::{Link, PathAddress};
use telemesh_testkit::simnet::{Network, Realm};
use telemesh_testkit::{Node, World};
use telemesh_transport::{NetworkChange, NetworkWatch};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const SECOND: Duration = Duration::from_secs(1);

/// A watch that tells what a test makes it tell.
#[derive(Debug, Clone)]
struct Told(Arc<Mutex<UnboundedReceiver<NetworkChange>>>);

impl Told {
    fn new() -> (UnboundedSender<NetworkChange>, Self) {
        let (tell, told) = unbounded_channel();
        (tell, Self(Arc::new(Mutex::new(told))))
    }
}

impl NetworkWatch for Told {
    fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<io::Result<NetworkChange>> {
        let change = ready!(self.0.lock().unwrap().poll_recv(cx));
        Poll::Ready(change.ok_or_else(|| io::Error::other("the test has ended")))
    }
}

/// The address that a link's data goes to.
fn used(link: &Link) -> Option<SocketAddr> {
    link.path().and_then(|path| path.address.socket_address())
}

/// What a node notices of its move.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    None,
    Watch,
    /// Its wall clock is hours ahead, as after sleep.
    Sleep,
}

/// An idle link of two nodes, of which the first moves. How long until the other one sends to where it is now.
fn noticed_after(sign: Sign) -> Option<Duration> {
    World::run(7, |world| async move {
        let (tell, watch) = Told::new();
        let alice = world.node_with("alice", move |builder| builder.network_watch(watch.clone()));
        let bob = world.node("bob");
        world.link(&alice, &bob).await;
        tokio::time::sleep(5 * SECOND).await;
        let back = bob.mesh().find(&alice.mesh().hashname()).unwrap();
        let before = used(&back).unwrap();
        alice.move_to(world.fresh_address());
        match sign {
            Sign::None => {}
            Sign::Watch => tell.send(NetworkChange::Moved).unwrap(),
            Sign::Sleep => alice.clock().jump_ahead(8 * 3_600 * SECOND),
        }
        let moved = tokio::time::Instant::now();
        while moved.elapsed() < 10 * SECOND {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if used(&back).is_some_and(|now| now.ip() != before.ip()) {
                assert_eq!(back.state().ups, 1, "the link was lost in between");
                return Some(moved.elapsed());
            }
        }
        None
    })
}

#[test]
fn the_other_end_knows_at_once_where_an_idle_link_went() {
    assert_eq!(noticed_after(Sign::None), None, "nothing is sent on an idle link, so nobody can know");
    let noticed = noticed_after(Sign::Watch).unwrap();
    // Two round trips of 40 ms: what comes from a new place has to prove itself.
    assert!(noticed < Duration::from_millis(200), "{noticed:?}");
}

#[test]
fn an_idle_link_proves_its_path_soon_after_sleep() {
    let noticed = noticed_after(Sign::Sleep).unwrap();
    assert!(noticed < Duration::from_millis(5_200), "{noticed:?}");
}

#[test]
fn what_is_down_is_tried_at_once_when_there_is_a_network_again() {
    World::run(8, |world| async move {
        let (tell, watch) = Told::new();
        let alice = world.node_with("alice", move |builder| builder.network_watch(watch.clone()));
        let bob = world.node("bob");
        bob.mesh().add_contact(alice.info()).unwrap();
        world.with_network(|network| network.partition(&[alice.host()], &[bob.host()]));
        let link = alice.mesh().add_contact(bob.info()).unwrap();
        link.connect();
        // By now there is up to a minute between two attempts, and an attempt sends ever less.
        tokio::time::sleep(300 * SECOND).await;
        world.take_tapped();
        let mut quiet = 0;
        while quiet < 40 {
            tokio::time::sleep(SECOND / 4).await;
            quiet = if world.take_tapped().is_empty() { quiet + 1 } else { 0 };
        }
        assert!(!link.state().is_up());
        world.with_network(Network::heal);
        tell.send(NetworkChange::Gained).unwrap();
        link.up(SECOND).await.unwrap();
    });
}

/// Datagrams that a node with some links sends in ten minutes, while its watch tells of a change every tenth of a second.
async fn sent_in_ten_minutes(
    world: &World,
    node: &Node,
    tell: Option<&UnboundedSender<NetworkChange>>,
) -> usize {
    let own = node.addresses();
    world.take_tapped();
    let mut sent = 0;
    for _ in 0..6_000 {
        if let Some(tell) = tell {
            tell.send(NetworkChange::Moved).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        sent +=
            world.take_tapped().iter().filter(|tapped| !own.contains(&PathAddress::Udp(tapped.to))).count();
    }
    sent
}

#[test]
fn a_network_that_flaps_makes_no_storm_of_probes() {
    World::run(9, |world| async move {
        let (tell, watch) = Told::new();
        let alice = world.node_with("alice", move |builder| builder.network_watch(watch.clone()));
        for name in ["bob", "carol", "dave"] {
            let node = world.node(name);
            world.link(&alice, &node).await;
        }
        let calm = sent_in_ten_minutes(&world, &alice, None).await;
        let flapping = sent_in_ten_minutes(&world, &alice, Some(&tell)).await;
        assert!(flapping > calm, "{flapping} datagrams, {calm} without: nothing was done about it");
        // Six thousand changes, sixteen reactions, three links, and a few packets each.
        assert!(flapping < calm + 16 * 3 * 8, "{flapping} datagrams, {calm} without");
    });
}

#[test]
fn new_addresses_are_told_to_peers_without_doubting_what_works() {
    World::run(10, |world| async move {
        let (tell, watch) = Told::new();
        let alice = world.node_with("alice", move |builder| builder.network_watch(watch.clone()));
        let bob = world.node("bob");
        let link = world.link(&alice, &bob).await;
        tokio::time::sleep(5 * SECOND).await;
        let before = used(&link);
        let new = world.fresh_address();
        let added = world.with_network(|network| network.add_address(alice.host(), Realm::INTERNET, new));
        added.unwrap();
        tell.send(NetworkChange::Gained).unwrap();
        tokio::time::sleep(SECOND).await;
        let back = bob.mesh().find(&alice.mesh().hashname()).unwrap();
        let knows = |path: &PathAddress| path.socket_address().is_some_and(|at| at.ip() == new);
        assert!(back.explain().paths.iter().any(|path| knows(&path.address)), "{}", back.explain());
        assert_eq!(used(&link), before);
    });
}
