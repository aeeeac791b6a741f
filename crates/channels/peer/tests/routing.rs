//! What the service sends as an asker, and what it does as a router.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use telemesh_channel::memory::{self, MemoryConfig, MemoryEndpoint};
use telemesh_channel::{
    Acceptor, Body, CircuitId, Connection, Endpoint, HandleError, Handler, Hashname, Introduction, Joined,
    LinkInfo, Need, Open, OpenError, Opener, RefusalCode, Service, Target,
};
use telemesh_peer::{PEER, PeerService};
use tokio::io::AsyncReadExt as _;

/// Where the router sees everybody.
const SEEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 40_000);

/// Introductions, or tickets, of one peer that are worked on at a time.
const MAX_OPEN: usize = 256;

/// What the router gives out.
const TICKET: [u8; 68] = [7; 68];

/// An endpoint that joins whoever asks to one peer of its own, and writes down what it is asked and what it needs.
struct Router {
    endpoint: Arc<MemoryEndpoint>,
    target: Arc<dyn Opener>,
    asked: Mutex<Vec<(Hashname, Introduction)>>,
    needed: Mutex<Vec<Connection>>,
}

impl Acceptor for Router {
    fn handle(&self, channel_type: &str, handler: Arc<dyn Handler>) -> Result<(), HandleError> {
        self.endpoint.handle(channel_type, handler)
    }
}

impl Endpoint for Router {
    fn join(&self, asker: &Hashname, introduction: &Introduction) -> Option<Joined> {
        self.asked.lock().unwrap().push((*asker, introduction.clone()));
        let known = introduction.target == Target::Hashname(self.target.peer());
        known.then(|| Joined { target: self.target.clone(), circuit: CircuitId::routed(9), seen: Some(SEEN) })
    }

    fn ticket_for(&self, _: &Hashname) -> Option<Bytes> {
        Some(Bytes::from_static(&TICKET))
    }

    fn got_ticket(&self, _: &Hashname, _: &[u8]) {}

    fn arrived(&self, _: &Hashname, _: CircuitId, _: Body) {}

    fn compared(&self, _: &Hashname, _: &LinkInfo, _: bool, _: bool) {}

    fn state(&self, need: &Need) -> bool {
        let Need::Connection { connection, .. } = need else { return false };
        self.needed.lock().unwrap().push(connection.clone());
        true
    }
}

fn endpoint(number: u8) -> Arc<MemoryEndpoint> {
    MemoryEndpoint::new(Hashname::from_bytes([number; 32]))
}

/// An asker with a link to a router that has a link to a target.
fn world() -> (Arc<dyn Opener>, Arc<Router>) {
    let [asker, router, target] = [1, 2, 3].map(endpoint);
    let (to_router, _) = memory::connect(&asker, &router);
    let (to_target, _) = memory::connect(&router, &target);
    let router = Arc::new(Router {
        endpoint: router,
        target: to_target,
        asked: Mutex::default(),
        needed: Mutex::default(),
    });
    Arc::new(PeerService::new()).install(router.clone()).unwrap();
    (to_router, router)
}

fn introduction(target: u8) -> Introduction {
    Introduction {
        target: Target::Hashname(Hashname::from_bytes([target; 32])),
        circuit: CircuitId::asked(5),
        body: Body::Packet(Bytes::from(vec![1; 1_200])),
    }
}

