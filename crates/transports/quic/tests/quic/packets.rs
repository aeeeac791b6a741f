//! What goes in on one side comes out on the other, datagram for datagram.

use telemesh_quic::QuicTransport;
use telemesh_transport::{PathAddress, SendError, Transmit, Transport};

use crate::support::{dialler_to, keys, listener, meet, path, pattern, receive_datagrams, send, try_send};

#[tokio::test]
async fn a_dialler_with_the_key_is_answered_on_its_connection() {
    let listener = listener();
    let dialler = dialler_to(&listener);
    let source = meet(&dialler, &listener).await;
    assert!(matches!(source, PathAddress::Quic(_)) && listener.carries(&source));
    send(&listener, Transmit::single(source, b"hello back")).await;
    assert_eq!(receive_datagrams(&dialler, 1).await, [(path(&listener), b"hello back".to_vec())]);
}

#[tokio::test]
async fn packets_of_every_size_that_a_link_has_pass_both_ways() {
    let listener = listener();
    let dialler = dialler_to(&listener);
    let source = meet(&dialler, &listener).await;
    for size in [0, 1, 32, 600, 1_150, 1_159, 1_160, 1_161, 1_200, 1_232, 1_280, 1_400, 1_452, 1_472] {
        let contents = pattern(size);
        send(&dialler, Transmit::single(path(&listener), &contents)).await;
        assert_eq!(receive_datagrams(&listener, 1).await, [(source, contents.clone())], "{size} bytes out");
        send(&listener, Transmit::single(source, &contents)).await;
        assert_eq!(receive_datagrams(&dialler, 1).await, [(path(&listener), contents)], "{size} bytes back");
    }
}

#[tokio::test]
async fn a_batch_arrives_as_the_datagrams_it_was_made_of() {
    let listener = listener();
    let dialler = dialler_to(&listener);
    let source = meet(&dialler, &listener).await;
    for size in [300, 1_200, 1_452] {
        let contents = pattern(size * 44 + 100);
        send(&dialler, Transmit::segmented(path(&listener), &contents, size)).await;
        let mut arrived = receive_datagrams(&listener, 45).await;
        let mut expected: Vec<_> = contents.chunks(size).map(|chunk| (source, chunk.to_vec())).collect();
        // QUIC promises no order.
        arrived.sort();
        expected.sort();
        assert!(arrived == expected, "{size} bytes each");
    }
}

#[tokio::test]
async fn more_than_fits_waits_and_nothing_is_pushed_out() {
    let listener = listener();
    let dialler = dialler_to(&listener);
    meet(&dialler, &listener).await;
    // Far more than the connection's buffer holds, in one call after the other without a pause.
    let contents = pattern(1_200 * 32);
    let mut blocked = 0;
    let reading = receive_datagrams(&listener, 32 * 40);
    let writing = async {
        for _ in 0..40 {
            let mut transmit = Transmit::segmented(path(&listener), &contents, 1_200);
            while let Err(error) = dialler.try_send(&transmit) {
                let SendError::Blocked { sent } = error else { panic!("{error}") };
                assert_eq!(sent % 1_200, 0, "whole datagrams");
                blocked += 1;
                transmit.contents = &transmit.contents[sent..];
                std::future::poll_fn(|cx| dialler.poll_writable(cx)).await.unwrap();
            }
        }
    };
    let ((), arrived) = tokio::join!(writing, reading);
    assert!(blocked > 0, "it has to be full at some time");
    assert_eq!(arrived.len(), 32 * 40);
}

#[tokio::test]
async fn a_packet_beyond_two_datagrams_is_refused_and_the_next_one_goes() {
    let listener = listener();
    let dialler = dialler_to(&listener);
    meet(&dialler, &listener).await;
    let error = dialler.try_send(&Transmit::single(path(&listener), &[7; 3_000])).unwrap_err();
    assert!(matches!(error, SendError::TooLarge), "{error:?}");
    send(&dialler, Transmit::single(path(&listener), b"next")).await;
    assert_eq!(receive_datagrams(&listener, 1).await.len(), 1);
}

#[tokio::test]
async fn useless_destinations_are_refused() {
    let dialler = QuicTransport::dial_only().unwrap();
    for useless in ["quic:192.0.2.1:443", "udp:192.0.2.1:443"] {
        let destination: PathAddress = useless.parse().unwrap();
        let error = dialler.try_send(&Transmit::single(destination, b"x")).unwrap_err();
        assert!(matches!(error, SendError::UnusableAddress), "{useless}, whose keys nobody knows: {error:?}");
    }
    let zero = PathAddress::Quic("127.0.0.1:0".parse().unwrap());
    dialler.expect(&zero, &keys(1));
    assert!(matches!(
        try_send(&dialler, Transmit::single(zero, b"x")).await,
        Err(SendError::UnusableAddress)
    ));
    assert!(!dialler.carries(&zero) && dialler.local_addresses().is_empty());
}

#[tokio::test]
async fn ipv6_works_where_there_is_ipv6() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        return;
    }
    let listener = QuicTransport::listen("[::1]:0".parse().unwrap(), &keys(1)).unwrap();
    let dialler = dialler_to(&listener);
    meet(&dialler, &listener).await;
    assert_eq!(listener.local_addresses(), [path(&listener)]);
}

#[test]
fn outside_a_runtime_there_is_an_error() {
    assert!(QuicTransport::dial_only().is_err());
}
