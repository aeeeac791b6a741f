//! Why a value cannot be sent, and why bytes were not understood.

use telemesh_hashname::RollupError;

/// A value that no message may carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidValue {
    /// Longer than its limit.
    #[error("{what} has {length} bytes, more than {limit}")]
    TooLong {
        /// The name of the value.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The most it may have, in bytes.
        limit: usize,
    },
    /// A value of fixed length has another one.
    #[error("{what} has {length} bytes, which it cannot have")]
    WrongLength {
        /// The name of the value.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// More entries than the list may have.
    #[error("{what} has more than {limit} entries")]
    TooMany {
        /// The name of the list.
        what: &'static str,
        /// The most entries it may have.
        limit: usize,
    },
    /// The right length, but not what such a value looks like.
    #[error("{what} is not a valid one")]
    Form {
        /// The name of the value.
        what: &'static str,
    },
}

/// Why bytes are not the message that they should be.
///
/// From the network this is a counted drop: what was sent never learns which of these it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not protobuf, cut off, or a field of another type than it should have.
    #[error("malformed {what}")]
    Malformed {
        /// The name of the message.
        what: &'static str,
    },
    /// A field that every such message has is not there.
    #[error("{what} is missing")]
    Missing {
        /// The name of the field.
        what: &'static str,
    },
    /// A field that can be there once is there again.
    #[error("{what} is there twice")]
    Duplicate {
        /// The name of the field.
        what: &'static str,
    },
    /// A message of a kind that this build does not know, probably from a newer one.
    #[error("unknown kind of {what}")]
    UnknownKind {
        /// The name of the message.
        what: &'static str,
    },
    /// A value is outside its limits.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// The cipher sets cannot be those of one endpoint.
    #[error("bad key digests: {0}")]
    KeyDigests(#[from] RollupError),
}

/// Checks a length against a limit.
pub(crate) fn at_most(what: &'static str, length: usize, limit: usize) -> Result<(), InvalidValue> {
    if length > limit { Err(InvalidValue::TooLong { what, length, limit }) } else { Ok(()) }
}
