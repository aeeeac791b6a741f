//! What an initiation costs the gate, by what becomes of it: this is what a flood has to work with.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that fails has to stop")]
#![allow(clippy::disallowed_methods, reason = "a benchmark starts from some instant")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use telemesh_hashname::CipherSetId;
use telemesh_keys::{KeySet, SecretKey};
use telemesh_link::{
    Admission, DropReason, Event, Gate, GateConfig, Identity, Link, LinkConfig, Peer, Rate, TagTable,
};
use telemesh_wire::{CloseReason, PathAddress};

const WALL: u64 = 1_790_000_000_000_000;
const ALWAYS: Rate = Rate { burst: u32::MAX, per_second: u32::MAX };
const NEVER: Rate = Rate { burst: 0, per_second: 1 };
/// More initiations than a gate remembers of one tag, so that none of them is taken for a copy.
const RECORDINGS: usize = 64;

fn path(port: u16) -> PathAddress {
    PathAddress::Udp(([192, 0, 2, 1], port).into())
}

fn identity(number: u8) -> Arc<Identity> {
    let keys = KeySet::from_secrets([(CipherSetId::CS21, SecretKey::from_bytes(&[number; 32]))]).unwrap();
    Identity::new(keys, number.into(), 1).unwrap()
}

/// Two endpoints that had a session, and what the first sent since.
struct Scene {
    now: Instant,
    responder: Arc<Identity>,
    tags: TagTable,
    link: Link,
    /// Without a return tag: the first one, from before the session.
    untagged: Vec<u8>,
    tagged: Vec<Vec<u8>>,
}

fn packets(link: &mut Link, now: Instant) -> Vec<Vec<u8>> {
    let (mut all, mut packet) = (Vec::new(), Vec::new());
    while let Some(event) = link.poll_event() {
        if let Event::Persist(record) = event {
            link.persisted(now, &record);
        }
    }
    while link.poll_transmit(now, &mut packet).is_some() {
        all.push(std::mem::take(&mut packet));
    }
    all
}

impl Scene {
    fn new() -> Self {
        let mut now = Instant::now();
        let (initiator, responder) = (identity(1), identity(2));
        let tags = TagTable::new();
        let peer = |other: &Arc<Identity>| Peer {
            keys: Some(other.public_keys().clone()),
            ..Peer::new(other.hashname())
        };
        let mut config = LinkConfig::default();
        let mut left =
            Link::new(Arc::clone(&initiator), peer(&responder), 0, config.clone(), [1; 32], now).unwrap();
        config.tags = tags.clone();
        let mut link = Link::new(Arc::clone(&responder), peer(&initiator), 0, config, [2; 32], now).unwrap();
        left.add_candidate(now, path(2));
        left.connect(now, WALL);
        let untagged = packets(&mut left, now).remove(0);
        let mut gate = Gate::new(Arc::clone(&responder), GateConfig::new(tags.clone()), [3; 32], now);
        let admitted = gate.handle_initiation(now, path(1), &mut untagged.clone()).unwrap();
        let Admission::Request(request) = admitted else { panic!("not public") };
        request.accept(&mut link, now, WALL).unwrap();
        let mut response = packets(&mut link, now).remove(0);
        left.handle_packet(now, path(2), &mut response).unwrap();
        let mut confirmation = packets(&mut left, now).remove(0);
        link.handle_packet(now, path(1), &mut confirmation).unwrap();
        link.close(now, CloseReason::Closed);
        let mut tagged = Vec::new();
        while tagged.len() < RECORDINGS {
            now += Duration::from_secs(1);
            left.close(now, CloseReason::Closed);
            packets(&mut left, now);
            left.connect(now, WALL);
            tagged.append(&mut packets(&mut left, now));
        }
        Self { now, responder, tags, link, untagged, tagged }
    }

    fn gate(&self, change: impl FnOnce(&mut GateConfig)) -> Gate {
        let mut config = GateConfig::new(self.tags.clone());
        (config.per_tag, config.cookies) = (ALWAYS, ALWAYS);
        change(&mut config);
        Gate::new(Arc::clone(&self.responder), config, [3; 32], self.now)
    }
}

