//! Finding each other on a local network: who is heard, who is announced and for how long, and what nobody is made to send.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::time::Duration;

use telemesh_hashname::{CipherSetId, PublicKeys};
use telemesh_mesh::{Contact, DISCOVER_TIME, Discover, Discovered, Grants, LinkInfo, Mesh, State, Via};
use telemesh_testkit::{Lan, Node, Said, World};
use telemesh_transport::{Announcement, DiscoveryEvent};
use tokio::time::{sleep, timeout};

/// Longer than a link that is wanted waits for what was heard, and then for its first packets.
const SOON: Duration = Duration::from_secs(15);

fn node(world: &World, lan: &Lan, name: &str) -> Node {
    let lan = lan.clone();
    world.node_with(name, move |builder| builder.discovery(lan.join()))
}

/// A contact of whom only the hashname is known, with a link that is wanted.
fn expect(mesh: &Mesh, peer: &Node) {
    mesh.add_contact(peer.hashname()).unwrap().connect();
}

async fn discovered(mesh: &Mesh) -> Discovered {
    timeout(SOON, mesh.discovered().next()).await.expect("nobody is discovered").unwrap()
}

fn announcement(node: &Node) -> Announcement {
    let paths = node.addresses();
    Announcement { hashname: node.hashname(), keys: node.keys().public().clone(), paths }
}

fn is_up(mesh: &Mesh, peer: &Node) -> bool {
    mesh.find(&peer.hashname()).is_some_and(|link| link.state().is_up())
}

#[test]
fn two_contacts_who_know_only_each_others_hashname_link_once_one_of_them_announces_itself() {
    World::run(1, |world| async move {
        let lan = Lan::default();
        let (alice, bob) = (node(&world, &lan, "alice"), node(&world, &lan, "bob"));
        expect(&alice.mesh(), &bob);
        expect(&bob.mesh(), &alice);
        sleep(Duration::from_secs(60)).await;
        assert!(matches!(alice.mesh().find(&bob.hashname()).unwrap().state().state, State::Unresolved(_)));
        assert!(lan.said().iter().all(Vec::is_empty), "nobody announces itself unasked");

        bob.mesh().discover(true);
        let link = alice.mesh().find(&bob.hashname()).unwrap();
        link.up(SOON).await.unwrap();
        assert_eq!(lan.said()[0].len(), 0, "who only listens says nothing");
        // What was heard is kept: the keys for as long as the contact is one.
        assert_eq!(alice.mesh().contact(&bob.hashname()).unwrap().info().keys(), bob.keys().public());
    });
}

#[test]
fn in_discover_mode_a_contact_that_is_heard_is_dialled_at_once() {
    World::run(2, |world| async move {
        let lan = Lan::default();
        let (alice, bob) = (node(&world, &lan, "alice"), node(&world, &lan, "bob"));
        expect(&alice.mesh(), &bob);
        expect(&bob.mesh(), &alice);
        alice.mesh().discover(true);
        bob.mesh().discover(true);
        alice.mesh().find(&bob.hashname()).unwrap().up(Duration::from_secs(1)).await.unwrap();
    });
}

#[test]
fn a_stranger_who_is_announced_is_told_and_becomes_a_contact_by_its_hashname_alone() {
    World::run(3, |world| async move {
        let lan = Lan::default();
        let (alice, bob) = (node(&world, &lan, "alice"), node(&world, &lan, "bob"));
        bob.mesh().discover(true);
        let heard = discovered(&alice.mesh()).await;
        assert_eq!((heard.hashname, heard.via, heard.paths), (bob.hashname(), Via::Network, bob.addresses()));
        assert!(alice.mesh().contacts().is_empty(), "to be heard is not to be trusted");

        // Alice trusts Bob; Bob, in discover mode, is asked about her.
        let contact = Contact::new(LinkInfo::unresolved(bob.hashname())).with_name("bob".parse().ok());
        let link = alice.mesh().set_contact(contact).unwrap();
        link.connect();
        let asks = discovered(&bob.mesh()).await;
        assert_eq!((asks.hashname, asks.via), (alice.hashname(), Via::Request));
        bob.mesh().link(asks).await.unwrap();
        link.up(SOON).await.unwrap();
    });
}

