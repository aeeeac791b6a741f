//! Two endpoints over real UDP sockets on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

use std::sync::Arc;
use std::time::Duration;

use telemesh::channel::ChannelKind;
use telemesh::{Acceptor, Incoming, Invite, Mesh, Network as _, Open, Opener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ECHO: &str = "org.example.echo";

async fn endpoint() -> Mesh {
    let loopback = "127.0.0.1:0".parse().unwrap();
    let mesh = telemesh::builder(telemesh::generate_keys().unwrap()).listen(loopback).create().await.unwrap();
    mesh.handle(ECHO, Arc::new(echo)).unwrap();
    mesh
}

async fn echo(incoming: Incoming) {
    assert_eq!(incoming.kind(), ChannelKind::Reliable);
    let Ok(channel) = incoming.accept() else { return };
    let (mut read, mut write) = tokio::io::split(channel);
    if tokio::io::copy(&mut read, &mut write).await.is_ok() {
        let _ = write.shutdown().await;
    }
}

#[tokio::test]
async fn an_invite_makes_a_link_and_bytes_come_back() {
    let (alice, bob) = (endpoint().await, endpoint().await);
    let invite = alice.invite(Invite::once()).unwrap().to_secret_string();
    let link = bob.link(invite.as_str()).await.unwrap();
    assert!(link.state().is_up());
    assert_eq!(link.hashname(), alice.hashname());

    let mut channel = link.open(Open::new(ECHO, ChannelKind::Reliable)).await.unwrap();
    let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    channel.accepted().await.unwrap();
    let (mut read, mut write) = channel.into_split();
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let (_, read) = tokio::join!(writing, read.read_to_end(&mut back));
    read.unwrap();
    assert!(back == sent);
    let pong = link.ping().await.unwrap();
    assert!(pong.rtt < Duration::from_secs(1));
    assert_eq!(alice.peers(), [bob.hashname()]);
    assert!(bob.close().await.delivered);
}

#[tokio::test]
async fn an_unknown_channel_type_is_refused_with_a_reason() {
    let (alice, bob) = (endpoint().await, endpoint().await);
    let invite = alice.invite(Invite::once()).unwrap().to_secret_string();
    let link = bob.link(invite.as_str()).await.unwrap();
    let mut channel = link.open(Open::new("org.example.nothing", ChannelKind::Reliable)).await.unwrap();
    let error = channel.accepted().await.unwrap_err();
    assert!(error.to_string().contains("unknown channel type"), "{error}");
}

#[tokio::test]
async fn a_rebound_socket_goes_on_without_losing_a_byte() {
    let (alice, bob) = (endpoint().await, endpoint().await);
    let invite = alice.invite(Invite::once()).unwrap().to_secret_string();
    let link = bob.link(invite.as_str()).await.unwrap();
    let channel = link.open(Open::new(ECHO, ChannelKind::Reliable)).await.unwrap();
    let (mut read, mut write) = tokio::io::split(channel);
    for round in 0..5u8 {
        let started = std::time::Instant::now();
        write.write_all(&[round; 1000]).await.unwrap();
        let mut back = [0; 1000];
        read.read_exact(&mut back).await.unwrap();
        assert_eq!(back, [round; 1000]);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        let mesh = if round % 2 == 0 { &bob } else { &alice };
        mesh.network_changed().unwrap();
    }
}
