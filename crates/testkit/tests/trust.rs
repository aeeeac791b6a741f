//! Who is a contact, for how long, and what is left of a link, an endpoint or a store that has gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use telemesh_channel::{
    Acceptor, ChannelError, ChannelKind, Incoming, Network as _, Open, OpenError, Opener,
};
use telemesh_hashname::Hashname;
use telemesh_mesh::{Change, Invite, LinkError, MemoryStore, PeerStore, Remembered, Stored};
use telemesh_path::PATH;
use telemesh_testkit::{Node, World};
use telemesh_wire::{CloseReason, LinkInfo, PathAddress, PathHint};
use tokio::time::{Instant, sleep, sleep_until};

const SINK: &str = "org.example.sink";

async fn sink(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    while let Ok(Some(_)) = channel.read_chunk().await {}
    let _ = channel.finish().await;
}

fn contacts(node: &Node) -> Vec<Hashname> {
    node.mesh().links().iter().map(telemesh_mesh::Link::hashname).collect()
}

/// Presents an invite to its issuer, who gets no word back through; and gives up.
async fn present_in_vain(world: &World, bearer: &Node, issuer: &Node, invite: &str) {
    world.with_network(|network| network.block(issuer.host(), bearer.host()));
    let link = bearer.mesh().add_contact(invite).unwrap();
    link.connect();
    sleep(Duration::from_millis(100)).await;
    link.close();
    world.with_network(telemesh_testkit::simnet::Network::heal);
}

#[test]
fn an_invite_makes_one_contact_whenever_the_second_bearer_comes() {
    // The reservation of the first ends about 30 seconds after its initiation arrived, 20 ms after it was sent.
    for micros in (29_995_000..30_005_000).step_by(500) {
        World::run(1, |world| async move {
            let (alice, bob, carol) = (world.node("alice"), world.node("bob"), world.node("carol"));
            let invite = alice.mesh().invite(Invite::once()).unwrap().to_secret_string();
            let start = Instant::now();
            present_in_vain(&world, &carol, &alice, &invite).await;
            assert_eq!(contacts(&alice), [carol.hashname()]);
            sleep_until(start + Duration::from_micros(micros)).await;
            let _ = bob.mesh().link(invite.as_str()).await;
            sleep(Duration::from_secs(60)).await;
            assert_eq!(contacts(&alice), [bob.hashname()], "after {micros} microseconds");
            assert!(carol.mesh().link(invite.as_str()).await.is_err(), "after {micros} microseconds");
        });
    }
}

#[test]
fn whom_the_application_trusts_stays_when_its_invite_runs_out() {
    World::run(2, |world| async move {
        let (alice, carol) = (world.node("alice"), world.node("carol"));
        let invite = alice.mesh().invite(Invite::once()).unwrap().to_secret_string();
        present_in_vain(&world, &carol, &alice, &invite).await;
        alice.mesh().add_contact(carol.info()).unwrap();
        sleep(Duration::from_secs(60)).await;
        assert_eq!(contacts(&alice), [carol.hashname()]);
        carol.mesh().link(alice.info()).await.unwrap();
    });
}

#[test]
fn who_was_forgotten_does_not_come_back_with_the_invite_it_has_used() {
    World::run(3, |world| async move {
        let (alice, bob, carol) = (world.node("alice"), world.node("bob"), world.node("carol"));
        let invite = Invite::once().uses(3).valid_for(Duration::from_secs(3_600));
        let invite = alice.mesh().invite(invite).unwrap().to_secret_string();
        bob.mesh().link(invite.as_str()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(alice.mesh().forget(&bob.hashname()));
        sleep(Duration::from_secs(1)).await;
        assert!(bob.mesh().link(invite.as_str()).await.is_err());
        assert!(contacts(&alice).is_empty());
        // It is still good for others.
        carol.mesh().link(invite.as_str()).await.unwrap();
    });
}

#[test]
fn a_forgotten_link_sends_nothing_whoever_still_holds_it() {
    World::run(4, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let link = world.link(&alice, &bob).await;
        assert!(alice.mesh().forget(&bob.hashname()));
        sleep(Duration::from_secs(1)).await;
        let sent = || world.with_network(|network| network.counts().sent);
        let before = sent();
        link.connect();
        assert!(matches!(link.up(Duration::from_secs(40)).await, Err(LinkError::Closed(_))));
        assert!(link.open(Open::new(SINK, ChannelKind::Reliable)).await.is_err());
        assert!(link.ping().await.is_err());
        sleep(Duration::from_secs(200)).await;
        assert_eq!(sent(), before, "alice is silent, and bob has been told");
    });
}

