//! Messages from sender to recipient: directly, through caches, over restarts.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy does not see that helpers in here belong to tests"
)]

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use telemesh_box::{
    CacheLimits, Caches, Change, EachRow, Label, MemoryStore, SendError, Stage, Store, StoreError,
};
use world::{World, connect, disconnect, quiet, read, run, text};

#[test]
fn both_are_up_and_the_message_goes_directly() {
    run(async {
        let world = World::new();
        let (sender, cache, recipient) = world.three();
        connect(&sender, &cache);
        connect(&sender, &recipient);
        quiet().await;
        sender.send(&recipient, "hello").await;
        let mut inbox = recipient.boxes().inbox().unwrap();
        let message = inbox.next().await.unwrap();
        assert_eq!((text(&message).as_str(), message.from()), ("hello", sender.hashname()));
        assert_eq!(sender.boxes().outbox().pending()[0].stage, Stage::Arrived);
        message.ack().await.unwrap();
        sender.settled().await;
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 0, "the cache was never asked");
    });
}

#[test]
fn a_recipient_whose_link_is_up_in_name_only_does_not_keep_its_messages_from_a_cache() {
    run(async {
        let world = World::new();
        let (sender, cache, mut recipient) = world.three();
        connect(&sender, &cache);
        // A handler that answers nobody, as a machine that has lost its power.
        recipient.kill(&[]);
        let dead = telemesh_channel::memory::MemoryEndpoint::new(recipient.hashname());
        let nobody = |incoming: telemesh_channel::Incoming| async move {
            let _kept = incoming;
            std::future::pending::<()>().await;
        };
        telemesh_channel::Acceptor::handle(&*dead, "box", Arc::new(nobody)).unwrap();
        telemesh_channel::memory::connect(sender.endpoint(), &dead);
        quiet().await;
        let id = sender.send(&recipient, "hello").await;
        let outbox = sender.boxes().outbox();
        let reached = outbox.reached(&id, Stage::Cached);
        assert_eq!(tokio::time::timeout(Duration::from_secs(5), reached).await, Ok(Some(Stage::Cached)));
    });
}

#[test]
fn a_cache_bridges_two_who_are_never_there_at_once() {
    run(async {
        let world = World::new();
        let (mut sender, cache, recipient) = world.three();
        connect(&sender, &cache);
        let id = sender.send(&recipient, "first").await;
        sender.send(&recipient, "second").await;
        assert_eq!(sender.boxes().outbox().reached(&id, Stage::Cached).await, Some(Stage::Cached));
        quiet().await;
        assert_eq!(sender.boxes().outbox().pending()[1].caches, [cache.hashname()]);
        sender.kill(&[&cache]);

        connect(&recipient, &cache);
        assert_eq!(read(&recipient, 2).await, ["first", "second"]);
        assert!(recipient.boxes().flush(Duration::from_secs(10)).await);
        quiet().await;
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 2, "only the receipts are left");
        disconnect(&recipient, &cache);

        world.start(&mut sender);
        assert_eq!(sender.pending(), 2);
        connect(&sender, &cache);
        sender.settled().await;
        quiet().await;
        assert_eq!(sender.pending(), 0);
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 0);
    });
}

#[test]
fn what_is_not_acknowledged_comes_again_with_the_same_id_and_the_rest_never() {
    run(async {
        let world = World::new();
        let (sender, cache, mut recipient) = world.three();
        connect(&sender, &recipient);
        for content in ["a", "b", "c", "d"] {
            sender.send(&recipient, content).await;
        }
        let mut inbox = recipient.boxes().inbox().unwrap();
        let mut ids = Vec::new();
        for content in ["a", "b", "c", "d"] {
            let message = inbox.next().await.unwrap();
            assert_eq!(text(&message), content);
            ids.push(message.id());
            if content == "a" || content == "c" {
                message.ack().await.unwrap();
            }
        }
        drop(inbox);
        recipient.kill(&[&sender, &cache]);
        world.start(&mut recipient);
        let mut inbox = recipient.boxes().inbox().unwrap();
        let again = [inbox.next().await.unwrap(), inbox.next().await.unwrap()];
        assert_eq!(again.each_ref().map(text), ["b", "d"]);
        assert_eq!(again.each_ref().map(telemesh_box::Message::id), [ids[1], ids[3]]);
        // Offered again by a sender who has heard nothing, they are not taken for new ones.
        connect(&sender, &recipient);
        quiet().await;
        assert_eq!(sender.pending(), 2, "two have their receipt");
        for message in again {
            message.ack().await.unwrap();
        }
        sender.settled().await;
        assert!(recipient.boxes().waiting().is_empty());
    });
}

