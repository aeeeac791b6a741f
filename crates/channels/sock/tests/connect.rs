//! Connections through a peer, between real sockets: what may be reached, and how ends arrive.
#![allow(clippy::unwrap_used, reason = "tests")]

mod run;

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::BufMut as _;
use run::{Scripted, echo, granting, listener, nobody, noise, read_all, reset, resolving, write_all};
use telemesh_channel::{ChannelError, Network as _};
use telemesh_sock::{Ask, Over, SockError, SockNetwork as _, SockOpener as _, Target, forward};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_granted_target_is_reached_and_large_data_comes_back_as_it_was() {
    let target = echo().await;
    let (pair, _sock) = granting(&[&format!("sock:{target}")]);
    let channel = pair.to_right.sock().connect(target).await.unwrap();
    let sent = noise(8 << 20, 1);
    let (read, mut write) = channel.into_split();
    let (received, ()) = tokio::join!(read_all(read), write_all(&mut write, &sent));
    assert!(received.unwrap() == sent);
}

#[tokio::test]
async fn without_the_very_grant_nobody_is_connected() {
    let (server, target) = listener().await;
    let others = [
        format!("sock:127.0.0.1:{}", target.port() ^ 1),
        format!("sock:127.0.0.2:{}", target.port()),
        format!("sock-udp:{target}"),
        format!("sock-bind:{target}"),
        "sock:0.0.0.0/0:*".to_owned(),
        "sock:[::]/0:*".to_owned(),
        "sock".to_owned(),
        "sock:*".to_owned(),
    ];
    let (pair, _sock) = granting(&others.each_ref().map(String::as_str));
    let port = target.port();
    for spelling in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:0.0.0.0]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[2002:7f00:1::]",
    ] {
        let text = format!("{spelling}:{port}");
        let result = pair.to_right.sock().connect(&*text).await;
        assert_eq!(result.err(), Some(SockError::NotAllowed), "{text}");
    }
    // Had anybody connected, it would be first.
    let real = TcpStream::connect(target).await.unwrap();
    let (_, from) = server.accept().await.unwrap();
    assert_eq!(from, real.local_addr().unwrap());
}