#[test]
fn nothing_hangs_on_an_endpoint_that_was_dropped() {
    World::run(5, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        bob.mesh().handle(SINK, Arc::new(sink)).unwrap();
        let link = world.link(&alice, &bob).await;
        let mut channel = link.open(Open::new(SINK, ChannelKind::Reliable)).await.unwrap();
        channel.accepted().await.unwrap();
        let mut watch = link.watch();
        let mut datagrams = link.open_datagrams(Open::new(SINK, ChannelKind::Unreliable)).unwrap();
        alice.crash();
        let gone = ChannelError::LinkClosed(CloseReason::ShuttingDown);
        assert_eq!(ChannelError::of(&channel.read_chunk().await.unwrap_err()), Some(&gone));
        assert_eq!(datagrams.recv().await, Err(gone));
        assert!(!watch.wait_for(|state| !state.is_up()).await.unwrap().is_up());
        let error = link.open(Open::new(SINK, ChannelKind::Reliable)).await.unwrap_err();
        assert_eq!(error, OpenError::Channel(ChannelError::LinkDown));
        assert!(matches!(link.up(Duration::from_secs(40)).await, Err(LinkError::Closed(_))));
    });
}

#[test]
fn an_endpoint_that_was_closed_makes_no_links() {
    World::run(6, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let mesh = alice.mesh();
        assert!(mesh.close().await.delivered);
        let before = Instant::now();
        assert!(matches!(mesh.link(bob.info()).await, Err(LinkError::Closed(_))));
        assert!(before.elapsed() < Duration::from_secs(1));
        assert!(mesh.close().await.delivered, "closing again does no harm");
    });
}

#[test]
fn closing_a_link_that_is_down_ends_its_channels_at_once() {
    // The one that dialled, and the other: nobody wants that link any more once it is down.
    for closes in [0, 1] {
        World::run(7, |world| async move {
            let (alice, bob) = (world.node("alice"), world.node("bob"));
            for node in [&alice, &bob] {
                node.mesh().handle(SINK, Arc::new(sink)).unwrap();
            }
            world.link(&alice, &bob).await;
            let (node, other) = if closes == 0 { (&alice, &bob) } else { (&bob, &alice) };
            let link = node.mesh().find(&other.hashname()).unwrap();
            link.up(Duration::from_secs(1)).await.unwrap();
            let mut channel = link.open(Open::new(SINK, ChannelKind::Reliable)).await.unwrap();
            channel.accepted().await.unwrap();
            world.with_network(|network| network.partition(&[alice.host()], &[bob.host()]));
            let mut watch = link.watch();
            watch.wait_for(|state| !state.is_up()).await.unwrap();
            link.close();
            let before = Instant::now();
            let error = channel.read_chunk().await.unwrap_err();
            let closed = ChannelError::LinkClosed(CloseReason::Closed);
            assert_eq!(ChannelError::of(&error), Some(&closed));
            assert!(before.elapsed() < Duration::from_secs(1));
        });
    }
}

#[test]
fn channels_wait_as_long_as_the_application_wants() {
    World::run(8, |world| async move {
        let (alice, bob) = {
            let patient = || world.node_with("patient", |builder| builder.survive_down(Duration::MAX));
            (patient(), patient())
        };
        bob.mesh().handle(SINK, Arc::new(sink)).unwrap();
        let link = world.link(&alice, &bob).await;
        let mut channel = link.open(Open::new(SINK, ChannelKind::Reliable)).await.unwrap();
        channel.accepted().await.unwrap();
        world.with_network(|network| network.partition(&[alice.host()], &[bob.host()]));
        sleep(Duration::from_secs(1_800)).await;
        world.with_network(telemesh_testkit::simnet::Network::heal);
        link.up(Duration::from_secs(65)).await.unwrap();
        channel.write_chunk(vec![1; 1_000].into()).await.unwrap();
        channel.finish().await.unwrap();
        assert_eq!(channel.read_chunk().await.unwrap(), None, "the sink has read to the end");
    });
}

/// A store whose disk is full for a while.
#[derive(Default)]
struct FullDisk {
    failures: AtomicU32,
    contacts: AtomicU32,
    memory: MemoryStore,
}

impl PeerStore for FullDisk {
    fn load(&self) -> io::Result<Stored> {
        self.memory.load()
    }

