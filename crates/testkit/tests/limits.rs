//! What a contact cannot do to an endpoint, however hard it tries: the limits of channels, at the limit and beyond.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use telemesh_channel::{
    Acceptor, Channel, ChannelError, ChannelKind, DatagramError, Incoming, Open, OpenError, Opener,
};
use telemesh_engine::{Config, Event, StreamId};
use telemesh_hashname::Hashname;
use telemesh_mesh::{Change, Link, MemoryStore, PeerStore, Remembered, Stored};
use telemesh_testkit::simnet::{Conditions, Network, Scope};
use telemesh_testkit::{Bare, Node, TRANSFER, Tally, World, serve, transfer};
use telemesh_wire::limits::MAX_OPEN_LENGTH;
use telemesh_wire::{Frame, RefusalCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const TYPE: &str = "org.example.thing";

fn reliable() -> Open {
    Open::new(TYPE, ChannelKind::Reliable)
}

fn unreliable() -> Open {
    Open::new(TYPE, ChannelKind::Unreliable)
}

async fn echo(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    while let Ok(Some(chunk)) = channel.read_chunk().await {
        if channel.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = channel.finish().await;
}

/// Holds the channel and never reads.
async fn stall(incoming: Incoming) {
    let _channel = incoming.accept();
    std::future::pending::<()>().await;
}

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

/// A node, and a hostile contact of it.
async fn attacked<F>(world: &World, handler: impl Fn(Incoming) -> F + Send + Sync + 'static) -> (Node, Bare)
where
    F: Future<Output = ()> + Send + 'static,
{
    let bob = world.node("bob");
    bob.mesh().handle(TYPE, Arc::new(handler)).unwrap();
    let mut mallory = world.bare();
    mallory.connect(&bob).await;
    (bob, mallory)
}

fn filled(length: usize) -> Open {
    let overhead = reliable().with_body(vec![0; 60_000]).encoded_length() - 60_000;
    reliable().with_body(vec![0; length - overhead])
}

#[test]
fn an_open_message_has_at_most_64_kib() {
    World::run(1, |world| async move {
        let (_alice, _bob, link) = linked(&world, |incoming| async move {
            let length = incoming.open().body.len() as u32;
            let mut channel = incoming.accept().unwrap();
            channel.write_all(&length.to_be_bytes()).await.unwrap();
            channel.finish().await.unwrap();
        })
        .await;
        let largest = filled(MAX_OPEN_LENGTH);
        let length = largest.body.len();
        let mut channel = link.open(largest).await.unwrap();
        assert_eq!(channel.read_u32().await.unwrap() as usize, length);
        assert!(matches!(link.open(filled(MAX_OPEN_LENGTH + 1)).await, Err(OpenError::Invalid(_))));
        // An unreliable one must fit a packet, or two halves.
        let max = link.open_datagrams(unreliable()).unwrap().max_size();
        let error = link.open_datagrams(unreliable().with_body(vec![0; max])).unwrap_err();
        assert!(matches!(error, OpenError::TooLarge { .. }), "{error}");
    });
}

/// Begins a stream with these bytes.
fn begin(mallory: &mut Bare, bytes: &[u8]) -> StreamId {
    let engine = mallory.engine(0);
    let id = engine.open().expect("a stream is permitted");
    assert_eq!(engine.write(id, bytes), Ok(bytes.len()));
    id
}

fn stopped(mallory: &mut Bare) -> Vec<StreamId> {
    let events = std::iter::from_fn(|| mallory.engine(0).poll_event());
    events
        .filter_map(|event| match event {
            Event::Stopped(id, _) => Some(id),
            _ => None,
        })
        .collect()
}

#[test]
fn an_open_message_that_claims_more_is_refused_at_its_first_bytes() {
    World::run(2, |world| async move {
        let (_bob, mut mallory) = attacked(&world, stall).await;
        // Lengths as varints: at the limit, one more, and four gigabytes.
        let lengths: [&[u8]; 3] = [&[0x80, 0x80, 0x04], &[0x81, 0x80, 0x04], &[0xff, 0xff, 0xff, 0xff, 0x0f]];
        let ids = lengths.map(|bytes| begin(&mut mallory, bytes));
        mallory.run_for(Duration::from_secs(1)).await;
        let mut stopped = stopped(&mut mallory);
        stopped.sort_unstable();
        assert_eq!(stopped, ids[1..]);
    });
}

#[test]
fn half_sent_open_messages_have_a_mebibyte_together() {
    World::run(3, |world| async move {
        let (_bob, mut mallory) = attacked(&world, |incoming| async move {
            let _channel = incoming.accept();
            std::future::pending::<()>().await;
        })
        .await;
        let mut part = vec![0x80, 0x80, 0x04];
        part.resize(60_000, 0);
        for round in 0..3 {
            let mut held = Vec::new();
            for _ in 0..20 {
                held.push(begin(&mut mallory, &part));
                mallory.run_for(Duration::from_millis(500)).await;
            }
            let refused = stopped(&mut mallory);
            assert_eq!(refused.len(), 3, "round {round}: 17 of 60,000 bytes fit, and make room for no other");
            // A whole one costs nothing of it.
            let whole = begin(&mut mallory, &reliable().encode_delimited().unwrap());
            mallory.run_for(Duration::from_millis(500)).await;
            assert!(!stopped(&mut mallory).contains(&whole), "round {round}");
            // What is given up makes room again.
            for id in held {
                let _ = mallory.engine(0).reset(id, 0);
            }
            mallory.run_for(Duration::from_secs(1)).await;
            stopped(&mut mallory);
        }
    });
}

#[test]
fn a_peer_has_as_many_channels_as_configured_and_no_more() {
    World::run(4, |world| async move {
        let bob = world.node_with("bob", |builder| {
            let mut config = Config::default();
            config.max_streams = 80;
            builder.engine(config)
        });
        bob.mesh().handle(TYPE, Arc::new(stall)).unwrap();
        let mut mallory = world.bare();
        mallory.connect(&bob).await;
        let mut opened = 0;
        for _ in 0..20 {
            while let Some(id) = mallory.engine(0).open() {
                mallory.engine(0).write(id, &[0x10]).unwrap();
                opened += 1;
            }
            mallory.run_for(Duration::from_millis(200)).await;
        }
        assert_eq!(opened, 80);
    });
}

#[test]
fn only_so_many_refusals_are_answered() {
    World::run(5, |world| async move {
        let (_alice, _bob, link) = linked(&world, echo).await;
        for _ in 0..2 {
            let start = tokio::time::Instant::now();
            let open = || link.open(Open::new("org.example.unknown", ChannelKind::Reliable));
            let mut channels = Vec::new();
            for _ in 0..150 {
                channels.push(open().await.unwrap());
            }
            let (mut refused, mut reset) = (0, 0);
            for channel in &mut channels {
                match channel.accepted().await.unwrap_err() {
                    OpenError::Refused(refusal) => {
                        assert_eq!(refusal.code(), RefusalCode::UnknownType);
                        refused += 1;
                    }
                    OpenError::Channel(ChannelError::Reset(_)) => reset += 1,
                    other => panic!("{other}"),
                }
            }
            // A few more are earned while they come in.
            let earned = start.elapsed().as_millis() / 10;
            assert!((100..=100 + earned).contains(&refused), "{refused} refused, {reset} reset");
            assert_eq!(refused + reset, 150);
            drop(channels);
            sleep(Duration::from_secs(2)).await;
        }
        // A channel of a type that is served works all the while.
        let mut channel = link.open(reliable()).await.unwrap();
        channel.accepted().await.unwrap();
    });
}

#[test]
fn a_peer_that_never_reads_holds_little_and_disturbs_nobody() {
    World::run(6, |world| async move {
        let (_alice, bob, link) = linked(&world, stall).await;
        let tally = Arc::<Tally>::default();
        bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
        let mut stalled: Vec<Channel> = Vec::new();
        for _ in 0..8 {
            let mut channel = link.open(reliable()).await.unwrap();
            let mut written = 0;
            while let Ok(result) = timeout(Duration::from_secs(2), channel.write(&[0; 10_000])).await {
                written += result.unwrap();
            }
            assert!(written > 500_000, "{written} bytes were taken");
            assert!(written < 700_000, "{written} bytes are held for somebody who does not read");
            stalled.push(channel);
        }
        timeout(Duration::from_secs(10), transfer(&link, 1, 2 << 20)).await.expect("others go on").unwrap();
        assert_eq!((tally.whole(), tally.wrong()), (1, vec![]));
    });
}

#[test]
fn a_peer_that_never_acknowledges_holds_the_send_window() {
    World::run(7, |world| async move {
        let (bob, mut mallory) = attacked(&world, stall).await;
        let link = bob.mesh().links().remove(0);
        let mut channel = link.open(reliable()).await.unwrap();
        let mut written = 0;
        for _ in 0..100 {
            while let Some(result) = channel.write(&[0; 10_000]).now_or_never() {
                written += result.unwrap();
            }
            // It keeps the link up and drops all that its engine should answer.
            mallory.run_for(Duration::from_secs(1)).await;
        }
        assert!(written < 700_000, "{written} bytes");
        assert!(link.state().is_up());
        drop(channel);
        link.open(reliable()).await.unwrap();
    });
}

#[test]
fn a_handler_that_panics_harms_no_other_channel() {
    World::run(8, |world| async move {
        let (_alice, _bob, link) = linked(&world, |incoming: Incoming| async move {
            match incoming.open().body.as_ref() {
                b"before" => panic!("this is a test"),
                b"after" => {
                    let _channel = incoming.accept().unwrap();
                    sleep(Duration::from_secs(1)).await;
                    panic!("this is a test");
                }
                _ => echo(incoming).await,
            }
        })
        .await;
        let mut good = link.open(reliable()).await.unwrap();
        good.write_all(b"one").await.unwrap();
        let mut back = [0; 3];
        good.read_exact(&mut back).await.unwrap();

        let mut before = link.open(reliable().with_body(b"before".to_vec())).await.unwrap();
        let error = before.accepted().await.unwrap_err();
        assert!(
            matches!(&error, OpenError::Refused(refusal) if refusal.code() == RefusalCode::Internal),
            "{error}"
        );
        let mut after = link.open(reliable().with_body(b"after".to_vec())).await.unwrap();
        after.accepted().await.unwrap();
        assert!(after.read_chunk().await.is_err());

        good.write_all(b"two").await.unwrap();
        good.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"two");
    });
}

/// Numbers of the peer's channels and of the node's own.
fn numbers(mallory: &Bare, bob: &Node) -> (u32, u32) {
    if mallory.hashname() > bob.hashname() { (1, 2) } else { (2, 1) }
}

#[test]
fn unreliable_channels_of_wrong_numbers_are_none() {
    World::run(9, |world| async move {
        let (tell, mut told) = mpsc::unbounded_channel();
        let (bob, mut mallory) = attacked(&world, move |incoming| {
            let tell = tell.clone();
            async move {
                let mut datagrams = incoming.accept_datagrams().unwrap();
                tell.send(None).unwrap();
                while let Ok(Some(message)) = datagrams.recv().await {
                    tell.send(Some(message)).unwrap();
                }
            }
        })
        .await;
        let (theirs, ours) = numbers(&mallory, &bob);
        let message = |channel, payload| Frame::Message { channel, payload };
        let second = Duration::from_secs(1);
        // Ours to give, not opened, opened twice, closed twice, closed already.
        mallory.send_frame(&Frame::Open { channel: ours, open: unreliable() });
        mallory.send_frame(&message(ours, b"a"));
        mallory.send_frame(&message(theirs, b"b"));
        mallory.run_for(second).await;
        assert!(told.try_recv().is_err());
        for _ in 0..2 {
            mallory.send_frame(&Frame::Open { channel: theirs, open: unreliable() });
        }
        mallory.send_frame(&message(theirs, b"c"));
        mallory.run_for(second).await;
        assert_eq!(told.try_recv(), Ok(None));
        assert_eq!(told.try_recv(), Ok(Some(b"c".as_slice().into())));
        assert!(told.try_recv().is_err());
        for _ in 0..2 {
            mallory.send_frame(&Frame::Close { channel: theirs, refusal: None });
        }
        mallory.send_frame(&message(theirs, b"d"));
        mallory.run_for(second).await;
        assert!(told.try_recv().is_err());
        assert_eq!(mallory.take_messages(), Vec::<Vec<u8>>::new(), "and nothing of it is answered");
    });
}

#[test]
fn messages_that_nobody_reads_are_bounded_for_a_channel_and_for_the_link() {
    World::run(10, |world| async move {
        let (tell, mut told) = mpsc::unbounded_channel();
        let (bob, mut mallory) = attacked(&world, move |incoming| {
            let tell = tell.clone();
            async move {
                let mut datagrams = incoming.accept_datagrams().unwrap();
                sleep(Duration::from_secs(100)).await;
                let mut held = Vec::new();
                while let Some(Ok(Some(message))) = datagrams.recv().now_or_never() {
                    held.push(message.len());
                }
                tell.send(held).unwrap();
            }
        })
        .await;
        let (theirs, _) = numbers(&mallory, &bob);
        for size in [0, 1_000] {
            for channel in 0..200 {
                let channel = theirs + 2 * channel;
                mallory.send_frame(&Frame::Open { channel, open: unreliable() });
                for _ in 0..300 {
                    mallory.send_frame(&Frame::Message { channel, payload: &vec![0; size] });
                }
                mallory.run_for(Duration::from_millis(100)).await;
            }
            mallory.run_for(Duration::from_secs(150)).await;
            let held: Vec<Vec<usize>> = std::iter::from_fn(|| told.try_recv().ok()).collect();
            assert_eq!(held.len(), 200);
            let most = held.iter().map(|held| held.iter().sum::<usize>()).max().unwrap();
            let all: usize = held.iter().flatten().sum();
            assert!(held.iter().all(|held| held.len() <= 256) && most <= 64 << 10, "{most} bytes");
            assert!(all <= 4 << 20, "{all} bytes");
            assert!(size == 0 || all > 3 << 20, "{all} bytes");
        }
    });
}

#[test]
fn a_peer_that_takes_all_its_channels_leaves_us_ours() {
    World::run(11, |world| async move {
        let bob = world.node("bob");
        let kinds = [0, 1, 2, 3].map(|kind| format!("org.example.kind{kind}"));
        for kind in &kinds {
            let hold = |incoming: Incoming| async move {
                let _datagrams = incoming.accept_datagrams();
                std::future::pending::<()>().await;
            };
            bob.mesh().handle(kind, Arc::new(hold)).unwrap();
        }
        let mut mallory = world.bare();
        mallory.connect(&bob).await;
        let (theirs, ours) = numbers(&mallory, &bob);
        for number in 0..5_000 {
            let open = Open::new(kinds[number as usize % 4].as_str(), ChannelKind::Unreliable);
            mallory.send_frame(&Frame::Open { channel: theirs + 2 * number, open });
            if number % 100 == 0 {
                mallory.run_for(Duration::from_millis(50)).await;
            }
        }
        mallory.run_for(Duration::from_secs(1)).await;
        mallory.take_messages();
        let link = bob.mesh().links().remove(0);
        let _datagrams = link.open_datagrams(unreliable()).unwrap();
        mallory.run_for(Duration::from_secs(1)).await;
        let frames = mallory.take_messages();
        let opened = frames
            .iter()
            .filter_map(|frame| Frame::decode(frame).ok())
            .any(|frame| matches!(frame, Frame::Open { channel, .. } if channel % 2 == ours % 2));
        assert!(opened, "bob's own channel is opened");
    });
}

#[test]
fn who_goes_on_sending_on_a_channel_that_was_closed_hears_of_it() {
    World::run(12, |world| async move {
        let (tell, mut told) = mpsc::unbounded_channel();
        let (_alice, _bob, link) = linked(&world, move |incoming| {
            let tell = tell.clone();
            async move {
                let datagrams = incoming.accept_datagrams().unwrap();
                let error = loop {
                    if let Err(error) = datagrams.send(b"tick".as_slice().into()) {
                        break error;
                    }
                    sleep(Duration::from_secs(1)).await;
                };
                tell.send(error).unwrap();
            }
        })
        .await;
        let mut datagrams = link.open_datagrams(unreliable()).unwrap();
        datagrams.recv().await.unwrap();
        let lose = |loss| {
            world.with_network(|network: &mut Network| {
                network.set_conditions(Scope::Everywhere, Conditions::new().loss(loss));
            });
        };
        lose(1.0);
        drop(datagrams);
        sleep(Duration::from_millis(100)).await;
        lose(0.0);
        let error = timeout(Duration::from_secs(5), told.recv()).await.expect("it ends").unwrap();
        assert_eq!(error, DatagramError::Closed);
    });
}

/// A store that panics when it should save, as long as it is told to.
#[derive(Default)]
struct Broken {
    broken: AtomicBool,
    memory: MemoryStore,
}

impl PeerStore for Broken {
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
        assert!(!self.broken.load(Ordering::Relaxed), "this is a test");
        self.memory.save(changes)
    }
}

#[test]
fn a_panic_while_serving_one_link_leaves_the_others_alone() {
    World::run(13, |world| async move {
        let broken = Arc::new(Broken::default());
        let store = broken.clone();
        let bob = world.node_with("bob", move |builder| builder.store(store.clone()));
        bob.mesh().handle(TYPE, Arc::new(echo)).unwrap();
        let (alice, carol) = (world.node("alice"), world.node("carol"));
        let link = world.link(&alice, &bob).await;
        let mut channel = link.open(reliable()).await.unwrap();
        channel.accepted().await.unwrap();
        bob.mesh().add_contact(carol.info()).unwrap();
        broken.broken.store(true, Ordering::Relaxed);
        let trying = carol.mesh().add_contact(bob.info()).unwrap();
        trying.connect();
        assert!(trying.up(Duration::from_secs(3)).await.is_err());
        channel.write_all(b"still here").await.unwrap();
        let mut back = [0; 10];
        timeout(Duration::from_secs(1), channel.read_exact(&mut back))
            .await
            .expect("alice is served")
            .unwrap();
        broken.broken.store(false, Ordering::Relaxed);
        trying.up(Duration::from_secs(35)).await.expect("carol is served again");
    });
}
