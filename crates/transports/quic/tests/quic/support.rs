//! Two transports, and waiting for what comes.

use std::{future::poll_fn, net::SocketAddr, time::Duration};

use telemesh_hashname::{CipherSetId, PublicKeys};
use telemesh_quic::{Config, QuicTransport};
use telemesh_transport::{PathAddress, ReceiveBatch, Received, SendError, Transmit, Transport};

/// Long enough for any loopback delivery on a busy machine; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Keys of an endpoint. Nothing here needs their secret halves.
pub(crate) fn keys(first: u8) -> PublicKeys {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS11, &[first; 32]).unwrap();
    keys.insert_key(CipherSetId::CS21, &[first ^ 0x80; 32]).unwrap();
    keys
}

pub(crate) fn listener_with(first: u8, config: Config) -> QuicTransport {
    let mut transport = QuicTransport::with_config(config).unwrap();
    transport.add_listener("127.0.0.1:0".parse().unwrap(), &keys(first)).unwrap();
    transport
}

pub(crate) fn listener() -> QuicTransport {
    listener_with(1, Config::default())
}

pub(crate) fn address(listener: &QuicTransport) -> SocketAddr {
    listener.bound_addresses()[0]
}

pub(crate) fn path(listener: &QuicTransport) -> PathAddress {
    PathAddress::Quic(address(listener))
}

/// A transport that only dials, and knows the keys of this listener.
pub(crate) fn dialler_to(listener: &QuicTransport) -> QuicTransport {
    let dialler = QuicTransport::dial_only().unwrap();
    dialler.expect(&path(listener), &keys(1));
    dialler
}

/// Sends all of it, waiting where the transport asks to.
pub(crate) async fn try_send(from: &QuicTransport, mut transmit: Transmit<'_>) -> Result<(), SendError> {
    let all = async {
        loop {
            match from.try_send(&transmit) {
                Err(SendError::Blocked { sent }) => transmit.contents = &transmit.contents[sent..],
                Err(SendError::Connecting) => {}
                outcome => return outcome,
            }
            poll_fn(|cx| from.poll_writable(cx)).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("it is sent or refused")
}

pub(crate) async fn send(from: &QuicTransport, transmit: Transmit<'_>) {
    try_send(from, transmit).await.unwrap();
}

/// The next runs that arrive.
pub(crate) async fn receive(at: &QuicTransport) -> Vec<Received> {
    let mut batch = ReceiveBatch::new(32);
    let arrival = poll_fn(|cx| at.poll_receive(cx, &mut batch));
    tokio::time::timeout(PATIENCE, arrival).await.expect("something arrives").unwrap();
    batch.drain().collect()
}

/// The next `count` datagrams with their sources.
pub(crate) async fn receive_datagrams(at: &QuicTransport, count: usize) -> Vec<(PathAddress, Vec<u8>)> {
    let mut datagrams = Vec::new();
    while datagrams.len() < count {
        for received in receive(at).await {
            let source = received.source;
            datagrams.extend(received.into_datagrams().map(|datagram| (source, datagram.to_vec())));
        }
    }
    assert_eq!(datagrams.len(), count, "no datagram more than was sent");
    datagrams
}

/// Bytes that differ from place to place, so that a swapped or shifted part shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8 ^ (i / 251 % 256) as u8).collect()
}

/// Sends something and waits until it is there; where it came from.
pub(crate) async fn meet(dialler: &QuicTransport, listener: &QuicTransport) -> PathAddress {
    send(dialler, Transmit::single(path(listener), b"hello")).await;
    let (source, hello) = receive_datagrams(listener, 1).await.remove(0);
    assert_eq!(hello, b"hello");
    source
}
