//! Where chats are kept: a small trait, in memory or in a file.

#[cfg(feature = "redb")]
mod file;
mod memory;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use bytes::Bytes;
use telemesh_channel::BoxFuture;
use zeroize::Zeroizing;

use crate::ack::Ack;
use crate::id::ChatId;

#[cfg(feature = "redb")]
pub use file::FileStore;
pub use memory::MemoryStore;

/// Keeps the chats of one endpoint.
///
/// Our own entries are on the disk before they are sent: after a crash another entry with the same number would make two
/// versions of one. Others' are there before they are acknowledged.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// All chats.
    ///
    /// # Errors
    /// What cannot be read.
    fn load(&self) -> BoxFuture<'_, io::Result<BTreeMap<ChatId, StoredChat>>>;

    /// Writes changes of one chat: all of them or, if it fails, none.
    ///
    /// # Errors
    /// What cannot be written.
    fn write(&self, chat: ChatId, writes: Vec<Write>) -> BoxFuture<'_, io::Result<()>>;

    /// Forgets a chat.
    ///
    /// # Errors
    /// What cannot be written.
    fn forget(&self, chat: ChatId) -> BoxFuture<'_, io::Result<()>>;
}

/// What is kept of one chat.
#[derive(Clone, Debug, Default)]
pub struct StoredChat {
    /// Our key and what else there is, opaque. Secret.
    pub state: Zeroizing<Vec<u8>>,
    /// The entries in the order in which they were placed.
    pub entries: Vec<Bytes>,
    /// The acknowledgements.
    pub acks: Vec<Ack>,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Write {
    /// The state is another one.
    State(Zeroizing<Vec<u8>>),
    /// An entry is new, at this place.
    Entry(usize, Bytes),
    /// An acknowledgement takes the place of the last one of its two participants.
    Ack(Ack),
}
