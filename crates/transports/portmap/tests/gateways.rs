//! Real packets: small gateways on loopback that speak NAT-PMP, PCP and UPnP, honest ones and others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, their helpers too")]

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use telemesh_portmap::{Options, PortMapper};
use telemesh_transport::PortMapping as _;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

const PORT: NonZeroU16 = NonZeroU16::new(42_424).unwrap();
const OUTSIDE: u16 = 50_505;
const PUBLIC: [u8; 4] = [198, 51, 100, 7];

/// What a gateway of a test speaks, and what it says.
#[derive(Clone, Copy)]
struct Speaks {
    pcp: bool,
    external: [u8; 4],
    lifetime: u32,
    /// Answers with so many bytes of nonsense instead.
    nonsense: Option<usize>,
}

const HONEST: Speaks = Speaks { pcp: false, external: PUBLIC, lifetime: 3_600, nonsense: None };

/// What a gateway was asked.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// A version that it does not speak.
    Version(u8),
    External,
    Map {
        inside: u16,
        lifetime: u32,
    },
}

/// A gateway on its own loopback address, at the port that RFC 6886 and 6887 give it.
async fn gateway(last: u8, speaks: Speaks) -> (Ipv4Addr, UnboundedReceiver<Asked>) {
    let address = Ipv4Addr::new(127, 53, 51, last);
    let socket = UdpSocket::bind((address, 5_351)).await.unwrap();
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        let mut packet = [0; 1_100];
        loop {
            let (length, from) = socket.recv_from(&mut packet).await.unwrap();
            let asked = &packet[..length];
            let answer = match speaks.nonsense {
                Some(size) => vec![0xff; size],
                None if speaks.pcp => pcp(asked, speaks, &tell),
                None => nat_pmp(asked, speaks, &tell),
            };
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    (address, told)
}

/// RFC 6886 section 3.
fn nat_pmp(asked: &[u8], speaks: Speaks, tell: &UnboundedSender<Asked>) -> Vec<u8> {
    const EPOCH: [u8; 4] = [0, 0, 1, 0];
    match asked {
        [0, 0] => {
            tell.send(Asked::External).unwrap();
            [&[0, 128, 0, 0], EPOCH.as_slice(), &speaks.external].concat()
        }
        [0, 1, 0, 0, a, b, _, _, lifetime @ ..] if lifetime.len() == 4 => {
            let lifetime = u32::from_be_bytes(lifetime.try_into().unwrap());
            tell.send(Asked::Map { inside: u16::from_be_bytes([*a, *b]), lifetime }).unwrap();
            let outside = if lifetime == 0 { 0 } else { OUTSIDE };
            let given = lifetime.min(speaks.lifetime);
            [&[0, 129, 0, 0], EPOCH.as_slice(), &[*a, *b], &outside.to_be_bytes(), &given.to_be_bytes()]
                .concat()
        }
        [version, ..] => {
            tell.send(Asked::Version(*version)).unwrap();
            [&[0, 128, 0, 1], EPOCH.as_slice()].concat()
        }
        [] => Vec::new(),
    }
}

/// RFC 6887 sections 7 and 11.
fn pcp(asked: &[u8], speaks: Speaks, tell: &UnboundedSender<Asked>) -> Vec<u8> {
    assert_eq!((asked[0], asked[1], asked.len()), (2, 1, 60), "a request for a mapping");
    let lifetime = u32::from_be_bytes(asked[4..8].try_into().unwrap());
    let inside = u16::from_be_bytes(asked[40..42].try_into().unwrap());
    tell.send(Asked::Map { inside, lifetime }).unwrap();
    let mut answer = asked.to_vec();
    answer[1] |= 0x80;
    answer[2..4].fill(0);
    answer[4..8].copy_from_slice(&lifetime.min(speaks.lifetime).to_be_bytes());
    answer[8..12].copy_from_slice(&[0, 0, 1, 0]);
    answer[12..24].fill(0);
    answer[42..44].copy_from_slice(&OUTSIDE.to_be_bytes());
    answer[44..60].copy_from_slice(&Ipv4Addr::from(speaks.external).to_ipv6_mapped().octets());
    answer
}

fn mapper(gateway: Ipv4Addr) -> PortMapper {
    let mut options = Options::default();
    (options.gateway, options.upnp) = (Some(gateway), false);
    PortMapper::open(options).unwrap()
}

async fn mapped(mapper: &PortMapper) -> Option<SocketAddr> {
    timeout(Duration::from_secs(20), poll_fn(|cx| mapper.poll_mapped(cx))).await.unwrap()
}

/// Whether nothing is told although the gateway has been asked and has answered.
async fn is_not_believed(mapper: &PortMapper) -> bool {
    let told = timeout(Duration::from_secs(2), poll_fn(|cx| mapper.poll_mapped(cx))).await;
    told.is_err()
}

async fn released(mapper: &PortMapper) {
    timeout(Duration::from_secs(20), poll_fn(|cx| mapper.poll_released(cx))).await.unwrap();
}

fn outside() -> Option<SocketAddr> {
    Some((PUBLIC, OUTSIDE).into())
}

#[tokio::test]
async fn a_gateway_that_speaks_nat_pmp_leads_here_and_gets_its_port_back() {
    let (address, mut told) = gateway(1, HONEST).await;
    let mapper = mapper(address);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(told.try_recv().is_err(), "nobody has asked for anything yet");
    mapper.map(PORT);
    assert_eq!(mapped(&mapper).await, outside());
    assert_eq!(told.recv().await, Some(Asked::Version(2)), "PCP comes first");
    assert_eq!(told.recv().await, Some(Asked::Map { inside: PORT.get(), lifetime: 3_600 }));
    assert_eq!(told.recv().await, Some(Asked::External));
    released(&mapper).await;
    assert_eq!(told.recv().await, Some(Asked::Map { inside: PORT.get(), lifetime: 0 }));
    assert_eq!(mapped(&mapper).await, None);
}

#[tokio::test]
async fn a_gateway_that_speaks_pcp_leads_here_and_gets_its_port_back() {
    let (address, mut told) = gateway(2, Speaks { pcp: true, ..HONEST }).await;
    let mapper = mapper(address);
    mapper.map(PORT);
    assert_eq!(mapped(&mapper).await, outside());
    assert_eq!(told.recv().await, Some(Asked::Map { inside: PORT.get(), lifetime: 3_600 }));
    released(&mapper).await;
    assert_eq!(told.recv().await, Some(Asked::Map { inside: PORT.get(), lifetime: 0 }));
}

#[tokio::test]
async fn an_external_address_that_is_nobodys_is_given_back_and_not_told() {
    for (last, pcp, external) in [
        (10, false, [192, 168, 1, 1]),
        (11, true, [100, 64, 0, 1]),
        (12, false, [127, 0, 0, 1]),
        (13, true, [224, 0, 0, 1]),
        (14, false, [0, 0, 0, 0]),
        (15, true, [255, 255, 255, 255]),
    ] {
        let (address, mut told) = gateway(last, Speaks { pcp, external, ..HONEST }).await;
        let mapper = mapper(address);
        mapper.map(PORT);
        assert!(is_not_believed(&mapper).await, "{external:?} was told");
        let mut given_back = false;
        while let Ok(asked) = told.try_recv() {
            given_back |= matches!(asked, Asked::Map { lifetime: 0, .. });
        }
        assert!(given_back, "{external:?} was kept");
    }
}

#[tokio::test]
async fn a_gateway_that_gives_no_time_leads_nowhere() {
    let (address, _told) = gateway(20, Speaks { pcp: true, lifetime: 0, ..HONEST }).await;
    let mapper = mapper(address);
    mapper.map(PORT);
    assert!(is_not_believed(&mapper).await);
}

#[tokio::test]
async fn nonsense_of_any_length_leads_nowhere() {
    for (last, size) in [(30, 0), (31, 1), (32, 8), (33, 16), (34, 60), (35, 1_100), (36, 9_000)] {
        let (address, _told) = gateway(last, Speaks { nonsense: Some(size), ..HONEST }).await;
        let mapper = mapper(address);
        mapper.map(PORT);
        assert!(is_not_believed(&mapper).await, "{size} bytes");
        released(&mapper).await;
    }
}
