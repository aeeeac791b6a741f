//! Connections come and go.

use std::future::poll_fn;

use telemesh_quic::{Config, QuicTransport};
use telemesh_transport::{SendError, Transmit, Transport};

use crate::support::{
    address, dialler_to, keys, listener, listener_with, meet, path, receive_datagrams, send, try_send,
};

#[tokio::test]
async fn the_first_packet_waits_for_the_connection_and_then_goes() {
    let listener = listener();
    let dialler = dialler_to(&listener);
    let first = Transmit::single(path(&listener), b"first");
    assert!(matches!(dialler.try_send(&first), Err(SendError::Connecting)));
    assert!(matches!(dialler.try_send(&first), Err(SendError::Connecting)), "one dial at a time");
    poll_fn(|cx| dialler.poll_writable(cx)).await.unwrap();
    dialler.try_send(&first).unwrap();
    assert_eq!(receive_datagrams(&listener, 1).await[0].1, b"first");
}

#[tokio::test]
async fn after_rebinding_the_connection_goes_on_from_another_address() {
    let listener = listener();
    let dialler = dialler_to(&listener);
    let before = meet(&dialler, &listener).await;
    send(&listener, Transmit::single(before, b"answer")).await;
    receive_datagrams(&dialler, 1).await;

    dialler.rebind().unwrap();
    let after = meet(&dialler, &listener).await;
    assert_ne!(before, after);
    send(&listener, Transmit::single(after, b"found you")).await;
    assert_eq!(receive_datagrams(&dialler, 1).await, [(path(&listener), b"found you".to_vec())]);
    let error = listener.try_send(&Transmit::single(before, b"nobody is there")).unwrap_err();
    assert!(matches!(error, SendError::UnusableAddress), "{error:?}");
}

#[tokio::test]
async fn rebinding_before_the_first_dial_is_nothing() {
    let listener = listener();
    let dialler = dialler_to(&listener);
    dialler.rebind().unwrap();
    meet(&dialler, &listener).await;
    listener.rebind().unwrap();
    meet(&dialler, &listener).await;
}

#[tokio::test]
async fn a_listener_that_comes_back_is_dialled_anew() {
    let first = listener();
    let dialler = dialler_to(&first);
    let (at, path) = (address(&first), path(&first));
    meet(&dialler, &first).await;
    drop(first);
    // Its farewell makes room for a new dial; until the port is free again the second one cannot be had.
    let second = loop {
        match QuicTransport::listen(at, &keys(1)) {
            Ok(second) => break second,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let arrival = receive_datagrams(&second, 1);
    let sending = async {
        while try_send(&dialler, Transmit::single(path, b"again")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let (arrived, ()) = tokio::join!(arrival, sending);
    assert_eq!(arrived[0].1, b"again");
}

#[tokio::test]
async fn of_several_who_are_said_to_be_somewhere_the_one_who_is_there_is_found() {
    let listener = listener();
    let dialler = QuicTransport::dial_only().unwrap();
    dialler.expect(&path(&listener), &keys(9));
    dialler.expect(&path(&listener), &keys(1));
    // Nobody answers to the first key; after that the second has its turn.
    let error = try_send(&dialler, Transmit::single(path(&listener), b"x")).await.unwrap_err();
    assert!(matches!(error, SendError::Unreachable(_)), "{error:?}");
    dialler.rebind().unwrap();
    meet(&dialler, &listener).await;
    assert!(listener.dropped() > 0);
}

#[tokio::test]
async fn one_source_has_only_so_many_connections_and_who_is_not_answered_makes_room() {
    let mut config = Config::default();
    config.max_inbound_per_source = 2;
    let listener = listener_with(1, config);
    let (friend, ignored) = (dialler_to(&listener), dialler_to(&listener));
    let answered = meet(&friend, &listener).await;
    send(&listener, Transmit::single(answered, b"welcome")).await;
    meet(&ignored, &listener).await;

    let third = dialler_to(&listener);
    let error = try_send(&third, Transmit::single(path(&listener), b"x")).await.unwrap_err();
    assert!(matches!(error, SendError::Unreachable(_)), "{error:?}");
    // Nobody here has answered the second one, so the third comes in some time later.
    while try_send(&third, Transmit::single(path(&listener), b"at last")).await.is_err() {
        // Forgets the failure, so that the next try dials at once.
        third.rebind().unwrap();
    }
    assert_eq!(receive_datagrams(&listener, 1).await[0].1, b"at last");
    // The one who was answered is still there.
    send(&listener, Transmit::single(answered, b"still here")).await;
    assert_eq!(receive_datagrams(&friend, 2).await.len(), 2);
}
