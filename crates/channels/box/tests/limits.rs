//! Every limit of boxes, at it and one past it: what the others tests do not have. Quotas of a cache are tested beside its shelf.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy does not see that helpers in here belong to tests"
)]

mod world;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use telemesh_box::{CacheLimits, Limits, MemoryStore, MessageId, SendError};
use telemesh_channel::{Channel, Messages, Network as _, Open};
use world::{Node, World, connect, quiet, read, run};

const MIB: u64 = 1 << 20;
const DAY: u64 = 24 * 60 * 60;

/// A session that a test leads by hand.
async fn session(from: &Node, to: &Node) -> Messages<Channel> {
    let link = from.endpoint().link(&to.hashname()).unwrap();
    Messages::new(link.open(Open::reliable("box").with_body(&[2][..])).await.unwrap())
}

fn offer(name: u32, recipient: &Node, size: u32) -> Bytes {
    let id = MessageId::of(&name.to_be_bytes());
    [&[1], &id.as_bytes()[..], recipient.hashname().as_bytes(), &size.to_be_bytes()].concat().into()
}

#[test]
fn what_holds_unless_it_is_said_is_what_the_page_of_limits_says() {
    let cache = CacheLimits::default();
    assert_eq!((cache.per_sender, cache.per_recipient, cache.total), (64 * MIB, 256 * MIB, 1024 * MIB));
    assert_eq!(cache.time_to_live, Duration::from_secs(7 * DAY));
    // 16 MiB of content, and what the seal adds.
    assert_eq!((cache.max_message, Limits::default().max_content), ((16 << 20) + (64 << 10), 16 << 20));
    let own = Limits::default();
    assert_eq!((own.outbox, own.outbox_per_recipient, own.per_cache), (1024 * MIB, 256 * MIB, 48 * MIB));
    assert_eq!((own.inbox, own.inbox_per_sender), (256 * MIB, 64 * MIB));
}

#[test]
fn the_outbox_as_a_whole_is_full_at_its_limit_and_refuses_one_past_it() {
    run(async {
        let world = World::new();
        let (mut sender, cache, recipient) = world.three();
        sender.kill(&[]);
        // Two for each, which is less than either may have.
        sender.limits = Limits { outbox: 4 * 512, ..Limits::default() };
        world.start(&mut sender);
        for to in [&cache, &recipient] {
            sender.send(to, "one").await;
            sender.send(to, "two").await;
        }
        let more = sender.boxes().outbox().send(&recipient.hashname(), "no").await;
        assert!(matches!(more, Err(SendError::Full { pending: 2_048 })), "{more:?}");
        connect(&sender, &recipient);
        assert_eq!(read(&recipient, 2).await, ["one", "two"]);
        quiet().await;
        sender.send(&recipient, "three").await;
    });
}

#[test]
fn the_inbox_as_a_whole_is_full_at_its_limit_and_the_next_one_waits_with_its_sender() {
    run(async {
        let world = World::new();
        let (sender, other, mut recipient) = world.three();
        recipient.kill(&[]);
        recipient.limits = Limits { inbox: 6 * 512, ..Limits::default() };
        world.start(&mut recipient);
        connect(&sender, &recipient);
        for number in 0..4 {
            sender.send(&recipient, &number.to_string()).await;
        }
        quiet().await;
        connect(&other, &recipient);
        for number in 4..7 {
            other.send(&recipient, &number.to_string()).await;
        }
        quiet().await;
        assert_eq!(recipient.boxes().waiting().len(), 6);
        let mut texts = read(&recipient, 7).await;
        texts.sort();
        assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6"], "the last one comes when there is room");
    });
}

#[test]
fn a_message_has_its_longest_content_and_not_a_byte_more() {
    run(async {
        let world = World::new();
        let (mut sender, _cache, recipient) = world.three();
        sender.kill(&[]);
        sender.limits = Limits { max_content: 1_000, ..Limits::default() };
        world.start(&mut sender);
        sender.send(&recipient, &"x".repeat(1_000)).await;
        let longer = sender.boxes().outbox().send(&recipient.hashname(), "x".repeat(1_001)).await;
        assert!(matches!(longer, Err(SendError::TooLong { length: 1_001, max: 1_000 })), "{longer:?}");
    });
}

#[test]
fn a_giver_may_have_32_offers_open_and_loses_its_session_with_one_more() {
    run(async {
        let world = World::new();
        let (sender, cache, recipient) = world.three();
        connect(&sender, &cache);
        for (count, lives) in [(32, true), (33, false)] {
            let mut frames = session(&sender, &cache).await;
            // So large that all but two wait.
            for name in 0..count {
                // The other side may have hung up before it has heard all.
                let _ = frames.send(offer(name, &recipient, 1 << 20)).await;
            }
            let mut wanted = 0;
            let ended = loop {
                match tokio::time::timeout(Duration::from_secs(5), frames.receive()).await {
                    Ok(Ok(Some(frame))) => wanted += usize::from(frame[0] == 4),
                    Ok(Ok(None) | Err(_)) => break true,
                    Err(_) => break false,
                }
            };
            assert_eq!((ended, wanted == 2 || !lives), (!lives, true), "{count}: {wanted} wanted");
            drop(frames);
            quiet().await;
        }
    });
}

#[test]
fn a_link_may_have_four_sessions_and_a_fifth_is_refused() {
    run(async {
        let world = World::new();
        let (sender, cache, recipient) = world.three();
        connect(&sender, &cache);
        quiet().await;
        let mut sessions = Vec::new();
        for name in 0..5 {
            let mut frames = session(&sender, &cache).await;
            // The other side may have refused it before that.
            let _ = frames.send(offer(name, &recipient, 10)).await;
            let is_answered = matches!(frames.receive().await, Ok(Some(_)));
            assert_eq!(is_answered, name < 4, "{name}");
            sessions.push(frames);
        }
    });
}

#[test]
fn an_application_gets_512_messages_of_a_stream_before_it_acknowledges_one() {
    run(async {
        let world = World::new();
        let (sender, _cache, recipient) = world.three();
        connect(&sender, &recipient);
        for number in 0..514 {
            sender.send(&recipient, &number.to_string()).await;
        }
        quiet().await;
        let mut inbox = recipient.boxes().inbox().unwrap();
        let mut held = Vec::new();
        for _ in 0..512 {
            held.push(inbox.next().await.unwrap());
        }
        let more = tokio::time::timeout(Duration::from_secs(60), inbox.next()).await;
        assert!(more.is_err(), "the next one waits");
        held.remove(100).ack().await.unwrap();
        assert_eq!(world::text(&inbox.next().await.unwrap()), "512");
        let more = tokio::time::timeout(Duration::from_secs(60), inbox.next()).await;
        assert!(more.is_err(), "and the one after it");
    });
}

#[test]
fn a_cache_takes_64_kib_at_a_time_of_two_large_messages_of_a_link() {
    run(async {
        let world = World::new();
        let (sender, mut cache, recipient) = world.three();
        cache.kill(&[]);
        cache.cache = Some((Arc::new(MemoryStore::new()), CacheLimits::default()));
        world.start(&mut cache);
        connect(&sender, &cache);
        for name in 0..5_u8 {
            sender.boxes().outbox().send(&recipient.hashname(), vec![name; 200_000]).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(cache.boxes().cache_use().unwrap().messages, 5, "the others come after them");
    });
}
