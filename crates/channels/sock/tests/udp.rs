//! Datagrams through a peer.
#![allow(clippy::unwrap_used, reason = "tests")]

mod run;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use run::{Scripted, granting, nobody, noise, resolving, udp_echo};
use telemesh_channel::memory::MemoryLink;
use telemesh_channel::{BoxFuture, Channel, Datagrams, Hashname, Network as _, Open, OpenError, Opener};
use telemesh_sock::datagram::Datagram;
use telemesh_sock::{Over, SockError, SockOpener as _, Target, UdpTunnel, forward};
use tokio::net::UdpSocket;

async fn next(tunnel: &mut UdpTunnel) -> Datagram {
    tunnel.recv().await.unwrap().unwrap()
}

#[tokio::test]
async fn datagrams_of_all_sizes_go_to_the_target_and_come_back() {
    let target = udp_echo().await;
    let (pair, _sock) = granting(&[&format!("sock-udp:{target}")]);
    let mut tunnel = pair.to_right.sock().udp(Some(target.try_into().unwrap())).unwrap();
    tunnel.opened().await.unwrap();
    for size in [0, 1, 512, 1_199, 1_232, 1_472, 4_096, 48 << 10] {
        let sent = Bytes::from(noise(size, 3));
        tunnel.send(None, sent.clone());
        assert_eq!(next(&mut tunnel).await, Datagram { place: None, data: sent });
    }
}

#[tokio::test]
async fn each_datagram_may_go_elsewhere_and_each_place_needs_a_grant() {
    let (one, two, barred) = (udp_echo().await, udp_echo().await, udp_echo().await);
    let (pair, _sock) =
        granting(&[&format!("sock-udp:{one}"), &format!("sock-udp:{two}"), &format!("sock:{barred}")]);
    let mut tunnel = pair.to_right.sock().udp(None).unwrap();
    let place = |address: std::net::SocketAddr| Target::try_from(address).unwrap();
    tunnel.send(Some(&place(barred)), Bytes::from_static(b"no"));
    tunnel.send(None, Bytes::from_static(b"to nobody"));
    for (address, word) in [(one, "one"), (two, "two"), (one, "again")] {
        tunnel.send(Some(&place(address)), Bytes::from_static(word.as_bytes()));
        let expected = Datagram { place: Some(place(address)), data: Bytes::from_static(word.as_bytes()) };
        assert_eq!(next(&mut tunnel).await, expected);
    }
}

#[tokio::test]
async fn a_tunnel_without_a_grant_for_its_target_is_refused() {
    let target = udp_echo().await;
    let (pair, _sock) = granting(&[&format!("sock:{target}"), "sock-udp:0.0.0.0/0:*"]);
    let mut tunnel = pair.to_right.sock().udp(Some(target.try_into().unwrap())).unwrap();
    assert_eq!(tunnel.recv().await.err(), Some(SockError::NotAllowed));
}

#[tokio::test]
async fn names_are_resolved_once_for_a_tunnel() {
    let target = udp_echo().await;
    let resolver = Scripted::new(&[&["127.0.0.1"], &["127.0.0.9"]]);
    let pair = resolving(&[&format!("sock-udp:{target}")], &resolver);
    let mut tunnel = pair.to_right.sock().udp(None).unwrap();
    let name: Target = format!("dns.example:{}", target.port()).parse().unwrap();
    for _ in 0..3 {
        tunnel.send(Some(&name), Bytes::from_static(b"hello"));
        assert_eq!(next(&mut tunnel).await.data, &b"hello"[..]);
    }
    assert_eq!(resolver.asked(), 1);
}

#[tokio::test]
async fn only_whom_the_tunnel_has_sent_to_gets_through_it() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = server.local_addr().unwrap();
    let (pair, _sock) = granting(&[&format!("sock-udp:{target}")]);
    let mut tunnel = pair.to_right.sock().udp(Some(target.try_into().unwrap())).unwrap();
    tunnel.send(None, Bytes::from_static(b"question"));
    let mut buffer = [0; 64];
    let (_, from) = server.recv_from(&mut buffer).await.unwrap();
    let port = from.port();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.send_to(b"forged", ("127.0.0.1", port)).await.unwrap();
    server.send_to(b"answer", ("127.0.0.1", port)).await.unwrap();
    assert_eq!(next(&mut tunnel).await.data, &b"answer"[..]);
}

#[tokio::test]
async fn programs_behind_a_local_port_each_get_their_own_answers() {
    let target = udp_echo().await;
    let (pair, _sock) = granting(&[&format!("sock-udp:{target}")]);
    let local = forward::listen_udp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = local.local_addr().unwrap();
    tokio::spawn(forward::udp(local, Arc::new(Over(pair.to_right.clone())), target.try_into().unwrap()));
    let clients =
        [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap()];
    for (number, client) in clients.iter().enumerate() {
        client.send_to(&noise(1_400, number as u64), address).await.unwrap();
    }
    for (number, client) in clients.iter().enumerate() {
        let mut buffer = vec![0; 2_000];
        let (size, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..size], from), (&*noise(1_400, number as u64), address));
    }
}

