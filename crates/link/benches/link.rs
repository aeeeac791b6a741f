//! The hot paths of a link: sealing and opening batches, and what a handshake costs both ends together.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that fails has to stop")]
#![allow(clippy::disallowed_methods, reason = "a benchmark starts from some instant")]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use telemesh_hashname::CipherSetId;
use telemesh_keys::{KeySet, SecretKey};
use telemesh_link::{Admission, Event, Gate, GateConfig, Identity, Link, LinkConfig, Peer, TagTable};
use telemesh_wire::PathAddress;

const SEGMENT: usize = 1_420;
const SEGMENTS: usize = 40;
const WALL: u64 = 1_790_000_000_000_000;

fn path(port: u16) -> PathAddress {
    PathAddress::Udp(([192, 0, 2, 1], port).into())
}

struct Pair {
    now: Instant,
    identities: [Arc<Identity>; 2],
    links: [Link; 2],
}

impl Pair {
    fn new(csid: CipherSetId) -> Self {
        let now = Instant::now();
        let identities = [1u8, 2].map(|number| {
            let keys = KeySet::from_secrets([(csid, SecretKey::from_bytes(&[number; 32]))]).unwrap();
            Identity::new(keys, number.into(), 1).unwrap()
        });
        let link = |ours: &Arc<Identity>, theirs: &Arc<Identity>, seed| {
            let peer = Peer { keys: Some(theirs.public_keys().clone()), ..Peer::new(theirs.hashname()) };
            Link::new(Arc::clone(ours), peer, 0, LinkConfig::default(), [seed; 32], now).unwrap()
        };
        let [left, right] = &identities;
        let links = [link(left, right, 1), link(right, left, 2)];
        Self { now, identities, links }
    }

    fn connect(&mut self) {
        let now = self.now;
        let [left, right] = &mut self.links;
        let config = GateConfig::new(TagTable::new());
        let mut gate = Gate::new(Arc::clone(&self.identities[1]), config, [3; 32], now);
        let mut packet = Vec::new();
        left.add_candidate(now, path(2));
        left.connect(now, WALL);
        left.poll_transmit(now, &mut packet).unwrap();
        let admitted = gate.handle_initiation(now, path(1), &mut packet).unwrap();
        let Admission::Request(request) = admitted else { panic!("a gate that is not public gave a cookie") };
        request.accept(right, now, WALL).unwrap();
        while let Some(event) = right.poll_event() {
            if let Event::Persist(record) = event {
                right.persisted(now, &record);
            }
        }
        packet.clear();
        right.poll_transmit(now, &mut packet).unwrap();
        left.handle_packet(now, path(2), &mut packet).unwrap();
        packet.clear();
        left.poll_transmit(now, &mut packet).unwrap();
        right.handle_packet(now, path(1), &mut packet).unwrap();
    }
}

fn seal_and_open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Bytes((SEGMENT * SEGMENTS) as u64));
    for csid in [CipherSetId::CS11, CipherSetId::CS21] {
        let payloads = vec![0x40; SEGMENT * SEGMENTS];
        let fresh = || {
            let mut pair = Pair::new(csid);
            pair.connect();
            pair
        };
        let mut pair = fresh();
        let mut out = Vec::with_capacity(SEGMENTS * (SEGMENT + 32));
        group.bench_function(BenchmarkId::new("seal", csid), |bencher| {
            bencher.iter(|| {
                out.clear();
                if pair.links[0].seal_batch(pair.now, &payloads, SEGMENT, &mut out).is_none() {
                    // The packet limit of AES-GCM: go on with a new session.
                    pair = fresh();
                }
            });
        });
        let pair = RefCell::new(fresh());
        let seal = || {
            let mut out = Vec::new();
            let Pair { now, links: [left, _], .. } = &mut *pair.borrow_mut();
            left.seal_batch(*now, &payloads, SEGMENT, &mut out).map(|_| out)
        };
        group.bench_function(BenchmarkId::new("open", csid), |bencher| {
            bencher.iter_batched(
                || {
                    seal().unwrap_or_else(|| {
                        *pair.borrow_mut() = fresh();
                        seal().unwrap()
                    })
                },
                |mut batch| {
                    let Pair { now, links: [_, right], .. } = &mut *pair.borrow_mut();
                    for packet in batch.chunks_mut(SEGMENT + 32) {
                        right.handle_packet(*now, path(1), packet).unwrap();
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn handshake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake, both ends");
    for csid in [CipherSetId::CS11, CipherSetId::CS21] {
        group.bench_function(BenchmarkId::from_parameter(csid), |bencher| {
            bencher.iter_batched(|| Pair::new(csid), |mut pair| pair.connect(), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, seal_and_open, handshake);
criterion_main!(benches);
