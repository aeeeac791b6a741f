//! What must not get in, must not get out, and must not be said.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy does not see that helpers in here belong to tests"
)]

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use telemesh_box::{
    CacheLimits, Change, EachRow, FileStore, Limits, MemoryStore, MessageId, SendError, Stage, Store,
    StoreError,
};
use telemesh_channel::{Channel, Hashname, Messages, Network as _, Open};
use world::{Node, World, connect, disconnect, quiet, read, run};

/// A session that a test leads by hand.
async fn session(from: &Node, to: &Node) -> Messages<Channel> {
    let link = from.endpoint().link(&to.hashname()).unwrap();
    Messages::new(link.open(Open::reliable("box").with_body(&[2][..])).await.unwrap())
}

fn offer(id: MessageId, recipient: Hashname, size: u32) -> Bytes {
    [&[1], &id.as_bytes()[..], recipient.as_bytes(), &size.to_be_bytes()].concat().into()
}

fn part(id: MessageId, offset: u32, bytes: &[u8]) -> Bytes {
    [&[2], &id.as_bytes()[..], &offset.to_be_bytes(), bytes].concat().into()
}

fn answer(kind: u8, id: MessageId, rest: &[u8]) -> Bytes {
    [&[kind], &id.as_bytes()[..], rest].concat().into()
}

const WANT: u8 = 4;
const STORED: u8 = 5;
const DONE: u8 = 6;
const REFUSED: u8 = 7;

#[test]
fn without_the_grant_nothing_is_kept_and_the_sender_keeps_it() {
    run(async {
        let world = World::new();
        let (sender, mut cache, recipient) = world.three();
        cache.kill(&[]);
        cache.granted.clear();
        world.start(&mut cache);
        connect(&sender, &cache);
        sender.send(&recipient, "hello").await;
        quiet().await;
        assert_eq!(sender.boxes().outbox().pending()[0].stage, Stage::Kept);
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 0);
    });
}

#[test]
fn the_answers_are_the_same_whether_the_recipient_exists_or_not() {
    run(async {
        for granted in [true, false] {
            let world = World::new();
            let (sender, mut cache, recipient) = world.three();
            cache.kill(&[]);
            if !granted {
                cache.granted = vec![recipient.hashname()];
            }
            world.start(&mut cache);
            connect(&sender, &cache);
            connect(&recipient, &cache);
            quiet().await;
            let mut heard = Vec::new();
            for to in [recipient.hashname(), Hashname::from_bytes([66; 32])] {
                let mut frames = session(&sender, &cache).await;
                let sealed = b"not really sealed";
                let id = MessageId::of(sealed);
                let mut answers = Vec::new();
                frames.send(offer(id, to, 17)).await.unwrap();
                answers.push(frames.receive().await.unwrap().unwrap());
                if granted {
                    frames.send(part(id, 0, sealed)).await.unwrap();
                    answers.push(frames.receive().await.unwrap().unwrap());
                    // The same message for somebody else is no message of theirs.
                    cache.boxes().cache_use().unwrap();
                }
                heard.push(answers);
                frames.finish().await.unwrap();
                quiet().await;
                // So that the second recipient's offer is as new as the first one's.
                cache.kill(&[&sender, &recipient]);
                cache.cache = Some((Arc::new(MemoryStore::new()), CacheLimits::default()));
                world.start(&mut cache);
                connect(&sender, &cache);
            }
            assert_eq!(heard[0], heard[1]);
            assert_eq!(heard[0].last().unwrap()[0], if granted { STORED } else { REFUSED });
        }
    });
}

