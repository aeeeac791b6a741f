//! What an endpoint does for every hashname it meets: compute it, print it, parse it.

#![allow(
    clippy::expect_used,
    reason = "a measurement that cannot be set up has nothing better to do than stop"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use telemesh_hashname::{CipherSetId, Hashname, PublicKeys};

fn hashname(criterion: &mut Criterion) {
    let mut keys = PublicKeys::new();
    for csid in [CipherSetId::CS11, CipherSetId::CS21] {
        keys.insert_key(csid, &[csid.number(); 32]).expect("two keys fit");
    }
    let name = keys.hashname().expect("two keys have a hashname");
    let text = name.to_string();

    let mut group = criterion.benchmark_group("hashname");
    group.bench_function("of_two_digests", |bencher| bencher.iter(|| black_box(&keys).hashname()));
    group.bench_function("to_text", |bencher| bencher.iter(|| black_box(name).to_string()));
    group.bench_function("from_text", |bencher| bencher.iter(|| black_box(&text).parse::<Hashname>()));
    group.finish();
}

criterion_group!(benches, hashname);
criterion_main!(benches);