#[test]
fn a_second_reader_waits_for_the_first_to_go_and_gets_what_is_not_acknowledged() {
    run(async {
        let world = World::new();
        let (sender, _cache, recipient) = world.three();
        connect(&sender, &recipient);
        sender.send(&recipient, "hello").await;
        let mut first = recipient.boxes().inbox().unwrap();
        let message = first.next().await.unwrap();
        assert!(recipient.boxes().inbox().is_err());
        drop(first);
        let mut second = recipient.boxes().inbox().unwrap();
        assert_eq!(second.next().await.unwrap().id(), message.id());
        assert_eq!(recipient.boxes().waiting().len(), 1);
    });
}

#[test]
fn each_label_has_its_own_reader_and_order() {
    run(async {
        let world = World::new();
        let (sender, _cache, recipient) = world.three();
        let chat: Label = "org.example.chat".parse().unwrap();
        sender
            .boxes()
            .outbox()
            .labelled(chat.clone())
            .send(&recipient.hashname(), "for the chat")
            .await
            .unwrap();
        sender.send(&recipient, "for people").await;
        connect(&sender, &recipient);
        assert_eq!(read(&recipient, 1).await, ["for people"]);
        let message = recipient.boxes().inbox_of(chat.clone()).unwrap().next().await.unwrap();
        assert_eq!((text(&message).as_str(), message.label()), ("for the chat", &chat));
        assert_eq!(recipient.boxes().waiting()[0].label, chat, "it is not acknowledged");
    });
}

#[test]
fn messages_of_any_length_arrive_up_to_the_limit() {
    run(async {
        let world = World::new();
        let (mut sender, _cache, recipient) = world.three();
        sender.kill(&[]);
        sender.limits.max_content = 300_000;
        world.start(&mut sender);
        connect(&sender, &recipient);
        let contents = [0, 1, 65_300, 65_536, 131_072, 300_000].map(|length| Bytes::from(vec![7; length]));
        for content in &contents {
            sender.boxes().outbox().send(&recipient.hashname(), content.clone()).await.unwrap();
        }
        let mut inbox = recipient.boxes().inbox().unwrap();
        for content in &contents {
            let message = inbox.next().await.unwrap();
            assert_eq!(message.content(), content);
            message.ack().await.unwrap();
        }
        sender.settled().await;
        let longer = sender.boxes().outbox().send(&recipient.hashname(), vec![0; 300_001]).await;
        assert!(matches!(longer, Err(SendError::TooLong { length: 300_001, max: 300_000 })));
        let ourselves = sender.boxes().outbox().send(&sender.hashname(), "hm").await;
        assert!(matches!(ourselves, Err(SendError::Ourselves)));
    });
}

/// Counts the parts that are written.
#[derive(Debug, Default)]
struct Counting {
    inner: MemoryStore,
    parts: AtomicUsize,
}

