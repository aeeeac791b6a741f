//! [`Message`]: what goes over a WebSocket, whole.

use bytes::Bytes;
use tokio_tungstenite::tungstenite;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::error::SocketError;
use crate::limits::MAX_REASON;

/// A message, in how many frames it ever came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
    /// Asks for a [`Pong`](Self::Pong), which is sent by itself. At most 125 bytes.
    Ping(Bytes),
    /// The answer to a ping, or a sign of life. At most 125 bytes.
    Pong(Bytes),
    /// The last message of this direction. The peer's is answered by itself.
    Close(Option<Close>),
}

/// Why a socket is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// 1000 is the usual end, 1001 for somebody who leaves; 3000 to 4999 are for libraries and applications (RFC 6455,
    /// section 7.4).
    pub code: u16,
    /// For people; escape what a peer says before it reaches a terminal.
    pub reason: String,
}

impl Close {
    /// The end with a code and a reason.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

/// Bytes in a ping, a pong or a close (RFC 6455, section 5.5).
const MAX_CONTROL: usize = 125;

impl Message {
    /// As the library below has it.
    pub(crate) fn into_inner(self, max: usize) -> Result<tungstenite::Message, SocketError> {
        let fits = |size: usize| if size > max { Err(SocketError::TooLarge { size, max }) } else { Ok(()) };
        let control = |bytes: Bytes, what| {
            if bytes.len() > MAX_CONTROL { Err(SocketError::Usage(what)) } else { Ok(bytes) }
        };
        Ok(match self {
            Self::Text(text) => {
                fits(text.len())?;
                tungstenite::Message::Text(text.into())
            }
            Self::Binary(bytes) => {
                fits(bytes.len())?;
                tungstenite::Message::Binary(bytes)
            }
            Self::Ping(bytes) => tungstenite::Message::Ping(control(bytes, "ping of more than 125 bytes")?),
            Self::Pong(bytes) => tungstenite::Message::Pong(control(bytes, "pong of more than 125 bytes")?),
            Self::Close(None) => tungstenite::Message::Close(None),
            Self::Close(Some(Close { code, reason })) => {
                let code = CloseCode::from(code);
                if !code.is_allowed() {
                    return Err(SocketError::Usage("close code"));
                }
                if reason.len() > MAX_REASON {
                    return Err(SocketError::Usage("reason of more than 123 bytes"));
                }
                tungstenite::Message::Close(Some(tungstenite::protocol::CloseFrame {
                    code,
                    reason: reason.into(),
                }))
            }
        })
    }

    /// From what the library below has read; `None` for what it does not give to readers.
    pub(crate) fn from_inner(message: tungstenite::Message) -> Option<Self> {
        Some(match message {
            tungstenite::Message::Text(text) => Self::Text(text.as_str().to_owned()),
            tungstenite::Message::Binary(bytes) => Self::Binary(bytes),
            tungstenite::Message::Ping(bytes) => Self::Ping(bytes),
            tungstenite::Message::Pong(bytes) => Self::Pong(bytes),
            tungstenite::Message::Close(close) => Self::Close(
                close
                    .map(|close| Close { code: close.code.into(), reason: close.reason.as_str().to_owned() }),
            ),
            tungstenite::Message::Frame(_) => return None,
        })
    }
}
