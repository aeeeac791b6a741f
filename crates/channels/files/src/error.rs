//! Why a transfer failed as a whole: the peer's fault, ours, the disk's or the link's.

use std::io;
use std::path::PathBuf;

use telemesh_channel::{AcceptError, ChannelError, OpenError, Refusal};

use crate::report::FailureCode;

/// Why something could not be offered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// A path that was named cannot be read. (Trouble deeper inside is in [`crate::Offer::left_out`] instead.)
    #[error("{}: {source}", path.display())]
    Path {
        /// The path as it was named.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A path that was named has no name of its own (`/`, `..`), or one that cannot be sent.
    #[error("{}: {reason}", path.display())]
    Name {
        /// The path as it was named.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// Two paths that were named end in the same name.
    #[error("two of the paths are called {0:?}")]
    SameName(String),
    /// Nothing was named.
    #[error("nothing to send")]
    Empty,
    /// More than [`MAX_ENTRIES`](crate::limits::MAX_ENTRIES), or more bytes than a transfer may have.
    #[error("too much for one transfer")]
    TooMuch,
    /// The list could not be kept.
    #[error("the list could not be kept: {0}")]
    List(#[source] io::Error),
}

/// Why a transfer was not sent to its end. Sending the same offer again goes on where it stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The channel could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The peer does not want it, or does not take files at all.
    #[error("refused by the peer: {0}")]
    Refused(Refusal),
    /// The link or the channel was lost.
    #[error("interrupted: {0}")]
    Channel(#[source] io::Error),
    /// The receiver gave up, and why.
    #[error("the receiver gave up: {0}")]
    Receiver(FailureCode),
    /// What the receiver sent breaks the protocol.
    #[error("the receiver broke the protocol: {0}")]
    Protocol(&'static str),
    /// The list that was made for the offer cannot be read back, or the thread could not be started.
    #[error("failed here: {0}")]
    Local(#[source] io::Error),
}

/// Why a transfer was not received to its end. What arrived is kept, and the same offer goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The channel is not one of this type, or its open message breaks the protocol; it was refused.
    #[error("not a transfer: {0}")]
    NotATransfer(&'static str),
    /// The channel could not be accepted.
    #[error(transparent)]
    Accept(#[from] AcceptError),
    /// It is larger than the target takes; it was refused.
    #[error("refused: {0}")]
    Refused(String),
    /// The same transfer is being received already; it was refused as busy.
    #[error("this transfer is being received already")]
    Busy,
    /// The link or the channel was lost.
    #[error("interrupted: {0}")]
    Channel(#[source] io::Error),
    /// What the sender sent breaks the protocol.
    #[error("the sender broke the protocol: {0}")]
    Protocol(&'static str),
    /// The disk is full, may not be written to, or failed; or a thread could not be started.
    #[error("failed here: {0}")]
    Local(#[source] io::Error),
}

impl SendError {
    /// Whether sending the same offer again may work without anybody changing anything: the link was lost.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Channel(_) | Self::Open(OpenError::Channel(_)))
    }

    /// An error of the open channel; a refusal is one too, since nobody waits for the answer to the open message.
    pub(crate) fn of_channel(error: io::Error) -> Self {
        match ChannelError::of(&error) {
            Some(ChannelError::Refused(refusal)) => Self::Refused(refusal.clone()),
            _ => Self::Channel(error),
        }
    }
}
