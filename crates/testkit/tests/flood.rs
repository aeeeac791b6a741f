//! Meshes under a flood of initiations by strangers: who hears what, and that peers are known again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use telemesh_keys::KeySet;
use telemesh_link::{Identity, Link, LinkConfig, Peer};
use telemesh_mesh::LinkInfo;
use telemesh_testkit::World;
use telemesh_wire::CloseReason;
use tokio::time::{Instant, sleep};

/// So many initiations, all different, by somebody whom nobody knows.
fn initiations(to: &LinkInfo, count: usize) -> Vec<Vec<u8>> {
    let keys = KeySet::generate(&mut StdRng::from_seed([66; 32]));
    let identity = Identity::new(keys, 1, telemesh_engine::ENGINE_VERSION).unwrap();
    let peer = Peer { keys: Some(to.keys().clone()), ..Peer::new(to.hashname()) };
    let now = Instant::now().into_std();
    let mut link = Link::new(identity, peer, 0, LinkConfig::default(), [6; 32], now).unwrap();
    link.add_candidate(now, to.addresses().next().unwrap());
    let mut all = Vec::new();
    while all.len() < count {
        link.connect(now, 1_790_000_000_000_000);
        let mut packet = Vec::new();
        while link.poll_transmit(now, &mut packet).is_some() {
            all.push(std::mem::take(&mut packet));
        }
        link.close(now, CloseReason::Closed);
        while link.poll_event().is_some() {}
    }
    all
}

#[test]
fn under_a_flood_a_public_endpoint_gives_cookies_and_any_other_is_silent() {
    for public in [false, true] {
        World::run(1, |world| async move {
            let alice = world.node_with("alice", move |builder| builder.public(public));
            let stranger = world.stranger();
            let to = alice.addresses()[0].socket_address().unwrap();
            for packet in initiations(&alice.info(), 300) {
                stranger.send(to, &packet);
            }
            sleep(Duration::from_secs(1)).await;
            let metrics = alice.mesh().metrics();
            assert_eq!(u64::try_from(stranger.unread()).unwrap(), metrics.cookies);
            assert_eq!(metrics.cookies > 0, public, "{metrics:?}");
            let over = metrics.dropped.get("too many initiations from one address").copied();
            assert_eq!(over.unwrap_or(0) > 0, !public, "{metrics:?}");
        });
    }
}

#[test]
fn a_peer_that_comes_back_is_known_by_what_both_have_stored() {
    World::run(2, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.link(&alice, &bob).await;
        assert_eq!(bob.mesh().metrics().known_initiations, 0);
        sleep(Duration::from_secs(1)).await;
        alice.crash();
        bob.crash();
        sleep(Duration::from_secs(1)).await;
        alice.start();
        bob.start();
        alice.mesh().link(bob.info()).await.unwrap();
        assert_eq!(bob.mesh().metrics().known_initiations, 1);
    });
}