#[test]
fn a_link_to_a_hashname_that_was_heard_comes_up() {
    World::run(4, |world| async move {
        let lan = Lan::default();
        let (alice, bob) = (node(&world, &lan, "alice"), node(&world, &lan, "bob"));
        bob.mesh().add_contact(alice.info()).unwrap();
        assert!(alice.mesh().link(bob.hashname()).await.is_err(), "nobody has heard of Bob");
        alice.mesh().forget(&bob.hashname());
        bob.mesh().discover(true);
        discovered(&alice.mesh()).await;
        alice.mesh().link(bob.hashname()).await.unwrap();
    });
}

#[test]
fn discover_mode_ends_by_itself_with_a_goodbye() {
    World::run(5, |world| async move {
        let lan = Lan::default();
        let (alice, bob) = (node(&world, &lan, "alice"), node(&world, &lan, "bob"));
        bob.mesh().discover(true);
        assert_eq!(bob.mesh().discovering(), Discover::For(DISCOVER_TIME));
        sleep(DISCOVER_TIME - Duration::from_millis(1)).await;
        assert!(matches!(lan.said()[1][..], [Said::Announced(_)]));
        sleep(Duration::from_millis(2)).await;
        assert!(matches!(lan.said()[1][..], [Said::Announced(_), Said::Goodbye]));
        assert_eq!(bob.mesh().discovering(), Discover::Off);
        // Whoever comes now sees nobody.
        assert!(timeout(SOON, alice.mesh().discovered().next()).await.is_err());
    });
}

#[test]
fn discover_mode_can_be_ended_early_and_made_longer() {
    World::run(6, |world| async move {
        let lan = Lan::default();
        let bob = node(&world, &lan, "bob");
        bob.mesh().discover(Discover::For(Duration::from_secs(10)));
        sleep(Duration::from_secs(5)).await;
        bob.mesh().discover(Discover::Forever);
        sleep(Duration::from_secs(100_000 / 2)).await;
        assert!(
            matches!(lan.said()[0][..], [Said::Announced(_)]),
            "nothing has changed, nothing is said anew"
        );
        bob.mesh().discover(false);
        sleep(Duration::from_millis(1)).await;
        assert!(matches!(lan.said()[0][..], [Said::Announced(_), Said::Goodbye]));
    });
}

#[test]
fn an_endpoint_that_ends_says_goodbye_first_whether_it_is_closed_or_dropped() {
    World::run(7, |world| async move {
        let lan = Lan::default();
        let (closed, dropped) = (node(&world, &lan, "closed"), node(&world, &lan, "dropped"));
        for node in [&closed, &dropped] {
            node.mesh().discover(Discover::Forever);
        }
        sleep(Duration::from_secs(1)).await;
        let _ = closed.mesh().close().await;
        dropped.crash();
        for said in lan.said() {
            assert!(matches!(said[..], [Said::Announced(_), Said::Goodbye]), "{said:?}");
        }
    });
}

#[test]
fn an_address_that_changes_is_announced_anew() {
    World::run(8, |world| async move {
        let lan = Lan::default();
        let bob = node(&world, &lan, "bob");
        bob.mesh().discover(true);
        sleep(Duration::from_secs(1)).await;
        let before = bob.addresses();
        bob.move_to(world.fresh_address());
        sleep(SOON).await;
        let said = lan.said();
        let [Said::Announced(first), Said::Announced(second)] = &said[0][..] else { panic!("{said:?}") };
        assert_eq!((&first.paths, &second.paths), (&before, &bob.addresses()));
    });
}

