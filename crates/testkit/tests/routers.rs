//! Links through routers, and the better paths that follow: introductions, circuits, NATs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::Acceptor as _;
use telemesh_mesh::{Contact, Grants, Invite, Link, LinkError, LinkInfo, PathAddress};
use telemesh_testkit::simnet::NatConfig;
use telemesh_testkit::{Node, TRANSFER, Tally, World, serve, transfer};
use telemesh_wire::{Credential, PathHint, RouterHint};
use tokio::time::sleep;

/// Who somebody is, without any address.
fn keys_of(node: &Node) -> LinkInfo {
    LinkInfo::new(node.info().keys().clone()).unwrap()
}

fn is_direct(link: &Link) -> bool {
    link.path().is_some_and(|path| path.address.is_direct())
}

/// Waits until the link's data goes straight to the peer; whether it did in time.
async fn goes_direct(link: &Link, within: Duration) -> bool {
    let until = tokio::time::Instant::now() + within;
    while tokio::time::Instant::now() < until {
        if is_direct(link) {
            return true;
        }
        sleep(Duration::from_millis(10)).await;
    }
    false
}

#[test]
fn two_that_know_each_others_keys_link_through_a_router_and_then_directly() {
    World::run(1, |world| async move {
        let router = world.router("router");
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.use_router(&alice, &router).await;
        world.use_router(&bob, &router).await;
        bob.mesh().add_contact(keys_of(&alice)).unwrap();
        let link = alice.mesh().link(keys_of(&bob)).await.unwrap();
        assert!(goes_direct(&link, Duration::from_secs(1)).await, "{}", link.explain());
        // The router is not needed any more.
        router.crash();
        let tally = Arc::new(Tally::default());
        bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
        transfer(&link, 1, 100_000).await.unwrap();
        assert_eq!((tally.whole(), tally.wrong().len()), (1, 0));
    });
}

#[test]
fn two_that_know_only_each_others_hashnames_link_through_a_router() {
    World::run(2, |world| async move {
        let router = world.router("router");
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.use_router(&alice, &router).await;
        world.use_router(&bob, &router).await;
        bob.mesh().add_contact(alice.hashname()).unwrap();
        let link = alice.mesh().link(bob.hashname()).await.unwrap();
        assert!(link.state().is_up());
        assert!(goes_direct(&link, Duration::from_secs(1)).await, "{}", link.explain());
    });
}

#[test]
fn a_stranger_who_knows_the_hashname_is_shown_and_gets_in_when_it_is_accepted() {
    World::run(3, |world| async move {
        let router = world.router("router");
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.use_router(&alice, &router).await;
        world.use_router(&bob, &router).await;
        bob.mesh().discover(true);
        let mut discovered = bob.mesh().discovered();
        let dialling = tokio::spawn({
            let (mesh, bob) = (alice.mesh(), bob.hashname());
            async move { mesh.link(bob).await }
        });
        let stranger = discovered.next().await.unwrap();
        assert_eq!(stranger.hashname, alice.hashname());
        assert_eq!(stranger.paths, [PathAddress::Peer(router.hashname())]);
        bob.mesh().link(stranger).await.unwrap();
        assert!(dialling.await.unwrap().unwrap().state().is_up());
    });
}

/// When, counted from the dial, the asker got how many bytes from anybody at all. `which` chooses the target; the worlds are the same
/// otherwise.
fn answers_to_an_asker(which: usize) -> Vec<(Duration, usize)> {
    World::run(4, |world| async move {
        let router = world.router("router");
        let alice = world.node("alice");
        let others = [world.node("unknown"), world.node("offline"), world.node("refusing")];
        for node in [&alice, &others[1], &others[2]] {
            world.use_router(node, &router).await;
        }
        others[1].crash();
        sleep(Duration::from_secs(200)).await;
        let [PathAddress::Udp(here), ..] = alice.addresses()[..] else { panic!("an address") };
        world.take_tapped();
        let started = tokio::time::Instant::now();
        let dialling = tokio::spawn({
            let (mesh, target) = (alice.mesh(), others[which].hashname());
            async move { mesh.link(target).await }
        });
        let mut answers = Vec::new();
        while started.elapsed() < Duration::from_secs(29) {
            sleep(Duration::from_millis(10)).await;
            let tapped = world.take_tapped();
            let to_us = tapped.iter().filter(|tapped| tapped.to == here);
            answers.extend(to_us.map(|tapped| (started.elapsed(), tapped.payload.len())));
        }
        assert!(matches!(dialling.await.unwrap(), Err(LinkError::TimedOut(_))));
        answers
    })
}

#[test]
fn unknown_offline_and_refusing_targets_look_the_same_to_who_asks() {
    let unknown = answers_to_an_asker(0);
    assert!(unknown.len() < 16, "answers to probes and keepalives at most: {unknown:?}");
    assert_eq!(answers_to_an_asker(1), unknown);
    assert_eq!(answers_to_an_asker(2), unknown);
}

