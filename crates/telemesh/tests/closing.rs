//! Ends in order: what has arrived is read, what has not is reported, and nothing is left over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

use std::time::Duration;

use telemesh::{EngineConfig, Incoming, Invite, Link, Mesh, Open, Opener as _, State};
use telemesh::{StreamAcceptor as _, StreamOpener as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const ECHO: &str = "org.example.echo";

async fn endpoint() -> Mesh {
    let loopback = "127.0.0.1:0".parse().unwrap();
    telemesh::builder(telemesh::generate_keys().unwrap()).listen(loopback).create().await.unwrap()
}

async fn linked(alice: &Mesh, bob: &Mesh) -> Link {
    bob.link(alice.invite(Invite::once()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn what_has_arrived_is_read_although_the_peer_is_gone() {
    let (alice, bob) = (endpoint().await, endpoint().await);
    let mut streams = alice.on_stream().unwrap();
    let link = linked(&alice, &bob).await;
    let sent: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let mut stream = link.stream().await.unwrap();
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut incoming = streams.next().await.unwrap();
    assert!(bob.close().await.delivered);

    let mut down = alice.find(&bob.hashname()).unwrap().watch();
    down.wait_for(|state| !state.is_up()).await.unwrap();
    let mut received = Vec::new();
    incoming.channel.read_to_end(&mut received).await.unwrap();
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    assert!(incoming.channel.write_all(b"too late").await.is_err());
}

#[tokio::test]
async fn a_stream_without_an_end_fails_after_what_has_arrived() {
    let (alice, bob) = (endpoint().await, endpoint().await);
    let mut streams = alice.on_stream().unwrap();
    let link = linked(&alice, &bob).await;
    let mut stream = link.stream().await.unwrap();
    stream.write_all(b"the first half").await.unwrap();
    let mut incoming = streams.next().await.unwrap();
    let mut first = [0; 5];
    incoming.channel.read_exact(&mut first).await.unwrap();
    let _ = bob.close().await;
    let error = incoming.channel.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted, "{error}");
}

#[tokio::test]
async fn what_the_peer_did_not_take_is_not_called_delivered() {
    let (alice, bob) = (endpoint().await, endpoint().await);
    let _streams = alice.on_stream().unwrap();
    let link = linked(&alice, &bob).await;
    alice.find(&bob.hashname()).unwrap().up(Duration::from_secs(5)).await.unwrap();
    let mut stream = link.stream().await.unwrap();
    // Less than the peer permits unread, so that nothing here waits, and more than is sent at once.
    stream.write_all(&vec![7; 500_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    // Nothing has happened meanwhile: there was nothing to wait for.
    let _ = alice.close().await;
    let mut down = link.watch();
    down.wait_for(|state| !state.is_up()).await.unwrap();
    assert!(!bob.close().await.delivered);
}

#[tokio::test]
async fn the_end_that_has_read_everything_may_close_first() {
    for _ in 0..20 {
        let (alice, bob) = (endpoint().await, endpoint().await);
        let mut streams = alice.on_stream().unwrap();
        let link = linked(&alice, &bob).await;
        let mut stream = link.stream().await.unwrap();
        stream.write_all(&[7; 5000]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut incoming = streams.next().await.unwrap();
        incoming.channel.read_to_end(&mut Vec::new()).await.unwrap();
        let _ = alice.close().await;
        let mut down = link.watch();
        down.wait_for(|state| !state.is_up()).await.unwrap();
        assert!(bob.close().await.delivered, "the last acknowledgement came before the farewell");
    }
}

#[tokio::test]
async fn channels_whose_end_nobody_reads_are_not_left_over() {
    let mut few = EngineConfig::default();
    few.max_streams = 64;
    let loopback = "127.0.0.1:0".parse().unwrap();
    let builder = telemesh::builder(telemesh::generate_keys().unwrap()).listen(loopback).engine(few);
    let alice = builder.handle(ECHO, echo).unwrap().create().await.unwrap();
    let bob = endpoint().await;
    let link = linked(&alice, &bob).await;
    let one_after_the_other = || async {
        for _ in 0..100 {
            let mut channel = link.open(Open::reliable(ECHO)).await.unwrap();
            channel.write_all(&[1; 64]).await.unwrap();
            channel.read_exact(&mut [0; 64]).await.unwrap();
            channel.shutdown().await.unwrap();
        }
    };
    let all = futures_util::future::join_all((0..100).map(|_| one_after_the_other()));
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("channels are left over");
    assert!(bob.close().await.delivered);
    assert!(alice.close().await.delivered);
}

async fn echo(incoming: Incoming) {
    let Ok(channel) = incoming.accept() else { return };
    let (mut read, mut write) = channel.into_split();
    if tokio::io::copy(&mut read, &mut write).await.is_ok() {
        let _ = write.shutdown().await;
    }
}

#[tokio::test]
async fn a_contact_whose_address_is_known_is_not_unresolved() {
    let (alice, bob) = (endpoint().await, endpoint().await);
    let link = bob.add_contact(alice.uri()).unwrap();
    assert!(matches!(link.state().state, State::Down(_)), "{:?}", link.state());
}
