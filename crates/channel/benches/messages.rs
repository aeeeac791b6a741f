//! How fast messages are framed and taken apart again, without a network: what `Messages` itself costs.

#![allow(missing_docs, reason = "criterion's macros write functions without docs")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use telemesh_channel::Messages;
use tokio::io::{Join, empty, join, sink};

/// Bytes of messages per measured round.
const ROUND: usize = 4 * 1024 * 1024;

fn messages(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut group = criterion.benchmark_group("messages");
    group.throughput(Throughput::Bytes(u64::try_from(ROUND).unwrap()));
    for size in [64, 1024, 16 * 1024, 1024 * 1024] {
        let message = Bytes::from(vec![7; size]);
        group.bench_with_input(BenchmarkId::new("send", size), &message, |bencher, message| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let mut sending = Messages::new(join(empty(), sink()));
                    for _ in 0..ROUND / size {
                        sending.send(message.clone()).await.unwrap();
                    }
                });
            });
        });
        let mut framed = Vec::new();
        for _ in 0..ROUND / size {
            framed.extend_from_slice(&u32::try_from(size).unwrap().to_be_bytes());
            framed.extend_from_slice(&message);
        }
        group.bench_with_input(BenchmarkId::new("receive", size), &framed, |bencher, framed| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let io: Join<&[u8], _> = join(&framed[..], sink());
                    let mut receiving = Messages::new(io);
                    while let Some(message) = receiving.receive().await.unwrap() {
                        std::hint::black_box(message);
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, messages);
criterion_main!(benches);
