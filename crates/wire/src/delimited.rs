//! Messages at the front of a byte stream: the length as a protobuf varint, then the message.

use crate::error::{DecodeError, InvalidValue};
use crate::shape::Reader;

/// Appends the length of `message` and then `message` itself.
pub(crate) fn write(message: &[u8], out: &mut Vec<u8>) {
    let mut length = message.len();
    while length >= 0x80 {
        out.push(low_group(length) | 0x80);
        length >>= 7;
    }
    out.push(low_group(length));
    out.extend_from_slice(message);
}

/// The first message in `bytes`, and how many bytes it took with its length; `None` when more bytes are needed.
///
/// A length above `limit` is an error as soon as it is read, so that nobody waits or makes room for it.
pub(crate) fn read<'a>(
    what: &'static str,
    limit: usize,
    bytes: &'a [u8],
) -> Result<Option<(&'a [u8], usize)>, DecodeError> {
    let mut reader = Reader { rest: bytes };
    let Some(length) = reader.varint() else {
        // The longest varint has ten bytes: ten that are not one never will be.
        return if bytes.len() < 10 { Ok(None) } else { Err(DecodeError::Malformed { what }) };
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > limit {
        return Err(InvalidValue::TooLong { what, length, limit }.into());
    }
    Ok(reader.take(length).map(|message| (message, bytes.len() - reader.rest.len())))
}

/// The lowest seven bits.
fn low_group(value: usize) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or(0x7f)
}

/// Bytes of the longest length that is written here: three groups of seven bits hold 65,536.
pub(crate) const MAX_PREFIX_LENGTH: usize = 3;
