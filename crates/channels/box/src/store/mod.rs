//! Where messages are kept: a small trait, a store in memory, one in a file, and commits in groups.

pub(crate) mod disk;
#[cfg(feature = "redb")]
mod file;
pub(crate) mod keys;
mod memory;

use bytes::Bytes;

pub use crate::error::StoreError;
#[cfg(feature = "redb")]
pub use file::FileStore;
pub use memory::MemoryStore;

/// Keeps rows: a key and a value each, both any bytes. Keys are up to 64 + 64 bytes, values up to 64 KiB and a little.
///
/// Its functions may take as long as the disk does: they are called where waiting is allowed, unless the store is
/// [immediate](Self::is_immediate).
pub trait Store: Send + Sync + 'static {
    /// Makes all of these changes, in this order, or none. When it returns they outlive a crash, if the store outlives
    /// one at all.
    ///
    /// # Errors
    /// [`StoreError`]; then none of the changes was made, or all of them although the store could not say so.
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Shows every row whose key begins with these bytes, in the order of the keys.
    ///
    /// # Errors
    /// [`StoreError`], also one from `each`, which ends it.
    fn scan(&self, prefix: &[u8], each: &mut EachRow<'_>) -> Result<(), StoreError>;

    /// Whether its functions return at once, so that they need no thread of their own.
    fn is_immediate(&self) -> bool {
        false
    }
}

/// What a scan shows key and value of each row to.
pub type EachRow<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// A change to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key has this value from now on.
    Put(Vec<u8>, Bytes),
    /// The key is gone.
    Remove(Vec<u8>),
}

impl Change {
    /// Bytes of key and value.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Put(key, value) => key.len() + value.len(),
            Self::Remove(key) => key.len(),
        }
    }
}
