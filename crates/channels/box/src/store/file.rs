//! Rows in one file, with redb.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase as _, StorageError, TableDefinition};

use super::{Change, EachRow, Store, StoreError};

/// Keeps rows in a file. What was committed has been synced.
///
/// redb panics at some kinds of damage. Such a panic is an error here, and the store is not used again.
pub struct FileStore {
    /// `None` only while it is dropped.
    database: Option<Database>,
    damaged: AtomicBool,
}

/// Why the file was not opened, with the repair where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStoreError {
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
    #[error("{path} is open to others (mode {mode:04o}): run `chmod 600 {path}`", path = .path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode, of which only the last nine bits are shown.
        mode: u32,
    },
    /// It was cut, changed, or written by something else.
    #[error("{path} cannot be read: {reason}; restore it from a backup, or move it away and lose what is in it",
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
    /// Opens the file, which is made for its owner alone if it is missing. A file that was cut short by a crash is
    /// repaired.
    ///
    /// # Errors
    /// [`OpenStoreError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenStoreError> {
        let path = path.as_ref();
        let failed = |source| OpenStoreError::Io { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(OpenStoreError::NotAFile { path: path.to_owned() });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file = options().open(path).map_err(failed)?;
        check_mode(path, &file.metadata().map_err(failed)?)?;
        let backend = FileBackend::new(file).map_err(|error| not_opened(path, error))?;
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let opened = catch_unwind(AssertUnwindSafe(|| builder.create_with_backend(backend)));
        let content = |reason: String| OpenStoreError::Content { path: path.to_owned(), reason };
        let opened = opened.map_err(|_| content(DAMAGED.to_owned()))?;
        let database = opened.map_err(|error| not_opened(path, error))?;
        let store = Self { database: Some(database), damaged: AtomicBool::new(false) };
        // The table is there from now on, so that reading never has to make it.
        store.commit(&[]).map_err(|error| match error {
            StoreError::Damaged(reason) => content(reason),
            other => failed(io::Error::other(other)),
        })?;
        Ok(store)
    }
}

impl FileStore {
    fn with<T>(&self, act: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let damaged = || StoreError::Damaged(DAMAGED.to_owned());
        if self.damaged.load(Ordering::Acquire) {
            return Err(damaged());
        }
        let database = self.database.as_ref().ok_or(StoreError::Ended)?;
        catch_unwind(AssertUnwindSafe(|| act(database))).unwrap_or_else(|_| {
            self.damaged.store(true, Ordering::Release);
            Err(damaged())
        })
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        let database = self.database.take();
        // What a damaged one has to say was said.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }
}

impl Store for FileStore {
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.with(|database| {
            let write = database.begin_write().map_err(broken)?;
            {
                let mut rows = write.open_table(ROWS).map_err(broken)?;
                for change in changes {
                    match change {
                        Change::Put(key, value) => drop(rows.insert(&key[..], &value[..]).map_err(broken)?),
                        Change::Remove(key) => drop(rows.remove(&key[..]).map_err(broken)?),
                    }
                }
            }
            write.commit().map_err(broken)
        })
    }

    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.with(|database| {
            let read = database.begin_read().map_err(broken)?;
            let rows = read.open_table(ROWS).map_err(broken)?;
            let value = rows.get(key).map_err(broken)?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    fn scan(&self, prefix: &[u8], each: &mut EachRow<'_>) -> Result<(), StoreError> {
        self.with(|database| {
            let read = database.begin_read().map_err(broken)?;
            let rows = read.open_table(ROWS).map_err(broken)?;
            for row in rows.range(prefix..).map_err(broken)? {
                let (key, value) = row.map_err(broken)?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                each(key.value(), value.value())?;
            }
            Ok(())
        })
    }
}

fn broken(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => error.into(),
        redb::Error::Corrupted(reason) => StoreError::Damaged(reason),
        other => StoreError::from(io::Error::other(other)),
    }
}

fn not_opened(path: &Path, error: DatabaseError) -> OpenStoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenStoreError::InUse { path },
        // redb says this of a file that is none of its own.
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
            OpenStoreError::Io { path, source }
        }
        other => OpenStoreError::Content { path, reason: other.to_string() },
    }
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), OpenStoreError> {
    use std::os::unix::fs::MetadataExt as _;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(OpenStoreError::Permissions { path: path.to_owned(), mode }) }
}

/// The file has the access rules that its folder gives it.
#[cfg(not(unix))]
fn check_mode(_path: &Path, _metadata: &fs::Metadata) -> Result<(), OpenStoreError> {
    Ok(())
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").finish_non_exhaustive()
    }
}

const DAMAGED: &str = "a page of it is not what was written";

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("box");

/// Memory for pages of the file. Messages are read about once; the branches of the tree are what is worth keeping.
const CACHE_BYTES: usize = 16 << 20;
