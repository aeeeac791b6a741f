//! What a handshake costs in X25519, and what sealing costs.
//!
//! A Noise IK responder generates one key and agrees four times, so `agree` bounds the handshakes per second.

#![allow(
    clippy::expect_used,
    reason = "a measurement that cannot be set up has nothing better to do than stop"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::StdRng;
use telemesh_keys::{KeySet, SecretKey, open, seal};

fn x25519(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(1);
    let ours = SecretKey::generate(&mut rng);
    let theirs = *SecretKey::generate(&mut rng).public();

    let mut group = criterion.benchmark_group("x25519");
    group.bench_function("agree", |bencher| bencher.iter(|| ours.agree(black_box(&theirs))));
    group.bench_function("generate", |bencher| bencher.iter(|| SecretKey::generate(&mut rng)));
    group.finish();
}

fn sealing(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(2);
    let (alice, bob) = (KeySet::generate(&mut rng), KeySet::generate(&mut rng));

    for length in [100, 1 << 20] {
        let plaintext = vec![0; length];
        let sealed = seal(&mut rng, bob.public(), &alice, &plaintext, b"").expect("it can be sealed");

        let mut group = criterion.benchmark_group(format!("seal/{length}"));
        group.throughput(Throughput::Bytes(u64::try_from(length).expect("a length fits")));
        group.bench_function("seal", |bencher| {
            bencher.iter(|| seal(&mut rng, bob.public(), &alice, black_box(&plaintext), b""))
        });
        group.bench_function("open", |bencher| bencher.iter(|| open(&bob, black_box(&sealed), b"")));
        group.finish();
    }
}

criterion_group!(benches, x25519, sealing);
criterion_main!(benches);
