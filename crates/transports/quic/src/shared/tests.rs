//! What strangers who know the key can do to the table and the places, on loopback.

use std::net::UdpSocket;

use telemesh_hashname::{CipherSetId, PublicKeys};

use super::*;
use crate::{halves::Splitter, ids::DialKey};

/// A listener with what it receives.
struct Listening {
    shared: Arc<Shared>,
    received: mpsc::Receiver<Received>,
    at: SocketAddr,
    key: DialKey,
    port: Port,
}

impl Listening {
    fn new(config: Config) -> Self {
        let mut keys = PublicKeys::new();
        keys.insert_key(CipherSetId::CS21, &[7; 32]).unwrap();
        let keys = DialKey::all(&keys);
        let key = keys[0].clone();
        let (sender, received) = mpsc::channel(8);
        let shared = Shared::new(Handle::current(), sender, config);
        let port = Port::listener("127.0.0.1:0".parse().unwrap(), keys).unwrap();
        let at = port.endpoint.local_addr().unwrap();
        tokio::spawn(shared.clone().listen(port.clone()));
        Self { shared, received, at, key, port }
    }

    /// Dials through this socket, which others may use too.
    async fn dialled(&self, socket: &UdpSocket) -> (Port, quinn::Connection) {
        let port = Port::dialler().unwrap();
        port.endpoint.rebind(socket.try_clone().unwrap()).unwrap();
        let connection = port.dial(self.at, &self.key).unwrap().await.unwrap();
        (port, connection)
    }

    /// Waits until the connections are at these addresses.
    async fn until_at(&self, mut expected: Vec<SocketAddr>) {
        expected.sort_unstable();
        let mut slots = Vec::new();
        for _ in 0..500 {
            slots = self.shared.table.lock().slots.keys().copied().collect();
            slots.sort_unstable();
            if slots == expected {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("connections at {slots:?} and not at {expected:?}");
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.port.close();
        self.shared.close();
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

#[tokio::test]
async fn a_connection_that_pretends_to_be_where_another_is_leaves_nothing_behind() {
    let mut listening = Listening::new(Config::default());
    let (first, second) = (socket(), socket());
    let (first_at, second_at) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    let (mover, moving) = listening.dialled(&first).await;
    let (_other, _staying) = listening.dialled(&second).await;
    listening.until_at(vec![first_at, second_at]).await;
    // The first goes on from the address of the second.
    mover.endpoint.rebind(second.try_clone().unwrap()).unwrap();
    for datagram in Splitter::default().split([&[7; 100][..]], 1_100).unwrap() {
        moving.send_datagram(datagram).unwrap();
    }
    let heard = listening.received.recv().await.unwrap();
    assert_eq!(heard.source, telemesh_transport::PathAddress::Quic(second_at));
    listening.until_at(vec![first_at, second_at]).await;
    moving.close(quinn::VarInt::from_u32(0), b"");
    listening.until_at(vec![second_at]).await;
}

/// Sends the first packet of a dial that will never go on, as somebody does who writes another's address on it, and then
/// dials: how long that takes.
async fn dial_after_a_forged_one(config: Config) -> Duration {
    let listening = Listening::new(config);
    let (forger, nowhere) = (Port::dialler().unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let _unanswered = forger.dial(nowhere.local_addr().unwrap(), &listening.key).unwrap();
    let mut packet = [0; 1_500];
    let length = nowhere.recv(&mut packet).unwrap();
    socket().send_to(&packet[..length], listening.at).unwrap();
    while listening.port.endpoint.open_connections() == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    let socket = socket();
    timeout(HANDSHAKE_LIMIT, listening.dialled(&socket)).await.expect("the dial found no place");
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_handshakes_take_no_place_of_a_connection() {
    let took = dial_after_a_forged_one(Config { max_inbound: 1, max_inbound_per_source: 2 }).await;
    assert!(took < Duration::from_millis(900), "{took:?}: the first packet was ignored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_handshakes_make_room_soon() {
    // One place for handshakes of this source: the first two packets of the dial, up to a second later, find none.
    let took = dial_after_a_forged_one(Config { max_inbound: 1, max_inbound_per_source: 1 }).await;
    assert!(took > ACCEPT_LIMIT / 2 && took < Duration::from_secs(6), "{took:?}");
}
