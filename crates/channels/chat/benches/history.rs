//! What the history costs: signing, verifying and placing an entry, and a hash over all of them.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use telemesh_chat::{ChatKey, Entry, Room, Text, Unverified};
use telemesh_hashname::Hashname;

fn history(criterion: &mut Criterion) {
    let now = std::time::Instant::now();
    let room = || {
        let key = ChatKey::from_seed(&[1; 32])?;
        Some(Room::create("room".parse().ok()?, key, Hashname::from_bytes([1; 32]), 0))
    };
    let Some(mut full) = room() else { return };
    for n in 0..1000 {
        let _ = full.say(Text::from(format!("message {n}, of the length that people write")), now);
    }
    let last = full.log().history().last();
    let Some(entry) = last.and_then(|id| full.log().entry(&id)).cloned() else { return };
    let chat = full.id();

    criterion.bench_function("read_and_verify_entry", |bench| {
        let read = |raw| Unverified::read(&chat, raw).ok()?.verify().ok();
        bench.iter(|| black_box::<Option<Entry>>(read(entry.raw().clone())));
    });
    criterion.bench_function("say", |bench| {
        let once = |room: Option<Room>| room.map(|mut room| room.say(Text::from("hello"), now));
        bench.iter_batched(room, once, BatchSize::SmallInput);
    });
    criterion.bench_function("digest_of_1000", |bench| bench.iter(|| black_box(full.log().digest())));
}

criterion_group!(benches, history);
criterion_main!(benches);
