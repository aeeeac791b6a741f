//! Listeners at a peer: connections that come back, and what else may happen to them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod run;

use std::io::ErrorKind;

use run::{echo, granting, nobody, noise, read_all, write_all};
use telemesh_channel::{Network as _, Open, OpenError, Opener as _, RefusalCode};
use telemesh_sock::{Nothing, SockError, SockNetwork as _, SockOpener as _, forward};
use tokio::net::TcpStream;

#[tokio::test]
async fn connections_at_the_peer_come_back_with_where_they_are_from() {
    let at = nobody().await;
    let (pair, _sock) = granting(&[&format!("sock-bind:{at}")]);
    let own = pair.left.on_sock(Nothing).unwrap();
    let mut listener = pair.to_right.sock().bind(&own, at).await.unwrap();
    let mut client = TcpStream::connect(at).await.unwrap();
    let connection = listener.accept().await.unwrap();
    assert_eq!(connection.from(), client.local_addr().unwrap());
    let mut channel = connection.accept().unwrap();
    write_all(&mut client, b"question").await;
    let mut question = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut channel, &mut question).await.unwrap();
    assert_eq!(question, b"question");
    write_all(&mut channel, b"answer").await;
    assert_eq!(read_all(client).await.unwrap(), b"answer");
    // One that is not wanted is reset.
    let client = TcpStream::connect(at).await.unwrap();
    listener.accept().await.unwrap().refuse(&SockError::Refused);
    assert_eq!(read_all(client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_local_server_is_reached_from_the_peer() {
    let (at, target) = (nobody().await, echo().await);
    let (pair, _sock) = granting(&[&format!("sock-bind:{at}")]);
    let own = pair.left.on_sock(Nothing).unwrap();
    let listener = pair.to_right.sock().bind(&own, at).await.unwrap();
    tokio::spawn(forward::remote_tcp(listener, target.try_into().unwrap()));
    let sent = noise(1 << 20, 7);
    let (read, mut write) = TcpStream::connect(at).await.unwrap().into_split();
    let (received, ()) = tokio::join!(read_all(read), write_all(&mut write, &sent));
    assert!(received.unwrap() == sent);
}

#[tokio::test]
async fn listening_needs_a_grant_of_its_own_and_a_free_address() {
    let at = nobody().await;
    let (pair, _sock) = granting(&[&format!("sock:{at}"), "sock-bind:0.0.0.0/0:*"]);
    let own = pair.left.on_sock(Nothing).unwrap();
    let result = pair.to_right.sock().bind(&own, at).await;
    assert_eq!(result.err(), Some(SockError::NotAllowed));
    let any = format!("0.0.0.0:{}", at.port());
    assert_eq!(pair.to_right.sock().bind(&own, &*any).await.err(), Some(SockError::NotAllowed));
    assert!(TcpStream::connect(at).await.is_err(), "nobody listens");
    pair.right.grant(pair.left.hashname(), &format!("sock-bind:{at}"));
    let _first = pair.to_right.sock().bind(&own, at).await.unwrap();
    assert_eq!(pair.to_right.sock().bind(&own, at).await.err(), Some(SockError::AddressInUse));
    let named = pair.to_right.sock().bind(&own, "host.example:80").await;
    assert!(matches!(named, Err(SockError::Failed(_))));
}

#[tokio::test]
async fn a_listener_that_is_dropped_listens_no_more() {
    let at = nobody().await;
    let (pair, _sock) = granting(&[&format!("sock-bind:{at}")]);
    let own = pair.left.on_sock(Nothing).unwrap();
    drop(pair.to_right.sock().bind(&own, at).await.unwrap());
    // As soon as the peer has heard of it the address is free again.
    let again = loop {
        match pair.to_right.sock().bind(&own, at).await {
            Ok(listener) => break listener,
            Err(error) => assert_eq!(error, SockError::AddressInUse),
        }
        tokio::task::yield_now().await;
    };
    assert!(format!("{own:?}").contains('1') && TcpStream::connect(at).await.is_ok());
    drop(again);
}

#[tokio::test]
async fn a_connection_for_a_listener_that_is_not_there_is_refused() {
    let (pair, _sock) = granting(&[]);
    let own = pair.left.on_sock(Nothing).unwrap();
    let open = Open::reliable("sock")
        .with_header("do", "accept")
        .with_header("number", vec![0; 8])
        .with_header("from", "192.0.2.1:5");
    let mut channel = pair.to_left.open(open).await.unwrap();
    let error = channel.accepted().await.unwrap_err();
    assert!(matches!(error, OpenError::Refused(refusal) if refusal.code() == RefusalCode::NotAllowed));
    drop(own);
}

#[tokio::test]
async fn when_the_grant_is_taken_away_nobody_listens_and_what_came_back_ends() {
    let at = nobody().await;
    let grant = format!("sock-bind:{at}");
    let (pair, _sock) = granting(&[&grant]);
    let own = pair.left.on_sock(Nothing).unwrap();
    let mut listener = pair.to_right.sock().bind(&own, at).await.unwrap();
    let client = TcpStream::connect(at).await.unwrap();
    let channel = listener.accept().await.unwrap().accept().unwrap();
    pair.right.revoke(pair.left.hashname(), &grant);
    assert!(listener.accept().await.is_err());
    assert_eq!(read_all(client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(read_all(channel).await.is_err());
    assert_eq!(TcpStream::connect(at).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