#[test]
fn whoever_has_no_grant_is_not_routed() {
    World::run(5, |world| async move {
        let router = world.router("router");
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let link = world.link(&alice, &router).await;
        link.router(true);
        world.link(&bob, &router).await.router(true);
        bob.mesh().add_contact(keys_of(&alice)).unwrap();
        assert!(matches!(alice.mesh().link(keys_of(&bob)).await, Err(LinkError::TimedOut(_))));
        assert_eq!(router.mesh().routing().unwrap().circuits, 0);
    });
}

#[test]
fn without_a_router_a_bare_hashname_fails_at_once() {
    World::run(6, |world| async move {
        let alice = world.node("alice");
        let nobody = world.node("bob").hashname();
        assert!(matches!(alice.mesh().link(nobody).await, Err(LinkError::NoIntroducer(_))));
    });
}

/// Links two nodes behind NATs of these kinds through a router; whether they end up with a direct path.
async fn through_nats(world: &World, first: NatConfig, second: NatConfig) -> bool {
    let router = world.router("router");
    let (one, two) = (world.nat(first), world.nat(second));
    let (alice, bob) = (world.node_behind(one, "alice"), world.node_behind(two, "bob"));
    world.use_router(&alice, &router).await;
    world.use_router(&bob, &router).await;
    bob.mesh().add_contact(keys_of(&alice)).unwrap();
    let tally = Arc::new(Tally::default());
    bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
    let link = alice.mesh().link(keys_of(&bob)).await.unwrap();
    transfer(&link, 1, 200_000).await.unwrap();
    let direct = goes_direct(&link, Duration::from_secs(40)).await;
    transfer(&link, 2, 200_000).await.unwrap();
    assert_eq!((tally.whole(), tally.wrong().len()), (2, 0));
    direct
}

#[test]
fn all_but_two_symmetric_nats_are_opened_from_both_sides() {
    let kinds = [
        NatConfig::full_cone(),
        NatConfig::address_restricted(),
        NatConfig::port_restricted(),
        NatConfig::symmetric(),
    ];
    for (row, first) in kinds.iter().enumerate() {
        for (column, second) in kinds.iter().enumerate() {
            let seed = u64::try_from(row * 10 + column).unwrap();
            let (first, second) = (first.clone(), second.clone());
            let direct =
                World::run(100 + seed, |world| async move { through_nats(&world, first, second).await });
            // A symmetric one is met where the other lets any port of the same address in, or by trying many.
            let hard = row == 3 && column == 3;
            assert_eq!(direct, !hard, "nats {row} and {column}");
        }
    }
}

#[test]
fn a_router_that_restarts_gets_its_circuits_back() {
    World::run(7, |world| async move {
        let router = world.router("router");
        let (one, two) = (world.nat(NatConfig::symmetric()), world.nat(NatConfig::symmetric()));
        let (alice, bob) = (world.node_behind(one, "alice"), world.node_behind(two, "bob"));
        world.use_router(&alice, &router).await;
        world.use_router(&bob, &router).await;
        bob.mesh().add_contact(keys_of(&alice)).unwrap();
        let tally = Arc::new(Tally::default());
        bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
        let link = alice.mesh().link(keys_of(&bob)).await.unwrap();
        let ups = link.state().ups;
        router.crash();
        sleep(Duration::from_millis(500)).await;
        let mesh = router.start();
        mesh.links().iter().for_each(Link::connect);
        let started = tokio::time::Instant::now();
        transfer(&link, 1, 50_000).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(link.state().ups, ups, "the link itself did not notice");
    });
}

#[test]
fn when_the_direct_path_dies_the_router_takes_over_without_a_lost_byte() {
    World::run(8, |world| async move {
        let router = world.router("router");
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.use_router(&alice, &router).await;
        world.use_router(&bob, &router).await;
        bob.mesh().add_contact(keys_of(&alice)).unwrap();
        let tally = Arc::new(Tally::default());
        bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
        let link = alice.mesh().link(keys_of(&bob)).await.unwrap();
        assert!(goes_direct(&link, Duration::from_secs(1)).await);
        sleep(Duration::from_secs(100)).await;
        world.with_network(|network| {
            network.block(alice.host(), bob.host());
            network.block(bob.host(), alice.host());
        });
        let started = tokio::time::Instant::now();
        transfer(&link, 1, 50_000).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        assert!(!is_direct(&link));
        world.with_network(|network| {
            network.unblock(alice.host(), bob.host());
            network.unblock(bob.host(), alice.host());
        });
        assert!(goes_direct(&link, Duration::from_secs(60)).await, "{}", link.explain());
    });
}

