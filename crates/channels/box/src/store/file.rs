//! Rows in one file, with redb.

use std::fmt;
use std::io;
use std::path::Path;

use bytes::Bytes;
use redb::{ReadableDatabase as _, TableDefinition};
use telemesh_database::{Damaged, Database, Format, OpenError};

use super::{Change, EachRow, Store, StoreError};

/// Key to value; what they mean is `keys`' business.
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("box");

/// Messages are read about once; the branches of the tree are what is worth keeping in memory.
const FORMAT: Format = Format { version: 1, cache: 16 << 20 };

/// Keeps rows in a file. What was committed has been synced.
pub struct FileStore {
    database: Database,
}

impl FileStore {
    /// Opens the file, which is made for its owner alone if it is missing. A file that was cut short by a crash is
    /// repaired.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let database = Database::open(path.as_ref(), FORMAT, |write| {
            write.open_table(ROWS)?;
            Ok(())
        })?;
        Ok(Self { database })
    }
}

impl From<Damaged> for StoreError {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged(damaged.to_string())
    }
}

impl Store for FileStore {
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.database.with(|database| {
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
        self.database.with(|database| {
            let read = database.begin_read().map_err(broken)?;
            let rows = read.open_table(ROWS).map_err(broken)?;
            let value = rows.get(key).map_err(broken)?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    fn scan(&self, prefix: &[u8], each: &mut EachRow<'_>) -> Result<(), StoreError> {
        self.database.with(|database| {
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

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").finish_non_exhaustive()
    }
}
