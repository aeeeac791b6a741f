//! Control messages: what the two ends of a link say to each other about the link itself, inside its session.

use std::fmt;

use prost::Message as _;

use crate::error::{DecodeError, InvalidValue, at_most};
use crate::generated;
use crate::generated::control::Message;
use crate::limits::{MAX_CONTROL_LENGTH, MAX_RENEWAL_NOISE_LENGTH};
use crate::shape::{Field, Shape};

/// One control message. At most [`MAX_CONTROL_LENGTH`] bytes when encoded, so that it fits in one data packet of the
/// smallest path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// The link ends now.
    Close {
        /// Why.
        reason: CloseReason,
    },
    /// First Noise message of a session that is to replace the one it is sent in.
    RenewInitiation {
        /// Index under which the sender wants to receive in the new session.
        sender_index: u32,
        /// The Noise message.
        noise: NoiseMessage,
    },
    /// Second Noise message of the new session.
    RenewResponse {
        /// Index under which the sender wants to receive in the new session.
        sender_index: u32,
        /// The `sender_index` of the initiation that this answers.
        receiver_index: u32,
        /// The Noise message.
        noise: NoiseMessage,
    },
    /// The sender has thrown away its engines up to this number; its next one has a higher number.
    EngineGone {
        /// The number of the last engine that is gone.
        number: u64,
    },
}

impl Control {
    /// The message's bytes, at most [`MAX_CONTROL_LENGTH`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let message = match self {
            Self::Close { reason } => Message::Close(generated::Close { reason: reason.to_raw().into() }),
            Self::RenewInitiation { sender_index, noise } => {
                Message::RenewInitiation(generated::RenewInitiation {
                    sender_index: *sender_index,
                    noise: noise.0.clone(),
                })
            }
            Self::RenewResponse { sender_index, receiver_index, noise } => {
                Message::RenewResponse(generated::RenewResponse {
                    sender_index: *sender_index,
                    receiver_index: *receiver_index,
                    noise: noise.0.clone(),
                })
            }
            Self::EngineGone { number } => Message::EngineGone(generated::EngineGone { number: *number }),
        };
        generated::Control { message: Some(message) }.encode_to_vec()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`DecodeError::UnknownKind`] for a message of a newer build, another [`DecodeError`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        CONTROL_SHAPE.check(bytes)?;
        let raw = generated::Control::decode(bytes).map_err(|_| DecodeError::Malformed { what: CONTROL })?;
        let message = raw.message.ok_or(DecodeError::UnknownKind { what: CONTROL })?;
        Ok(match message {
            Message::Close(close) => Self::Close { reason: CloseReason::from_raw(close.reason) },
            Message::RenewInitiation(raw) => {
                Self::RenewInitiation { sender_index: raw.sender_index, noise: NoiseMessage::new(raw.noise)? }
            }
            Message::RenewResponse(raw) => Self::RenewResponse {
                sender_index: raw.sender_index,
                receiver_index: raw.receiver_index,
                noise: NoiseMessage::new(raw.noise)?,
            },
            Message::EngineGone(raw) => Self::EngineGone { number: raw.number },
        })
    }
}

/// Why a link was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The application closed this link.
    Closed,
    /// The endpoint stops.
    ShuttingDown,
    /// The other endpoint is no longer trusted.
    NotTrusted,
    /// Something that must not happen happened.
    Failed,
    /// A reason of a newer build, or none.
    Unrecognised,
}

impl CloseReason {
    /// The number on the wire; 0 for [`Unrecognised`](Self::Unrecognised).
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Unrecognised => 0,
            Self::Closed => 1,
            Self::ShuttingDown => 2,
            Self::NotTrusted => 3,
            Self::Failed => 4,
        }
    }

    fn to_raw(self) -> generated::CloseReason {
        match self {
            Self::Unrecognised => generated::CloseReason::Unspecified,
            Self::Closed => generated::CloseReason::Closed,
            Self::ShuttingDown => generated::CloseReason::ShuttingDown,
            Self::NotTrusted => generated::CloseReason::NotTrusted,
            Self::Failed => generated::CloseReason::Failed,
        }
    }

    fn from_raw(raw: i32) -> Self {
        match generated::CloseReason::try_from(raw) {
            Ok(generated::CloseReason::Closed) => Self::Closed,
            Ok(generated::CloseReason::ShuttingDown) => Self::ShuttingDown,
            Ok(generated::CloseReason::NotTrusted) => Self::NotTrusted,
            Ok(generated::CloseReason::Failed) => Self::Failed,
            Ok(generated::CloseReason::Unspecified) | Err(_) => Self::Unrecognised,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed by the application",
            Self::ShuttingDown => "the endpoint stops",
            Self::NotTrusted => "no longer trusted",
            Self::Failed => "failed",
            Self::Unrecognised => "closed for an unknown reason",
        })
    }
}

/// A Noise handshake message inside a control message: 1 to [`MAX_RENEWAL_NOISE_LENGTH`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct NoiseMessage(Vec<u8>);

impl NoiseMessage {
    /// A Noise message of these bytes.
    ///
    /// # Errors
    /// [`InvalidValue`] when there are none or too many.
    pub fn new(bytes: Vec<u8>) -> Result<Self, InvalidValue> {
        at_most(NOISE, bytes.len(), MAX_RENEWAL_NOISE_LENGTH)?;
        if bytes.is_empty() {
            return Err(InvalidValue::WrongLength { what: NOISE, length: 0 });
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for NoiseMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoiseMessage({} bytes)", self.0.len())
    }
}

const CONTROL: &str = "control message";
const NOISE: &str = "noise message";

static CONTROL_SHAPE: Shape = Shape {
    what: CONTROL,
    limit: MAX_CONTROL_LENGTH,
    fields: &[
        Field::message(1, &CLOSE_SHAPE),
        Field::message(2, &RENEW_INITIATION_SHAPE),
        Field::message(3, &RENEW_RESPONSE_SHAPE),
        Field::message(4, &ENGINE_GONE_SHAPE),
    ],
    exclusive: true,
};

static CLOSE_SHAPE: Shape =
    Shape { what: "close", limit: MAX_CONTROL_LENGTH, fields: &[Field::once(1, "reason")], exclusive: false };

static RENEW_INITIATION_SHAPE: Shape = Shape {
    what: "renew initiation",
    limit: MAX_CONTROL_LENGTH,
    fields: &[Field::once(1, "sender index"), Field::once(2, NOISE)],
    exclusive: false,
};

static RENEW_RESPONSE_SHAPE: Shape = Shape {
    what: "renew response",
    limit: MAX_CONTROL_LENGTH,
    fields: &[Field::once(1, "sender index"), Field::once(2, "receiver index"), Field::once(3, NOISE)],
    exclusive: false,
};

static ENGINE_GONE_SHAPE: Shape = Shape {
    what: "engine gone",
    limit: MAX_CONTROL_LENGTH,
    fields: &[Field::once(1, "number")],
    exclusive: false,
};
