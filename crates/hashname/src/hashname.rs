//! The hashname itself: 32 bytes with exactly one spelling.

use std::fmt;
use std::str::FromStr;

use crate::base32::{self, DecodeError};

/// Characters in the text form of a hashname: 32 bytes in base32 without padding.
pub const HASHNAME_TEXT_LENGTH: usize = 52;

/// Characters in [`Hashname::short`]: 40 bits, enough to tell apart what one person looks at.
const SHORT_LENGTH: usize = 8;

/// The fingerprint of an endpoint's public keys.
///
/// Computed by [`rollup`](crate::rollup) or [`PublicKeys::hashname`](crate::PublicKeys::hashname). The text form is 52
/// characters of lower-case base32 (RFC 4648) without padding, and parsing takes exactly that: one hashname has one
/// spelling, so texts can be compared as texts.
///
/// The order is that of the bytes. Both ends of a link use it where one of two equal sides has to be picked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hashname([u8; 32]);

impl Hashname {
    /// The hashname with these bytes, as they come from the wire. Any 32 bytes are a hashname that somebody might have.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the fingerprint.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 8 characters of the text form, for logs and lists.
    ///
    /// Not a name: others can make keys whose hashname begins with the same 8 characters.
    ///
    /// ```
    /// # use telemesh_hashname::Hashname;
    /// let hashname = Hashname::from_bytes([0; 32]);
    /// assert_eq!(hashname.short().to_string(), "aaaaaaaa");
    /// ```
    #[must_use]
    pub fn short(&self) -> impl fmt::Display + fmt::Debug + use<> {
        Short(*self)
    }

    fn write_prefix(&self, f: &mut fmt::Formatter<'_>, characters: usize) -> fmt::Result {
        let text = base32::encode_32(&self.0);
        // The alphabet is ASCII and the prefix no longer than the text, so neither step can fail.
        let text = text.get(..characters).and_then(|prefix| std::str::from_utf8(prefix).ok());
        f.pad(text.unwrap_or_default())
    }
}

impl fmt::Display for Hashname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_prefix(f, HASHNAME_TEXT_LENGTH)
    }
}

/// Prints the short form: hashnames are in every log line, and 52 characters hide the rest of it.
impl fmt::Debug for Hashname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hashname({})", self.short())
    }
}

/// What [`Hashname::short`] returns: formats itself, so that a log line that is not printed costs nothing.
struct Short(Hashname);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_prefix(f, SHORT_LENGTH)
    }
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a hashname.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseHashnameError {
    /// The text is shorter or longer than [`HASHNAME_TEXT_LENGTH`]; padding counts.
    #[error("a hashname has 52 characters, this has {length} bytes")]
    Length {
        /// Length of the text in bytes.
        length: usize,
    },
    /// The text has the right length but is not canonical lower-case base32.
    #[error("not a hashname: {0}")]
    Encoding(#[from] DecodeError),
}

impl FromStr for Hashname {
    type Err = ParseHashnameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let characters: &[u8; HASHNAME_TEXT_LENGTH] =
            text.as_bytes().try_into().map_err(|_| ParseHashnameError::Length { length: text.len() })?;
        Ok(Self(base32::decode_52(characters)?))
    }
}
