//! Whole meshes on the simulated network, one scenario each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a scenario that cannot go on has failed"
)]

use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::{Acceptor, ChannelError, ChannelKind, Incoming, Network as _, Open, Opener};
use telemesh_mesh::{Invite, LinkError};
use telemesh_testkit::{TRANSFER, Tally, World, serve, transfer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn two_contacts_link_and_a_transfer_arrives_whole() {
    World::run(1, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let tally = Arc::<Tally>::default();
        bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
        let link = world.link(&alice, &bob).await;
        transfer(&link, 1, 1 << 20).await.unwrap();
        assert_eq!((tally.whole(), tally.wrong()), (1, vec![]));
    });
}

#[test]
fn an_invite_is_good_for_one_bearer() {
    World::run(2, |world| async move {
        let (alice, bob, carol) = (world.node("alice"), world.node("bob"), world.node("carol"));
        let invite = alice.mesh().invite(Invite::once()).unwrap().to_secret_string();
        bob.mesh().link(invite.as_str()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let refused = carol.mesh().link(invite.as_str()).await.unwrap_err();
        assert!(matches!(refused, LinkError::TimedOut(_)), "{refused:?}");
        assert_eq!(alice.mesh().peers(), [bob.hashname()]);
    });
}

#[test]
fn an_invite_that_nobody_used_in_time_is_nothing() {
    World::run(3, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let invite = Invite::once().valid_for(Duration::from_secs(5));
        let invite = alice.mesh().invite(invite).unwrap().to_secret_string();
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(bob.mesh().link(invite.as_str()).await.is_err());
    });
}

#[test]
fn a_peer_that_restarts_ends_channels_and_is_back_within_five_seconds() {
    World::run(4, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        bob.mesh().handle("org.example.sink", Arc::new(sink)).unwrap();
        let link = world.link(&alice, &bob).await;
        let mut channel = link.open(Open::new("org.example.sink", ChannelKind::Reliable)).await.unwrap();
        channel.accepted().await.unwrap();
        bob.crash();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mesh = bob.start();
        mesh.link(alice.info()).await.unwrap();
        let restarted = tokio::time::Instant::now();
        let error = channel.read_chunk().await.unwrap_err();
        assert_eq!(ChannelError::of(&error), Some(&ChannelError::PeerRestarted));
        link.up(Duration::from_secs(5)).await.unwrap();
        assert!(restarted.elapsed() < Duration::from_secs(5));
    });
}

async fn sink(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    while let Ok(Some(_)) = channel.read_chunk().await {}
}

#[test]
fn a_forgotten_peer_is_cut_off_at_once_and_meets_silence() {
    World::run(5, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        bob.mesh().handle("org.example.sink", Arc::new(sink)).unwrap();
        let link = world.link(&alice, &bob).await;
        let mut channel = link.open(Open::new("org.example.sink", ChannelKind::Reliable)).await.unwrap();
        channel.accepted().await.unwrap();
        assert!(bob.mesh().forget(&alice.hashname()));
        assert!(channel.read_chunk().await.is_err(), "the channel ends");
        assert!(alice.mesh().link(bob.info()).await.is_err());
        assert!(bob.mesh().peers().is_empty());
        assert!(bob.mesh().metrics().dropped["not trusted"] > 0, "{:?}", bob.mesh().metrics());
    });
}

#[test]
fn a_short_outage_ends_no_channel() {
    World::run(6, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let tally = Arc::<Tally>::default();
        bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
        let link = world.link(&alice, &bob).await;
        let hosts = (alice.host(), bob.host());
        let outage = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            world.with_network(|network| network.partition(&[hosts.0], &[hosts.1]));
            tokio::time::sleep(Duration::from_secs(40)).await;
            world.with_network(|network| network.heal());
        };
        let (sent, ()) = tokio::join!(transfer(&link, 1, 8 << 20), outage);
        sent.unwrap();
        assert_eq!((tally.whole(), tally.wrong()), (1, vec![]));
    });
}

#[test]
fn a_long_outage_ends_channels_and_the_link_comes_back_by_itself() {
    World::run(7, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        bob.mesh().handle("org.example.sink", Arc::new(sink)).unwrap();
        let link = world.link(&alice, &bob).await;
        let mut channel = link.open(Open::new("org.example.sink", ChannelKind::Reliable)).await.unwrap();
        channel.accepted().await.unwrap();
        world.with_network(|network| network.partition(&[alice.host()], &[bob.host()]));
        let error = channel.read_chunk().await.unwrap_err();
        assert_eq!(ChannelError::of(&error), Some(&ChannelError::LinkDown));
        world.with_network(|network| network.heal());
        link.up(Duration::from_secs(65)).await.unwrap();
    });
}

