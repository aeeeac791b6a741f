//! What can go wrong: one enum per operation.

use std::io;

use http::StatusCode;
use telemesh_channel::{ChannelError, Fault};
use telemesh_thtp::RequestError;
use tokio_tungstenite::tungstenite;
use tungstenite::error::CapacityError;

/// Why a WebSocket was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The request got no response.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The path, a header or a sub-protocol is none.
    #[error("unusable {0}")]
    Usage(&'static str),
    /// The peer has answered, but not switched.
    #[error("the peer has answered with {0} instead")]
    Status(StatusCode),
    /// The peer has switched, but not to what was asked for (RFC 6455, section 4.1).
    #[error("the peer broke the protocol: {0}")]
    Handshake(&'static str),
}

impl ConnectError {
    /// Whose fault it is; `None` if the link was closed in order.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Request(error) => error.fault(),
            Self::Usage(_) => Some(Fault::Ours),
            Self::Status(_) | Self::Handshake(_) => Some(Fault::Peer),
        }
    }
}

/// Why a message was not received or not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The channel failed; [`ChannelError::of`] tells more.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A message beyond the limit, of theirs or of ours.
    #[error("message of {size} bytes is larger than {max}")]
    TooLarge {
        /// Bytes of the message, as far as they are known.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// A text that is no UTF-8.
    #[error("the peer sent a text that is no UTF-8")]
    Utf8,
    /// Something else that RFC 6455 does not allow.
    #[error("the peer broke the protocol: {0}")]
    Protocol(String),
    /// Something is to be sent after the end.
    #[error("the socket is closed")]
    Closed,
    /// A reason to close beyond [`MAX_REASON`](crate::limits::MAX_REASON) bytes, a code that is never sent, or a ping or pong
    /// beyond 125 bytes.
    #[error("unusable {0}")]
    Usage(&'static str),
}

impl SocketError {
    /// Whose fault it is; `None` if the socket or the link was closed in order.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Io(error) => ChannelError::of(error).map_or(Some(Fault::Network), ChannelError::fault),
            Self::TooLarge { .. } | Self::Utf8 | Self::Protocol(_) => Some(Fault::Peer),
            Self::Usage(_) => Some(Fault::Ours),
            Self::Closed => None,
        }
    }
}

impl From<tungstenite::Error> for SocketError {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => Self::Closed,
            tungstenite::Error::Io(error) => Self::Io(error),
            tungstenite::Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                Self::TooLarge { size, max: max_size }
            }
            tungstenite::Error::Utf8(_) => Self::Utf8,
            error => Self::Protocol(error.to_string()),
        }
    }
}