#[tokio::test]
async fn datagrams_that_come_in_at_the_peer_are_answered_from_here() {
    let (at, target) = (nobody().await, udp_echo().await);
    let (pair, _sock) = granting(&[&format!("sock-udp-bind:{at}")]);
    let tunnel = pair.to_right.sock().udp_bind(at).unwrap();
    tokio::spawn(forward::remote_udp(tunnel, target));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(at).await.unwrap();
    let mut buffer = [0; 64];
    let size = loop {
        // Until the peer listens, the system says that nobody does.
        let _ = client.send(b"hello").await;
        if let Ok(size) = client.recv(&mut buffer).await {
            break size;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(&buffer[..size], b"hello");
    let barred = pair.to_right.sock().udp_bind("127.0.0.1:9").unwrap().recv().await;
    assert_eq!(barred.err(), Some(SockError::NotAllowed));
}

/// A link that loses the first openings of unreliable channels.
#[derive(Clone)]
struct Losing {
    link: Arc<MemoryLink>,
    lose: Arc<AtomicU32>,
}

impl Opener for Losing {
    fn peer(&self) -> Hashname {
        self.link.peer()
    }

    fn open(&self, open: Open) -> BoxFuture<'_, Result<Channel, OpenError>> {
        self.link.open(open)
    }

    fn open_datagrams(&self, open: Open) -> Result<Datagrams, OpenError> {
        if self.lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            return self.link.open_datagrams(open);
        }
        Ok(Datagrams::new(self.peer(), "sock", Arc::new(Nowhere)))
    }

    fn notify(&self, open: Open) -> Result<(), OpenError> {
        self.link.notify(open)
    }
}

struct Nowhere;

impl telemesh_channel::RawDatagrams for Nowhere {
    fn max_size(&self) -> usize {
        1_200
    }

    fn try_send(&self, _: Bytes) -> Result<(), telemesh_channel::DatagramError> {
        Ok(())
    }

    fn poll_recv(
        &self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<Option<Bytes>, telemesh_channel::ChannelError>> {
        std::task::Poll::Pending
    }

    fn close(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_whose_opening_was_lost_is_opened_again_and_not_for_ever() {
    let target = nobody().await;
    let (pair, _sock) = granting(&[&format!("sock-udp:{target}")]);
    let losing = |count| Losing { link: pair.to_right.clone(), lose: Arc::new(AtomicU32::new(count)) };
    // Told apart by what a tunnel without a grant hears: it was opened in the end.
    let mut tunnel = losing(3).sock().udp(Some("127.0.0.1:9".parse().unwrap())).unwrap();
    assert_eq!(tunnel.recv().await.err(), Some(SockError::NotAllowed));
    let mut tunnel = losing(100).sock().udp(Some(target.try_into().unwrap())).unwrap();
    assert_eq!(tunnel.recv().await.err(), Some(SockError::TimedOut));
    let _ = pair.left.peers();
}

#[tokio::test]
async fn when_a_grant_is_taken_away_its_datagrams_are_sent_no_more() {
    let (one, two) = (udp_echo().await, udp_echo().await);
    let grants = [one, two].map(|target| format!("sock-udp:{target}"));
    let (pair, _sock) = granting(&[&grants[0], &grants[1]]);
    let places = [one, two].map(|target| Target::try_from(target).unwrap());
    let mut tunnel = pair.to_right.sock().udp(Some(places[0].clone())).unwrap();
    let mut anywhere = pair.to_right.sock().udp(None).unwrap();
    tunnel.send(None, Bytes::from_static(b"x"));
    next(&mut tunnel).await;
    for place in &places {
        anywhere.send(Some(place), Bytes::from_static(b"x"));
        next(&mut anywhere).await;
    }
    pair.right.revoke(pair.left.hashname(), &grants[0]);
    // The tunnel to it has ended; the other one goes where it still may.
    assert!(!matches!(tunnel.recv().await, Ok(Some(_))));
    anywhere.send(Some(&places[0]), Bytes::from_static(b"no"));
    anywhere.send(Some(&places[1]), Bytes::from_static(b"yes"));
    assert_eq!(next(&mut anywhere).await.data, "yes");
}

#[tokio::test]
async fn when_a_grant_to_listen_is_taken_away_the_address_is_free_again() {
    let at = nobody().await;
    let grant = format!("sock-udp-bind:{at}");
    let (pair, _sock) = granting(&[&grant]);
    let mut tunnel = pair.to_right.sock().udp_bind(at).unwrap();
    tunnel.opened().await.unwrap();
    pair.right.revoke(pair.left.hashname(), &grant);
    assert!(!matches!(tunnel.recv().await, Ok(Some(_))));
    UdpSocket::bind(at).await.unwrap();
}
