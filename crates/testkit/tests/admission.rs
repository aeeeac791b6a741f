//! Who gets in: grants, policies, strangers and guests, and what of it outlives a restart.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::time::Duration;

use telemesh_channel::{LinkEvent, Network as _};
use telemesh_mesh::{
    AskAboutStrangers, Claim, Contact, Discover, Grant, Grants, Invite, Link, LinkError, MAX_HELD_STRANGERS,
    Standing, Verdict,
};
use telemesh_testkit::{Node, World};
use tokio::time::{sleep, timeout};

/// Longer than any reservation, and than channels wait for a link.
const LONG: Duration = Duration::from_secs(200);

async fn tries(from: &Node, to: &Node) -> Result<Link, LinkError> {
    from.mesh().link(to.info()).await
}

fn grant(text: &str) -> Grant {
    text.parse().unwrap()
}

#[test]
fn a_contact_without_the_grant_to_link_meets_silence_and_may_be_let_in_again() {
    World::run(1, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.link(&alice, &bob).await;
        sleep(Duration::from_secs(1)).await;
        let barred = Contact::new(alice.info()).with_grants(Grants::none());
        bob.mesh().set_contact(barred.clone()).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(bob.mesh().peers().is_empty(), "the link ended at once");
        assert!(tries(&alice, &bob).await.is_err());
        assert!(bob.mesh().metrics().dropped["not trusted"] > 0);
        bob.mesh().set_contact(barred.with_grants(Grants::link())).unwrap();
        tries(&alice, &bob).await.unwrap();
    });
}

#[test]
fn names_and_grants_stay_when_more_is_learnt_about_a_contact() {
    World::run(2, |world| async move {
        let (alice, bob, carol) = (world.node("alice"), world.node("bob"), world.node("carol"));
        let mut grants = Grants::link();
        grants.insert(grant("router")).unwrap();
        let named = |node: &Node, name: &str| {
            Contact::new(node.info()).with_name(Some(name.parse().unwrap())).with_grants(grants.clone())
        };
        alice.mesh().set_contact(named(&bob, "bob")).unwrap();
        alice.mesh().add_contact(bob.info()).unwrap();
        assert_eq!(alice.mesh().named("bob").unwrap().hashname(), bob.hashname());
        assert!(alice.mesh().has_grant(&bob.hashname(), "router"));
        assert!(!alice.mesh().has_grant(&carol.hashname(), "router"));
        assert_eq!(alice.mesh().grants_of_kind(&bob.hashname(), "router"), ["router"]);
        assert!(alice.mesh().grants_of_kind(&carol.hashname(), "router").is_empty());
        assert!(alice.mesh().downgrade().upgrade().is_some());
        assert!(alice.mesh().set_contact(named(&carol, "bob")).is_err(), "the name is taken");
        assert!(alice.mesh().contact(&carol.hashname()).is_none());
        assert!(alice.mesh().find(&carol.hashname()).is_none());
    });
}

#[test]
fn contacts_invites_and_grants_outlive_a_restart() {
    World::run(3, |world| async move {
        let (alice, bob, carol) = (world.node("alice"), world.node("bob"), world.node("carol"));
        let dave = world.node("dave");
        let invite = Invite::once().uses(2).valid_for(Duration::from_secs(3_600));
        let invite = invite.name("guest".parse().unwrap()).grant(grant("serve"));
        let uri = alice.mesh().invite(invite).unwrap().to_secret_string();
        bob.mesh().link(uri.as_str()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        alice.mesh().saved().await.unwrap();
        alice.crash();
        sleep(Duration::from_secs(10)).await;
        let mesh = alice.start();
        let known = mesh.named("guest").unwrap();
        assert_eq!(known.hashname(), bob.hashname());
        assert!(known.grants().contains("serve") && known.grants().contains(Grant::LINK));
        // It may come back without the invite, and is reached at the address that worked.
        mesh.link(bob.hashname()).await.unwrap();
        // The invite has its other use, and then none.
        carol.mesh().link(uri.as_str()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(mesh.named("guest-2").unwrap().hashname(), carol.hashname());
        assert!(mesh.invites().is_empty());
        assert!(dave.mesh().link(uri.as_str()).await.is_err());
    });
}

#[test]
fn who_was_forgotten_is_forgotten_after_a_restart_too() {
    World::run(4, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.link(&alice, &bob).await;
        sleep(Duration::from_secs(1)).await;
        assert!(bob.mesh().forget(&alice.hashname()));
        bob.mesh().saved().await.unwrap();
        bob.crash();
        sleep(Duration::from_secs(1)).await;
        bob.start();
        assert!(bob.mesh().contacts().is_empty());
        assert!(tries(&alice, &bob).await.is_err());
    });
}

#[test]
fn an_invite_expires_by_the_wall_clock_while_the_endpoint_is_away() {
    World::run(5, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let uri = alice.mesh().invite(Invite::once()).unwrap().to_secret_string();
        assert_eq!(alice.mesh().invites().len(), 1);
        alice.crash();
        sleep(Duration::from_secs(601)).await;
        alice.start();
        assert!(alice.mesh().invites().is_empty());
        assert!(bob.mesh().link(uri.as_str()).await.is_err());
    });
}