/// Lets the tasks of the handlers run.
async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_an_asker_asks_reaches_the_other_end_of_the_circuit() {
    let (to_router, router) = world();
    let asked = introduction(3);
    let need = Need::Introduction { router: to_router, introduction: asked.clone() };
    assert!(PeerService::new().serve(&need));
    settle().await;
    assert_eq!(*router.asked.lock().unwrap(), [(Hashname::from_bytes([1; 32]), asked.clone())]);
    let expected = Connection { circuit: CircuitId::routed(9), body: asked.body };
    assert_eq!(*router.needed.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn where_an_asker_is_seen_the_router_says_and_not_the_asker() {
    let (to_router, router) = world();
    let who = Hashname::from_bytes([1; 32]);
    for at in [None, Some(([203, 0, 113, 9], 9).into())] {
        let introduction = Introduction { body: Body::Seen { who, at }, ..introduction(3) };
        PeerService::new().serve(&Need::Introduction { router: to_router.clone(), introduction });
        settle().await;
        let told = router.needed.lock().unwrap().pop().unwrap();
        assert_eq!(told.body, Body::Seen { who, at: Some(SEEN) });
    }
}

#[tokio::test]
async fn whom_the_router_does_not_join_nobody_hears_of() {
    let (to_router, router) = world();
    let need = Need::Introduction { router: to_router, introduction: introduction(4) };
    PeerService::new().serve(&need);
    settle().await;
    assert_eq!(router.asked.lock().unwrap().len(), 1);
    assert!(router.needed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_introduction_is_dropped() {
    let (to_router, router) = world();
    let body = introduction(3).encode().unwrap();
    to_router.notify(Open::unreliable(PEER).with_body(body[..20].to_vec())).unwrap();
    to_router.notify(Open::unreliable(PEER)).unwrap();
    // A reliable channel is none of this type's.
    let channel = to_router.open(Open::reliable(PEER).with_body(body)).await.unwrap();
    settle().await;
    assert!(router.asked.lock().unwrap().is_empty());
    drop(channel);
}

#[tokio::test]
async fn needs_of_others_are_not_served() {
    let (to_router, _) = world();
    let connection = Connection { circuit: CircuitId::routed(9), body: introduction(3).body };
    assert!(!PeerService::new().serve(&Need::Connection { target: to_router, connection }));
}

#[tokio::test]
async fn a_type_that_has_a_handler_already_is_an_error() {
    let (_, router) = world();
    let again: Arc<PeerService> = Arc::default();
    assert!(matches!(again.install(router), Err(HandleError::Taken(_))));
}

#[tokio::test]
async fn so_many_introductions_of_one_peer_wait_at_a_time_and_one_more_is_dropped() {
    let (to_router, router) = world();
    let (from_another, _) = memory::connect(&endpoint(4), &router.endpoint);
    let ask = |link: &dyn Opener| {
        link.notify(Open::unreliable(PEER).with_body(introduction(3).encode().unwrap())).unwrap();
    };
    let asked_by = |number| {
        let asked = router.asked.lock().unwrap();
        asked.iter().filter(|(by, _)| *by == Hashname::from_bytes([number; 32])).count()
    };
    // The router has no turn in between.
    (0..MAX_OPEN).for_each(|_| ask(&*to_router));
    settle().await;
    assert_eq!(asked_by(1), MAX_OPEN);
    (0..=MAX_OPEN).for_each(|_| ask(&*to_router));
    ask(&*from_another);
    settle().await;
    assert_eq!((asked_by(1), asked_by(4)), (2 * MAX_OPEN, 1), "another peer's are others");
    // What is done makes room.
    ask(&*to_router);
    settle().await;
    assert_eq!(asked_by(1), 2 * MAX_OPEN + 1);
}

#[tokio::test]
async fn so_many_tickets_are_on_their_way_to_one_peer_and_one_more_is_refused() {
    let (_, router) = world();
    let slow = MemoryConfig { stream_capacity: 1, ..MemoryConfig::default() };
    let [to_router, from_another] =
        [5, 6].map(|number| memory::connect_with(&endpoint(number), &router.endpoint, slow).0);
    let mut open = Vec::new();
    for _ in 0..MAX_OPEN {
        open.push(to_router.open(Open::reliable(PEER)).await.unwrap());
    }
    settle().await;
    assert_eq!(to_router.open_channels(PEER), MAX_OPEN, "nobody reads, so all are open");
    let mut refused = to_router.open(Open::reliable(PEER)).await.unwrap();
    let refusal = refused.accepted().await.unwrap_err();
    assert!(matches!(&refusal, OpenError::Refused(why) if why.code() == RefusalCode::Busy), "{refusal:?}");
    // Neither those that are open nor other peers notice.
    let mut others = from_another.open(Open::reliable(PEER)).await.unwrap();
    for channel in open.iter_mut().take(1).chain([&mut others]) {
        let mut ticket = Vec::new();
        channel.read_to_end(&mut ticket).await.unwrap();
        assert_eq!(ticket, TICKET);
    }
    // Whoever has read makes room for one.
    drop(open.remove(0));
    settle().await;
    let mut next = to_router.open(Open::reliable(PEER)).await.unwrap();
    let mut ticket = Vec::new();
    next.read_to_end(&mut ticket).await.unwrap();
    assert_eq!(ticket, TICKET);
}