/// Waits until a node's router has given it a ticket.
async fn ticketed(node: &Node, router: &Node) -> LinkInfo {
    for _ in 0..100 {
        let info = node.info();
        let hint = info.paths().iter().find(|path| path.router() == Some(router.hashname()));
        if matches!(hint, Some(PathHint::Router(hint)) if !hint.ticket.is_none()) {
            return info;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("no ticket");
}

/// What others need who can reach the node through its routers only.
fn by_router_only(info: &LinkInfo) -> LinkInfo {
    let mut bare = LinkInfo::new(info.keys().clone()).unwrap();
    for path in info.paths().iter().filter(|path| path.router().is_some()) {
        bare = bare.with_path(path.clone()).unwrap();
    }
    LinkInfo::from_json(&bare.to_json()).unwrap()
}

#[test]
fn whoever_has_a_link_json_reaches_its_endpoint_through_a_router_that_it_never_met() {
    World::run(10, |world| async move {
        let router = world.router("router");
        let (one, two) = (world.nat(NatConfig::symmetric()), world.nat(NatConfig::symmetric()));
        let (alice, bob) = (world.node_behind(one, "alice"), world.node_behind(two, "bob"));
        world.use_router(&bob, &router).await;
        let info = by_router_only(&ticketed(&bob, &router).await);
        bob.mesh().add_contact(keys_of(&alice)).unwrap();
        let tally = Arc::new(Tally::default());
        bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
        let link = alice.mesh().link(info).await.unwrap();
        transfer(&link, 1, 50_000).await.unwrap();
        assert!(!is_direct(&link));
        // The router knows her as a guest, and leads her to nobody else.
        assert!(router.mesh().contact(&alice.hashname()).is_none());
        let carol = world.node("carol");
        world.use_router(&carol, &router).await;
        carol.mesh().add_contact(keys_of(&alice)).unwrap();
        let met = alice.mesh().find(&router.hashname()).unwrap();
        alice.mesh().add_contact(router.hashname()).unwrap();
        assert!(met.router(true));
        assert!(matches!(alice.mesh().link(keys_of(&carol)).await, Err(LinkError::TimedOut(_))));
    });
}

#[test]
fn a_ticket_that_is_none_opens_no_router() {
    World::run(11, |world| async move {
        let router = world.router("router");
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.use_router(&bob, &router).await;
        let info = ticketed(&bob, &router).await;
        bob.mesh().add_contact(keys_of(&alice)).unwrap();
        let forged = RouterHint {
            router: LinkInfo::new(router.info().keys().clone())
                .unwrap()
                .with_path(router.addresses()[0])
                .unwrap(),
            ticket: Credential::new(vec![7; 68]).unwrap(),
        };
        let info = LinkInfo::new(info.keys().clone()).unwrap().with_path(forged).unwrap();
        assert!(matches!(alice.mesh().link(info).await, Err(LinkError::TimedOut(_))));
        assert_eq!(router.mesh().links().len(), 1, "the router has not even answered");
    });
}

#[test]
fn a_routers_uri_leads_its_bearer_to_somebody_whom_it_does_not_name() {
    World::run(12, |world| async move {
        let router = world.router("router");
        let (one, two) = (world.nat(NatConfig::symmetric()), world.nat(NatConfig::port_restricted()));
        let (alice, bob) = (world.node_behind(one, "alice"), world.node_behind(two, "bob"));
        world.use_router(&bob, &router).await;
        ticketed(&bob, &router).await;
        let uri = bob.mesh().invite_via(&router.hashname(), Invite::once()).unwrap().unwrap();
        let text = uri.to_secret_string();
        assert!(!text.contains(&bob.hashname().to_string()) && text.contains("sid="), "{}", *text);
        let link = alice.mesh().link(text.as_str()).await.unwrap();
        assert_eq!(link.hashname(), bob.hashname());
        assert!(bob.mesh().contact(&alice.hashname()).is_some(), "the invite was spent");
        assert!(bob.mesh().invites().is_empty());
        // Nobody comes twice with it.
        let carol = world.node("carol");
        assert!(carol.mesh().link(text.as_str()).await.is_err());
        assert!(bob.mesh().contact(&carol.hashname()).is_none());
    });
}

#[test]
fn a_contact_that_becomes_our_router_while_its_link_is_up_gives_a_ticket() {
    World::run(17, |world| async move {
        let (router, bob) = (world.router("router"), world.node("bob"));
        let mut grants = Grants::link();
        grants.insert("router".parse().unwrap()).unwrap();
        router.mesh().set_contact(Contact::new(bob.info()).with_grants(grants)).unwrap();
        let link = bob.mesh().link(router.info()).await.unwrap();
        sleep(Duration::from_secs(5)).await;
        assert!(bob.mesh().invite_via(&router.hashname(), Invite::once()).unwrap().is_none());
        let contact = bob.mesh().contact(&link.hashname()).unwrap();
        bob.mesh().set_contact(contact.with_router(true)).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(bob.mesh().invite_via(&router.hashname(), Invite::once()).unwrap().is_some());
    });
}

#[test]
fn a_routers_uri_is_good_for_all_who_dial_by_it_here_and_once_more_later() {
    World::run(15, |world| async move {
        let router = world.router("router");
        let (one, two) = (world.nat(NatConfig::symmetric()), world.nat(NatConfig::port_restricted()));
        let (alice, bob) = (world.node_behind(one, "alice"), world.node_behind(two, "bob"));
        world.use_router(&bob, &router).await;
        ticketed(&bob, &router).await;
        let uri = bob.mesh().invite_via(&router.hashname(), Invite::once()).unwrap().unwrap();
        let text = uri.to_secret_string();
        let mesh = alice.mesh();
        let (first, second) = tokio::join!(mesh.link(text.as_str()), mesh.link(text.as_str()));
        assert_eq!(first.unwrap().hashname(), second.unwrap().hashname());
        // The link is up, and the invite spent.
        assert!(bob.mesh().invites().is_empty());
        let again = mesh.link(text.as_str());
        let link = tokio::time::timeout(Duration::from_secs(1), again).await.unwrap().unwrap();
        assert_eq!(link.hashname(), bob.hashname());
        // It is down, and the router is not there any more.
        drop((mesh, link));
        alice.crash();
        sleep(Duration::from_secs(200)).await;
        let link = alice.start().link(text.as_str()).await.unwrap();
        assert_eq!(link.hashname(), bob.hashname());
    });
}

#[test]
fn whoever_knows_the_issuer_of_a_routers_uri_comes_to_it_as_its_bearer() {
    World::run(16, |world| async move {
        let router = world.router("router");
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.use_router(&bob, &router).await;
        ticketed(&bob, &router).await;
        let uri = bob.mesh().invite_via(&router.hashname(), Invite::once()).unwrap().unwrap();
        alice.mesh().add_contact(keys_of(&bob)).unwrap();
        let link = alice.mesh().link(uri.to_secret_string().as_str()).await.unwrap();
        assert_eq!(link.hashname(), bob.hashname());
        // With her first data, as by any invite.
        sleep(Duration::from_secs(1)).await;
        assert!(bob.mesh().contact(&alice.hashname()).is_some(), "the invite was spent");
    });
}

#[test]
fn an_invite_behind_a_router_opens_nothing_for_a_contact_that_may_not_link() {
    World::run(14, |world| async move {
        let router = world.router("router");
        let (alice, bob, carol) = (world.node("alice"), world.node("bob"), world.node("carol"));
        world.use_router(&bob, &router).await;
        let shut_out = Contact::new(keys_of(&alice)).with_grants(Grants::none());
        bob.mesh().set_contact(shut_out).unwrap();
        // What the link with her remembers of having been closed is gone.
        bob.crash();
        sleep(Duration::from_secs(1)).await;
        bob.start().link(router.info()).await.unwrap();
        ticketed(&bob, &router).await;
        let uri = bob.mesh().invite_via(&router.hashname(), Invite::once()).unwrap().unwrap();
        let text = uri.to_secret_string();
        let barred = alice.mesh().link(text.as_str()).await;
        assert!(matches!(barred, Err(LinkError::NoIntroducer(_))), "{barred:?}");
        assert!(bob.mesh().find(&alice.hashname()).is_none_or(|link| !link.state().is_up()));
        // The same invite is good for whoever was not shut out.
        carol.mesh().link(text.as_str()).await.unwrap();
    });
}

#[test]
fn a_router_cannot_put_somebody_else_in_between() {
    World::run(13, |world| async move {
        let router = world.router("router");
        let (alice, bob, mallory) = (world.node("alice"), world.node("bob"), world.node("mallory"));
        for node in [&bob, &mallory] {
            world.use_router(node, &router).await;
            ticketed(node, &router).await;
        }
        let uri = bob.mesh().invite_via(&router.hashname(), Invite::once()).unwrap().unwrap();
        let other = mallory.mesh().invite_via(&router.hashname(), Invite::once()).unwrap().unwrap();
        // The router sends the bearer of Bob's URI to Mallory, who has an invite open and wants everybody.
        let forged = uri.with_session(other.session_id().unwrap(), Some(bobs_invite(&bob))).unwrap();
        let failed = alice.mesh().link(forged).await;
        assert!(matches!(failed, Err(LinkError::NoIntroducer(_))), "{failed:?}");
        assert!(alice.mesh().contact(&mallory.hashname()).is_none());
    });
}

fn bobs_invite(bob: &Node) -> telemesh_wire::Invite {
    telemesh_wire::Invite::new(&bob.hashname(), telemesh_wire::InviteSecret::from_bytes([9; 32]))
}