fn dropped(criterion: &mut Criterion) {
    let scene = Scene::new();
    let Scene { now, untagged, tagged, .. } = &scene;
    let recording = tagged.first().unwrap();
    let flipped = |packet: &[u8], place: usize| {
        let mut packet = packet.to_vec();
        *packet.get_mut(place).unwrap() ^= 1;
        packet
    };
    let cases = [
        ("wrong mac1", flipped(untagged, 100), DropReason::Mac1),
        ("untagged, over budget", untagged.clone(), DropReason::Overload),
        ("tagged, wrong mac2", flipped(recording, 1_190), DropReason::ReturnTag),
    ];
    let mut group = criterion.benchmark_group("gate drops");
    for (name, packet, reason) in cases {
        let mut gate = scene.gate(|config| config.strangers = NEVER);
        let mut packet = packet;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                assert_eq!(gate.handle_initiation(*now, path(1), &mut packet).unwrap_err(), reason);
            });
        });
    }
    let mut gate = scene.gate(|config| (config.strangers, config.per_tag) = (NEVER, NEVER));
    let mut packet = recording.clone();
    group.bench_function("tagged, over the tag's bucket and the budget", |bencher| {
        bencher.iter(|| gate.handle_initiation(*now, path(1), &mut packet).unwrap_err());
    });
    let mut gate = scene.gate(|config| config.strangers = NEVER);
    gate.handle_initiation(*now, path(1), &mut packet).unwrap();
    group.bench_function("tagged, a copy", |bencher| {
        bencher.iter(|| {
            let result = gate.handle_initiation(*now, path(1), &mut packet);
            assert_eq!(result.unwrap_err(), DropReason::Duplicate);
        });
    });
    group.finish();
}

fn answered(criterion: &mut Criterion) {
    let mut scene = Scene::new();
    let now = scene.now;
    let mut group = criterion.benchmark_group("gate reads");
    let mut gate = scene.gate(|config| (config.strangers, config.per_address) = (ALWAYS, ALWAYS));
    let mut packet = scene.untagged.clone();
    group.bench_function("untagged", |bencher| {
        bencher.iter(|| gate.handle_initiation(now, path(1), &mut packet).unwrap());
    });
    let mut gate = scene.gate(|config| config.strangers = NEVER);
    let mut turn = 0;
    group.bench_function("tagged", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % RECORDINGS;
            let packet = scene.tagged.get_mut(turn).unwrap();
            gate.handle_initiation(now, path(1), packet).unwrap()
        });
    });
    let mut record = scene.link.record();
    record.highest_at = u64::MAX;
    let keys = Some(identity(1).public_keys().clone());
    let peer = Peer { keys, record, ..Peer::new(identity(1).hashname()) };
    let mut config = LinkConfig::default();
    config.tags = scene.tags.clone();
    let mut link = Link::new(Arc::clone(&scene.responder), peer, 0, config, [4; 32], now).unwrap();
    group.bench_function("tagged, stale", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % RECORDINGS;
            let packet = scene.tagged.get_mut(turn).unwrap();
            let admitted = gate.handle_initiation(now, path(1), packet).unwrap();
            let Admission::Request(request) = admitted else { panic!("not public") };
            assert_eq!(request.accept(&mut link, now, WALL), Err(DropReason::Stale));
        });
    });
    let mut gate = scene.gate(|config| config.strangers = Rate { burst: 8, per_second: 1 });
    gate.set_public(true);
    gate.handle_initiation(now, path(1), &mut packet).unwrap();
    gate.handle_initiation(now, path(1), &mut packet).unwrap();
    group.bench_function("untagged, answered with a cookie", |bencher| {
        bencher.iter(|| {
            let admitted = gate.handle_initiation(now, path(1), &mut packet).unwrap();
            assert!(matches!(admitted, Admission::Cookie { .. }));
        });
    });
    group.finish();
}

criterion_group!(benches, dropped, answered);
criterion_main!(benches);
