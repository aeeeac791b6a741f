//! What a reliable channel promises, on the simulated network: ends, refusals, waiting, one scenario each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::{Acceptor, Channel, ChannelError, ChannelKind, Incoming, Open, Opener};
use telemesh_mesh::Link;
use telemesh_testkit::{Node, World};
use telemesh_wire::{Refusal, RefusalCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TYPE: &str = "org.example.thing";

/// Two linked nodes, of which the second answers channels of one type.
async fn linked<F>(
    world: &World,
    handler: impl Fn(Incoming) -> F + Send + Sync + 'static,
) -> (Node, Node, Link)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (alice, bob) = (world.node("alice"), world.node("bob"));
    bob.mesh().handle(TYPE, Arc::new(handler)).unwrap();
    let link = world.link(&alice, &bob).await;
    (alice, bob, link)
}

async fn open(link: &Link) -> Channel {
    link.open(Open::new(TYPE, ChannelKind::Reliable)).await.unwrap()
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(5), future).await.expect("it ends soon")
}

#[test]
fn half_closed_channels_still_read_and_write() {
    World::run(1, |world| async move {
        let (_alice, _bob, link) = linked(&world, |incoming| async move {
            let mut channel = incoming.accept().unwrap();
            let mut request = String::new();
            channel.read_to_string(&mut request).await.unwrap();
            channel.write_all(request.to_uppercase().as_bytes()).await.unwrap();
            channel.shutdown().await.unwrap();
        })
        .await;
        let mut channel = open(&link).await;
        channel.write_all(b"hello").await.unwrap();
        channel.shutdown().await.unwrap();
        let mut answer = String::new();
        soon(channel.read_to_string(&mut answer)).await.unwrap();
        assert_eq!(answer, "HELLO");
    });
}

#[test]
fn shutting_down_again_after_the_acknowledgement_is_nothing_to_wait_for() {
    World::run(2, |world| async move {
        let (alice, _bob, link) = linked(&world, |incoming| async move {
            let mut channel = incoming.accept().unwrap();
            while let Ok(Some(_)) = channel.read_chunk().await {}
        })
        .await;
        let mut channel = open(&link).await;
        channel.write_all(b"all").await.unwrap();
        channel.shutdown().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        channel.shutdown().await.unwrap();
        drop(channel);
        let before = tokio::time::Instant::now();
        assert!(alice.mesh().close().await.delivered);
        assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    });
}

#[test]
fn an_answer_to_somebody_who_stopped_reading_fails_instead_of_waiting() {
    World::run(3, |world| async move {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (_alice, bob, link) = linked(&world, move |incoming| {
            let tell = tell.clone();
            async move {
                // By now the opener's stop has arrived too.
                tokio::time::sleep(Duration::from_secs(1)).await;
                let mut channel = incoming.accept().unwrap();
                let written = soon(channel.write_all(b"x")).await.map_err(|error| error.to_string());
                let ended = soon(channel.shutdown()).await.map_err(|error| error.to_string());
                tell.send((written, ended)).unwrap();
            }
        })
        .await;
        let mut channel = open(&link).await;
        channel.write_all(b"only one way").await.unwrap();
        channel.stop_reading(7);
        let (written, _ended) = told.recv().await.unwrap();
        assert!(written.unwrap_err().contains("code 7"));
        channel.shutdown().await.unwrap();
        drop(channel);
        // Nothing waits for an acknowledgement that never comes.
        let before = tokio::time::Instant::now();
        assert!(bob.mesh().close().await.delivered);
        assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    });
}

