//! What ends tell each other about their paths.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use telemesh_channel::memory::{self, MemoryConfig, MemoryEndpoint};
use telemesh_channel::{
    Acceptor, Body, CircuitId, Endpoint, HandleError, Handler, Hashname, Introduction, Joined, LinkInfo,
    Need, Open, Opener, Service,
};
use telemesh_path::{ASK, BIRTHDAY, PATH, PathService, decode, encode};
use telemesh_wire::PathAddress;

/// Messages of one peer that are worked on at a time.
const MAX_OPEN: usize = 16;

/// An endpoint that writes down what it is told.
struct Peer {
    endpoint: Arc<MemoryEndpoint>,
    told: Mutex<Vec<(Hashname, LinkInfo, bool, bool)>>,
}

impl Acceptor for Peer {
    fn handle(&self, channel_type: &str, handler: Arc<dyn Handler>) -> Result<(), HandleError> {
        self.endpoint.handle(channel_type, handler)
    }
}

impl Endpoint for Peer {
    fn join(&self, _: &Hashname, _: &Introduction) -> Option<Joined> {
        None
    }

    fn ticket_for(&self, _: &Hashname) -> Option<Bytes> {
        None
    }

    fn got_ticket(&self, _: &Hashname, _: &[u8]) {}

    fn arrived(&self, _: &Hashname, _: CircuitId, _: Body) {}

    fn compared(&self, peer: &Hashname, info: &LinkInfo, asks: bool, birthday: bool) {
        self.told.lock().unwrap().push((*peer, info.clone(), asks, birthday));
    }

    fn state(&self, _: &Need) -> bool {
        false
    }
}

fn world(max: usize) -> (Arc<dyn Opener>, Arc<Peer>) {
    let [one, other] = [1, 2].map(|number| MemoryEndpoint::new(Hashname::from_bytes([number; 32])));
    let config = MemoryConfig { max_datagram_size: max, ..MemoryConfig::default() };
    let (to_other, _) = memory::connect_with(&one, &other, config);
    let peer = Arc::new(Peer { endpoint: other, told: Mutex::default() });
    Arc::new(PathService::new()).install(peer.clone()).unwrap();
    (to_other, peer)
}

fn info(paths: u8) -> LinkInfo {
    (1..=paths).fold(LinkInfo::unresolved(Hashname::from_bytes([1; 32])), |info, last| {
        info.with_path(PathAddress::Udp(([192, 0, 2, last], 42_424).into())).unwrap()
    })
}

async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_end_is_told_where_the_other_is() {
    let (peer, other) = world(1_200);
    assert!(PathService::new().serve(&Need::Comparison { peer, info: info(16), ask: true, birthday: true }));
    settle().await;
    assert_eq!(*other.told.lock().unwrap(), [(Hashname::from_bytes([1; 32]), info(16), true, true)]);
}

#[tokio::test]
async fn what_does_not_fit_is_left_out_from_behind() {
    let (peer, other) = world(200);
    PathService::new().serve(&Need::Comparison { peer, info: info(16), ask: false, birthday: false });
    settle().await;
    let told = other.told.lock().unwrap();
    let [(_, told, false, false)] = &told[..] else { panic!("one message") };
    assert!(!told.paths().is_empty() && told.paths().len() < 16);
    assert_eq!(told.paths(), &info(16).paths()[..told.paths().len()]);
}

#[tokio::test]
async fn rubbish_is_dropped() {
    let (peer, other) = world(1_200);
    for body in [&b""[..], b"\x00", b"\x02{}", b"\x04{}", b"\x00{}", b"\x00\xff\xff", b"\x01{\"hashname\":7}"]
    {
        assert_eq!(decode(body), None);
        peer.notify(Open::unreliable(PATH).with_body(body.to_vec())).unwrap();
    }
    settle().await;
    assert!(other.told.lock().unwrap().is_empty());
    for flags in [0, ASK, BIRTHDAY, ASK | BIRTHDAY] {
        assert_eq!(decode(&encode(&info(3), flags)), Some((info(3), flags)));
    }
    assert_eq!(decode(&encode(&info(3), 4)), None, "a flag of a later version");
}

#[tokio::test]
async fn so_many_comparisons_of_one_peer_wait_at_a_time_and_one_more_is_dropped() {
    let (peer, other) = world(1_200);
    let (from_another, _) =
        memory::connect(&MemoryEndpoint::new(Hashname::from_bytes([3; 32])), &other.endpoint);
    let tell = |link: &dyn Opener| {
        link.notify(Open::unreliable(PATH).with_body(encode(&info(3), 0))).unwrap();
    };
    let told_by = |number| {
        let told = other.told.lock().unwrap();
        told.iter().filter(|(by, ..)| *by == Hashname::from_bytes([number; 32])).count()
    };
    // The other end has no turn in between.
    (0..MAX_OPEN).for_each(|_| tell(&*peer));
    settle().await;
    assert_eq!(told_by(1), MAX_OPEN);
    (0..=MAX_OPEN).for_each(|_| tell(&*peer));
    tell(&*from_another);
    settle().await;
    assert_eq!((told_by(1), told_by(3)), (2 * MAX_OPEN, 1), "another peer's are others");
    // What is done makes room.
    tell(&*peer);
    settle().await;
    assert_eq!(told_by(1), 2 * MAX_OPEN + 1);
}