    fn peer(&self, peer: &Hashname) -> io::Result<Remembered> {
        self.memory.peer(peer)
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn save(&self, changes: &[Change]) -> io::Result<()> {
        let full = |left: u32| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, full).is_ok() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let contacts = changes.iter().filter(|change| matches!(change, Change::Contact(_))).count();
        self.contacts.fetch_add(contacts.try_into().unwrap(), Ordering::Relaxed);
        self.memory.save(changes)
    }
}

#[test]
fn a_handshake_is_answered_when_its_record_is_stored_and_not_before() {
    World::run(9, |world| async move {
        let disk = Arc::new(FullDisk::default());
        let store = disk.clone();
        let (alice, bob) =
            (world.node("alice"), world.node_with("bob", move |builder| builder.store(store.clone())));
        bob.mesh().add_contact(alice.info()).unwrap();
        disk.failures.store(u32::MAX, Ordering::Relaxed);
        let received = || alice.mesh().metrics().dropped_in_all();
        let link = alice.mesh().add_contact(bob.info()).unwrap();
        link.connect();
        assert!(link.up(Duration::from_secs(5)).await.is_err());
        assert_eq!(received(), 0, "not one packet came back");
        disk.failures.store(0, Ordering::Relaxed);
        link.up(Duration::from_secs(35)).await.unwrap();
        assert!(alice.mesh().peers().contains(&bob.hashname()));
    });
}

#[test]
fn a_contact_that_tells_about_other_routers_all_the_time_costs_few_writes() {
    World::run(21, |world| async move {
        let disk = Arc::new(FullDisk::default());
        let store = disk.clone();
        let (alice, bob) =
            (world.node("alice"), world.node_with("bob", move |builder| builder.store(store.clone())));
        let link = world.link(&alice, &bob).await;
        let routers: Vec<_> =
            (0..4).map(|number| world.node(&format!("router {number}")).hashname()).collect();
        let tell = |routers: &[Hashname]| {
            let hints = routers.iter().map(|router| PathHint::from(PathAddress::Peer(*router)));
            let info = hints
                .fold(LinkInfo::unresolved(alice.hashname()), |info, hint| info.with_path(hint).unwrap());
            link.notify(Open::unreliable(PATH).with_body(telemesh_path::encode(&info, 0))).unwrap();
        };
        let known = || {
            let info = bob.mesh().contact(&alice.hashname()).unwrap().info().clone();
            info.paths().iter().filter_map(PathHint::router).collect::<Vec<_>>()
        };
        let written = || disk.contacts.swap(0, Ordering::Relaxed);
        sleep(Duration::from_secs(1)).await;
        written();
        tell(&routers[..2]);
        sleep(Duration::from_secs(1)).await;
        assert_eq!((known(), written()), (routers[..2].to_vec(), 1));
        // In another order, or some of them: nothing new.
        tell(&[routers[1], routers[0]]);
        tell(&routers[..1]);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(written(), 0);
        for number in 0..400u32 {
            let made_up = Hashname::from_bytes([1 + (number % 200) as u8; 32]);
            tell(&[made_up, Hashname::from_bytes([201 + (number % 50) as u8; 32])]);
            sleep(Duration::from_millis(250)).await;
        }
        let many = written();
        assert!((16..=27).contains(&many), "{many} writes in 100 s");
        // Whoever comes to rest is heard.
        sleep(Duration::from_secs(10)).await;
        tell(&routers[2..]);
        sleep(Duration::from_secs(1)).await;
        assert!(known().starts_with(&routers[2..]), "{:?}", known());
    });
}

#[test]
fn an_endpoint_whose_store_has_failed_leaves_nothing_in_memory() {
    World::run(20, |world| async move {
        let disk = Arc::new(FullDisk::default());
        let store = disk.clone();
        let (alice, bob) =
            (world.node("alice"), world.node_with("bob", move |builder| builder.store(store.clone())));
        bob.mesh().add_contact(alice.info()).unwrap();
        let running = Arc::strong_count(&disk);
        disk.failures.store(u32::MAX, Ordering::Relaxed);
        let link = alice.mesh().add_contact(bob.info()).unwrap();
        link.connect();
        assert!(link.up(Duration::from_secs(5)).await.is_err(), "a record waits for the store");
        bob.crash();
        sleep(Duration::from_secs(1)).await;
        // Who holds the store is held by nobody.
        assert!(Arc::strong_count(&disk) < running);
        assert_eq!(Arc::strong_count(&disk), 2, "the test, and the node for its next start");
    });
}