#[tokio::test]
async fn a_grant_that_is_taken_away_ends_what_was_open_and_nothing_else() {
    let (target, other) = (echo().await, echo().await);
    let grant = format!("sock:{target}");
    let (pair, _sock) = granting(&[&grant, &format!("sock:{other}")]);
    let mut open = pair.to_right.sock().connect(target).await.unwrap();
    let mut kept = pair.to_right.sock().connect(other).await.unwrap();
    let mut byte = [0];
    for channel in [&mut open, &mut kept] {
        channel.write_all(b"x").await.unwrap();
        channel.read_exact(&mut byte).await.unwrap();
    }
    // More that it may do changes nothing.
    pair.right.grant(pair.left.hashname(), "sock:10.0.0.1:22");
    open.write_all(b"y").await.unwrap();
    open.read_exact(&mut byte).await.unwrap();
    pair.right.revoke(pair.left.hashname(), &grant);
    let error = open.read_exact(&mut byte).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    kept.write_all(b"z").await.unwrap();
    kept.read_exact(&mut byte).await.unwrap();
    assert_eq!(byte, *b"z");
    assert_eq!(pair.to_right.sock().connect(target).await.err(), Some(SockError::NotAllowed));
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_is_refused_whatever_the_name_was_granted() {
    let target = echo().await;
    let port = target.port();
    for address in
        ["127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "169.254.169.254"]
    {
        let resolver = Scripted::new(&[&[address]]);
        let pair = resolving(&[&format!("sock:rebound.example:{port}"), "sock:0.0.0.0/0:*"], &resolver);
        let result = pair.to_right.sock().connect(&*format!("rebound.example:{port}")).await;
        assert_eq!(result.err(), Some(SockError::NotAllowed), "{address}");
        assert_eq!(resolver.asked(), 1);
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_and_the_checked_address_is_connected_to() {
    let target = echo().await;
    // A second look-up would lead elsewhere.
    let resolver = Scripted::new(&[&["10.9.9.9", "127.0.0.1"], &["127.0.0.9"]]);
    let pair = resolving(&[&format!("sock:{target}")], &resolver);
    let name = format!("host.example:{}", target.port());
    let mut channel = pair.to_right.sock().connect(&*name).await.unwrap();
    write_all(&mut channel, b"hello").await;
    assert_eq!(read_all(channel).await.unwrap(), b"hello");
    assert_eq!(resolver.asked(), 1);
}

#[tokio::test]
async fn a_name_that_no_grant_could_allow_is_not_even_looked_up() {
    let resolver = Scripted::new(&[]);
    let pair = resolving(&["sock:10.0.0.0/8:22", "sock:other.example:*"], &resolver);
    let result = pair.to_right.sock().connect("host.example:80").await;
    assert_eq!((result.err(), resolver.asked()), (Some(SockError::NotAllowed), 0));
    let result = pair.to_right.sock().connect("other.example:80").await;
    assert_eq!((result.err(), resolver.asked()), (Some(SockError::NoAddress), 1));
}

#[tokio::test]
async fn an_application_may_decide_itself() {
    let target = echo().await;
    let pair = telemesh_channel::memory::pair();
    let own = target;
    pair.right.on_sock(move |ask: &Ask<'_>| ask.address == own && ask.is_special()).unwrap();
    assert!(pair.to_right.sock().connect(target).await.is_ok());
    let other = nobody().await;
    assert_eq!(pair.to_right.sock().connect(other).await.err(), Some(SockError::NotAllowed));
    assert!(pair.right.on_sock_granted().is_err(), "there is one service");
}

#[tokio::test]
async fn refused_is_refused() {
    let target = nobody().await;
    let (pair, _sock) = granting(&[&format!("sock:{target}")]);
    let error = pair.to_right.sock().connect(target).await.unwrap_err();
    assert_eq!(error, SockError::Refused);
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn half_closed_by_either_side_the_other_direction_goes_on() {
    let (server, target) = listener().await;
    let (pair, _sock) = granting(&[&format!("sock:{target}")]);
    for client_first in [true, false] {
        let mut channel = pair.to_right.sock().connect(target).await.unwrap();
        let (mut socket, _) = server.accept().await.unwrap();
        if client_first {
            write_all(&mut channel, b"question").await;
            let mut question = Vec::new();
            socket.read_to_end(&mut question).await.unwrap();
            write_all(&mut socket, &question).await;
            assert_eq!(read_all(channel).await.unwrap(), b"question");
        } else {
            write_all(&mut socket, b"greeting").await;
            let mut greeting = Vec::new();
            channel.read_to_end(&mut greeting).await.unwrap();
            write_all(&mut channel, &greeting).await;
            assert_eq!(read_all(socket).await.unwrap(), b"greeting");
        }
    }
}

#[tokio::test]
async fn a_reset_of_either_side_is_a_reset_of_the_other() {
    let (server, target) = listener().await;
    let (pair, _sock) = granting(&[&format!("sock:{target}")]);
    // The target's.
    let channel = pair.to_right.sock().connect(target).await.unwrap();
    reset(server.accept().await.unwrap().0);
    let error = read_all(channel).await.unwrap_err();
    assert_eq!(ChannelError::of(&error), Some(&ChannelError::Reset(telemesh_sock::SOCKET_RESET)));
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    // The opener's, by dropping what has not ended.
    let channel = pair.to_right.sock().connect(target).await.unwrap();
    let (socket, _) = server.accept().await.unwrap();
    drop(channel);
    assert_eq!(read_all(socket).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    // One that comes when nothing is read any more, because that direction has ended.
    let mut channel = pair.to_right.sock().connect(target).await.unwrap();
    let (mut socket, _) = server.accept().await.unwrap();
    socket.shutdown().await.unwrap();
    assert_eq!(channel.read(&mut [0; 1]).await.unwrap(), 0);
    reset(socket);
    let error = loop {
        if let Err(error) = channel.write_all(&[0; 1024]).await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(ChannelError::of(&error), Some(ChannelError::Stopped(_))), "{error:?}");
}

#[tokio::test]
async fn programs_behind_a_local_port_see_what_they_would_see_without_the_tunnel() {
    let (server, target) = listener().await;
    let (pair, _sock) = granting(&[&format!("sock:{target}")]);
    let local = forward::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = local.local_addr().unwrap();
    let route = Arc::new(Over(pair.to_right.clone()));
    tokio::spawn(forward::tcp(local, route.clone(), target.try_into().unwrap()));
    // Half-closed by the client, ended by the server.
    let mut client = TcpStream::connect(address).await.unwrap();
    write_all(&mut client, b"question").await;
    let (mut socket, _) = server.accept().await.unwrap();
    let mut question = Vec::new();
    socket.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    write_all(&mut socket, b"answer").await;
    assert_eq!(read_all(&mut client).await.unwrap(), b"answer");
    // Reset by each.
    for by_client in [true, false] {
        let client = TcpStream::connect(address).await.unwrap();
        let (socket, _) = server.accept().await.unwrap();
        let (one, other) = if by_client { (client, socket) } else { (socket, client) };
        reset(one);
        assert_eq!(read_all(other).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    // Refused: the client is connected already, so it is reset.
    drop(server);
    let client = TcpStream::connect(address).await.unwrap();
    assert_eq!(read_all(client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_link_that_is_lost_resets_the_connections_at_both_ends() {
    let (server, target) = listener().await;
    let (pair, _sock) = granting(&[&format!("sock:{target}")]);
    let local = forward::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = local.local_addr().unwrap();
    tokio::spawn(forward::tcp(local, Arc::new(Over(pair.to_right.clone())), target.try_into().unwrap()));
    let client = TcpStream::connect(address).await.unwrap();
    let (socket, _) = server.accept().await.unwrap();
    telemesh_channel::memory::disconnect(&pair.left, &pair.right, &ChannelError::LinkDown);
    assert_eq!(read_all(client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(read_all(socket).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let late = TcpStream::connect(address).await.unwrap();
    assert_eq!(read_all(late).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_at_once_wait_for_slow_readers_and_lose_nothing() {
    let target = echo().await;
    let (pair, _sock) = granting(&[&format!("sock:{target}")]);
    let local = forward::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = local.local_addr().unwrap();
    tokio::spawn(forward::tcp(local, Arc::new(Over(pair.to_right.clone())), target.try_into().unwrap()));
    let clients = (0..4).map(|seed| async move {
        let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
        let sent = noise(6 << 20, seed);
        let expected = sent.clone();
        let writing = tokio::spawn(async move { write_all(&mut write, &sent).await });
        let mut received = Vec::new();
        // Small reads keep the buffers in between full.
        while read.read_buf(&mut (&mut received).limit(3_001)).await.unwrap() > 0 {}
        writing.await.unwrap();
        assert!(received == expected);
    });
    for client in clients.map(tokio::spawn).collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn port_zero_is_no_target() {
    let (pair, _sock) = granting(&["sock:127.0.0.1:*"]);
    let result = pair.to_right.sock().connect("127.0.0.1:0").await;
    assert!(matches!(result, Err(SockError::Target(_))));
    assert!(Target::new(std::net::Ipv4Addr::LOCALHOST, 0).is_err());
}