impl Store for Counting {
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let is_part = |change: &&Change| matches!(change, Change::Put(key, _) if key[0] == b'C');
        self.parts.fetch_add(changes.iter().filter(is_part).count(), Ordering::SeqCst);
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
fn a_transfer_that_was_cut_goes_on_where_it_was_also_after_a_restart() {
    run(async {
        let world = World::new();
        let (sender, mut cache, recipient) = world.three();
        let store = Arc::new(Counting::default());
        cache.kill(&[]);
        cache.cache = Some((store.clone(), CacheLimits::default()));
        world.start(&mut cache);
        let content = Bytes::from(vec![9; 40 * 65_536]);
        connect(&sender, &cache);
        sender.boxes().outbox().send(&recipient.hashname(), content.clone()).await.unwrap();
        for _ in 0..100_000 {
            if store.parts.load(Ordering::SeqCst) >= 20 {
                break;
            }
            tokio::task::yield_now().await;
        }
        cache.kill(&[&sender]);
        let before = store.parts.load(Ordering::SeqCst);
        assert!(before < 41, "it was cut before the end");
        world.start(&mut cache);
        connect(&sender, &cache);
        let id = sender.boxes().outbox().pending()[0].id;
        assert_eq!(sender.boxes().outbox().reached(&id, Stage::Cached).await, Some(Stage::Cached));
        // 40 parts of content, one for the seal; what was written when the cut came may come twice.
        let written = store.parts.load(Ordering::SeqCst);
        assert!((41..=43).contains(&written), "{written} parts were written, {before} before the cut");
        connect(&recipient, &cache);
        let message = recipient.boxes().inbox().unwrap().next().await.unwrap();
        assert_eq!(message.content(), &content);
    });
}

#[test]
fn two_caches_bring_a_message_once_and_both_let_it_go() {
    run(async {
        let world = World::new();
        let (mut sender, cache, recipient) = world.three();
        let mut second = world.cache(4);
        second.contacts = vec![sender.hashname(), recipient.hashname()];
        second.granted = second.contacts.clone();
        world.start(&mut second);
        sender.kill(&[]);
        sender.contacts.push(second.hashname());
        sender.caches = Caches::for_all([cache.hashname(), second.hashname()]);
        world.start(&mut sender);
        connect(&sender, &cache);
        connect(&sender, &second);
        sender.send(&recipient, "once").await;
        quiet().await;
        assert_eq!(second.boxes().cache_use().unwrap().messages, 1);
        connect(&recipient, &cache);
        connect(&recipient, &second);
        assert_eq!(read(&recipient, 1).await, ["once"]);
        // The one of the two that came second may have to ask again.
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert!(recipient.boxes().waiting().is_empty());
        assert_eq!(second.boxes().cache_use().unwrap().messages, 0);
        connect(&sender, &cache);
        sender.settled().await;
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 0);
    });
}

#[test]
fn what_a_cache_has_evicted_is_offered_again_and_the_order_holds() {
    run(async {
        let world = World::new();
        let (sender, mut cache, recipient) = world.three();
        cache.kill(&[]);
        let limits = CacheLimits { per_sender: 30_000, ..CacheLimits::default() };
        cache.cache = Some((Arc::new(MemoryStore::new()), limits));
        world.start(&mut cache);
        connect(&sender, &cache);
        for number in 0..5 {
            sender.send(&recipient, &format!("{number}{}", "x".repeat(8_000))).await;
        }
        quiet().await;
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 3, "the first two had to go");
        connect(&recipient, &cache);
        quiet().await;
        assert_eq!(recipient.boxes().waiting().len(), 3);
        let mut inbox = recipient.boxes().inbox().unwrap();
        assert!(
            tokio::time::timeout(Duration::from_secs(100), inbox.next()).await.is_err(),
            "none of them is the first"
        );
        for round in 0..5 {
            // The sender comes back now and then, and finds less to say each time.
            disconnect(&sender, &cache);
            connect(&sender, &cache);
            let message = inbox.next().await.unwrap();
            assert_eq!(text(&message)[..1], round.to_string());
            message.ack().await.unwrap();
            quiet().await;
        }
        sender.settled().await;
    });
}

#[test]
fn a_cache_that_went_down_before_it_answered_is_offered_everything_again() {
    run(async {
        let world = World::new();
        let (sender, mut cache, recipient) = world.three();
        for number in 0..100 {
            sender.send(&recipient, &number.to_string()).await;
        }
        for _ in 0..20 {
            connect(&sender, &cache);
            // What was sent before the link came up is offered after a second.
            tokio::time::sleep(Duration::from_secs(1)).await;
            for _ in 0..30 {
                tokio::task::yield_now().await;
            }
            cache.kill(&[&sender]);
            world.start(&mut cache);
        }
        connect(&sender, &cache);
        connect(&recipient, &cache);
        let expected: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(read(&recipient, 100).await, expected);
        sender.settled().await;
    });
}