#[test]
fn an_offer_that_is_too_large_or_empty_is_refused_before_a_byte_is_taken() {
    run(async {
        let world = World::new();
        let (sender, mut cache, recipient) = world.three();
        cache.kill(&[]);
        let limits = CacheLimits { max_message: 1_000, ..CacheLimits::default() };
        cache.cache = Some((Arc::new(MemoryStore::new()), limits));
        world.start(&mut cache);
        connect(&sender, &cache);
        let mut frames = session(&sender, &cache).await;
        let id = MessageId::of(b"");
        for (size, expected) in [(1_000, answer(WANT, id, &[0; 4])), (1_001, answer(REFUSED, id, &[2]))] {
            let mut frames = session(&sender, &cache).await;
            frames.send(offer(id, recipient.hashname(), size)).await.unwrap();
            assert_eq!(frames.receive().await.unwrap().unwrap(), expected, "{size}");
            drop(frames);
            quiet().await;
        }
        frames.send(offer(id, recipient.hashname(), 0)).await.unwrap();
        assert_eq!(frames.receive().await.unwrap().unwrap(), answer(REFUSED, id, &[5]));
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 0);
        frames.send(offer(id, sender.hashname(), u32::MAX)).await.unwrap();
        assert_eq!(frames.receive().await.unwrap().unwrap(), answer(REFUSED, id, &[2]));
    });
}

#[test]
fn bytes_that_are_not_those_of_the_id_are_refused_and_not_kept() {
    run(async {
        let world = World::new();
        let (sender, cache, recipient) = world.three();
        connect(&sender, &cache);
        connect(&sender, &recipient);
        for to in [&cache, &recipient] {
            let mut frames = session(&sender, to).await;
            let id = MessageId::of(b"something");
            frames.send(offer(id, recipient.hashname(), 9)).await.unwrap();
            assert_eq!(frames.receive().await.unwrap().unwrap(), answer(WANT, id, &[0; 4]));
            frames.send(part(id, 0, b"different")).await.unwrap();
            assert_eq!(frames.receive().await.unwrap().unwrap(), answer(REFUSED, id, &[5]));
        }
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 0);
        assert!(recipient.boxes().waiting().is_empty());
    });
}

#[test]
fn what_was_not_sealed_for_us_is_done_with() {
    run(async {
        let world = World::new();
        let (sender, _cache, recipient) = world.three();
        connect(&sender, &recipient);
        let mut frames = session(&sender, &recipient).await;
        let id = MessageId::of(b"something");
        frames.send(offer(id, recipient.hashname(), 9)).await.unwrap();
        assert_eq!(frames.receive().await.unwrap().unwrap(), answer(WANT, id, &[0; 4]));
        frames.send(part(id, 0, b"something")).await.unwrap();
        assert_eq!(frames.receive().await.unwrap().unwrap(), answer(DONE, id, &[]));
        assert!(recipient.boxes().waiting().is_empty());
    });
}

#[test]
fn somebody_who_is_no_contact_has_no_say_whoever_brings_it() {
    run(async {
        let world = World::new();
        let (sender, cache, mut recipient) = world.three();
        connect(&sender, &cache);
        sender.send(&recipient, "remember me?").await;
        quiet().await;
        recipient.kill(&[]);
        recipient.contacts.retain(|contact| *contact != sender.hashname());
        world.start(&mut recipient);
        connect(&recipient, &cache);
        quiet().await;
        assert!(recipient.boxes().waiting().is_empty());
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 0, "and the cache has let it go");
    });
}

#[test]
fn a_giver_that_breaks_the_rules_loses_its_session_and_nothing_else() {
    run(async {
        let world = World::new();
        let (sender, cache, recipient) = world.three();
        connect(&sender, &cache);
        let id = MessageId::of(b"something");
        let to = recipient.hashname();
        let begun = offer(id, to, 70_000);
        let bad: [Vec<Bytes>; 7] = [
            vec![Bytes::new()],
            vec![Bytes::from_static(&[9; 17])],
            vec![begun.clone(), begun.clone()],
            vec![begun.clone(), part(id, 1, &[0; 65_536])],
            vec![begun.clone(), part(id, 0, &[0; 65_535])],
            vec![begun, part(id, 0, &[0; 65_536]), part(id, 65_536, &[0; 65_536])],
            // More offers than may wait for an answer, each too large to be taken at once.
            (0..40_u32).map(|name| offer(MessageId::of(&name.to_be_bytes()), to, 1 << 20)).collect(),
        ];
        for said in bad {
            let mut frames = session(&sender, &cache).await;
            let label = format!("{} frames, the first of {} bytes", said.len(), said[0].len());
            for frame in said {
                // The other side may have hung up before it has heard all.
                let _ = frames.send(frame).await;
            }
            loop {
                match frames.receive().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{label}: the session ended as if nothing had happened"),
                    Err(_) => break,
                }
            }
            quiet().await;
        }
        sender.send(&recipient, "hello").await;
        connect(&recipient, &cache);
        assert_eq!(read(&recipient, 1).await, ["hello"]);
    });
}