#[test]
fn whatever_is_made_up_about_strangers_and_contacts_nothing_goes_to_it_until_a_link_looks_for_paths() {
    World::run(9, |world| async move {
        let lan = Lan::default();
        let (alice, bob) = (node(&world, &lan, "alice"), node(&world, &lan, "bob"));
        let victim = world.stranger();
        let at = telemesh_transport::Transport::local_addresses(&victim);
        expect(&alice.mesh(), &bob);
        // Half a second after Alice has looked.
        sleep(Duration::from_millis(10_500)).await;
        world.take_tapped();
        for seed in 0..100 {
            let mut keys = PublicKeys::new();
            keys.insert_key(CipherSetId::CS11, &[seed; 32]).unwrap();
            let hashname = keys.hashname().unwrap();
            lan.spoof(&DiscoveryEvent::Found(Announcement { hashname, keys, paths: at.clone() }));
        }
        lan.spoof(&DiscoveryEvent::Found(Announcement { paths: at.clone(), ..announcement(&bob) }));
        lan.spoof(&DiscoveryEvent::Found(Announcement { paths: at.clone(), ..announcement(&alice) }));
        sleep(Duration::from_secs(9)).await;
        assert!(world.take_tapped().is_empty(), "an announcement made somebody send");
    });
}

#[test]
fn made_up_addresses_of_a_contact_are_few_and_do_not_push_out_those_that_are_known() {
    World::run(10, |world| async move {
        let lan = Lan::default();
        let (alice, bob) = (node(&world, &lan, "alice"), node(&world, &lan, "bob"));
        bob.mesh().add_contact(alice.info()).unwrap();
        let known = bob.info();
        bob.crash();
        alice.mesh().add_contact(known).unwrap().connect();
        for round in 0..50_u16 {
            let paths =
                (0..16).map(|host| format!("udp:198.19.0.{}:{}", host + 1, round + 1).parse().unwrap());
            let keys = bob.keys().public().clone();
            let made_up = Announcement { hashname: bob.hashname(), keys, paths: paths.collect() };
            lan.spoof(&DiscoveryEvent::Found(made_up));
            sleep(Duration::from_secs(11)).await;
        }
        let link = alice.mesh().find(&bob.hashname()).unwrap();
        let paths = link.explain().paths.len();
        assert!(paths <= 1 + 16, "{paths} paths");
        bob.start().add_contact(alice.info()).unwrap();
        link.up(Duration::from_secs(120)).await.unwrap();
    });
}

#[test]
fn somebody_without_the_grant_to_link_and_keys_of_somebody_else_change_nothing() {
    World::run(11, |world| async move {
        let lan = Lan::default();
        let (alice, bob) = (node(&world, &lan, "alice"), node(&world, &lan, "bob"));
        let barred = Contact::new(LinkInfo::unresolved(bob.hashname())).with_grants(Grants::default());
        alice.mesh().set_contact(barred).unwrap();
        let wrong = Announcement { keys: alice.keys().public().clone(), ..announcement(&bob) };
        lan.spoof(&DiscoveryEvent::Found(wrong));
        sleep(SOON).await;
        assert!(timeout(SOON, alice.mesh().discovered().next()).await.is_err());
        bob.mesh().discover(true);
        sleep(SOON).await;
        assert!(alice.mesh().contact(&bob.hashname()).unwrap().info().keys().is_empty());
        assert!(!is_up(&alice.mesh(), &bob));
    });
}

#[test]
fn whoever_has_gone_is_not_shown_to_those_who_look_later() {
    World::run(12, |world| async move {
        let lan = Lan::default();
        let (alice, bob) = (node(&world, &lan, "alice"), node(&world, &lan, "bob"));
        bob.mesh().discover(true);
        discovered(&alice.mesh()).await;
        bob.mesh().discover(false);
        sleep(Duration::from_secs(1)).await;
        assert!(timeout(SOON, alice.mesh().discovered().next()).await.is_err());
    });
}
