//! How an open is answered: accepted, or refused with a reason.

use std::fmt;

use prost::Message as _;

use crate::delimited;
use crate::error::{DecodeError, at_most};
use crate::generated;
use crate::limits::{MAX_ANSWER_LENGTH, MAX_REASON_LENGTH};
use crate::shape::{Field, Shape};

/// Why a channel was refused, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalCode {
    /// Nobody handles channels of this type there.
    UnknownType,
    /// The opener has no grant for it.
    NotAllowed,
    /// A limit is reached; later it may work.
    Busy,
    /// The handler failed.
    Internal,
    /// The application's own reason, in words.
    Application,
    /// A code of a newer build, or none.
    Unrecognised,
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownType => "unknown channel type",
            Self::NotAllowed => "not allowed",
            Self::Busy => "busy",
            Self::Internal => "internal error",
            Self::Application => "refused by the application",
            Self::Unrecognised => "refused for an unknown reason",
        })
    }
}

/// Why a channel was refused or closed, with words for people.
///
/// `Display` escapes the words, which the other endpoint chose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    code: RefusalCode,
    reason: String,
}

impl Refusal {
    /// A refusal. What is beyond [`MAX_REASON_LENGTH`] bytes of the reason is cut off between two characters.
    pub fn new(code: RefusalCode, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(MAX_REASON_LENGTH));
        Self { code, reason }
    }

    /// The reason for programs.
    #[must_use]
    pub fn code(&self) -> RefusalCode {
        self.code
    }

    /// The reason for people, as the other endpoint wrote it: escape it before it reaches a terminal.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The message's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.to_raw().encode_to_vec()
    }

    /// Reads what [`encode`](Self::encode) wrote, here or in a newer build.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        REFUSAL_SHAPE.check(bytes)?;
        let raw = generated::Refusal::decode(bytes).map_err(|_| DecodeError::Malformed { what: REFUSAL })?;
        Self::from_raw(raw)
    }

    fn to_raw(&self) -> generated::Refusal {
        let code = match self.code {
            RefusalCode::UnknownType => generated::RefusalCode::UnknownType,
            RefusalCode::NotAllowed => generated::RefusalCode::NotAllowed,
            RefusalCode::Busy => generated::RefusalCode::Busy,
            RefusalCode::Internal => generated::RefusalCode::Internal,
            RefusalCode::Application => generated::RefusalCode::Application,
            RefusalCode::Unrecognised => generated::RefusalCode::Unspecified,
        };
        generated::Refusal { code: code.into(), reason: self.reason.clone() }
    }

    fn from_raw(raw: generated::Refusal) -> Result<Self, DecodeError> {
        at_most("reason", raw.reason.len(), MAX_REASON_LENGTH)?;
        let code = match generated::RefusalCode::try_from(raw.code) {
            Ok(generated::RefusalCode::UnknownType) => RefusalCode::UnknownType,
            Ok(generated::RefusalCode::NotAllowed) => RefusalCode::NotAllowed,
            Ok(generated::RefusalCode::Busy) => RefusalCode::Busy,
            Ok(generated::RefusalCode::Internal) => RefusalCode::Internal,
            Ok(generated::RefusalCode::Application) => RefusalCode::Application,
            Ok(generated::RefusalCode::Unspecified) | Err(_) => RefusalCode::Unrecognised,
        };
        Ok(Self { code, reason: raw.reason })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() {
            write!(f, "{}", self.code)
        } else {
            write!(f, "{}: {}", self.code, self.reason.escape_debug())
        }
    }
}

/// The answer to an [`Open`](crate::Open): what the accepting side of a reliable channel sends first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The channel is open.
    Accepted,
    /// It is not, and why.
    Refused(Refusal),
}

impl Answer {
    /// The message's bytes: none for [`Accepted`](Self::Accepted).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let refusal = match self {
            Self::Accepted => None,
            Self::Refused(refusal) => Some(refusal.to_raw()),
        };
        generated::Answer { refusal }.encode_to_vec()
    }

    /// Reads what [`encode`](Self::encode) wrote, here or in a newer build.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        ANSWER_SHAPE.check(bytes)?;
        let raw = generated::Answer::decode(bytes).map_err(|_| DecodeError::Malformed { what: ANSWER })?;
        Ok(match raw.refusal {
            None => Self::Accepted,
            Some(refusal) => Self::Refused(Refusal::from_raw(refusal)?),
        })
    }

    /// The message with its length in front, as it stands at the beginning of a reliable channel's way back.
    #[must_use]
    pub fn encode_delimited(&self) -> Vec<u8> {
        let mut out = Vec::new();
        delimited::write(&self.encode(), &mut out);
        out
    }

    /// Reads the message at the beginning of a reliable channel's way back, and says how many bytes it took. `None`
    /// means that more bytes are needed: never more than [`MAX_ANSWER_LENGTH`] and ten.
    ///
    /// # Errors
    /// [`DecodeError`] as soon as the bytes cannot become an answer.
    pub fn decode_delimited(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((message, taken)) = delimited::read(ANSWER, MAX_ANSWER_LENGTH, bytes)? else {
            return Ok(None);
        };
        Ok(Some((Self::decode(message)?, taken)))
    }
}

const REFUSAL: &str = "refusal";
const ANSWER: &str = "answer";

static REFUSAL_SHAPE: Shape = Shape {
    what: REFUSAL,
    limit: MAX_ANSWER_LENGTH,
    fields: &[Field::once(1, "code"), Field::once(2, "reason")],
    exclusive: false,
};

static ANSWER_SHAPE: Shape = Shape {
    what: ANSWER,
    limit: MAX_ANSWER_LENGTH,
    fields: &[Field::message(1, &REFUSAL_SHAPE)],
    exclusive: false,
};
