//! Tunnels, HTTP and WebSockets over links whose paths come and go while bytes flow: none is lost, doubled or out of order.
//!
//! Every flow runs until the trouble is over, so that all that happens to the network happens in the middle of it. Where a byte
//! stands decides what it is. Only the sockets at a tunnel's far end are real.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use telemesh_mesh::{Contact, Grants, Link, LinkInfo};
use telemesh_sock::{SockNetwork as _, SockOpener as _};
use telemesh_testkit::simnet::{Conditions, NatConfig, Scope};
use telemesh_testkit::{Node, World};
use telemesh_thtp::http::{Request, StatusCode};
use telemesh_thtp::{Body, HttpOpener as _, HttpServer as _};
use telemesh_ws::{Message, SocketError, WebSocket, WsOpener as _, WsServer as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// Bytes that go through the narrowest place in a second: the flows fill it, and still a minute of them is soon computed.
const RATE: u64 = 400_000;

/// What a tunnel, an upload and a download carry at a time, in bytes.
const PIECE: usize = 5_000;

/// WebSocket messages under way at a time.
const UNDER_WAY: usize = 16;

/// When the flows have to stop.
type Stop = Arc<AtomicBool>;

/// Alice serves and Bob asks, a router knows both.
struct Scene {
    world: World,
    router: Node,
    alice: Node,
    bob: Node,
}

impl Scene {
    fn new(world: World, nats: Option<NatConfig>) -> Self {
        let line = Conditions::new().delay(Duration::from_millis(20)).rate(RATE, RATE / 5);
        world.with_network(|network| network.set_conditions(Scope::Everywhere, line));
        let router = world.router("router");
        let node = |name| match &nats {
            Some(kind) => world.node_behind(world.nat(kind.clone()), name),
            None => world.node(name),
        };
        let (alice, bob) = (node("alice"), node("bob"));
        Self { world, router, alice, bob }
    }

    /// Links the two, and lets everything flow until `trouble` is over.
    async fn run<F: Future<Output = ()>>(&self, trouble: impl FnOnce(Link) -> F) {
        self.world.use_router(&self.alice, &self.router).await;
        self.world.use_router(&self.bob, &self.router).await;
        let echo = echo().await;
        let mut grants = Grants::link();
        for grant in ["serve", &format!("sock:{echo}")] {
            grants.insert(grant.parse().unwrap()).unwrap();
        }
        let bob = LinkInfo::new(self.bob.info().keys().clone()).unwrap();
        self.alice.mesh().set_contact(Contact::new(bob).with_grants(grants)).unwrap();
        let stop = Stop::default();
        let served = Arc::new(AtomicU64::new(0));
        serve(&self.alice, &stop, &served);

        let alice = LinkInfo::new(self.alice.info().keys().clone()).unwrap();
        let link = self.bob.mesh().link(alice).await.unwrap();
        let ups = link.state().ups;
        let ends = async {
            trouble(link.clone()).await;
            stop.store(true, Ordering::Relaxed);
        };
        let (down, up, messages, echoed, ()) = tokio::join!(
            download(&link),
            upload(&link, &stop),
            converse(&link, &stop),
            tunnel(&link, echo, &stop),
            ends
        );
        assert_eq!(down, served.load(Ordering::Relaxed), "bytes of the download");
        assert_eq!(link.state().ups, ups, "the link itself did not notice");
        for (what, flowed) in [("down", down), ("up", up), ("tunnel", echoed), ("messages", messages * 1_000)]
        {
            assert!(flowed > 100_000, "{what}: only {flowed}");
        }
    }

    fn passes(&self, passes: bool) {
        let (alice, bob) = (self.alice.host(), self.bob.host());
        self.world.with_network(|network| {
            for (from, to) in [(alice, bob), (bob, alice)] {
                if passes { network.unblock(from, to) } else { network.block(from, to) }
            }
        });
    }
}

#[test]
fn the_direct_path_dies_the_router_takes_over_and_the_direct_path_comes_back() {
    World::run(1, |world| async move {
        let scene = &Scene::new(world, None);
        scene
            .run(|link| async move {
                until(&link, true).await;
                sleep(Duration::from_secs(2)).await;
                scene.passes(false);
                until(&link, false).await;
                sleep(Duration::from_secs(2)).await;
                scene.passes(true);
                until(&link, true).await;
                sleep(Duration::from_secs(2)).await;
            })
            .await;
    });
}

#[test]
fn either_end_changes_its_address() {
    World::run(2, |world| async move {
        let scene = &Scene::new(world, None);
        scene
            .run(|link| async move {
                until(&link, true).await;
                for node in [&scene.alice, &scene.bob, &scene.alice] {
                    sleep(Duration::from_secs(2)).await;
                    node.move_to(scene.world.fresh_address());
                }
                sleep(Duration::from_secs(10)).await;
                until(&link, true).await;
            })
            .await;
    });
}

#[test]
fn all_of_it_goes_through_a_circuit_whose_router_restarts() {
    World::run(3, |world| async move {
        let scene = &Scene::new(world, Some(NatConfig::symmetric()));
        scene
            .run(|link| async move {
                sleep(Duration::from_secs(3)).await;
                assert!(!is_direct(&link));
                scene.router.crash();
                sleep(Duration::from_millis(500)).await;
                scene.router.start().links().iter().for_each(Link::connect);
                sleep(Duration::from_secs(10)).await;
                assert!(!is_direct(&link));
            })
            .await;
    });
}

#[test]
fn a_request_and_its_response_take_one_packet_each() {
    const REQUESTS: u64 = 100;
    World::run(4, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let mut grants = Grants::link();
        grants.insert("serve".parse().unwrap()).unwrap();
        alice.mesh().set_contact(Contact::new(bob.info()).with_grants(grants)).unwrap();
        alice.mesh().serve_http(Router::new().route("/", get("hello"))).unwrap();
        let link = bob.mesh().link(alice.info()).await.unwrap();
        // The first ones are for finding out how much the path carries.
        for _ in 0..20 {
            request(&link).await;
            sleep(Duration::from_secs(1)).await;
        }
        let count = |node: &Node| node.mesh().metrics().traffic.packets_received;
        let (before, began) = ([count(&alice), count(&bob)], Instant::now());
        for _ in 0..REQUESTS {
            request(&link).await;
        }
        assert!(began.elapsed() < Duration::from_millis(41) * 100, "one round trip each");
        for (node, before) in [&alice, &bob].into_iter().zip(before) {
            let packets = count(node) - before;
            assert!(packets < REQUESTS * 5 / 4, "{packets} packets for {REQUESTS} requests");
        }
    });
}

