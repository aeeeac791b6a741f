//! What a router delivers, and what is dropped.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use telemesh_channel::memory::{self, MemoryEndpoint};
use telemesh_channel::{
    Acceptor, Body, CircuitId, Connection, Endpoint, HandleError, Handler, Hashname, Introduction, Joined,
    LinkInfo, Need, Open, Opener, Service,
};
use telemesh_connect::{CONNECT, ConnectService};

/// Messages of one router that are worked on at a time.
const MAX_OPEN: usize = 256;

/// An endpoint that writes down what arrives.
struct Target {
    endpoint: Arc<MemoryEndpoint>,
    arrived: Mutex<Vec<(Hashname, CircuitId, Body)>>,
}

impl Acceptor for Target {
    fn handle(&self, channel_type: &str, handler: Arc<dyn Handler>) -> Result<(), HandleError> {
        self.endpoint.handle(channel_type, handler)
    }
}

impl Endpoint for Target {
    fn join(&self, _: &Hashname, _: &Introduction) -> Option<Joined> {
        None
    }

    fn ticket_for(&self, _: &Hashname) -> Option<Bytes> {
        None
    }

    fn got_ticket(&self, _: &Hashname, _: &[u8]) {}

    fn arrived(&self, router: &Hashname, circuit: CircuitId, body: Body) {
        self.arrived.lock().unwrap().push((*router, circuit, body));
    }

    fn compared(&self, _: &Hashname, _: &LinkInfo, _: bool, _: bool) {}

    fn state(&self, _: &Need) -> bool {
        false
    }
}

/// A router's link to a target, and the target.
fn world() -> (Arc<dyn Opener>, Arc<Target>) {
    let [router, target] = [1, 2].map(|number| MemoryEndpoint::new(Hashname::from_bytes([number; 32])));
    let (to_target, _) = memory::connect(&router, &target);
    let target = Arc::new(Target { endpoint: target, arrived: Mutex::default() });
    Arc::new(ConnectService::new()).install(target.clone()).unwrap();
    (to_target, target)
}

async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_router_delivers_arrives_with_its_circuit() {
    let (to_target, target) = world();
    let body = Body::Packet(Bytes::from(vec![1; 1_200]));
    let connection = Connection { circuit: CircuitId::routed(9), body: body.clone() };
    assert!(ConnectService::new().serve(&Need::Connection { target: to_target, connection }));
    settle().await;
    let expected = (Hashname::from_bytes([1; 32]), CircuitId::routed(9), body);
    assert_eq!(*target.arrived.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn where_the_other_end_is_seen_is_heard_on_circuits_of_either_end() {
    let (to_target, target) = world();
    let body = Body::Seen { who: Hashname::from_bytes([3; 32]), at: Some(([192, 0, 2, 7], 40_000).into()) };
    let circuits = [CircuitId::asked(9), CircuitId::routed(9)];
    for circuit in circuits {
        let connection = Connection { circuit, body: body.clone() };
        assert!(ConnectService::new().serve(&Need::Connection { target: to_target.clone(), connection }));
    }
    settle().await;
    let expected = circuits.map(|circuit| (Hashname::from_bytes([1; 32]), circuit, body.clone()));
    assert_eq!(*target.arrived.lock().unwrap(), expected);
}

#[tokio::test]
async fn numbers_that_only_askers_choose_and_rubbish_are_dropped() {
    let (to_target, target) = world();
    let body = Body::Packet(Bytes::from_static(b"packet"));
    let asked = Connection { circuit: CircuitId::asked(9), body };
    to_target.notify(Open::unreliable(CONNECT).with_body(asked.encode().unwrap())).unwrap();
    to_target.notify(Open::unreliable(CONNECT).with_body(vec![7; 9])).unwrap();
    to_target.notify(Open::unreliable(CONNECT)).unwrap();
    settle().await;
    assert!(target.arrived.lock().unwrap().is_empty());
}

#[tokio::test]
async fn so_many_messages_of_one_router_wait_at_a_time_and_one_more_is_dropped() {
    let (to_target, target) = world();
    let (from_another, _) =
        memory::connect(&MemoryEndpoint::new(Hashname::from_bytes([3; 32])), &target.endpoint);
    let deliver = |link: &dyn Opener| {
        let body = Body::Packet(Bytes::from_static(b"packet"));
        let connection = Connection { circuit: CircuitId::routed(9), body };
        link.notify(Open::unreliable(CONNECT).with_body(connection.encode().unwrap())).unwrap();
    };
    let arrived_from = |number| {
        let arrived = target.arrived.lock().unwrap();
        arrived.iter().filter(|(from, ..)| *from == Hashname::from_bytes([number; 32])).count()
    };
    // The target has no turn in between.
    (0..MAX_OPEN).for_each(|_| deliver(&*to_target));
    settle().await;
    assert_eq!(arrived_from(1), MAX_OPEN);
    (0..=MAX_OPEN).for_each(|_| deliver(&*to_target));
    deliver(&*from_another);
    settle().await;
    assert_eq!((arrived_from(1), arrived_from(3)), (2 * MAX_OPEN, 1), "another router's are others");
    // What is done makes room.
    deliver(&*to_target);
    settle().await;
    assert_eq!(arrived_from(1), 2 * MAX_OPEN + 1);
}
