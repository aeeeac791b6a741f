//! A store in a file, by `redb`: a change is on the disk or did not happen.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError, TableDefinition,
};
use telemesh_channel::BoxFuture;
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
/// What the file says about itself.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// Version of the tables. Another one is refused.
const VERSION: u64 = 1;

/// Memory for pages of the file: a chat is read once and then written at its end.
const CACHE_BYTES: usize = 4 << 20;

/// Keeps chats in a file. Dropping the last clone closes it.
#[derive(Clone)]
pub struct FileStore {
    database: Arc<Database>,
}

/// Why a store was not opened, with the repair where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("{path} is in use by another process", path = .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is a link, a folder or a device.
    #[error("{path} is not a regular file: move it away", path = .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Group or others can read or write it.
    #[error("{path} is open to others: run `chmod 600 {path}`", path = .path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
    },
    /// It was written by another version, or is no store.
    #[error("{path} cannot be read: {reason}; restore it from a backup, or move it away to start without chats",
        path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system failed.
    #[error("could not open {path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FileStore {
    /// Opens the store at this path, which is made, with mode 0600, if nothing is there. Its folder must exist.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_file() => return Err(OpenError::NotAFile { path: path.to_owned() }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file = options().open(path).map_err(failed)?;
        if is_open_to_others(&file.metadata().map_err(failed)?) {
            return Err(OpenError::Permissions { path: path.to_owned() });
        }
        let backend = FileBackend::new(file).map_err(|error| not_opened(path, error))?;
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = builder.create_with_backend(backend).map_err(|error| not_opened(path, error))?;
        let store = Self { database: Arc::new(database) };
        match store.prepare().map_err(failed)? {
            VERSION => Ok(store),
            other => {
                let reason = format!("its version is {other}, and this program knows {VERSION}");
                Err(OpenError::Content { path: path.to_owned(), reason })
            }
        }
    }

    /// Makes tables that are missing, and says which version the file has.
    fn prepare(&self) -> io::Result<u64> {
        let write = self.database.begin_write().map_err(broken)?;
        let version = {
            let mut about = write.open_table(ABOUT).map_err(broken)?;
            let known = about.get("version").map_err(broken)?.map(|version| version.value());
            if known.is_none() {
                about.insert("version", VERSION).map_err(broken)?;
            }
            known.unwrap_or(VERSION)
        };
        if version == VERSION {
            write.open_table(STATES).map_err(broken)?;
            write.open_table(ENTRIES).map_err(broken)?;
            write.open_table(ACKS).map_err(broken)?;
        }
        write.commit().map_err(broken)?;
        Ok(version)
    }

    fn read_all(&self) -> io::Result<BTreeMap<ChatId, StoredChat>> {
        let read = self.database.begin_read().map_err(broken)?;
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
    }

    fn write_all(&self, chat: ChatId, writes: &[Write]) -> io::Result<()> {
        let transaction = self.database.begin_write().map_err(broken)?;
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
    }

    fn remove(&self, chat: ChatId) -> io::Result<()> {
        let transaction = self.database.begin_write().map_err(broken)?;
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

/// What redb says, as an I/O error.
fn broken(error: impl Into<redb::Error>) -> io::Error {
    match error.into() {
        redb::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

fn not_opened(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path },
        // redb says `InvalidData` of a file that is none of its own.
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { path, source }
        }
        other => OpenError::Content { path, reason: other.to_string() },
    }
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o077 != 0
}

/// The file has the access rules that its folder gives it.
#[cfg(not(unix))]
fn is_open_to_others(_: &fs::Metadata) -> bool {
    false
}