async fn request(link: &Link) {
    let response = link.http(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "hello");
    assert!(body.chunk().await.unwrap().is_none());
}

fn is_direct(link: &Link) -> bool {
    link.path().is_some_and(|path| path.address.is_direct())
}

/// Waits until the link's data goes straight to the peer, or does not.
async fn until(link: &Link, direct: bool) {
    let began = Instant::now();
    while is_direct(link) != direct {
        assert!(began.elapsed() < Duration::from_secs(90), "direct: {direct}; {}", link.explain());
        sleep(Duration::from_millis(10)).await;
    }
}

/// What stands at these places of every flow.
fn bytes(from: u64, length: usize) -> Vec<u8> {
    (from..).take(length).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[1]).collect()
}

/// Takes the next bytes of a flow.
fn check(what: &str, at: &mut u64, found: &[u8]) {
    assert!(found == bytes(*at, found.len()), "{what}: bytes differ between {at} and {} more", found.len());
    *at += found.len() as u64;
}

fn is_over(stop: &Stop) -> bool {
    stop.load(Ordering::Relaxed)
}

/// A body that goes on until it is told to stop, and counts.
fn endless(
    stop: &Stop,
    count: &Arc<AtomicU64>,
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + use<> {
    stream::unfold((stop.clone(), count.clone()), |(stop, count)| async move {
        let piece = bytes(count.load(Ordering::Relaxed), PIECE);
        (!is_over(&stop)).then(|| {
            count.fetch_add(PIECE as u64, Ordering::Relaxed);
            (Ok(Bytes::from(piece)), (stop, count))
        })
    })
}

/// What Alice serves: a download, an upload, and messages that come back.
fn serve(alice: &Node, stop: &Stop, served: &Arc<AtomicU64>) {
    let (stop, served) = (stop.clone(), served.clone());
    let down = move || async move { axum::body::Body::from_stream(endless(&stop, &served)) };
    let up = |body: axum::body::Body| async {
        let (mut body, mut at) = (body.into_data_stream(), 0);
        while let Some(piece) = body.next().await {
            check("upload", &mut at, &piece.unwrap());
        }
        at.to_string()
    };
    let mesh = alice.mesh();
    mesh.serve_http(Router::new().route("/down", get(down)).route("/up", post(up))).unwrap();
    mesh.on_ws("/echo", |mut socket: WebSocket| async move {
        while let Ok(Some(message)) = socket.receive().await {
            if matches!(message, Message::Binary(_)) {
                socket.send(message).await.unwrap();
            }
        }
    })
    .unwrap();
    mesh.on_sock_granted().map(drop).unwrap();
}

/// A download; how many bytes came, and then its end.
async fn download(link: &Link) -> u64 {
    let response = link.http(Request::get("/down").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let (mut body, mut at) = (response.into_body(), 0);
    while let Some(piece) = body.chunk().await.unwrap() {
        check("download", &mut at, &piece);
    }
    at
}

/// An upload; how many bytes went, and the server has seen all.
async fn upload(link: &Link, stop: &Stop) -> u64 {
    let sent = Arc::new(AtomicU64::new(0));
    let body = Body::from_stream(endless(stop, &sent));
    let response = link.http(Request::post("/up").body(body).unwrap()).await.unwrap();
    let said = response.into_body().chunk().await.unwrap().unwrap();
    let sent = sent.load(Ordering::Relaxed);
    assert_eq!(said, sent.to_string(), "bytes of the upload");
    sent
}

/// Messages there and back; how many.
async fn converse(link: &Link, stop: &Stop) -> u64 {
    let (mut sink, mut stream) = link.ws("/echo").await.unwrap().split();
    let places = tokio::sync::Semaphore::new(UNDER_WAY);
    let talk = async {
        let mut sent = 0;
        while !is_over(stop) {
            places.acquire().await.unwrap().forget();
            let size = usize::try_from(sent % 3_000).unwrap();
            sink.send(Message::from(bytes(sent, size))).await.unwrap();
            sent += 1;
        }
        sink.send(Message::Close(None)).await.unwrap();
        sent
    };
    let listen = async {
        let mut came = 0;
        loop {
            match stream.next().await {
                Some(Ok(Message::Binary(found))) => {
                    let size = usize::try_from(came % 3_000).unwrap();
                    assert!(found == bytes(came, size), "message {came}");
                    came += 1;
                    places.add_permits(1);
                }
                Some(Ok(Message::Close(_)) | Err(SocketError::Closed)) | None => return came,
                Some(other) => panic!("{other:?} after {came} messages"),
            }
        }
    };
    let (sent, came) = tokio::join!(talk, listen);
    assert_eq!(sent, came, "messages");
    came
}

/// Sends everything back, for each connection until its end. A real socket: what leaves a tunnel does.
async fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (mut read, mut write) = socket.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
        }
    });
    address
}

/// A connection through a tunnel; how many bytes came back.
async fn tunnel(link: &Link, to: std::net::SocketAddr, stop: &Stop) -> u64 {
    let (mut read, mut write) = tokio::io::split(link.sock().connect(to).await.unwrap());
    let talk = async {
        let mut sent = 0;
        while !is_over(stop) {
            write.write_all(&bytes(sent, PIECE)).await.unwrap();
            sent += PIECE as u64;
        }
        write.shutdown().await.unwrap();
        sent
    };
    let listen = async {
        let (mut came, mut buffer) = (0, vec![0; 20_000]);
        loop {
            match read.read(&mut buffer).await.unwrap() {
                0 => return came,
                count => check("tunnel", &mut came, &buffer[..count]),
            }
        }
    };
    let (sent, came) = tokio::join!(talk, listen);
    assert_eq!(sent, came, "bytes through the tunnel");
    came
}
