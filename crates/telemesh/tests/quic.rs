//! Two endpoints whose network lets only QUIC pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

use std::sync::Arc;
use std::time::Duration;

use telemesh::channel::ChannelKind;
use telemesh::{Acceptor, Incoming, Invite, Link, LinkInfo, Mesh, Open, Opener, PathAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ECHO: &str = "org.example.echo";

/// An endpoint that others can reach through QUIC and in no other way.
async fn listener() -> Mesh {
    let quic = "127.0.0.1:0".parse().unwrap();
    // Its UDP is where nobody is told of it.
    let builder = telemesh::builder(telemesh::generate_keys().unwrap());
    let mesh = builder.listen("127.0.0.1:0".parse().unwrap()).listen_quic(quic).create().await.unwrap();
    mesh.handle(ECHO, Arc::new(echo)).unwrap();
    mesh
}

async fn dialler() -> Mesh {
    telemesh::builder(telemesh::generate_keys().unwrap())
        .listen("127.0.0.1:0".parse().unwrap())
        .create()
        .await
        .unwrap()
}

async fn echo(incoming: Incoming) {
    let Ok(channel) = incoming.accept() else { return };
    let (mut read, mut write) = tokio::io::split(channel);
    if tokio::io::copy(&mut read, &mut write).await.is_ok() {
        let _ = write.shutdown().await;
    }
}

/// What somebody is told of an endpoint when its UDP does not count.
fn only_quic(mesh: &Mesh) -> LinkInfo {
    let keys = mesh.link_info().keys().clone();
    let quic = mesh.addresses().into_iter().filter(|address| matches!(address, PathAddress::Quic(_)));
    quic.fold(LinkInfo::new(keys).unwrap(), |info, address| info.with_path(address).unwrap())
}

async fn link(from: &Mesh, to: &Mesh) -> Link {
    to.add_contact(from.hashname()).unwrap();
    let link = from.link(only_quic(to)).await.unwrap();
    let path = link.path().unwrap().address;
    assert!(matches!(path, PathAddress::Quic(_)), "{path}");
    link
}

#[tokio::test]
async fn a_link_comes_up_and_carries_what_is_sent() {
    let (alice, bob) = (listener().await, dialler().await);
    let link = link(&bob, &alice).await;
    let mut channel = link.open(Open::new(ECHO, ChannelKind::Reliable)).await.unwrap();
    channel.accepted().await.unwrap();
    let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let (mut read, mut write) = channel.into_split();
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let ((), read) = tokio::join!(writing, read.read_to_end(&mut back));
    read.unwrap();
    assert!(back == sent);
    assert!(bob.close().await.delivered);
}

#[tokio::test]
async fn an_invite_works_through_quic() {
    let (alice, bob) = (listener().await, dialler().await);
    let invite = alice.invite(Invite::once()).unwrap();
    assert!(invite.to_secret_string().contains("quic"), "the invite names the address");
    let link = bob.link(invite.to_secret_string().as_str()).await.unwrap();
    assert_eq!(link.hashname(), alice.hashname());
}

#[tokio::test]
async fn both_sides_open_channels() {
    let (alice, bob) = (listener().await, dialler().await);
    bob.handle(ECHO, Arc::new(echo)).unwrap();
    link(&bob, &alice).await;
    let back = alice.find(&bob.hashname()).unwrap();
    back.up(Duration::from_secs(30)).await.unwrap();
    let mut channel = back.open(Open::new(ECHO, ChannelKind::Reliable)).await.unwrap();
    channel.write_all(b"from the one that was dialled").await.unwrap();
    channel.shutdown().await.unwrap();
    let mut text = String::new();
    channel.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "from the one that was dialled");
}

#[tokio::test]
async fn a_change_of_network_loses_no_byte() {
    let (alice, bob) = (listener().await, dialler().await);
    let link = link(&bob, &alice).await;
    let channel = link.open(Open::new(ECHO, ChannelKind::Reliable)).await.unwrap();
    let (mut read, mut write) = tokio::io::split(channel);
    for round in 0..3u8 {
        write.write_all(&[round; 10_000]).await.unwrap();
        let mut back = [0; 10_000];
        read.read_exact(&mut back).await.unwrap();
        assert_eq!(back, [round; 10_000]);
        bob.network_changed().unwrap();
    }
}

#[tokio::test]
async fn a_stored_address_is_enough_after_a_restart() {
    let alice = listener().await;
    let keys = telemesh::generate_keys().unwrap().to_bytes();
    let store: Arc<telemesh::MemoryStore> = Arc::default();
    let start = async || {
        let keys = telemesh::KeySet::from_bytes(&keys).unwrap();
        let builder = telemesh::builder(keys).store(store.clone());
        builder.listen("127.0.0.1:0".parse().unwrap()).create().await.unwrap()
    };
    let bob = start().await;
    link(&bob, &alice).await;
    let _ = bob.close().await;

    let bob = start().await;
    let link = bob.find(&alice.hashname()).expect("a stored contact");
    link.connect();
    link.up(Duration::from_secs(30)).await.unwrap();
    assert!(matches!(link.path().unwrap().address, PathAddress::Quic(_)));
}

#[tokio::test]
async fn who_is_not_trusted_gets_no_link() {
    let (alice, bob) = (listener().await, dialler().await);
    let stranger = bob.add_contact(only_quic(&alice)).unwrap();
    stranger.connect();
    // It is let into QUIC, since it knows the key, and no further: the first packet is seen and not answered.
    while alice.metrics().dropped["not trusted"] == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!stranger.state().is_up());
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = std::net::UdpSocket::bind(taken).unwrap();
    let builder = telemesh::builder(telemesh::generate_keys().unwrap());
    let error = builder.listen_quic(taken).create().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on quic:{taken}"));
    drop(held);
}
