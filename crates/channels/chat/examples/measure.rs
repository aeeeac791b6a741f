//! Measures a group of 32 in memory, and a catch-up of 10,000 messages:
//! `cargo run --release -p telemesh-chat --example measure`.
//!
//! Delivery: from `say` until a receiver's application has the message, signatures, order and store in memory included.
//! All 32 endpoints share one thread, so this is what their work costs and not what a network adds.

#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use telemesh_channel::memory::{self, MemoryEndpoint};
use telemesh_chat::{Chat, Chats, Config, Event, FileStore, MemoryStore, Store};
use telemesh_hashname::Hashname;

const GROUP: u8 = 32;
const MESSAGES: usize = 200;
const CATCH_UP: usize = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    delivery().await?;
    let folder = tempfile::tempdir()?;
    catch_up("memory", Arc::new(MemoryStore::default())).await?;
    catch_up("file", Arc::new(FileStore::open(folder.path().join("chats.redb"))?)).await?;
    Ok(())
}

async fn delivery() -> Result<(), Box<dyn Error>> {
    let endpoints: Vec<_> = (1..=GROUP).map(|n| MemoryEndpoint::new(Hashname::from_bytes([n; 32]))).collect();
    let mut chats: Vec<Chats> = Vec::new();
    for (n, endpoint) in endpoints.iter().enumerate() {
        for other in endpoints.iter().take(n) {
            memory::connect(endpoint, other);
        }
    }
    let mut rooms: Vec<Chat> = Vec::new();
    for endpoint in &endpoints {
        let here = Chats::start(endpoint.clone(), Config::new("somebody".parse()?)).await?;
        let room = match rooms.first() {
            None => here.create("group".parse()?).await?,
            Some(first) => {
                first.invite(telemesh_channel::Network::hashname(&**endpoint)).await?;
                let invitation = here.invitations().await?.next().await.ok_or("no invitation")?;
                here.accept(invitation.chat).await?
            }
        };
        let mut events = room.events().await?;
        while !room.info().await?.joined {
            events.next().await;
        }
        rooms.push(room);
        chats.push(here);
    }
    // Until everybody has heard of everybody.
    for room in &rooms {
        while room.members().await?.iter().filter(|member| member.name.is_some()).count() < rooms.len() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut took = Vec::new();
    let mut events = Vec::new();
    for room in &rooms {
        events.push(room.events().await?);
    }
    for n in 0..MESSAGES {
        let Some(sender) = rooms.get(n % rooms.len()) else { continue };
        let (text, began) = (format!("message {n}"), Instant::now());
        sender.say(text.clone()).await?;
        let hear = events.iter_mut().map(|events| {
            let text = &text;
            async move {
                while let Some(event) = events.next().await {
                    if matches!(&event, Event::Message(message) if message.text.text == *text) {
                        break;
                    }
                }
                began.elapsed()
            }
        });
        took.extend(futures_util::future::join_all(hear).await);
        // Acknowledgements of all by all go between the messages, as they do when people write.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default();
    let (count, most) = (took.len(), took.last().copied().unwrap_or_default());
    println!("group of {GROUP}: {count} deliveries, p50 {:?}, p99 {:?}, most {most:?}", at(50), at(99));
    Ok(())
}

async fn catch_up(kept: &str, store: Arc<dyn Store>) -> Result<(), Box<dyn Error>> {
    let [left, right] = [1, 2].map(|n| MemoryEndpoint::new(Hashname::from_bytes([n; 32])));
    memory::connect(&left, &right);
    let alice = Chats::start(left.clone(), Config::new("alice".parse()?)).await?;
    let bob = Chats::start(right.clone(), Config::new("bob".parse()?).store(store)).await?;
    let room = alice.create("group".parse()?).await?;
    for n in 0..CATCH_UP {
        room.say(format!("message {n}, of the length that people write")).await?;
    }
    let began = Instant::now();
    room.invite(Hashname::from_bytes([2; 32])).await?;
    let invitation = bob.invitations().await?.next().await.ok_or("no invitation")?;
    let there = bob.accept(invitation.chat).await?;
    let mut events = there.events().await?;
    let mut heard = 0;
    while heard < CATCH_UP {
        match events.next().await.ok_or("the chat has ended")? {
            Event::Message(_) => heard += 1,
            Event::Lagged { .. } => heard = there.history(usize::MAX).await?.len(),
            _ => {}
        }
    }
    let took = began.elapsed();
    let same = there.history(usize::MAX).await?.len() == CATCH_UP;
    println!("catch-up of {CATCH_UP} messages into a store in {kept}: {took:?}, all there: {same}");
    Ok(())
}
