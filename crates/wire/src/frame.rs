//! Frames of unreliable channels: what follows the type byte in a data packet that carries one.
//!
//! Five bytes stand in front: the kind (1 open, 2 message, 3 close, 4 notice) and the channel's number, little-endian. No length:
//! a frame fills its packet. Written by hand, since a message's bytes are moved as they are.

use crate::answer::{Answer, Refusal};
use crate::error::{DecodeError, InvalidValue};
use crate::limits::FRAME_HEADER_LENGTH;
use crate::open::Open;

/// One frame of an unreliable channel. A path carries it whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// Opens the channel.
    Open {
        /// The opener's number for the channel.
        channel: u32,
        /// What the channel is for.
        open: Open,
    },
    /// One message.
    Message {
        /// The opener's number for the channel.
        channel: u32,
        /// The message; may be empty.
        payload: &'a [u8],
    },
    /// Ends the channel.
    Close {
        /// The opener's number for the channel.
        channel: u32,
        /// Why, if it did not simply end.
        refusal: Option<Refusal>,
    },
    /// A channel that is over with its open message: nothing follows, and nothing comes back. Its number is zero.
    Notice {
        /// What there is to say.
        open: Open,
    },
}

impl<'a> Frame<'a> {
    /// The opener's number for the channel; zero for a notice.
    #[must_use]
    pub fn channel(&self) -> u32 {
        match self {
            Self::Open { channel, .. } | Self::Message { channel, .. } | Self::Close { channel, .. } => {
                *channel
            }
            Self::Notice { .. } => 0,
        }
    }

    /// What stands in front of a message's bytes, for who writes these in place.
    #[must_use]
    pub fn message_header(channel: u32) -> [u8; FRAME_HEADER_LENGTH] {
        header(MESSAGE, channel)
    }

    /// Appends the frame's bytes.
    ///
    /// # Errors
    /// [`InvalidValue`] when an open message is outside its limits; nothing is appended then.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        match self {
            Self::Open { channel, open } => encode_open(OPEN, *channel, open, out)?,
            Self::Notice { open } => encode_open(NOTICE, 0, open, out)?,
            Self::Message { channel, payload } => {
                out.extend_from_slice(&header(MESSAGE, *channel));
                out.extend_from_slice(payload);
            }
            Self::Close { channel, refusal } => {
                out.extend_from_slice(&header(CLOSE, *channel));
                let answer = refusal.clone().map_or(Answer::Accepted, Answer::Refused);
                out.extend_from_slice(&answer.encode());
            }
        }
        Ok(())
    }

    /// Reads what [`encode_into`](Self::encode_into) wrote. A message's payload is everything from byte
    /// [`FRAME_HEADER_LENGTH`] on.
    ///
    /// # Errors
    /// [`DecodeError::UnknownKind`] for a frame of a newer build, another [`DecodeError`] for anything else.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (&[kind, number @ ..], rest) =
            bytes.split_first_chunk::<FRAME_HEADER_LENGTH>().ok_or(DecodeError::Malformed { what: FRAME })?;
        let channel = u32::from_le_bytes(number);
        match kind {
            OPEN => Ok(Self::Open { channel, open: Open::decode(rest)? }),
            MESSAGE => Ok(Self::Message { channel, payload: rest }),
            CLOSE => {
                let refusal = match Answer::decode(rest)? {
                    Answer::Accepted => None,
                    Answer::Refused(refusal) => Some(refusal),
                };
                Ok(Self::Close { channel, refusal })
            }
            NOTICE if channel == 0 => Ok(Self::Notice { open: Open::decode(rest)? }),
            NOTICE => Err(DecodeError::Malformed { what: FRAME }),
            _ => Err(DecodeError::UnknownKind { what: FRAME }),
        }
    }
}

fn encode_open(kind: u8, channel: u32, open: &Open, out: &mut Vec<u8>) -> Result<(), InvalidValue> {
    let open = open.encode()?;
    out.extend_from_slice(&header(kind, channel));
    out.extend_from_slice(&open);
    Ok(())
}

fn header(kind: u8, channel: u32) -> [u8; FRAME_HEADER_LENGTH] {
    let [a, b, c, d] = channel.to_le_bytes();
    [kind, a, b, c, d]
}

const FRAME: &str = "frame";
const OPEN: u8 = 1;
const MESSAGE: u8 = 2;
const CLOSE: u8 = 3;
const NOTICE: u8 = 4;
