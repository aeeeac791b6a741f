//! A store that ends with the process.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use telemesh_channel::BoxFuture;
use zeroize::Zeroizing;

use super::{Store, StoredChat, Write};
use crate::ack::Ack;
use crate::id::{ChatId, ParticipantKey};

/// Keeps chats in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    chats: Mutex<BTreeMap<ChatId, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    state: Zeroizing<Vec<u8>>,
    entries: Vec<Bytes>,
    acks: BTreeMap<(ParticipantKey, ParticipantKey), Ack>,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChatId, Kept>> {
        self.chats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn load(&self) -> BoxFuture<'_, io::Result<BTreeMap<ChatId, StoredChat>>> {
        let stored = |kept: &Kept| StoredChat {
            state: kept.state.clone(),
            entries: kept.entries.clone(),
            acks: kept.acks.values().cloned().collect(),
        };
        let all = self.lock().iter().map(|(chat, kept)| (*chat, stored(kept))).collect();
        Box::pin(std::future::ready(Ok(all)))
    }

    fn write(&self, chat: ChatId, writes: Vec<Write>) -> BoxFuture<'_, io::Result<()>> {
        let mut chats = self.lock();
        let stored = chats.entry(chat).or_default();
        for write in writes {
            match write {
                Write::State(state) => stored.state = state,
                Write::Entry(_, raw) => stored.entries.push(raw),
                Write::Ack(ack) => drop(stored.acks.insert((ack.from, ack.about), ack)),
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn forget(&self, chat: ChatId) -> BoxFuture<'_, io::Result<()>> {
        self.lock().remove(&chat);
        Box::pin(std::future::ready(Ok(())))
    }
}
