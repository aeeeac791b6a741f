//! Strangers send every kind of QUIC packet and get not a byte.
//!
//! A socket handles datagrams in the order in which they came, and quinn answers at once or never. So the proof needs no
//! waiting: after the stranger's packets somebody with the key is answered, and by then the stranger would have been.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, ConnectionId, Endpoint, EndpointConfig};
use telemesh_quic::{Config, QuicTransport};
use telemesh_transport::{PathAddress, Transmit, Transport};

use crate::support::{
    PATIENCE, address, dialler_to, keys, listener, listener_with, meet, path, pattern, receive_datagrams,
    send,
};

/// A socket that nobody knows.
fn stranger() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn has_heard_nothing(stranger: &UdpSocket) {
    let error = stranger.recv(&mut [0; 2_000]).expect_err("not a byte for a stranger");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

/// The first datagram that a stock QUIC client sends, with this destination id or one of its own choice.
fn stock_initial(id: Option<ConnectionId>) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"telemesh/1".to_vec()];
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    if let Some(id) = id {
        config.initial_dst_cid_provider(Arc::new(move || id));
    }
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
    let now = Instant::now();
    let to = ([127, 0, 0, 1], 443).into();
    let (_, mut connection) = endpoint.connect(now, config, to, "localhost").unwrap();
    let mut datagram = Vec::new();
    let _sent = connection.poll_transmit(now, 1, &mut datagram).unwrap();
    assert!(datagram.len() >= 1_200);
    datagram
}

