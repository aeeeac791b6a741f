//! What tunnels are limited to: at the limit, and one past it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod run;

use std::io;
use std::net::IpAddr;
#[cfg(target_os = "linux")]
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use run::{Scripted, echo, granting, nobody, noise, resolving, udp_echo};
#[cfg(target_os = "linux")]
use socket2::{Domain, Socket, Type};
use telemesh_channel::memory::pair;
use telemesh_channel::{BoxFuture, Network as _};
use telemesh_sock::{
    Granted, MAX_TUNNELS, Name, Resolve, SockError, SockNetwork as _, SockOpener as _, Target, UdpTunnel,
};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// Finds nothing, and takes for ever.
struct Silent;

impl Resolve for Silent {
    fn resolve<'a>(&'a self, _: &'a Name) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_tunnels_as_allowed_and_one_more() {
    let pair = pair();
    pair.right.on_sock_with(Granted::of(&*pair.right), Silent).unwrap();
    pair.right.grant(pair.left.hashname(), "sock:host.example:1");
    let ask = || {
        let link = pair.to_right.clone();
        tokio::spawn(async move { link.sock().connect("host.example:1").await.map(drop) })
    };
    let mut waiting = Vec::new();
    for _ in 0..MAX_TUNNELS {
        waiting.push(ask());
        tokio::task::yield_now().await;
    }
    let refused = ask().await.unwrap().unwrap_err();
    assert!(matches!(refused, SockError::Busy(_)), "{refused:?}");
    assert!(waiting.iter().all(|one| !one.is_finished()), "the others still wait for the name");
}

#[tokio::test]
async fn of_a_names_addresses_sixteen_are_looked_at() {
    let target = echo().await;
    for (place, works) in [(15, true), (16, false)] {
        let mut addresses = vec!["10.9.9.9"; place];
        addresses.push("127.0.0.1");
        let resolver = Scripted::new(&[&addresses]);
        let pair = resolving(&[&format!("sock:{target}")], &resolver);
        let result = pair.to_right.sock().connect(&*format!("host.example:{}", target.port())).await;
        assert_eq!(result.is_ok(), works, "{place} others stand before it");
    }
}

/// Counts who asks, and answers as many as are let through.
#[derive(Clone)]
struct Gated {
    asked: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Resolve for Gated {
    fn resolve<'a>(&'a self, _: &'a Name) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            self.gate.acquire().await.unwrap().forget();
            Ok(vec![[10, 9, 9, 9].into()])
        })
    }
}