#[test]
fn an_invite_and_discover_mode_end_while_the_machine_sleeps() {
    // As when it sleeps: the wall clock goes on and the monotonic one does not.
    World::run(20, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let uri = alice.mesh().invite(Invite::once()).unwrap().to_secret_string();
        alice.mesh().discover(Discover::For(Duration::from_secs(600)));
        alice.clock().jump_ahead(Duration::from_secs(400));
        let left = alice.mesh().invites()[0].expires_in.unwrap();
        assert!(left <= Duration::from_secs(200) && left > Duration::from_secs(199), "{left:?}");
        let Discover::For(left) = alice.mesh().discovering() else { panic!("it has ended") };
        assert!(left <= Duration::from_secs(200) && left > Duration::from_secs(199), "{left:?}");
        let night = Duration::from_secs(8 * 3_600);
        alice.clock().jump_ahead(night);
        let ended = || alice.mesh().invites().is_empty() && alice.mesh().discovering() == Discover::Off;
        assert!(ended());
        assert!(bob.mesh().link(uri.as_str()).await.is_err());
        alice.clock().jump_back(2 * night);
        assert!(ended(), "what is over stays over");
        assert!(bob.mesh().link(uri.as_str()).await.is_err());
    });
}

#[test]
fn setting_the_clock_back_makes_nothing_valid_for_longer() {
    World::run(21, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let uri = alice.mesh().invite(Invite::once()).unwrap().to_secret_string();
        alice.mesh().discover(Discover::For(Duration::from_secs(600)));
        alice.clock().jump_back(Duration::from_secs(3_600));
        sleep(Duration::from_secs(599)).await;
        assert_eq!(alice.mesh().invites().len(), 1);
        assert_ne!(alice.mesh().discovering(), Discover::Off);
        sleep(Duration::from_secs(1)).await;
        assert!(alice.mesh().invites().is_empty() && alice.mesh().discovering() == Discover::Off);
        assert!(bob.mesh().link(uri.as_str()).await.is_err());
    });
}

#[test]
fn a_revoked_invite_is_nothing_and_whom_it_made_a_contact_stays_one() {
    World::run(6, |world| async move {
        let (alice, bob, carol) = (world.node("alice"), world.node("bob"), world.node("carol"));
        let uri = alice.mesh().invite(Invite::once().uses(2)).unwrap().to_secret_string();
        let link = bob.mesh().link(uri.as_str()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let open = alice.mesh().invites();
        assert_eq!((open.len(), open[0].uses), (1, 1));
        assert!(alice.mesh().revoke_invite(&open[0].id) && !alice.mesh().revoke_invite(&open[0].id));
        assert!(carol.mesh().link(uri.as_str()).await.is_err());
        link.ping().await.unwrap();
    });
}

#[test]
fn a_stranger_in_discover_mode_is_shown_and_linked_only_by_the_application() {
    World::run(7, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let mut discovered = bob.mesh().discovered();
        assert!(tries(&alice, &bob).await.is_err(), "discover mode is off");
        assert!(timeout(Duration::from_secs(1), discovered.next()).await.is_err());
        bob.mesh().discover(true);
        let link = alice.mesh().find(&bob.hashname()).unwrap();
        assert!(link.up(Duration::from_secs(60)).await.is_err(), "being shown is not being answered");
        let stranger = discovered.next().await.unwrap();
        assert_eq!(stranger.hashname, alice.hashname());
        assert_eq!(stranger.paths, alice.addresses());
        // Who asks late sees it too.
        assert_eq!(bob.mesh().discovered().next().await.unwrap(), stranger);
        bob.mesh().link(stranger).await.unwrap();
        link.up(Duration::from_secs(1)).await.unwrap();
        assert!(bob.mesh().contact(&alice.hashname()).is_some());
        let mut late = bob.mesh().discovered();
        assert!(timeout(Duration::from_secs(1), late.next()).await.is_err(), "it is a stranger no more");
    });
}

