//! The `box` channel, between an endpoint in memory that takes messages and a peer that the fuzzer plays: any frames, and
//! any letters in a seal that is right.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use telemesh_box::{BOX, Boxes, CacheLimits, CacheSecret, GRANT, KeySealer, Limits, MemoryStore, MessageId};
use telemesh_channel::memory::{MemoryEndpoint, connect};
use telemesh_channel::{Hashname, Messages, Open, Opener};
use telemesh_keys::{KeySet, seal};
use tokio::runtime::{Builder, Runtime};

use crate::input::Input;

/// A session with these frames ends in order or with an error; what is kept is within the limits. The first byte says
/// whether frames follow, or what is in a seal.
pub fn boxes(data: &[u8]) {
    let mut input = Input::new(data);
    let is_letter = input.byte() % 2 == 1;
    RUNTIME.with(|runtime| runtime.block_on(session(input, is_letter)));
}

async fn session(mut input: Input<'_>, is_letter: bool) {
    let [sender, recipient] = &*KEYS;
    let (left, right) = (MemoryEndpoint::new(sender.hashname()), MemoryEndpoint::new(recipient.hashname()));
    let (to_right, _) = connect(&left, &right);
    right.grant(sender.hashname(), GRANT);
    let sealer = KeySealer::new(recipient.clone(), |_: &Hashname| Some(KEYS[0].public().clone()));
    let limits =
        CacheLimits { total: TOTAL, per_sender: TOTAL, per_recipient: TOTAL, ..CacheLimits::default() };
    let boxes = Boxes::builder(right.clone(), Arc::new(sealer))
        .cache(Arc::new(MemoryStore::new()), CacheSecret::from_bytes([7; 32]), limits)
        .limits(Limits { inbox: TOTAL, ..Limits::default() })
        .start();
    let Ok(boxes) = boxes else { panic!("an empty store can be read") };
    let Ok(channel) = to_right.open(Open::reliable(BOX).with_body(&[2][..])).await else {
        panic!("the link is up")
    };
    let mut frames = Messages::new(channel);
    if is_letter {
        let mut rng = StdRng::seed_from_u64(3);
        let sealed = seal(&mut rng, recipient.public(), sender, input.all(), b"telemesh box 1");
        let Ok(sealed) = sealed else { panic!("it is short enough") };
        let id = MessageId::of(&sealed);
        let size = u32::try_from(sealed.len()).unwrap_or(0).to_be_bytes();
        let to = recipient.hashname();
        let offer = [&[1], &id.as_bytes()[..], to.as_bytes(), &size].concat();
        let part = [&[2], &id.as_bytes()[..], &[0; 4], &sealed].concat();
        for frame in [offer, part] {
            let _ = frames.send(frame.into()).await;
        }
    } else {
        loop {
            let frame = input.counted();
            if frame.is_empty() || frames.send(Bytes::copy_from_slice(frame)).await.is_err() {
                break;
            }
        }
    }
    let _ = frames.finish().await;
    while let Ok(Some(_)) = frames.receive().await {}
    let used = boxes.cache_use();
    assert!(used.is_some_and(|used| used.bytes <= TOTAL), "more is kept than the limit allows");
}

/// Bytes that either shelf may hold.
const TOTAL: u64 = 1 << 20;

static KEYS: LazyLock<[Arc<KeySet>; 2]> =
    LazyLock::new(|| [1, 2].map(|seed| Arc::new(KeySet::generate(&mut StdRng::seed_from_u64(seed)))));

thread_local! {
    static RUNTIME: Runtime = match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    };
}
