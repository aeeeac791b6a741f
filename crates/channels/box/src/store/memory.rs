//! Rows in memory, for who wants nothing on a disk, and for tests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{Change, EachRow, Store, StoreError};

/// Keeps rows in memory. They end with it.
#[derive(Default)]
pub struct MemoryStore {
    rows: Mutex<BTreeMap<Vec<u8>, Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<Vec<u8>, Bytes>) -> T) -> T {
        // Nothing panics while it holds the lock, but for a scan's own caller, who changes nothing.
        act(&mut self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for MemoryStore {
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.with(|rows| {
            for change in changes {
                match change {
                    Change::Put(key, value) => drop(rows.insert(key.clone(), value.clone())),
                    Change::Remove(key) => drop(rows.remove(key)),
                }
            }
        });
        Ok(())
    }

    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.with(|rows| rows.get(key).cloned()))
    }

    fn scan(&self, prefix: &[u8], each: &mut EachRow<'_>) -> Result<(), StoreError> {
        self.with(|rows| {
            let from_prefix = rows.range(prefix.to_vec()..);
            from_prefix
                .take_while(|(key, _)| key.starts_with(prefix))
                .try_for_each(|(key, value)| each(key, value))
        })
    }

    fn is_immediate(&self) -> bool {
        true
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("rows", &self.with(|rows| rows.len())).finish()
    }
}
