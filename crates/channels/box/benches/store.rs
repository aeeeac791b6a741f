//! Messages per second into the durable store, each acknowledged after a sync, and how long a store takes to be read again.
//!
//! `TELEMESH_BOX_MESSAGES` sets how many messages the second measurement has; a million takes a while to write.
#![allow(clippy::print_stderr, reason = "criterion measures no single long run, so it is told here")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use telemesh_box::{
    Boxes, CacheLimits, CacheSecret, Caches, Change, FileStore, GRANT, KeySealer, Stage, Store as _,
};
use telemesh_channel::memory::{self, MemoryEndpoint};
use telemesh_channel::{ChannelError, Hashname};
use telemesh_keys::KeySet;

/// Messages that are on their way at once: a session offers 32.
const AT_ONCE: usize = 1_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    into_a_cache(&mut criterion);
    criterion.final_summary();
    recovery();
}

/// A sender with many messages meets a cache whose store is a file.
fn into_a_cache(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let Ok(runtime) = runtime else { return };
    let mut group = criterion.benchmark_group("cache");
    group.throughput(Throughput::Elements(u64::try_from(AT_ONCE).unwrap_or(0)));
    group.bench_function("1,000 messages, stored and synced", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| runtime.block_on(round())).sum());
    });
    group.finish();
}

async fn round() -> Duration {
    round_of().await.unwrap_or_default()
}

async fn round_of() -> Option<Duration> {
    let folder = tempfile::tempdir().ok()?;
    let mut rng = StdRng::seed_from_u64(1);
    let [alice, router, bob] = [0; 3].map(|_| Arc::new(KeySet::generate(&mut rng)));
    let of_bob = (bob.hashname(), bob.public().clone());
    let known = move |peer: &Hashname| (*peer == of_bob.0).then(|| of_bob.1.clone());
    let [a, r] = [&alice, &router].map(|keys| MemoryEndpoint::new(keys.hashname()));
    r.grant(alice.hashname(), GRANT);
    let sender = Boxes::builder(a.clone(), Arc::new(KeySealer::new(alice, known.clone())))
        .caches(Caches::for_all([router.hashname()]))
        .start()
        .ok()?;
    let store = Arc::new(FileStore::open(folder.path().join("cache.redb")).ok()?);
    let secret = CacheSecret::from_bytes([7; 32]);
    let _cache = Boxes::builder(r.clone(), Arc::new(KeySealer::new(router, known)))
        .cache(store, secret, CacheLimits::default())
        .start()
        .ok()?;
    memory::connect(&a, &r);
    memory::disconnect(&a, &r, &ChannelError::LinkDown);
    let outbox = sender.outbox();
    let mut ids = Vec::new();
    for _ in 0..AT_ONCE {
        ids.push(outbox.send(&bob.hashname(), vec![1; 200]).await.ok()?);
    }
    memory::connect(&a, &r);
    // What was sent before the link came up is held back for a second.
    tokio::time::sleep(Duration::from_millis(900)).await;
    outbox.reached(ids.first()?, Stage::Cached).await;
    let start = Instant::now();
    for id in &ids {
        outbox.reached(id, Stage::Cached).await;
    }
    Some(start.elapsed())
}

/// Opens a store with so many messages of 300 bytes, and boxes over it.
fn recovery() {
    let messages = std::env::var("TELEMESH_BOX_MESSAGES").ok().and_then(|count| count.parse().ok());
    let Some(messages) = messages.filter(|count: &u64| *count > 0) else { return };
    let report = write_and_recover(messages);
    eprintln!("{}", report.unwrap_or_else(|error| format!("recovery was not measured: {error}")));
}

fn write_and_recover(messages: u64) -> Result<String, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cache.redb");
    let store = FileStore::open(&path)?;
    // Rows as the cache writes them; what the masked ids are is all the same for this.
    for first in (0..messages).step_by(10_000) {
        let rows = (first..messages.min(first + 10_000)).flat_map(|number| {
            let mut entry = vec![0; 24];
            entry.splice(8..16, number.to_be_bytes());
            entry.extend_from_slice(&(number % 1_000).to_be_bytes());
            entry.extend_from_slice(&[1; 8]);
            entry.extend_from_slice(&(number % 100).to_be_bytes());
            entry.extend_from_slice(&[2; 8]);
            entry.extend_from_slice(&300_u32.to_be_bytes());
            entry.extend_from_slice(&u64::MAX.to_be_bytes());
            entry.push(1);
            let key = |kind: u8| [&[kind], &number.to_be_bytes()[..]].concat();
            let part = [key(b'C'), vec![0; 4]].concat();
            [Change::Put(key(b'c'), entry.into()), Change::Put(part, vec![3; 300].into())]
        });
        store.commit(&rows.collect::<Vec<_>>())?;
    }
    let size = std::fs::metadata(&path)?.len() >> 20;
    // A crash: the file as it is while the store is open.
    let crashed = folder.path().join("crashed.redb");
    std::fs::copy(&path, &crashed)?;
    drop(store);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut times = Vec::new();
    for file in [&path, &crashed] {
        let start = Instant::now();
        let store = Arc::new(FileStore::open(file)?);
        let opened = start.elapsed();
        let keys = Arc::new(KeySet::generate(&mut StdRng::seed_from_u64(1)));
        let network = MemoryEndpoint::new(keys.hashname());
        let limits = CacheLimits { total: u64::MAX, ..CacheLimits::default() };
        let _inside = runtime.enter();
        let boxes = Boxes::builder(network, Arc::new(KeySealer::new(keys, |_: &Hashname| None)))
            .cache(store, CacheSecret::from_bytes([7; 32]), limits)
            .start()?;
        let found = boxes.cache_use().map_or(0, |used| used.messages);
        times.push(format!("{found} messages in {:.2?} ({opened:.2?} to open the file)", start.elapsed()));
    }
    Ok(format!("recovery of a file of {size} MiB: closed in order {}, after a crash {}", times[0], times[1]))
}