#[test]
fn moving_to_another_address_in_a_transfer_loses_nothing() {
    for mover in [0, 1] {
        World::run(8 + mover, |world| async move {
            let (alice, bob) = (world.node("alice"), world.node("bob"));
            let tally = Arc::<Tally>::default();
            bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
            let link = world.link(&alice, &bob).await;
            let moves = async {
                for _ in 0..5 {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    let node = if mover == 0 { &alice } else { &bob };
                    node.move_to(world.fresh_address());
                }
            };
            let (sent, ()) = tokio::join!(transfer(&link, 1, 16 << 20), moves);
            sent.unwrap();
            assert_eq!((tally.whole(), tally.wrong()), (1, vec![]));
        });
    }
}

#[test]
fn unreliable_messages_pass_and_close() {
    World::run(10, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        bob.mesh().handle("org.example.echo", Arc::new(echo)).unwrap();
        let link = world.link(&alice, &bob).await;
        let mut datagrams =
            link.open_datagrams(Open::new("org.example.echo", ChannelKind::Unreliable)).unwrap();
        let largest = vec![7; datagrams.max_size()];
        for message in [b"one".to_vec(), Vec::new(), largest] {
            datagrams.send(message.clone().into()).unwrap();
            assert_eq!(datagrams.recv().await.unwrap().unwrap(), message);
        }
        assert!(datagrams.send(vec![0; datagrams.max_size() + 1].into()).is_err());
        let mut refused = link.open_datagrams(Open::new("org.example.no", ChannelKind::Unreliable)).unwrap();
        assert!(matches!(refused.recv().await, Err(ChannelError::Refused(_))));
    });
}

async fn echo(incoming: Incoming) {
    let Ok(mut datagrams) = incoming.accept_datagrams() else { return };
    while let Ok(Some(message)) = datagrams.recv().await {
        let _ = datagrams.send(message);
    }
}

#[test]
fn a_thousand_channels_at_once_and_the_next_is_refused_as_busy() {
    World::run(11, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        bob.mesh().handle("org.example.sink", Arc::new(sink)).unwrap();
        let link = world.link(&alice, &bob).await;
        let mut open = Vec::new();
        for _ in 0..1_024 {
            let mut channel = link.open(Open::new("org.example.sink", ChannelKind::Reliable)).await.unwrap();
            channel.write_all(b"x").await.unwrap();
            open.push(channel);
        }
        for channel in &mut open {
            channel.accepted().await.unwrap();
        }
        let mut next = link.open(Open::new("org.example.sink", ChannelKind::Reliable)).await.unwrap();
        let refused = next.accepted().await.unwrap_err();
        assert!(refused.to_string().contains("busy"), "{refused}");
        open.truncate(1_000);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut again = link.open(Open::new("org.example.sink", ChannelKind::Reliable)).await.unwrap();
        again.accepted().await.unwrap();
    });
}

#[test]
fn closing_delivers_what_was_ended() {
    World::run(12, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let tally = Arc::<Tally>::default();
        bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
        bob.mesh()
            .handle(
                "org.example.count",
                Arc::new(|incoming: Incoming| async move {
                    let mut all = Vec::new();
                    incoming.accept().unwrap().read_to_end(&mut all).await.unwrap();
                    assert_eq!(all.len(), 3 << 20);
                }),
            )
            .unwrap();
        let link = world.link(&alice, &bob).await;
        let mut channel = link.open(Open::new("org.example.count", ChannelKind::Reliable)).await.unwrap();
        channel.write_all(&vec![1; 3 << 20]).await.unwrap();
        channel.shutdown().await.unwrap();
        drop(channel);
        assert!(alice.mesh().close().await.delivered);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(bob.mesh().peers().is_empty(), "the peer was told");
    });
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        World::run(seed, |world| async move {
            let (alice, bob) = (world.node("alice"), world.node("bob"));
            let tally = Arc::<Tally>::default();
            bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
            let link = world.link(&alice, &bob).await;
            transfer(&link, 1, 1 << 20).await.unwrap();
            tokio::time::sleep(Duration::from_secs(300)).await;
            world.with_network(|network| network.trace_hash())
        })
    };
    assert_eq!(trace(20), trace(20));
    assert_ne!(trace(20), trace(21));
}
