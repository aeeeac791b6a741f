//! Two ends that lose their engines at different times must come together again, whatever gets lost on the way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::{Acceptor, Channel, ChannelError, ChannelKind, Incoming, Open, Opener};
use telemesh_link::Event;
use telemesh_mesh::Link;
use telemesh_testkit::simnet::{Conditions, Scope};
use telemesh_testkit::{Bare, Node, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ECHO: &str = "org.example.echo";

async fn echo(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    while let Ok(Some(chunk)) = channel.read_chunk().await {
        if channel.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

fn serve(node: &Node) {
    node.mesh().handle(ECHO, Arc::new(echo)).unwrap();
}

async fn open(link: &Link) -> Channel {
    link.open(Open::new(ECHO, ChannelKind::Reliable)).await.unwrap()
}

async fn works(link: &Link) {
    let work = async {
        let mut channel = open(link).await;
        channel.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        channel.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
    };
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("channels work");
}

fn weather(world: &World, loss: f64) {
    let conditions = Conditions::new().delay(Duration::from_millis(20)).loss(loss);
    world.with_network(|network| network.set_conditions(Scope::Everywhere, conditions));
}

/// The other end's view of a link that has just come up.
async fn back(node: &Node, other: &Node) -> Link {
    let link = node.mesh().find(&other.hashname()).unwrap();
    link.up(Duration::from_secs(1)).await.unwrap();
    link
}

#[test]
fn channels_that_only_one_end_has_given_up_end_at_the_other_too() {
    for idle in [true, false] {
        World::run(1, |world| async move {
            let alice = world.node_with("alice", |builder| builder.survive_down(Duration::from_secs(1)));
            let bob = world.node("bob");
            serve(&bob);
            serve(&alice);
            let link = world.link(&alice, &bob).await;
            let back = back(&bob, &alice).await;
            let mut channel = open(&back).await;
            channel.accepted().await.unwrap();
            world.with_network(|network| network.partition(&[alice.host()], &[bob.host()]));
            let mut down = link.watch();
            down.wait_for(|state| !state.is_up()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            world.with_network(telemesh_testkit::simnet::Network::heal);
            link.up(Duration::from_secs(65)).await.unwrap();
            if !idle {
                let _ = channel.write_all(b"anybody there?").await;
            }
            let end = tokio::time::timeout(Duration::from_secs(10), channel.read_chunk()).await;
            assert!(end.expect("the reader hears of it").is_err());
            works(&link).await;
            works(&back).await;
        });
    }
}

#[test]
fn an_engine_that_the_other_end_never_heard_of_does_not_keep_the_two_apart() {
    for dials_first in [0, 1] {
        World::run(2, |world| async move {
            let (alice, bob) = (world.node("alice"), world.node("bob"));
            serve(&bob);
            serve(&alice);
            let link = world.link(&alice, &bob).await;
            let back = back(&bob, &alice).await;
            weather(&world, 1.0);
            let mut channel = open(&link).await;
            channel.write_all(b"into the void").await.unwrap();
            link.close();
            assert!(channel.read_chunk().await.is_err());
            tokio::time::sleep(Duration::from_secs(100)).await;
            assert!(!back.state().is_up());
            weather(&world, 0.0);
            let dialling = if dials_first == 0 { &link } else { &back };
            bob.mesh().add_contact(alice.info()).unwrap();
            dialling.connect();
            link.up(Duration::from_secs(65)).await.unwrap();
            back.up(Duration::from_secs(1)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            works(&link).await;
            works(&back).await;
        });
    }
}

/// An engine packet that breaks the rules of the protocol.
fn broken(packet: &[u8]) -> Vec<u8> {
    let mut broken = packet.get(..9).unwrap().to_vec();
    // A frame type that nobody knows, in place of the frames, and the tag of the first packets of an engine.
    broken.extend([0x3f, 0x3f, 0x3f, 0x3f, 0, 0, 0]);
    broken
}

async fn engine_packet(bare: &mut Bare, number: u64) -> Vec<u8> {
    let now = tokio::time::Instant::now().into_std();
    let engine = bare.engine(number);
    let id = engine.open().unwrap();
    engine.write(id, b"x").unwrap();
    let mut packet = Vec::new();
    engine.poll_transmit(now, 1, &mut packet).unwrap();
    packet
}

#[test]
fn the_end_of_an_engine_is_told_again_until_it_is_heard() {
    World::run(3, |world| async move {
        let bob = world.node("bob");
        serve(&bob);
        let mut mallory = world.bare();
        mallory.connect(&bob).await;
        let packet = engine_packet(&mut mallory, 0).await;
        let gone = |mallory: &mut Bare| {
            let events = mallory.take_events();
            events.iter().filter(|event| matches!(event, Event::EngineGone { number: 0 })).count()
        };
        mallory.send_engine_packet(&broken(&packet));
        mallory.drop_engine();
        mallory.run_for(Duration::from_millis(100)).await;
        assert_eq!(gone(&mut mallory), 1, "it is told at once");
        mallory.run_for(Duration::from_secs(60)).await;
        assert_eq!(gone(&mut mallory), 5, "and again for a while");

        // Who has not heard it yet goes on sending with the old engine, and hears it then.
        for _ in 0..3 {
            mallory.send_engine_packet(&packet);
            mallory.run_for(Duration::from_secs(1)).await;
            assert_eq!(gone(&mut mallory), 1);
        }
        // Not for every packet, though.
        for _ in 0..20 {
            mallory.send_engine_packet(&packet);
            mallory.run_for(Duration::from_millis(10)).await;
        }
        assert!(gone(&mut mallory) <= 2);

        // The next engine works, and nothing more is said about the last.
        let stream = mallory.engine(1).open().unwrap();
        mallory.engine(1).write(stream, b"y").unwrap();
        mallory.run_for(Duration::from_secs(1)).await;
        assert_eq!(mallory.engine(1).stats().lost_packets, 0);
        mallory.run_for(Duration::from_secs(60)).await;
        assert_eq!(gone(&mut mallory), 0);
    });
}

#[test]
fn an_end_that_is_behind_is_told_although_it_only_listens() {
    World::run(4, |world| async move {
        let bob = world.node("bob");
        serve(&bob);
        let mut mallory = world.bare();
        mallory.connect(&bob).await;
        let back = bob.mesh().links().remove(0);
        let mut channel = open(&back).await;
        mallory.engine(0);
        mallory.run_for(Duration::from_secs(1)).await;
        assert!(mallory.engine(0).stats().received_packets > 0);
        assert_eq!(mallory.take_foreign(), 0);
        // As if three engines were over here, and what was said about them lost.
        mallory.drop_engine();
        let stream = mallory.engine(3).open().unwrap();
        mallory.engine(3).write(stream, b"y").unwrap();
        mallory.run_for(Duration::from_millis(100)).await;
        assert!(mallory.take_foreign() > 0, "bob lets hear which engine he has");
        // This is what a mesh answers.
        mallory.link().send_engine_gone(2);
        mallory.run_for(Duration::from_secs(5)).await;
        let error = channel.read_chunk().await.unwrap_err();
        assert_eq!(ChannelError::of(&error), Some(&ChannelError::Reset(0)));
        assert!(mallory.engine(3).stats().received_packets > 0, "bob follows to the new engine");
    });
}

#[test]
fn a_peer_that_calls_all_numbers_gone_hurts_only_itself() {
    World::run(5, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        serve(&bob);
        let link = world.link(&alice, &bob).await;
        let mut mallory = world.bare();
        mallory.connect(&bob).await;
        for number in [u64::MAX - 1, u64::MAX, u64::MAX] {
            mallory.link().send_engine_gone(number);
            mallory.run_for(Duration::from_millis(100)).await;
            let packet = engine_packet(&mut mallory, u64::MAX).await;
            mallory.send_engine_packet(&packet);
            mallory.run_for(Duration::from_millis(100)).await;
            mallory.send_engine_packet(&broken(&packet));
            mallory.run_for(Duration::from_millis(100)).await;
            mallory.drop_engine();
        }
        works(&link).await;
    });
}

#[test]
fn engines_come_together_again_under_loss() {
    for seed in 0..30 {
        World::run(seed, |world| async move {
            let alice = world.node_with("alice", |builder| builder.survive_down(Duration::from_millis(1)));
            let bob = world.node("bob");
            serve(&bob);
            serve(&alice);
            let link = world.link(&alice, &bob).await;
            let back = back(&bob, &alice).await;
            let (mut one, mut other) = (open(&link).await, open(&back).await);
            one.accepted().await.unwrap();
            other.accepted().await.unwrap();
            weather(&world, 1.0);
            tokio::time::sleep(Duration::from_secs(46)).await;
            weather(&world, 0.6);
            tokio::time::sleep(Duration::from_secs(20)).await;
            weather(&world, 0.0);
            link.up(Duration::from_secs(65)).await.unwrap();
            let limit = Duration::from_secs(30);
            for channel in [&mut one, &mut other] {
                let end = tokio::time::timeout(limit, channel.read_chunk()).await;
                assert!(end.unwrap_or_else(|_| panic!("seed {seed}: it hears of the end")).is_err());
            }
            works(&link).await;
            works(&back).await;
        });
    }
}
