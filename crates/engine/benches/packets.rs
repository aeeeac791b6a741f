//! What starting an engine costs, and how fast two of them move bulk data with nothing in between.

#![allow(clippy::expect_used, reason = "a bench that cannot run should say so")]
#![allow(clippy::disallowed_methods, reason = "a bench is the caller, which says what time it is")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telemesh_engine::{Config, Engine, Seed};
use telemesh_hashname::Hashname;

/// Packets per batch, as a transport with segmentation offload takes them.
const SEGMENTS: usize = 44;

fn engine(local: u8, remote: u8) -> Engine {
    let name = |byte| (Hashname::from_bytes([byte; 32]), u64::from(byte));
    let config = Config::default().with_rtt(Duration::from_micros(100));
    Engine::start(&Seed::new(name(local), name(remote), 0), &config, Instant::now()).expect("the halves fit")
}

fn start(criterion: &mut Criterion) {
    criterion.bench_function("start", |bench| bench.iter(|| black_box(engine(1, 2))));
}

/// Moves packets from one engine to the other until there are none.
fn pump(from: &mut Engine, to: &mut Engine, buffer: &mut Vec<u8>) {
    loop {
        buffer.clear();
        let now = Instant::now();
        let Some(segment) = from.poll_transmit(now, SEGMENTS, buffer) else { return };
        let mut batch = BytesMut::from(&buffer[..]);
        while !batch.is_empty() {
            let packet = batch.split_to(segment.min(batch.len()));
            to.handle_packet(now, packet);
        }
    }
}

fn bulk(criterion: &mut Criterion) {
    const CHUNK: usize = 256 << 10;
    let (mut sender, mut receiver) = (engine(1, 2), engine(2, 1));
    let id = sender.open().expect("a stream is permitted");
    let chunk = Bytes::from(vec![7; CHUNK]);
    let mut buffer = Vec::new();
    let mut group = criterion.benchmark_group("bulk");
    group.throughput(Throughput::Bytes(CHUNK as u64));
    group.bench_function("256 KiB", |bench| {
        bench.iter(|| {
            let (mut rest, mut read) = (chunk.clone(), 0);
            while read < CHUNK {
                while !rest.is_empty() && sender.write_chunk(id, &mut rest).is_ok() {}
                pump(&mut sender, &mut receiver, &mut buffer);
                while let Ok(Some(bytes)) = receiver.read_chunk(id, usize::MAX) {
                    read += bytes.len();
                }
                pump(&mut receiver, &mut sender, &mut buffer);
                // Pacing and delayed acknowledgements wait for the clock.
                let now = Instant::now();
                sender.handle_timeout(now);
                receiver.handle_timeout(now);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, start, bulk);
criterion_main!(benches);
