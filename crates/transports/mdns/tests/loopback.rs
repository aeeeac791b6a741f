//! Real sockets and real multicast on the loopback interface, on ports of the tests' own: nothing leaves this machine.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::future::poll_fn;
use std::net::UdpSocket;
use std::time::Duration;

use telemesh_hashname::{CipherSetId, Hashname, PublicKeys};
use telemesh_mdns::{Mdns, Options};
use telemesh_transport::{Announcement, Discovery, DiscoveryError, DiscoveryEvent};

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A port on which nobody listens yet.
fn free_port() -> u16 {
    UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

fn open(port: u16) -> Mdns {
    Options::new().loopback().port(port).open().unwrap()
}

fn endpoint(seed: u8, path: &str) -> Announcement {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS11, &[seed; 32]).unwrap();
    keys.insert_key(CipherSetId::CS21, &[seed ^ 0xff; 32]).unwrap();
    Announcement { hashname: keys.hashname().unwrap(), keys, paths: vec![path.parse().unwrap()] }
}

async fn next(mdns: &Mdns) -> DiscoveryEvent {
    tokio::time::timeout(LIMIT, poll_fn(|cx| mdns.poll_discovered(cx)))
        .await
        .expect("nothing is heard")
        .unwrap()
}

async fn found(mdns: &Mdns) -> Announcement {
    match next(mdns).await {
        DiscoveryEvent::Found(announcement) => announcement,
        other => panic!("{other:?}"),
    }
}

async fn gone(mdns: &Mdns) -> Hashname {
    match next(mdns).await {
        DiscoveryEvent::Gone(hashname) => hashname,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whoever_listens_hears_an_announcement_its_change_and_the_goodbye() {
    let port = free_port();
    let (listener, announcer) = (open(port), open(port));
    assert_eq!(listener.interfaces(), 1);
    let (alice, moved) = (endpoint(1, "udp:127.0.0.1:42424"), endpoint(1, "udp:127.0.0.1:7"));

    announcer.announce(&alice).unwrap();
    let heard = found(&listener).await;
    assert_eq!((heard.hashname, heard.keys, heard.paths), (alice.hashname, alice.keys, alice.paths));
    announcer.announce(&moved).unwrap();
    assert_eq!(found(&listener).await.paths, moved.paths);
    announcer.withdraw();
    assert_eq!(gone(&listener).await, alice.hashname);
    // There is nothing left to say goodbye to.
    announcer.withdraw();
}

#[tokio::test]
async fn two_that_announce_find_each_other_whoever_comes_first() {
    let port = free_port();
    let (first, second) = (open(port), open(port));
    let (alice, bob) = (endpoint(1, "udp:127.0.0.1:1"), endpoint(2, "udp:127.0.0.1:2"));
    first.announce(&alice).unwrap();
    second.announce(&bob).unwrap();
    // Each is polled, as it has to answer while the other waits.
    let (heard_by_first, heard_by_second) = tokio::join!(found(&first), found(&second));
    assert_eq!((heard_by_first.hashname, heard_by_second.hashname), (bob.hashname, alice.hashname));
}

#[tokio::test]
async fn an_endpoint_that_is_nowhere_on_the_interface_is_not_announced() {
    let port = free_port();
    let (listener, announcer) = (open(port), open(port));
    let elsewhere = endpoint(1, "udp:192.0.2.1:42424");
    assert!(matches!(announcer.announce(&elsewhere), Err(DiscoveryError::NoPath)));
    // Had anything been sent it would be heard first.
    announcer.announce(&endpoint(2, "udp:127.0.0.1:42424")).unwrap();
    assert_eq!(found(&listener).await.hashname, endpoint(2, "udp:127.0.0.1:1").hashname);
}

#[tokio::test]
async fn who_sends_garbage_to_the_group_is_not_heard_and_the_next_is() {
    let port = free_port();
    let (listener, announcer) = (open(port), open(port));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_multicast_if_v4(&std::net::Ipv4Addr::LOCALHOST).unwrap();
    let group: std::net::SocketAddr = ([224, 0, 0, 251], port).into();
    let mut longest = b"\x09_telemesh".repeat(6_000);
    for length in [0, 1, 11, 12, 100, 8_999, 9_000, 9_001, 60_000] {
        longest.truncate(60_000);
        socket.send_to(&longest[..length], &group.into()).unwrap();
    }
    announcer.announce(&endpoint(1, "udp:127.0.0.1:42424")).unwrap();
    assert_eq!(found(&listener).await.hashname, endpoint(1, "udp:127.0.0.1:1").hashname);
}

#[tokio::test]
async fn a_port_that_somebody_has_for_themselves_is_an_error() {
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let v6 = UdpSocket::bind(("::", port));
    let opened = Options::new().loopback().port(port).open();
    match v6 {
        Ok(_) => assert!(opened.is_err()),
        // Where the port could not be taken in both families, the other one is enough to listen.
        Err(_) => assert!(opened.is_err() || opened.unwrap().interfaces() == 1),
    }
}