#[test]
fn a_message_that_has_expired_is_not_delivered_and_the_next_ones_are() {
    run(async {
        let world = World::new();
        let (sender, cache, recipient) = world.three();
        connect(&sender, &cache);
        let short = sender.boxes().outbox().expiring(Duration::from_secs(100));
        short.send(&recipient.hashname(), "in time?").await.unwrap();
        sender.send(&recipient, "later").await;
        quiet().await;
        world.clock.advance(100);
        connect(&recipient, &cache);
        assert_eq!(read(&recipient, 1).await, ["later"]);
        connect(&sender, &recipient);
        // A tick of the sender's, which gives up what has expired.
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(sender.pending(), 0);
        assert!(recipient.boxes().waiting().is_empty());
    });
}

#[test]
fn a_message_that_is_missing_holds_the_next_ones_back_until_it_expires() {
    run(async {
        let world = World::new();
        let (mut sender, mut cache, recipient) = world.three();
        connect(&sender, &cache);
        let short = sender.boxes().outbox().expiring(Duration::from_secs(1_000));
        short.send(&recipient.hashname(), "x".repeat(5_000)).await.unwrap();
        sender.send(&recipient, "second").await;
        quiet().await;
        sender.kill(&[&cache]);
        // The cache loses the first one.
        cache.kill(&[]);
        let limits = CacheLimits { per_sender: 1_024, max_message: 1_024, ..CacheLimits::default() };
        let (store, _) = cache.cache.clone().unwrap();
        let mut first = Vec::new();
        store
            .scan(b"c", &mut |key, _| {
                first.push(key.to_vec());
                Ok(())
            })
            .unwrap();
        store.commit(&[Change::Remove(first[0].clone())]).unwrap();
        cache.cache = Some((store, limits));
        world.start(&mut cache);
        connect(&recipient, &cache);
        let mut inbox = recipient.boxes().inbox().unwrap();
        let waited = tokio::time::timeout(Duration::from_secs(600), inbox.next()).await;
        assert!(waited.is_err(), "the first may still come");
        world.clock.advance(1_000);
        assert_eq!(world::text(&inbox.next().await.unwrap()), "second");
    });
}

/// A store that can be full.
struct Fillable {
    inner: MemoryStore,
    full: AtomicBool,
}

impl Store for Fillable {
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) && changes.iter().any(|change| matches!(change, Change::Put(..)))
        {
            return Err(StoreError::Full);
        }
        self.inner.commit(changes)
    }

    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.read(key)
    }

    fn scan(&self, prefix: &[u8], each: &mut EachRow<'_>) -> Result<(), StoreError> {
        self.inner.scan(prefix, each)
    }

    fn is_immediate(&self) -> bool {
        true
    }
}

