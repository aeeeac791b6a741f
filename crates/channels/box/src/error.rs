//! Why something was not started, sent, taken or stored: one enum per operation.

use std::io;
use std::sync::Arc;

use telemesh_channel::HandleError;

use crate::seal::SealFailure;

/// Why a store did not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room.
    #[error("there is no room left to store messages")]
    Full,
    /// What is in it is not what was written; it may belong to another program or version.
    #[error("the store of messages is damaged: {0}")]
    Damaged(String),
    /// Names in it were keyed with another secret.
    #[error("the store was written with another secret")]
    OtherSecret,
    /// The system failed.
    #[error("the store of messages has failed: {0}")]
    Io(#[source] Arc<io::Error>),
    /// The boxes have ended.
    #[error("the boxes have ended")]
    Ended,
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full
            }
            _ => Self::Io(Arc::new(error)),
        }
    }
}

/// Why boxes could not be started.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The channel's type has a handler already.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// A store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a message was not taken for sending.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The content is longer than the limit.
    #[error("a message of {length} bytes is too long: at most {max} can be sent")]
    TooLong {
        /// Length of the content in bytes.
        length: usize,
        /// The longest that is taken, in bytes.
        max: usize,
    },
    /// It is for the endpoint itself.
    #[error("a message to oneself needs no box")]
    Ourselves,
    /// As much waits for receipts as the outbox takes.
    #[error("too much waits to be received: {pending} bytes")]
    Full {
        /// Bytes that wait, for this recipient or for all.
        pending: u64,
    },
    /// It could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealFailure),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The label has a reader already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the messages of this label have a reader already")]
pub struct InboxTaken;
