//! Dials to addresses where nobody answers: each may be a victim that a peer has named.

use std::net::UdpSocket;
use std::time::Duration;

use telemesh_quic::{DIAL_DATAGRAMS, QuicTransport};
use telemesh_transport::{PathAddress, SendError, Transmit, Transport};
use tokio::time::sleep;

use crate::support::keys;

/// A socket that says nothing, as that of somebody who has nothing to do with it.
fn victim() -> (UdpSocket, PathAddress) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let path = PathAddress::Quic(socket.local_addr().unwrap());
    (socket, path)
}

fn heard(victim: &UdpSocket) -> usize {
    let mut buffer = [0; 2_000];
    std::iter::from_fn(|| victim.recv(&mut buffer).ok()).count()
}

/// Quinn's timers run on virtual time, so what it sends in a minute is there at once.
#[tokio::test(start_paused = true)]
async fn a_dial_that_nobody_answers_is_no_more_datagrams_than_the_budget_takes_it_for() {
    let (victim, path) = victim();
    let dialler = QuicTransport::dial_only().unwrap();
    dialler.expect(&path, &keys(1));
    let packet = Transmit::single(path, b"is anybody there?");
    for _ in 0..10 {
        // However much there is to send meanwhile.
        assert!(matches!(dialler.try_send(&packet), Err(SendError::Connecting)));
        sleep(Duration::from_millis(500)).await;
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(heard(&victim), DIAL_DATAGRAMS);
}
