//! Why bytes were not understood, why an entry was refused, why an operation failed: one enum per operation.

use crate::id::EntryId;
use crate::limits::{MAX_ALTERNATE_BYTES, MAX_PARTICIPANTS, MAX_TEXT};
use crate::name::NameError;

/// Why bytes are not the message that they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Cut off, with something behind it, or with a value that cannot be there.
    #[error("malformed")]
    Malformed,
    /// Of another version of the format.
    #[error("version {0} is not known")]
    Version(u8),
    /// A value is longer than it may be.
    #[error("{what} has {length} bytes, more than {limit}")]
    TooLong {
        /// The value.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The most it may have.
        limit: usize,
    },
    /// A list is longer than it may be.
    #[error("{what} has more than {limit} entries")]
    TooMany {
        /// The list.
        what: &'static str,
        /// The most it may have.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("{what} is not UTF-8")]
    NotText {
        /// The value.
        what: &'static str,
    },
    /// A name that breaks the rules.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Why something that a peer sent did not become part of the history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Not understood.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The signature is not the sender's: forged, altered on the way, or from another chat.
    #[error("the signature is not its sender's")]
    Forged,
    /// It does not follow the message that it names as its sender's previous one: skipped, reordered or replayed under
    /// another number.
    #[error("it does not follow its sender's previous message")]
    BrokenChain,
    /// Only the leader may say this.
    #[error("only the leader may say that")]
    NotTheLeader,
    /// A key that somebody else has joined with.
    #[error("the key belongs to another participant")]
    KeyTaken,
    /// The chat is full.
    #[error("the chat has {MAX_PARTICIPANTS} participants already")]
    Full,
    /// Somebody who was not invited wants to join.
    #[error("nobody has invited them")]
    NotInvited,
    /// Larger than anything that may be sent.
    #[error("it is larger than anything that may be sent")]
    TooLarge,
}

/// Why an operation on a chat failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// A text is longer than it may be.
    #[error("the text has {length} bytes, more than {MAX_TEXT}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// There is nothing in it.
    #[error("the text is empty")]
    Empty,
    /// A list in a text, or its alternates together, are larger than they may be.
    #[error("too many references or alternates, or alternates of more than {MAX_ALTERNATE_BYTES} bytes")]
    TooMuch,
    /// Nothing of ours can be edited: only our last text can.
    #[error("there is no text of ours to edit")]
    NothingToEdit,
    /// There is no such entry.
    #[error("there is no message {0} here")]
    Unknown(EntryId),
    /// We have not joined yet: the leader has not signed it, or has not been reached.
    #[error("we have not joined yet: the leader has to confirm it")]
    NotJoined,
    /// Only the leader invites.
    #[error("only the leader of a chat can invite")]
    NotTheLeader,
    /// The chat is full.
    #[error("the chat has {MAX_PARTICIPANTS} participants already")]
    Full,
    /// There is no such chat or invitation.
    #[error("there is no such chat here")]
    NoSuchChat,
    /// More chats than an endpoint may have.
    #[error("there are too many chats")]
    TooMany,
    /// The history could not be written; nothing was sent.
    #[error("the history could not be written: {0}")]
    Store(String),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness,
    /// The endpoint, or its chats, have ended.
    #[error("the endpoint has ended")]
    Ended,
}
