//! Transports that take no more for a while, paths that carry more or less: what a link makes of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::{Acceptor, ChannelKind, Incoming, Network as _, Open, Opener};
use telemesh_mesh::{Link, PathAddress};
use telemesh_testkit::simnet::{Conditions, Scope};
use telemesh_testkit::{Node, TRANSFER, Tally, World, serve, transfer};
use tokio::io::AsyncWriteExt;

const DATAGRAMS: &str = "org.example.datagrams";

fn tally(node: &Node) -> Arc<Tally> {
    let tally = Arc::<Tally>::default();
    node.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
    tally
}

#[test]
fn a_full_socket_only_slows_a_transfer_down() {
    for step in [1, 7, 40] {
        World::run(1, |world| async move {
            let (alice, bob) = (world.node("alice"), world.node("bob"));
            let tally = tally(&bob);
            let link = world.link(&alice, &bob).await;
            let valve = alice.valves().remove(0);
            let trickle = async {
                loop {
                    valve.close_after(step);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let transfers = async { tokio::join!(transfer(&link, 1, 500_000), transfer(&link, 2, 500_000)) };
            tokio::select! {
                biased;
                (one, other) = transfers => { one.unwrap(); other.unwrap() }
                () = trickle => {}
            }
            assert_eq!((tally.whole(), tally.wrong()), (2, vec![]));
            assert!(link.engine_stats().unwrap().lost_packets < 10, "what waits is not lost");
        });
    }
}

#[test]
fn links_that_wait_for_the_same_socket_all_get_their_turn() {
    World::run(2, |world| async move {
        let alice = world.node("alice");
        let mut links = Vec::new();
        let mut tallies = Vec::new();
        for number in 0..6 {
            let peer = world.node(&format!("peer {number}"));
            tallies.push(tally(&peer));
            links.push(world.link(&alice, &peer).await);
            tallies.push(Arc::default());
            std::mem::forget(peer);
        }
        let valve = alice.valves().remove(0);
        let trickle = async {
            loop {
                valve.close_after(2);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let transfers = futures_util::future::join_all(links.iter().map(async |link| {
            transfer(link, 1, 400_000).await.unwrap();
            tokio::time::Instant::now()
        }));
        let ends = tokio::select! {
            biased;
            ends = transfers => ends,
            () = trickle => unreachable!(),
        };
        let (first, last) = (ends.iter().min().unwrap(), ends.iter().max().unwrap());
        assert!(*last - *first < Duration::from_millis(500), "one was held up for {:?}", *last - *first);
    });
}

#[test]
fn a_link_that_is_closed_behind_a_full_socket_still_says_so() {
    World::run(3, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let _tally = tally(&bob);
        let link = world.link(&alice, &bob).await;
        let valve = alice.valves().remove(0);
        let mut channel = link.open(Open::new(TRANSFER, ChannelKind::Reliable)).await.unwrap();
        valve.close_after(3);
        channel.write_all(&[0; 100_000]).await.unwrap();
        link.close();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(bob.mesh().peers(), [alice.hashname()], "nothing came through yet");
        valve.open();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(bob.mesh().peers().is_empty(), "bob was told");
    });
}

#[test]
fn a_stuck_transport_is_left_for_another() {
    World::run(4, |world| async move {
        let (alice, bob) = (world.node_with_quic("alice"), world.node_with_quic("bob"));
        let tally = tally(&bob);
        let info = bob.info();
        let link = world.link(&alice, &bob).await;
        // Until the better one of the two ways is in use.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let stuck = usize::from(matches!(link.path().unwrap().address, PathAddress::Quic(_)));
        assert_eq!(info.addresses().count(), 2);
        let sending = async {
            for number in 0..8 {
                transfer(&link, number, 500_000).await.unwrap();
            }
        };
        let blocking = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            alice.valves()[stuck].close_after(0);
        };
        let both = async { tokio::join!(sending, blocking) };
        tokio::time::timeout(Duration::from_secs(30), both).await.expect("the other way is taken");
        assert_eq!((tally.whole(), tally.wrong()), (8, vec![]));
    });
}

async fn count(incoming: Incoming) {
    let Ok(mut datagrams) = incoming.accept_datagrams() else { return };
    while let Ok(Some(message)) = datagrams.recv().await {
        let _ = datagrams.send(message);
    }
}

/// Packets that a message of this size takes, there and back.
async fn packets(world: &World, link: &Link, size: usize) -> u64 {
    let mut datagrams = link.open_datagrams(Open::new(DATAGRAMS, ChannelKind::Unreliable)).unwrap();
    datagrams.send(vec![0; 1].into()).unwrap();
    datagrams.recv().await.unwrap();
    let before = world.with_network(|network| network.counts().sent);
    datagrams.send(vec![0; size].into()).unwrap();
    datagrams.recv().await.unwrap();
    world.with_network(|network| network.counts().sent) - before
}

#[test]
fn messages_go_whole_once_the_engine_knows_that_the_path_carries_them() {
    for (mtu, whole) in [(1_500, true), (1_300, false)] {
        World::run(5, |world| async move {
            let conditions = Conditions::new().delay(Duration::from_millis(20)).mtu(mtu);
            world.with_network(|network| network.set_conditions(Scope::Everywhere, conditions));
            let (alice, bob) = (world.node("alice"), world.node("bob"));
            let _tally = tally(&bob);
            bob.mesh().handle(DATAGRAMS, Arc::new(count)).unwrap();
            let link = world.link(&alice, &bob).await;
            assert_eq!(packets(&world, &link, 1_300).await, 4, "in halves, there and back");
            transfer(&link, 1, 500_000).await.unwrap();
            // Back it still goes in halves: bob has sent nothing that could have taught him better.
            let taken = packets(&world, &link, 1_300).await;
            assert_eq!(taken < 4, whole, "{taken} packets under {mtu}");
            // Another path may carry less.
            alice.move_to(world.fresh_address());
            alice.mesh().network_changed().unwrap();
            world.with_network(|network| {
                network.set_conditions(Scope::Everywhere, Conditions::new().mtu(1_280));
            });
            tokio::time::sleep(Duration::from_secs(20)).await;
            let mut answered = 0;
            for _ in 0..20 {
                answered += u64::from(
                    tokio::time::timeout(Duration::from_secs(1), packets(&world, &link, 1_300)).await.is_ok(),
                );
            }
            assert!(answered > 15, "{answered} of 20 pass after the move");
        });
    }
}
