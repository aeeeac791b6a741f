//! A large file and many small ones, beside a bare stream that reads and writes the same file. Sizes are small enough for
//! every day; `TELEMESH_BENCH_MIB` and `TELEMESH_BENCH_FILES` set them (1024 and 10000 for the figures in the docs).

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telemesh_channel::memory::{self, MemoryConfig, MemoryPair};
use telemesh_channel::{Acceptor as _, Incoming, Open, Opener as _};
use telemesh_files::{FILES, Offer, Progress, Receiver, Target, send};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

const BARE: &str = "org.telemesh.bare";

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn pair(to: &Path) -> MemoryPair {
    let config = MemoryConfig { stream_capacity: 4 << 20, ..MemoryConfig::default() };
    let pair = memory::pair_with(config);
    pair.right.handle(FILES, Arc::new(Receiver::new(Target::open(to).unwrap()))).unwrap();
    let to = to.join("bare");
    let bare = move |incoming: Incoming| receive_bare(incoming, to.clone());
    pair.right.handle(BARE, Arc::new(bare)).unwrap();
    pair
}

/// What a simple program would do: read the channel, write the file, sync, answer.
async fn receive_bare(incoming: Incoming, to: PathBuf) {
    let mut channel = incoming.accept().unwrap();
    let mut file = tokio::fs::File::create(to).await.unwrap();
    file.set_max_buf_size(1 << 20);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = channel.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        file.write_all(buffer.get(..read).unwrap()).await.unwrap();
    }
    file.sync_all().await.unwrap();
    channel.write_all(b"!").await.unwrap();
    // The sender may be gone as soon as it has read that.
    let _ = channel.shutdown().await;
}

async fn send_bare(pair: &MemoryPair, from: &Path) {
    let mut channel = pair.to_right.open(Open::reliable(BARE)).await.unwrap();
    let mut file = tokio::fs::File::open(from).await.unwrap();
    file.set_max_buf_size(1 << 20);
    loop {
        let mut buffer = bytes::BytesMut::with_capacity(1 << 20);
        if file.read_buf(&mut buffer).await.unwrap() == 0 {
            break;
        }
        channel.write_chunk(buffer.freeze()).await.unwrap();
    }
    channel.shutdown().await.unwrap();
    assert_eq!(channel.read_u8().await.unwrap(), b'!');
}

/// Times `send` into an empty folder each time.
fn timed(runtime: &Runtime, rounds: u64, mut one: impl AsyncFnMut(&MemoryPair)) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..rounds {
        let to = TempDir::new().unwrap();
        let pair = pair(to.path());
        let start = Instant::now();
        runtime.block_on(one(&pair));
        total += start.elapsed();
    }
    total
}

fn transfers(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let from = TempDir::new().unwrap();
    let large = from.path().join("large");
    let size = setting("TELEMESH_BENCH_MIB", 64) << 20;
    let noise: Vec<u8> = (0..1u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(&large, noise.repeat(usize::try_from(size >> 20).unwrap())).unwrap();

    let mut group = criterion.benchmark_group("files");
    group.sample_size(10).throughput(Throughput::Bytes(size));
    group.bench_function("large/bare stream", |bencher| {
        bencher.iter_custom(|rounds| timed(&runtime, rounds, async |pair| send_bare(pair, &large).await));
    });
    group.bench_function("large/files", |bencher| {
        let offer = Offer::scan_now([&large]).unwrap();
        bencher.iter_custom(|rounds| {
            timed(&runtime, rounds, async |pair| {
                assert!(send(&*pair.to_right, &offer, &Progress::new()).await.unwrap().is_complete());
            })
        });
    });

    let many = from.path().join("many");
    let count = setting("TELEMESH_BENCH_FILES", 1_000);
    for number in 0..count {
        let folder = many.join((number % 100).to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(number.to_string()), noise.get(..1024).unwrap()).unwrap();
    }
    group.throughput(Throughput::Elements(count));
    group.bench_function("small/files", |bencher| {
        let offer = Offer::scan_now([&many]).unwrap();
        bencher.iter_custom(|rounds| {
            timed(&runtime, rounds, async |pair| {
                assert!(send(&*pair.to_right, &offer, &Progress::new()).await.unwrap().is_complete());
            })
        });
    });
    group.finish();
}

criterion_group!(benches, transfers);
criterion_main!(benches);