#[test]
fn a_full_disk_is_reported_to_the_sender_and_loses_nothing_elsewhere() {
    run(async {
        let world = World::new();
        let (mut sender, mut cache, mut recipient) = world.three();
        let stores =
            [0; 3].map(|_| Arc::new(Fillable { inner: MemoryStore::new(), full: AtomicBool::new(false) }));
        let [of_sender, of_cache, of_recipient] = &stores;
        for node in [&mut sender, &mut cache, &mut recipient] {
            node.kill(&[]);
        }
        sender.store = of_sender.clone();
        recipient.store = of_recipient.clone();
        cache.cache = Some((of_cache.clone(), CacheLimits::default()));
        for node in [&mut sender, &mut cache, &mut recipient] {
            world.start(node);
        }
        stores.iter().for_each(|store| store.full.store(true, Ordering::SeqCst));
        let refused = sender.boxes().outbox().send(&recipient.hashname(), "no").await;
        assert!(matches!(refused, Err(SendError::Store(StoreError::Full))));

        of_sender.full.store(false, Ordering::SeqCst);
        connect(&sender, &cache);
        sender.send(&recipient, "first").await;
        quiet().await;
        assert_eq!(sender.boxes().outbox().pending()[0].stage, Stage::Kept);
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 0);
        of_cache.full.store(false, Ordering::SeqCst);
        // It is asked again after a while.
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert_eq!(sender.boxes().outbox().pending()[0].stage, Stage::Cached);

        connect(&recipient, &cache);
        quiet().await;
        assert!(recipient.boxes().waiting().is_empty());
        of_recipient.full.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert_eq!(read(&recipient, 1).await, ["first"]);
    });
}

#[test]
fn quotas_of_the_outbox_and_the_inbox_are_kept_at_the_limit_and_refuse_one_past_it() {
    run(async {
        let world = World::new();
        let (mut sender, _cache, mut recipient) = world.three();
        for node in [&mut sender, &mut recipient] {
            node.kill(&[]);
            node.limits = Limits {
                outbox_per_recipient: 10 * 512,
                inbox: 100 * 512,
                inbox_per_sender: 8 * 512,
                ..Limits::default()
            };
            world.start(node);
        }
        for number in 0..10 {
            sender.send(&recipient, &number.to_string()).await;
        }
        let more = sender.boxes().outbox().send(&recipient.hashname(), "no").await;
        assert!(matches!(more, Err(SendError::Full { pending: 5_120 })));
        connect(&sender, &recipient);
        quiet().await;
        assert_eq!(recipient.boxes().waiting().len(), 8);
        let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
        assert_eq!(read(&recipient, 10).await, expected, "the last two come when there is room");
    });
}

#[test]
fn a_clock_that_jumps_a_year_either_way_loses_no_message_of_the_sender() {
    run(async {
        let world = World::new();
        let (mut sender, cache, recipient) = world.three();
        connect(&sender, &cache);
        sender.send(&recipient, "before").await;
        quiet().await;
        // Back: what the cache has is from the future now, and stays.
        let year = 365 * 24 * 60 * 60;
        world.clock.advance(0_u64.wrapping_sub(year));
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 1);
        sender.kill(&[&cache]);
        world.start(&mut sender);
        sender.send(&recipient, "after").await;
        connect(&sender, &recipient);
        assert_eq!(read(&recipient, 2).await, ["before", "after"]);
        sender.settled().await;
        // Forward: it goes from the cache, whose time to live is over.
        world.clock.advance(2 * year);
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 0);
    });
}

#[test]
fn a_copy_of_the_caches_store_names_nobody_and_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.redb");
    let (mut names, mut ids) = (Vec::new(), Vec::new());
    run(async {
        let world = World::new();
        let (sender, mut cache, recipient) = world.three();
        cache.kill(&[]);
        cache.cache = Some((Arc::new(FileStore::open(&path).unwrap()), CacheLimits::default()));
        world.start(&mut cache);
        connect(&sender, &cache);
        for number in 0..20 {
            ids.push(sender.send(&recipient, &format!("the treasure is at {number}")).await);
        }
        let last = *ids.last().unwrap();
        sender.boxes().outbox().reached(&last, Stage::Cached).await;
        names = vec![sender.hashname(), recipient.hashname()];
        disconnect(&sender, &cache);
        cache.kill(&[]);
    });
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 20 * 200, "the messages are in it");
    let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    for name in &names {
        let text = name.to_string();
        assert!(!contains(&name.as_bytes()[..8]), "the first bytes of a hashname");
        assert!(!contains(&text.as_bytes()[..8]), "the first letters of one");
    }
    for id in &ids {
        assert!(!contains(&id.as_bytes()[..8]), "an id");
    }
    assert!(!contains(b"treasure"));
}
