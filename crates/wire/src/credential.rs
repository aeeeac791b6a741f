//! The two secrets in a Hello: what proves that its sender may come in, and the key that marks the answer.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{InvalidValue, at_most};
use crate::limits::{MAX_CREDENTIAL_LENGTH, RESPONSE_MAC_KEY_LENGTH};

/// Why somebody should be let in: the proof of an invite, a ticket, a short token. Up to 512 bytes, often none.
///
/// What the bytes mean is between the two endpoints. They are wiped when this is dropped, `Debug` prints only how many
/// there are, and `==` takes the same time whatever they are.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct Credential(Vec<u8>);

impl Credential {
    /// A credential of these bytes.
    ///
    /// # Errors
    /// [`InvalidValue::TooLong`] above [`MAX_CREDENTIAL_LENGTH`].
    pub fn new(mut bytes: Vec<u8>) -> Result<Self, InvalidValue> {
        if let Err(error) = at_most("credential", bytes.len(), MAX_CREDENTIAL_LENGTH) {
            bytes.zeroize();
            return Err(error);
        }
        Ok(Self(bytes))
    }

    /// No credential: the hashname must do.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Credential {}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({} bytes)", self.0.len())
    }
}

/// The key under which the answer to a Hello carries its mark.
///
/// The initiator draws it for each attempt and tells it only inside the encrypted Hello, so that nobody who merely knows
/// the initiator's public key can recognise the answer. Wiped on drop, redacted in `Debug`, compared in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ResponseMacKey([u8; RESPONSE_MAC_KEY_LENGTH]);

impl ResponseMacKey {
    /// A key of these bytes, which should be random.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; RESPONSE_MAC_KEY_LENGTH]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; RESPONSE_MAC_KEY_LENGTH] {
        &self.0
    }
}

impl PartialEq for ResponseMacKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ResponseMacKey {}

impl fmt::Debug for ResponseMacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseMacKey(secret)")
    }
}
