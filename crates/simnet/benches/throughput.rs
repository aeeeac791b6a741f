//! What a simulated datagram costs, sent and delivered: between hosts in the open, and between homes behind NATs.

#![allow(clippy::unwrap_used)] // A bench that cannot set up its network has nothing to measure.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telemesh_simnet::{Conditions, NatConfig, Network, Realm, Scope, SocketId};

const HOSTS: u32 = 300;
const PORT: u16 = 42424;
const PAYLOAD: [u8; 1200] = [7; 1200];
/// Each host sends this many a round, to as many others.
const BURST: u32 = 8;

fn rounds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round");
    group.throughput(Throughput::Elements(u64::from(HOSTS * BURST)));
    for (name, natted) in [("open", false), ("natted", true)] {
        let (mut network, sockets) = homes(natted);
        group.bench_function(name, |bencher| bencher.iter(|| round(&mut network, &sockets)));
        assert!(network.counts().delivered > 0);
    }
    group.finish();
}

/// Lets every host send, and takes out all that arrives.
fn round(network: &mut Network, sockets: &[SocketId]) {
    let now = network.time();
    for (host, &socket) in (0..HOSTS).zip(sockets) {
        for step in 1..=BURST {
            let to = SocketAddr::new(outside((host + step) % HOSTS), PORT);
            network.send(now, socket, to, &PAYLOAD).unwrap();
        }
    }
    while let Some(now) = network.next_delivery_at() {
        while let Some(delivery) = network.deliver(now) {
            network.recycle(black_box(delivery).payload);
        }
    }
}

fn homes(natted: bool) -> (Network, Vec<SocketId>) {
    let mut network = Network::new(1);
    let conditions = Conditions::new()
        .delay(Duration::from_millis(20))
        .jitter(Duration::from_millis(5))
        .loss(0.01)
        .rate(10_000_000, 1 << 20);
    network.set_conditions(Scope::Everywhere, conditions);
    let sockets = (0..HOSTS).map(|host| {
        let (realm, ip) = if natted {
            let config = NatConfig::full_cone();
            let nat = network.add_nat(Realm::INTERNET, [outside(host)], config).unwrap();
            (nat.inside(), IpAddr::V4(Ipv4Addr::new(192, 168, 1, 2)))
        } else {
            (Realm::INTERNET, outside(host))
        };
        let host = network.add_host(realm, [ip]).unwrap();
        network.bind(host, SocketAddr::from(([0, 0, 0, 0], PORT))).unwrap()
    });
    let sockets = sockets.collect();
    (network, sockets)
}

fn outside(host: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0xc612_0000 + host)) // In 198.18.0.0/15, which is for benchmarks.
}

criterion_group!(benches, rounds);
criterion_main!(benches);
