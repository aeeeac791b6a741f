//! How much an endpoint keeps of its own accord: links and invites, at their limits and one past them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::time::Duration;

use telemesh_mesh::{Invite, LinkError, MAX_INVITES};
use telemesh_testkit::{Node, World};
use tokio::time::sleep;

#[test]
fn there_are_as_many_links_as_configured_and_whoever_comes_then_meets_silence() {
    World::run(1, |world| async move {
        let alice = world.node_with("alice", |builder| builder.max_links(2));
        let [bob, carol, dave] = ["bob", "carol", "dave"].map(|name| world.node(name));
        let invite = alice.mesh().invite(Invite::once().uses(9)).unwrap().to_secret_string();
        bob.mesh().link(invite.as_str()).await.unwrap();
        let carols = carol.mesh().link(invite.as_str()).await.unwrap();

        // One past the limit: an error for ourselves, silence for others, and nothing for those who are there.
        let refused = alice.mesh().add_contact(dave.info());
        assert!(matches!(refused, Err(LinkError::TooMany(2))), "{refused:?}");
        let counted = || alice.mesh().metrics().dropped_in_all();
        let before = counted();
        let unanswered = dave.mesh().link(invite.as_str()).await;
        assert!(matches!(unanswered, Err(LinkError::TimedOut(_))), "{unanswered:?}");
        assert!(counted() > before, "what came from him was counted");
        assert_eq!(links(&alice), 2);
        carols.ping().await.unwrap();

        // Whom we have is no further one, and whoever goes makes room.
        alice.mesh().add_contact(bob.info()).unwrap();
        alice.mesh().forget(&bob.hashname());
        sleep(Duration::from_secs(1)).await;
        dave.mesh().link(invite.as_str()).await.unwrap();
        assert_eq!(links(&alice), 2);
    });
}

fn links(node: &Node) -> usize {
    node.mesh().links().len()
}

#[test]
fn there_are_256_open_invites_and_not_one_more() {
    World::run(2, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let made = |_| alice.mesh().invite(Invite::once()).unwrap().to_secret_string();
        let invites: Vec<_> = (0..MAX_INVITES).map(made).collect();
        assert!(alice.mesh().invite(Invite::once()).is_err(), "one more");
        // The last of them is as good as any, and makes room when it is used up.
        bob.mesh().link(invites.last().unwrap().as_str()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        alice.mesh().invite(Invite::once()).unwrap();
        assert!(alice.mesh().invite(Invite::once()).is_err());
    });
}