#[tokio::test(start_paused = true)]
async fn thirty_two_names_are_looked_up_at_once_and_one_more_waits() {
    let pair = pair();
    let resolver = Gated { asked: Arc::default(), gate: Arc::new(Semaphore::new(0)) };
    pair.right.on_sock_with(Granted::of(&*pair.right), resolver.clone()).unwrap();
    // May be looked up, and whatever is found is not allowed.
    pair.right.grant(pair.left.hashname(), "sock:192.0.2.1:1");
    let asking = (0..33).map(|number| {
        let link = pair.to_right.clone();
        tokio::spawn(async move { link.sock().connect(&*format!("{number}.example:1")).await.map(drop) })
    });
    let mut asking = asking.collect::<tokio::task::JoinSet<_>>();
    // Time passes when nobody can go on.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(resolver.asked.load(Ordering::Relaxed), 32);
    resolver.gate.add_permits(1);
    assert_eq!(asking.join_next().await.unwrap().unwrap().unwrap(), Err(SockError::NotAllowed));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(resolver.asked.load(Ordering::Relaxed), 33);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_may_take_ten_seconds() {
    let pair = pair();
    pair.right.on_sock_with(Granted::of(&*pair.right), Silent).unwrap();
    pair.right.grant(pair.left.hashname(), "sock:host.example:1");
    let before = Instant::now();
    let result = pair.to_right.sock().connect("host.example:1").await;
    assert_eq!((result.err(), before.elapsed()), (Some(SockError::NoAddress), Duration::from_secs(10)));
}

/// Where a system answers nobody: at a listener whose queue is full. All of them are kept.
#[cfg(target_os = "linux")]
fn unanswering() -> (Socket, std::net::TcpStream, SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    // The system's queue has one place more than it is told.
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let first = std::net::TcpStream::connect(address).unwrap();
    (listener, first, address)
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_answer_costs_ten_seconds_and_the_next_one_is_tried() {
    let (_listener, _first, silent) = unanswering();
    let next = tokio::net::TcpListener::bind(("127.0.0.2", silent.port())).await.unwrap();
    let grants = [silent, next.local_addr().unwrap()].map(|address| format!("sock:{address}"));
    let resolver = Scripted::new(&[&["127.0.0.1", "127.0.0.2"]]);
    let pair = resolving(&[&grants[0], &grants[1]], &resolver);
    let before = Instant::now();
    let result = pair.to_right.sock().connect(silent).await;
    assert_eq!((result.err(), before.elapsed()), (Some(SockError::TimedOut), Duration::from_secs(10)));
    let connected = pair.to_right.sock().connect(&*format!("host.example:{}", silent.port())).await;
    assert!(connected.is_ok(), "the other address answers");
    assert_eq!(before.elapsed(), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_carries_nothing_for_150_seconds_is_closed() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = server.local_addr().unwrap();
    let (pair, _sock) = granting(&[&format!("sock-udp:{target}")]);
    let mut tunnel = pair.to_right.sock().udp(Some(target.try_into().unwrap())).unwrap();
    tunnel.opened().await.unwrap();
    let before = Instant::now();
    // A datagram just before the end keeps it for as long again.
    sleep(Duration::from_secs(149)).await;
    tunnel.send(None, Bytes::from_static(b"still here"));
    assert_eq!(tunnel.recv().await, Ok(None));
    assert_eq!(before.elapsed(), Duration::from_secs(149 + 150));
}

/// Always the same address. Counts who asks.
#[derive(Clone, Default)]
struct Loopback(Arc<AtomicUsize>);

impl Resolve for Loopback {
    fn resolve<'a>(&'a self, _: &'a Name) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(vec![[127, 0, 0, 1].into()])))
    }
}

/// Sends to a place, and waits for the answer.
async fn ask(tunnel: &mut UdpTunnel, place: Option<&Target>) {
    tunnel.send(place, Bytes::from_static(b"x"));
    assert!(tunnel.recv().await.unwrap().is_some());
}

#[tokio::test]
async fn of_the_places_of_a_tunnel_256_are_known_and_then_the_oldest_gives_way() {
    let target = udp_echo().await;
    let resolver = Loopback::default();
    let pair = pair();
    pair.right.on_sock_with(Granted::of(&*pair.right), resolver.clone()).unwrap();
    pair.right.grant(pair.left.hashname(), &format!("sock-udp:{target}"));
    let place = |name: &str| format!("{name}.example:{}", target.port()).parse::<Target>().unwrap();
    let others = (0..256).map(|number| place(&format!("host-{number}"))).collect::<Vec<_>>();
    let mut tunnel = pair.to_right.sock().udp(Some(place("own"))).unwrap();
    ask(&mut tunnel, None).await;
    for other in &others[..255] {
        ask(&mut tunnel, Some(other)).await;
    }
    // Its own and 255 others are known, so the first of these is not looked up again, and is not the oldest any more.
    ask(&mut tunnel, Some(&others[0])).await;
    assert_eq!(resolver.0.load(Ordering::Relaxed), 256);
    for (other, looked_up) in [
        (Some(&others[255]), 257),
        (None, 257),
        (Some(&others[0]), 257),
        (Some(&others[2]), 257),
        (Some(&others[1]), 258),
    ] {
        ask(&mut tunnel, other).await;
        assert_eq!(resolver.0.load(Ordering::Relaxed), looked_up, "{other:?}");
    }
}

#[tokio::test]
async fn of_those_who_send_to_a_listener_256_are_answered_and_then_the_oldest_is_not() {
    let at = nobody().await;
    let (pair, _sock) = granting(&[&format!("sock-udp-bind:{at}")]);
    let mut tunnel = pair.to_right.sock().udp_bind(at).unwrap();
    tunnel.opened().await.unwrap();
    let client = || {
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_nonblocking(true).unwrap();
        client
    };
    let clients = (0..257).map(|_| client()).collect::<Vec<_>>();
    let mut places = Vec::new();
    for (number, client) in clients.iter().enumerate() {
        client.send_to(b"x", at).unwrap();
        places.push(tunnel.recv().await.unwrap().unwrap().place.unwrap());
        assert_eq!(places[number].address(), Some(client.local_addr().unwrap()));
        if number == 255 {
            // So many are all answered.
            tunnel.send(Some(&places[0]), Bytes::from_static(b"all"));
            assert_eq!(answer(client_of(&clients, 0)).await, b"all");
        }
    }
    // In this order: what the last one gets was sent after what the first one does not get.
    for number in [0, 1, 256] {
        tunnel.send(Some(&places[number]), Bytes::from_static(b"late"));
    }
    for number in [256, 1] {
        assert_eq!(answer(client_of(&clients, number)).await, b"late");
    }
    let nothing = clients[0].recv(&mut [0; 8]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
}

fn client_of(clients: &[std::net::UdpSocket], number: usize) -> UdpSocket {
    UdpSocket::from_std(clients[number].try_clone().unwrap()).unwrap()
}

async fn answer(client: UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 64];
    let size = client.recv(&mut buffer).await.unwrap();
    buffer[..size].to_vec()
}

#[tokio::test]
async fn an_answer_of_48_kib_passes_and_one_that_is_longer_does_not() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = server.local_addr().unwrap();
    let (pair, _sock) = granting(&[&format!("sock-udp:{target}")]);
    let mut tunnel = pair.to_right.sock().udp(Some(target.try_into().unwrap())).unwrap();
    tunnel.send(None, Bytes::from_static(b"question"));
    let (_, from) = server.recv_from(&mut [0; 64]).await.unwrap();
    let port = from.port();
    for size in [(48 << 10) + 1, 48 << 10] {
        server.send_to(&noise(size, 7), ("127.0.0.1", port)).await.unwrap();
    }
    assert_eq!(tunnel.recv().await.unwrap().unwrap().data, noise(48 << 10, 7));
}
