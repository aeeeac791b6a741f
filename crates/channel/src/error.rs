//! Why an open, a channel, a message or a handler's registration failed: one enum per operation.

use std::io;

use telemesh_wire::{ChannelKind, CloseReason, InvalidValue, Refusal};

/// Why a channel could not be opened, or was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The peer said no, and why.
    #[error("refused by the peer: {0}")]
    Refused(Refusal),
    /// The channel type breaks the rules of [`crate::check_channel_type`].
    #[error("unusable channel type: {0}")]
    InvalidType(&'static str),
    /// The open message is of the other kind than the call.
    #[error("the open message is for the other kind of channel ({0})")]
    WrongKind(ChannelKind),
    /// The open message is outside its limits, its 64 KiB for example.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// The open message of an unreliable channel does not fit in a packet.
    #[error("open message of {size} bytes is larger than {max}")]
    TooLarge {
        /// Bytes of the encoded message.
        size: usize,
        /// The most that fits now.
        max: usize,
    },
    /// Too many channels are waiting for room on this link.
    #[error("too many channels on this link")]
    TooMany,
    /// The channel was lost before the peer answered, or the link is not there.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// Why a channel stopped working.
///
/// Reads and writes return it inside an [`io::Error`]; [`ChannelError::of`] takes it out again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The peer refused the channel.
    #[error("refused by the peer: {0}")]
    Refused(Refusal),
    /// The peer gave up writing; what it wrote before may be incomplete. The code is the channel type's,
    /// [`crate::CANCELLED`] if the peer dropped the channel.
    #[error("the peer reset the channel with code {0}")]
    Reset(u32),
    /// The peer gave up reading. The code as in [`ChannelError::Reset`].
    #[error("the peer stopped reading with code {0}")]
    Stopped(u32),
    /// This end has ended or given up this direction before.
    #[error("this direction of the channel was closed here")]
    ClosedHere,
    /// The peer restarted and knows nothing of this channel.
    #[error("the peer restarted")]
    PeerRestarted,
    /// The link was closed, by either end, in order.
    #[error("the link was closed: {0}")]
    LinkClosed(CloseReason),
    /// There is no path to the peer any more, or not yet.
    #[error("the link is down")]
    LinkDown,
    /// What the peer sent breaks the protocol.
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
}

impl ChannelError {
    /// The channel's error inside an I/O error, if that is what it holds.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// The nearest kind of I/O error, for programs that only know those.
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Refused(_) => io::ErrorKind::ConnectionRefused,
            Self::Reset(_) => io::ErrorKind::ConnectionReset,
            Self::Stopped(_) | Self::ClosedHere => io::ErrorKind::BrokenPipe,
            Self::PeerRestarted | Self::LinkClosed(_) => io::ErrorKind::ConnectionAborted,
            Self::LinkDown => io::ErrorKind::NotConnected,
            Self::Protocol(_) => io::ErrorKind::InvalidData,
        }
    }
}

impl From<ChannelError> for io::Error {
    fn from(error: ChannelError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Channel(channel) => channel.io_kind(),
            OpenError::Refused(_) => io::ErrorKind::ConnectionRefused,
            OpenError::InvalidType(_)
            | OpenError::WrongKind(_)
            | OpenError::Invalid(_)
            | OpenError::TooLarge { .. } => io::ErrorKind::InvalidInput,
            OpenError::TooMany => io::ErrorKind::ResourceBusy,
        };
        Self::new(kind, error)
    }
}

/// Why a message on an unreliable channel was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// Larger than the path carries now.
    #[error("message of {size} bytes is larger than {max}")]
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// The most that fits now.
        max: usize,
    },
    /// The way out is full; later messages may pass.
    #[error("no room to send now")]
    Blocked,
    /// This end closed the channel, or the peer did.
    #[error("the channel is closed")]
    Closed,
    /// The channel was lost.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// Why an incoming channel could not be accepted the way the handler wanted; the peer was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The peer opened the other kind of channel.
    #[error("the peer opened a channel of the other kind ({0})")]
    WrongKind(ChannelKind),
}

/// Why a handler was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// A channel type has exactly one handler.
    #[error("the channel type {0:?} has a handler already")]
    Taken(String),
    /// The name breaks the rules of [`crate::check_channel_type`].
    #[error("unusable channel type {name:?}: {reason}")]
    InvalidType {
        /// The name.
        name: String,
        /// The rule.
        reason: &'static str,
    },
}

/// Why a stream of messages ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The peer announced, or the caller wants to send, more than the limit.
    #[error("message of {size} bytes is larger than {max}")]
    TooLarge {
        /// Bytes announced or given.
        size: u64,
        /// The limit.
        max: usize,
    },
    /// The stream ended inside a message.
    #[error("the stream ended inside a message")]
    Truncated,
    /// The byte stream below failed; [`ChannelError::of`] tells more if it is a channel.
    #[error(transparent)]
    Io(#[from] io::Error),
}
