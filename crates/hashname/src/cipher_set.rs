//! The number of a cipher set, and its spelling.

use std::fmt;
use std::str::FromStr;

/// The number of a cipher set: one combination of Noise primitives.
///
/// A higher number is preferred over a lower one. The numbers `10`-`17`, `20`-`27` and so on are the range that
/// telehash leaves to applications. Written as two lower-case hex digits.
///
/// ```
/// use telemesh_hashname::CipherSetId;
///
/// assert_eq!(CipherSetId::CS21.to_string(), "21");
/// assert_eq!("11".parse(), Ok(CipherSetId::CS11));
/// assert!(CipherSetId::CS21 > CipherSetId::CS11);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CipherSetId(u8);

impl CipherSetId {
    /// `Noise_IK_25519_ChaChaPoly_BLAKE2s`: good on any processor.
    pub const CS11: Self = Self(0x11);
    /// `Noise_IK_25519_AESGCM_SHA256`: for processors with AES instructions; preferred.
    pub const CS21: Self = Self(0x21);

    /// The cipher set with this number. Every number is allowed: this crate needs to know nothing about a set.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number, as it travels in one byte.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl From<u8> for CipherSetId {
    fn from(number: u8) -> Self {
        Self(number)
    }
}

impl From<CipherSetId> for u8 {
    fn from(csid: CipherSetId) -> Self {
        csid.0
    }
}

impl fmt::Display for CipherSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl fmt::Debug for CipherSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CS{self}")
    }
}

/// The text is not two lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cipher set id is two lower-case hex digits")]
#[non_exhaustive]
pub struct ParseCipherSetIdError;

impl FromStr for CipherSetId {
    type Err = ParseCipherSetIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The standard parser also takes a sign and upper case, which would be second spellings.
        let [b'0'..=b'9' | b'a'..=b'f', b'0'..=b'9' | b'a'..=b'f'] = text.as_bytes() else {
            return Err(ParseCipherSetIdError);
        };
        u8::from_str_radix(text, 16).map(Self).map_err(|_| ParseCipherSetIdError)
    }
}
