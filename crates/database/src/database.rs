//! The database of a file: its version, its tables, and every use of it.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{ReadableTable as _, TableDefinition, WriteTransaction};

use crate::open::{self, OpenError};

/// What the file says about itself.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// What a program expects of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Version of the tables. A file of another one is refused.
    pub version: u64,
    /// Bytes of memory for pages of the file.
    pub cache: usize,
}

/// A page of the file is not what was written: the database is not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a page of it is not what was written")]
pub struct Damaged;

impl From<Damaged> for io::Error {
    fn from(damaged: Damaged) -> Self {
        Self::new(io::ErrorKind::InvalidData, damaged)
    }
}

/// Tables in one file. What was committed has been synced. Dropping it gives the file to other processes.
///
/// redb panics at some kinds of damage. Such a panic is [`Damaged`] here, and the database is not used again.
pub struct Database {
    /// `None` only while it is dropped.
    inner: Option<redb::Database>,
    damaged: AtomicBool,
}

impl Database {
    /// Opens the file, which is made, with mode 0600, if nothing is there. Its folder must exist. `make_tables` opens every
    /// table once, so that reading never has to make one. A file that a crash has cut short is repaired.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        path: &Path,
        format: Format,
        make_tables: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<Self, OpenError> {
        let backend = open::open(path)?;
        let mut builder = redb::Database::builder();
        builder.set_cache_size(format.cache);
        let opened = catch_unwind(AssertUnwindSafe(|| builder.create_with_backend(backend)));
        let opened = opened.map_err(|_| OpenError::content(path, Damaged))?;
        let inner = opened.map_err(|error| OpenError::database(path, error))?;
        let database = Self { inner: Some(inner), damaged: AtomicBool::new(false) };
        match database.with(|database| prepare(database, format.version, make_tables).map_err(io_error)) {
            Ok(version) if version == format.version => Ok(database),
            Ok(other) => {
                let reason = format!("its version is {other}, and this program knows {}", format.version);
                Err(OpenError::content(path, reason))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(OpenError::content(path, error)),
            Err(error) => Err(OpenError::io(path, error)),
        }
    }

    /// Does something with the tables.
    ///
    /// # Errors
    /// Those of `act`, and [`Damaged`].
    pub fn with<T, E: From<Damaged>>(
        &self,
        act: impl FnOnce(&redb::Database) -> Result<T, E>,
    ) -> Result<T, E> {
        let database = match &self.inner {
            Some(database) if !self.damaged.load(Ordering::Acquire) => database,
            _ => return Err(Damaged.into()),
        };
        // What a panic has left behind is not looked at again.
        catch_unwind(AssertUnwindSafe(|| act(database))).unwrap_or_else(|_| {
            self.damaged.store(true, Ordering::Release);
            Err(Damaged.into())
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let inner = self.inner.take();
        // What a damaged one has to say was said.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(inner)));
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("damaged", &self.damaged).finish_non_exhaustive()
    }
}

/// Makes tables that are missing, and says which version the file has.
fn prepare(
    database: &redb::Database,
    version: u64,
    make_tables: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<u64, redb::Error> {
    let write = database.begin_write()?;
    let found = {
        let mut about = write.open_table(ABOUT)?;
        let found = about.get("version")?.map(|version| version.value());
        if found.is_none() {
            about.insert("version", version)?;
        }
        found.unwrap_or(version)
    };
    if found == version {
        make_tables(&write)?;
        write.commit()?;
    }
    Ok(found)
}

/// What redb says, as an I/O error; damage is [`InvalidData`](io::ErrorKind::InvalidData).
pub fn io_error(error: impl Into<redb::Error>) -> io::Error {
    match error.into() {
        redb::Error::Io(error) => error,
        redb::Error::Corrupted(reason) => io::Error::new(io::ErrorKind::InvalidData, reason),
        other => io::Error::other(other),
    }
}