#[test]
fn both_halves_of_a_refused_channel_hear_the_reason() {
    // Under loss the bare stop often comes before the words.
    for seed in 0..20 {
        World::run(seed, |world| async move {
            let (_alice, _bob, link) = linked(&world, |incoming| async move {
                incoming.refuse(Refusal::new(RefusalCode::Application, "closed on Mondays"));
            })
            .await;
            let conditions = telemesh_testkit::simnet::Conditions::new()
                .delay(Duration::from_millis(20))
                .jitter(Duration::from_millis(30))
                .loss(0.3);
            let everywhere = telemesh_testkit::simnet::Scope::Everywhere;
            world.with_network(|network| network.set_conditions(everywhere, conditions));
            let (mut reading, mut writing) = open(&link).await.into_split();
            let reader = tokio::spawn(async move { reading.read_chunk().await.unwrap_err() });
            let writer = tokio::spawn(async move {
                loop {
                    if let Err(error) = writing.write_all(&[0; 1_000]).await {
                        return error;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            for error in [reader.await.unwrap(), writer.await.unwrap()] {
                let error = ChannelError::of(&error).unwrap();
                assert!(matches!(error, ChannelError::Refused(_)), "seed {seed}: {error}");
                assert!(error.to_string().contains("Mondays"));
            }
        });
    }
}

#[test]
fn a_reset_is_read_as_often_as_one_asks() {
    World::run(4, |world| async move {
        let (_alice, _bob, link) = linked(&world, |incoming| async move {
            let mut channel = incoming.accept().unwrap();
            channel.write_all(b"x").await.unwrap();
            channel.reset(9);
        })
        .await;
        let mut channel = open(&link).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..3 {
            let error = soon(channel.read_chunk()).await.unwrap_err();
            assert_eq!(ChannelError::of(&error), Some(&ChannelError::Reset(9)));
        }
    });
}

#[test]
fn who_gives_up_waiting_for_a_channel_holds_nobody_up() {
    World::run(5, |world| async move {
        let (_alice, _bob, link) = linked(&world, |incoming| async move {
            let mut channel = incoming.accept().unwrap();
            while let Ok(Some(_)) = channel.read_chunk().await {}
        })
        .await;
        // More than a fresh engine permits at once, and nobody yields, so that no permission can come.
        let mut opened = Vec::new();
        let mut waiting = Vec::new();
        for _ in 0..64 {
            let mut opening = Box::pin(open(&link));
            match futures_util::FutureExt::now_or_never(&mut opening) {
                Some(channel) => opened.push(channel),
                None => waiting.push(opening),
            }
        }
        assert!(!opened.is_empty() && !waiting.is_empty());
        // Whoever stands first in the line goes.
        waiting.drain(..8);
        for channel in &mut opened {
            channel.write_all(b"x").await.unwrap();
        }
        for opening in waiting {
            opened.push(soon(opening).await);
        }
        for channel in &mut opened {
            soon(channel.accepted()).await.unwrap();
        }
    });
}

#[test]
fn what_was_not_ended_in_order_is_reset() {
    World::run(6, |world| async move {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (_alice, _bob, link) = linked(&world, move |incoming| {
            let tell = tell.clone();
            async move {
                let mut channel = incoming.accept().unwrap();
                let mut all = Vec::new();
                tell.send(channel.read_to_end(&mut all).await.map_err(|error| error.to_string())).unwrap();
            }
        })
        .await;
        for ended in [true, false] {
            let mut channel = open(&link).await;
            channel.write_all(b"hello").await.unwrap();
            channel.accepted().await.unwrap();
            if ended {
                channel.shutdown().await.unwrap();
            }
            drop(channel);
            let seen = soon(told.recv()).await.unwrap();
            assert_eq!(seen.is_ok(), ended, "{seen:?}");
        }
    });
}

#[test]
fn answers_to_many_channels_go_together() {
    const CHANNELS: u64 = 64;
    World::run(21, |world| async move {
        let (alice, _bob, link) = linked(&world, |incoming| async move {
            let mut channel = incoming.accept().unwrap();
            let request = channel.read_chunk().await.unwrap().unwrap();
            channel.write_chunk(request).await.unwrap();
            channel.finish().await.unwrap();
        })
        .await;
        soon(request(&link)).await;
        let before = alice.mesh().metrics().traffic.packets_received;
        soon(futures_util::future::join_all((0..CHANNELS).map(|_| request(&link)))).await;
        let packets = alice.mesh().metrics().traffic.packets_received - before;
        // Each alone would be three at least: the answer to the open, the request back, the end.
        assert!(packets < 3 * CHANNELS, "{packets} packets");
    });
}

/// One request on a channel of its own, to its end.
async fn request(link: &Link) {
    let mut channel = open(link).await;
    channel.write_all(b"ping").await.unwrap();
    channel.shutdown().await.unwrap();
    let mut answer = String::new();
    channel.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "ping");
}

#[test]
fn opening_and_accepting_are_told_soon_although_nobody_writes() {
    World::run(22, |world| async move {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (_alice, _bob, link) = linked(&world, move |incoming| {
            tell.send(()).unwrap();
            async move {
                let _channel = incoming.accept().unwrap();
                std::future::pending::<()>().await;
            }
        })
        .await;
        soon(open(&link).await.accepted()).await.unwrap();
        told.recv().await.unwrap();
        // 20 ms there, 20 ms back, and the few that each may wait for company.
        let began = tokio::time::Instant::now();
        let mut channel = open(&link).await;
        soon(told.recv()).await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(26), "opened after {:?}", began.elapsed());
        soon(channel.accepted()).await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(52), "accepted after {:?}", began.elapsed());
    });
}

#[test]
fn open_message_request_and_end_are_one_packet() {
    World::run(23, |world| async move {
        let (alice, _bob, link) = linked(&world, |incoming| async move {
            let mut channel = incoming.accept().unwrap();
            channel.cork(true);
            let mut request = Vec::new();
            channel.read_to_end(&mut request).await.unwrap();
            channel.write_all(&request).await.unwrap();
            channel.finish().await.unwrap();
            channel.cork(false);
        })
        .await;
        soon(request(&link)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let traffic = || alice.mesh().metrics().traffic;
        let before = traffic();
        let mut channel = open(&link).await;
        channel.cork(true);
        channel.write_all(b"ping").await.unwrap();
        channel.shutdown().await.unwrap();
        assert_eq!(traffic().packets_sent, before.packets_sent, "all of it waits");
        channel.cork(false);
        assert_eq!(traffic().packets_sent, before.packets_sent + 1);
        let mut answer = String::new();
        soon(channel.read_to_string(&mut answer)).await.unwrap();
        assert_eq!(answer, "ping");
        assert_eq!(traffic().packets_received, before.packets_received + 1);
    });
}

#[test]
fn a_writer_that_writes_nothing_hears_that_nobody_reads() {
    World::run(24, |world| async move {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (alice, _bob, link) = linked(&world, move |incoming| {
            let tell = tell.clone();
            async move {
                let (_read, write) = incoming.accept().unwrap().into_split();
                tell.send(None).unwrap();
                tell.send(Some(write.stopped().await.to_string())).unwrap();
            }
        })
        .await;
        let mut given_up = open(&link).await;
        given_up.accepted().await.unwrap();
        assert_eq!(told.recv().await.unwrap(), None);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(told.try_recv().is_err(), "it is not given up yet");
        given_up.stop_reading(7);
        let why = soon(told.recv()).await.unwrap().unwrap();
        assert!(why.contains("code 7"), "{why}");
        // And when there is nobody any more.
        let mut cut = open(&link).await;
        cut.accepted().await.unwrap();
        assert_eq!(told.recv().await.unwrap(), None);
        let _ = alice.mesh().close().await;
        assert!(soon(told.recv()).await.unwrap().is_some());
    });
}

#[test]
fn who_watches_a_direction_hears_of_its_end_and_does_not_keep_the_channel() {
    World::run(25, |world| async move {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (_alice, _bob, link) = linked(&world, move |incoming| {
            let tell = tell.clone();
            async move {
                let (read, mut write) = incoming.accept().unwrap().into_split();
                let ended = tokio::spawn(write.stopped());
                write.finish().await.unwrap();
                tell.send(ended.await.unwrap().to_string()).unwrap();
                let dropped = tokio::spawn(write.stopped());
                drop((read, write));
                tell.send(dropped.await.unwrap().to_string()).unwrap();
            }
        })
        .await;
        let mut channel = open(&link).await;
        channel.accepted().await.unwrap();
        for _ in 0..2 {
            assert!(soon(told.recv()).await.is_some());
        }
    });
}

#[test]
fn what_was_just_written_leaves_before_the_link_is_closed() {
    World::run(26, |world| async move {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (_alice, _bob, link) = linked(&world, move |incoming| {
            let tell = tell.clone();
            async move {
                let mut channel = incoming.accept().unwrap();
                let first = channel.read_chunk().await.unwrap();
                tell.send(first).unwrap();
            }
        })
        .await;
        let mut channel = open(&link).await;
        channel.cork(true);
        channel.write_all(b"last words").await.unwrap();
        link.close();
        let first = soon(told.recv()).await.unwrap().unwrap();
        assert_eq!(&first[..], b"last words");
    });
}
