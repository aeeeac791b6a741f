//! Lower-case base32 without padding: the spelling of hashnames, keys and invite secrets.
//!
//! RFC 4648 section 6, with the alphabet in lower case. One value has one spelling: upper case, padding, impossible
//! lengths and non-zero trailing bits are errors (RFC 4648 section 3.5 calls such an encoding canonical).

use data_encoding::{BASE32_NOPAD, DecodeKind};

/// Why a text is not canonical lower-case base32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No number of bytes encodes to this many characters.
    #[error("impossible length for base32")]
    Length,
    /// A character outside `a`-`z` and `2`-`7`: an upper-case letter and padding count as such.
    #[error("character at offset {offset} is not lower-case base32")]
    Symbol {
        /// Offset of the first such byte, counted from 0.
        offset: usize,
    },
    /// The last character carries bits that belong to no byte, and they are not zero.
    #[error("trailing bits are not zero")]
    TrailingBits,
}

/// Writes `bytes` as lower-case base32 without padding.
///
/// The text has `ceil(8 * bytes.len() / 5)` characters and is allocated once, at its final size, so that a caller
/// with a secret can clear the one copy there is.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = BASE32_NOPAD.encode(bytes);
    text.make_ascii_lowercase();
    text
}

/// Reads what [`encode`] wrote, and nothing else.
///
/// There is no limit on the length here: check it first when `text` comes from outside.
///
/// # Errors
///
/// [`DecodeError`] when `text` is anything but the canonical spelling of some bytes.
pub fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
    let mut upper = Scratch(text.as_bytes().to_vec());
    to_upper(&mut upper.0)?;
    BASE32_NOPAD.decode(&upper.0).map_err(|error| from_kind(error.kind, error.position))
}

/// Writes 32 bytes into 52 characters without allocating.
pub(crate) fn encode_32(bytes: &[u8; 32]) -> [u8; 52] {
    let mut text = [0; 52];
    BASE32_NOPAD.encode_mut(bytes, &mut text);
    text.make_ascii_lowercase();
    text
}

/// Reads 52 characters into 32 bytes without allocating.
pub(crate) fn decode_52(text: &[u8; 52]) -> Result<[u8; 32], DecodeError> {
    let mut upper = *text;
    to_upper(&mut upper)?;
    let mut bytes = [0; 32];
    BASE32_NOPAD
        .decode_mut(&upper, &mut bytes)
        .map_err(|partial| from_kind(partial.error.kind, partial.error.position))?;
    Ok(bytes)
}

/// Turns lower case into the upper case that the decoder reads, and refuses what was upper case already.
fn to_upper(text: &mut [u8]) -> Result<(), DecodeError> {
    if let Some(offset) = text.iter().position(|byte| !matches!(byte, b'a'..=b'z' | b'2'..=b'7')) {
        return Err(DecodeError::Symbol { offset });
    }
    text.make_ascii_uppercase();
    Ok(())
}

fn from_kind(kind: DecodeKind, position: usize) -> DecodeError {
    match kind {
        DecodeKind::Length => DecodeError::Length,
        DecodeKind::Trailing => DecodeError::TrailingBits,
        DecodeKind::Symbol | DecodeKind::Padding => DecodeError::Symbol { offset: position },
    }
}

/// The translated copy of a text that may have been a secret, overwritten before its memory is given back.
struct Scratch(Vec<u8>);

impl Drop for Scratch {
    fn drop(&mut self) {
        self.0.fill(0);
        // The optimiser may drop a store to memory that is about to be freed; a black box is a use of it.
        core::hint::black_box(&self.0);
    }
}