#[test]
fn discover_mode_ends_by_itself() {
    World::run(8, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        bob.mesh().discover(Discover::For(Duration::from_secs(5)));
        sleep(Duration::from_secs(6)).await;
        assert!(tries(&alice, &bob).await.is_err());
        let mut discovered = bob.mesh().discovered();
        assert!(timeout(Duration::from_secs(1), discovered.next()).await.is_err());
    });
}

#[test]
fn a_crowd_of_strangers_is_held_up_to_the_limit() {
    World::run(9, |world| async move {
        let bob = world.node_with("bob", |builder| builder.policy(AskAboutStrangers));
        let mut crowd = Vec::new();
        for number in 0..=MAX_HELD_STRANGERS {
            let stranger = world.node(&format!("stranger {number}"));
            stranger.mesh().add_contact(bob.info()).unwrap().connect();
            sleep(Duration::from_millis(100)).await;
            crowd.push(stranger.hashname());
            stranger.crash();
        }
        let mut discovered = bob.mesh().discovered();
        let mut held = Vec::new();
        while let Ok(Some(stranger)) = timeout(Duration::from_millis(1), discovered.next()).await {
            held.push(stranger.hashname);
        }
        assert_eq!(held, crowd[1..], "the oldest one has gone");
    });
}

/// Everybody gets in who is not barred.
fn contacts_and_guests(claim: &Claim<'_>) -> Verdict {
    match claim.standing {
        Standing::Contact | Standing::Invited | Standing::Stranger => Verdict::Accept,
        _ => Verdict::Ignore,
    }
}

#[test]
fn a_guest_has_a_link_as_long_as_it_is_up_and_is_no_contact() {
    World::run(10, |world| async move {
        let alice = world.node("alice");
        let bob = world.node_with("bob", |builder| builder.policy(contacts_and_guests));
        let link = tries(&alice, &bob).await.unwrap();
        sleep(LONG).await;
        assert!(link.state().is_up());
        assert_eq!(bob.mesh().peers(), [alice.hashname()]);
        assert!(bob.mesh().contacts().is_empty());
        link.close();
        sleep(Duration::from_secs(1)).await;
        assert!(bob.mesh().links().is_empty(), "nothing is kept of it");
        // It may come back, and go without a word.
        link.connect();
        link.up(Duration::from_secs(5)).await.unwrap();
        alice.crash();
        sleep(LONG).await;
        assert!(bob.mesh().links().is_empty());
    });
}

#[test]
fn a_policy_that_panics_lets_nobody_in_and_harms_nobody() {
    World::run(11, |world| async move {
        let (alice, carol) = (world.node("alice"), world.node("carol"));
        let (poison, alices) = (carol.hashname(), alice.hashname());
        let bob = world.node_with("bob", move |builder| {
            builder.policy(move |claim: &Claim<'_>| {
                assert_ne!(claim.hashname, poison, "this is a test");
                if claim.hashname == alices { Verdict::Accept } else { Verdict::Ignore }
            })
        });
        let link = tries(&alice, &bob).await.unwrap();
        assert!(tries(&carol, &bob).await.is_err());
        link.ping().await.unwrap();
    });
}

#[test]
fn a_slow_application_hears_that_it_has_missed_link_events() {
    World::run(12, |world| async move {
        use futures_util::StreamExt as _;
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let mut events = alice.mesh().link_events();
        let link = world.link(&alice, &bob).await;
        assert_eq!(events.next().await, Some(LinkEvent::Up { peer: bob.hashname() }));
        let limit = telemesh_channel::MAX_UNREAD_LINK_EVENTS;
        for _ in 0..=limit / 2 {
            link.close();
            sleep(Duration::from_secs(1)).await;
            link.connect();
            link.up(Duration::from_secs(10)).await.unwrap();
        }
        assert_eq!(events.next().await, Some(LinkEvent::Lagged { missed: 2 }));
        assert!(alice.mesh().peers().contains(&bob.hashname()));
    });
}