/// A packet with a long header and nothing sensible in it.
fn long(first: u8, version: u32, destination: &[u8], length: usize) -> Vec<u8> {
    let mut packet = vec![first];
    packet.extend(version.to_be_bytes());
    packet.push(destination.len() as u8);
    packet.extend(destination);
    packet.extend([8, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
    packet.resize(length.max(packet.len()), 0x5a);
    packet
}

/// Whatever a stranger may try.
fn everything() -> Vec<(&'static str, Vec<u8>)> {
    let stock = stock_initial(None);
    let mut other_version = stock.clone();
    other_version[1..5].copy_from_slice(&2u32.to_be_bytes());
    let mut short_id = stock.clone();
    short_id[5] = 4;
    vec![
        ("a stock client's Initial", stock),
        ("an Initial of another version", other_version),
        ("an Initial whose id is too short", short_id),
        ("an Initial with a guessed id", stock_initial(Some(ConnectionId::new(&[7; 20])))),
        ("an Initial with an id as long as ours", stock_initial(Some(ConnectionId::new(&[7; 8])))),
        ("an unknown version", long(0xc0, 0x0a1a_2a3a, &[7; 8], 1_200)),
        ("an unknown version, short", long(0xc0, 0x0a1a_2a3a, &[7; 8], 100)),
        ("a version negotiation", long(0xc0, 0, &[7; 8], 100)),
        ("a 0-RTT packet", long(0xd0, 1, &[7; 20], 1_200)),
        ("a Handshake packet", long(0xe0, 1, &[7; 8], 1_200)),
        ("a Retry", long(0xf0, 1, &[7; 8], 100)),
        ("a short header", [&[0x40][..], &[7; 8], &pattern(1_191)].concat()),
        ("a short header of the least size", [&[0x40][..], &[7; 8], &pattern(34)].concat()),
        ("no fixed bit", vec![0x00; 1_200]),
        ("ones", vec![0xff; 1_200]),
        ("one byte", vec![0x40]),
        ("nothing", Vec::new()),
    ]
}

fn send_everything(stranger: &UdpSocket, to: SocketAddr) -> u64 {
    let everything = everything();
    for (_, packet) in &everything {
        assert_eq!(stranger.send_to(packet, to).unwrap(), packet.len());
    }
    everything.len() as u64
}

#[tokio::test]
async fn a_stranger_gets_nothing_from_a_listener() {
    let listener = listener();
    let stranger = stranger();
    let sent = send_everything(&stranger, address(&listener));
    meet(&dialler_to(&listener), &listener).await;
    has_heard_nothing(&stranger);
    // The empty one is none.
    assert_eq!(listener.dropped(), sent - 1);
}

#[tokio::test]
async fn a_stranger_gets_nothing_from_who_only_dials() {
    let listener = listener();
    let dialler = dialler_to(&listener);
    let PathAddress::Quic(source) = meet(&dialler, &listener).await else { panic!("no quic address") };
    let stranger = stranger();
    let sent = send_everything(&stranger, source);
    // The dialler's socket has handled the stranger's packets when it has the listener's answer.
    send(&listener, Transmit::single(PathAddress::Quic(source), b"answer")).await;
    receive_datagrams(&dialler, 1).await;
    has_heard_nothing(&stranger);
    assert_eq!(dialler.dropped(), sent - 1);
}

/// What somebody on the way sees of a connection, and plays again from elsewhere.
#[tokio::test]
async fn an_observer_gets_nothing_for_ids_that_it_has_seen() {
    let real = listener();
    let observer = Observer::in_front_of(address(&real)).await;
    let dialler = QuicTransport::dial_only().unwrap();
    let front = PathAddress::Quic(observer.front);
    dialler.expect(&front, &keys(1));
    send(&dialler, Transmit::single(front, b"hello")).await;
    let (source, _) = receive_datagrams(&real, 1).await.remove(0);
    send(&real, Transmit::single(source, b"answer")).await;
    receive_datagrams(&dialler, 1).await;

    // Ids of live connections, from another address, in every kind of packet: none starts anything.
    let stranger = stranger();
    let (to_listener, to_dialler, dialler_at) = observer.seen();
    assert!(!to_listener.is_empty() && !to_dialler.is_empty());
    for (ids, at) in [(&to_listener, address(&real)), (&to_dialler, dialler_at)] {
        for id in ids {
            for packet in [
                stock_initial(Some(ConnectionId::new(id))),
                long(0xe0, 1, id, 1_200),
                long(0xc0, 0x0a1a_2a3a, id, 1_200),
                [&[0x40][..], id, &pattern(1_100)].concat(),
            ] {
                stranger.send_to(&packet, at).unwrap();
            }
        }
    }
    send(&real, Transmit::single(source, b"another")).await;
    receive_datagrams(&dialler, 1).await;
    send(&dialler, Transmit::single(front, b"one more")).await;
    receive_datagrams(&real, 1).await;
    has_heard_nothing(&stranger);

    // And of a connection that is gone: quinn would answer with stateless resets.
    drop(dialler);
    let witness = dialler_to(&real);
    for id in &to_listener {
        stranger.send_to(&[&[0x40][..], id, &pattern(1_100)].concat(), address(&real)).unwrap();
    }
    meet(&witness, &real).await;
    has_heard_nothing(&stranger);
}

/// That this proof can fail: with the id of a dial even a stock client is answered. It could only have it from somebody
/// who knows the key, or from having seen a dial: here it is the one that was dialled.
#[tokio::test]
async fn whoever_shows_the_key_is_answered_and_only_by_its_owner() {
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let hear = async || {
        let mut datagram = vec![0; 2_000];
        let heard = tokio::time::timeout(PATIENCE, stranger.recv(&mut datagram)).await;
        datagram.truncate(heard.expect("a datagram").unwrap());
        datagram
    };
    let dialler = QuicTransport::dial_only().unwrap();
    let trap = PathAddress::Quic(stranger.local_addr().unwrap());
    dialler.expect(&trap, &keys(1));
    let _ = dialler.try_send(&Transmit::single(trap, b"hello"));
    let dial = hear().await;
    drop(dialler);
    assert_eq!(dial[1..6], [0, 0, 0, 1, 20], "version 1 and an id of 20 bytes");
    let initial = stock_initial(Some(ConnectionId::new(&dial[6..26])));

    let owner = listener();
    stranger.send_to(&initial, address(&owner)).await.unwrap();
    // The answer is for the id that the stock client chose for itself. (The dialler may have had more to say.)
    while hear().await[5..14] != initial[26..35] {}

    let other = listener_with(2, Config::default());
    stranger.send_to(&initial, address(&other)).await.unwrap();
    let dialler = QuicTransport::dial_only().unwrap();
    dialler.expect(&path(&other), &keys(2));
    meet(&dialler, &other).await;
    assert_eq!(other.dropped(), 1);
}

use observer::Observer;

mod observer {
    //! Somebody on the way: passes everything on, and keeps what it has seen.

    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};

    use tokio::net::UdpSocket;

    pub(super) struct Observer {
        /// Where it stands in for the listener.
        pub(super) front: SocketAddr,
        log: Arc<Mutex<Log>>,
    }

    #[derive(Default)]
    struct Log {
        to_listener: Vec<Vec<u8>>,
        to_dialler: Vec<Vec<u8>>,
        dialler: Option<SocketAddr>,
    }

    impl Observer {
        pub(super) async fn in_front_of(listener: SocketAddr) -> Self {
            let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let at = front.local_addr().unwrap();
            let log = Arc::new(Mutex::new(Log::default()));
            let noted = log.clone();
            tokio::spawn(async move {
                let (mut one, mut other) = (vec![0; 65_536], vec![0; 65_536]);
                let mut dialler = None;
                loop {
                    tokio::select! {
                        received = front.recv_from(&mut one) => {
                            let (length, from) = received.unwrap();
                            dialler = Some(from);
                            {
                                let mut log = noted.lock().unwrap();
                                log.dialler = dialler;
                                log.to_listener.push(one[..length].to_vec());
                            }
                            back.send_to(&one[..length], listener).await.unwrap();
                        }
                        received = back.recv_from(&mut other) => {
                            let (length, _) = received.unwrap();
                            noted.lock().unwrap().to_dialler.push(other[..length].to_vec());
                            if let Some(dialler) = dialler {
                                front.send_to(&other[..length], dialler).await.unwrap();
                            }
                        }
                    }
                }
            });
            Self { front: at, log }
        }

        /// Ids of ours that were sent to the listener and to the dialler, and where the dialler is.
        pub(super) fn seen(&self) -> (Vec<[u8; 8]>, Vec<[u8; 8]>, SocketAddr) {
            let log = self.log.lock().unwrap();
            (short_ids(&log.to_listener), short_ids(&log.to_dialler), log.dialler.unwrap())
        }
    }

    fn short_ids(datagrams: &[Vec<u8>]) -> Vec<[u8; 8]> {
        let short = datagrams.iter().filter(|datagram| datagram[0] & 0x80 == 0);
        let mut ids: Vec<[u8; 8]> = short.map(|datagram| datagram[1..9].try_into().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
