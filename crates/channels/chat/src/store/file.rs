//! A store in a file, by `redb`: a change is on the disk or did not happen.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};
use telemesh_channel::BoxFuture;
use telemesh_database::{Database, Format, OpenError, io_error as broken};
use zeroize::Zeroizing;

use super::{Store, StoredChat, Write};
use crate::ack::Ack;
use crate::codec::{Reader, Writer};
use crate::id::ChatId;

/// Chat to state.
const STATES: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("states");
/// Chat and place, in which the entry came, to the entry.
const ENTRIES: TableDefinition<'_, ([u8; 32], u64), &[u8]> = TableDefinition::new("entries");
/// Chat, whose acknowledgement, and of whose messages.
type AckKey = ([u8; 32], [u8; 32], [u8; 32]);
/// Chat, whose, about whom, to the acknowledgement.
const ACKS: TableDefinition<'_, AckKey, &[u8]> = TableDefinition::new("acks");
/// A chat is read once and then written at its end.
const FORMAT: Format = Format { version: 1, cache: 4 << 20 };

/// Keeps chats in a file. Dropping the last clone closes it.
#[derive(Clone)]
pub struct FileStore {
    database: Arc<Database>,
}

impl FileStore {
    /// Opens the store at this path, which is made, with mode 0600, if nothing is there. Its folder must exist.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let database = Database::open(path.as_ref(), FORMAT, |write| {
            write.open_table(STATES)?;
            write.open_table(ENTRIES)?;
            write.open_table(ACKS)?;
            Ok(())
        })?;
        Ok(Self { database: Arc::new(database) })
    }

    fn read_all(&self) -> io::Result<BTreeMap<ChatId, StoredChat>> {
        self.database.with(|database| {
            let read = database.begin_read().map_err(broken)?;
            let mut chats = BTreeMap::<ChatId, StoredChat>::new();
            for row in read.open_table(STATES).map_err(broken)?.iter().map_err(broken)? {
                let (chat, state) = row.map_err(broken)?;
                let stored = chats.entry(ChatId::from_bytes(chat.value())).or_default();
                stored.state = Zeroizing::new(state.value().to_vec());
            }
            for row in read.open_table(ENTRIES).map_err(broken)?.iter().map_err(broken)? {
                let (key, raw) = row.map_err(broken)?;
                if let Some(stored) = chats.get_mut(&ChatId::from_bytes(key.value().0)) {
                    stored.entries.push(Bytes::copy_from_slice(raw.value()));
                }
            }
            for row in read.open_table(ACKS).map_err(broken)?.iter().map_err(broken)? {
                let (key, raw) = row.map_err(broken)?;
                let ack = Ack::read(&mut Reader::new(raw.value()));
                let ack = ack.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                if let Some(stored) = chats.get_mut(&ChatId::from_bytes(key.value().0)) {
                    stored.acks.push(ack);
                }
            }
            Ok(chats)
        })
    }

    fn write_all(&self, chat: ChatId, writes: &[Write]) -> io::Result<()> {
        self.database.with(|database| {
            let transaction = database.begin_write().map_err(broken)?;
            {
                let mut states = transaction.open_table(STATES).map_err(broken)?;
                let mut entries = transaction.open_table(ENTRIES).map_err(broken)?;
                let mut acks = transaction.open_table(ACKS).map_err(broken)?;
                let chat = *chat.as_bytes();
                for write in writes {
                    match write {
                        Write::State(state) => drop(states.insert(chat, state.as_slice()).map_err(broken)?),
                        Write::Entry(place, raw) => {
                            let place = u64::try_from(*place).unwrap_or(u64::MAX);
                            entries.insert((chat, place), raw.as_ref()).map_err(broken)?;
                        }
                        Write::Ack(ack) => {
                            let mut out = Writer::default();
                            ack.write(&mut out);
                            let key = (chat, *ack.from.as_bytes(), *ack.about.as_bytes());
                            acks.insert(key, out.finish().as_slice()).map_err(broken)?;
                        }
                    }
                }
            }
            transaction.commit().map_err(broken)
        })
    }

    fn remove(&self, chat: ChatId) -> io::Result<()> {
        self.database.with(|database| {
            let transaction = database.begin_write().map_err(broken)?;
            {
                let chat = *chat.as_bytes();
                transaction.open_table(STATES).map_err(broken)?.remove(chat).map_err(broken)?;
                let mut entries = transaction.open_table(ENTRIES).map_err(broken)?;
                entries.retain_in((chat, 0)..=(chat, u64::MAX), |_, _| false).map_err(broken)?;
                let mut acks = transaction.open_table(ACKS).map_err(broken)?;
                let all = (chat, [0; 32], [0; 32])..=(chat, [0xff; 32], [0xff; 32]);
                acks.retain_in(all, |_, _| false).map_err(broken)?;
            }
            transaction.commit().map_err(broken)
        })
    }

    /// On a thread that may wait for the disk.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, io::Result<T>> {
        let store = self.clone();
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&store)).await;
            done.unwrap_or_else(|error| Err(io::Error::other(error)))
        })
    }
}

impl Store for FileStore {
    fn load(&self) -> BoxFuture<'_, io::Result<BTreeMap<ChatId, StoredChat>>> {
        self.blocking(Self::read_all)
    }

    fn write(&self, chat: ChatId, writes: Vec<Write>) -> BoxFuture<'_, io::Result<()>> {
        self.blocking(move |store| store.write_all(chat, &writes))
    }

    fn forget(&self, chat: ChatId) -> BoxFuture<'_, io::Result<()>> {
        self.blocking(move |store| store.remove(chat))
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileStore").finish_non_exhaustive()
    }
}
