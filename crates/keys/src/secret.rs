//! X25519: one secret key, its public key, and agreement with somebody else's public key.

use std::fmt;

use curve25519_dalek::MontgomeryPoint;
use curve25519_dalek::scalar::clamp_integer;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// An X25519 secret key (RFC 7748) with its public key.
///
/// The public key is computed once, when the secret is made: a handshake needs it several times. The secret is
/// overwritten when dropped. It cannot be cloned; share it with an `Arc`.
#[derive(ZeroizeOnDrop)]
pub struct SecretKey {
    bytes: [u8; 32],
    #[zeroize(skip)]
    public: [u8; 32],
}

impl SecretKey {
    /// A new key from 32 bytes of the generator.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self::from_bytes(&bytes)
    }

    /// The key made of these 32 bytes. Any 32 bytes will do: five of the bits are set as RFC 7748 section 5 says.
    ///
    /// The caller overwrites its own copy.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        // Kept clamped, so that one key is one sequence of bytes in a key file.
        let bytes = clamp_integer(*bytes);
        // Multiples of the base point come from precomputed tables, which is faster than the ladder that `agree` needs.
        Self { bytes, public: MontgomeryPoint::mul_base_clamped(bytes).to_bytes() }
    }

    /// The public key, 32 bytes.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The secret that this key and another's public key have in common (X25519, RFC 7748 section 5).
    ///
    /// Takes the same time for any input.
    ///
    /// # Errors
    ///
    /// [`LowOrderPoint`] when the result is all zero (RFC 7748 section 6.1): such a public key makes the same "secret"
    /// with everybody, so what would be encrypted under it is readable by all.
    pub fn agree(&self, public: &[u8; 32]) -> Result<SharedSecret, LowOrderPoint> {
        let mut point = MontgomeryPoint(*public).mul_clamped(self.bytes);
        let shared = SharedSecret(point.to_bytes());
        point.zeroize();
        if bool::from(shared.0.ct_eq(&[0; 32])) { Err(LowOrderPoint) } else { Ok(shared) }
    }

    /// The secret itself, clamped, for the key file.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// Prints nothing of the secret, not even the public key, so that a log does not say whose it is.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// What two key pairs have in common: 32 bytes, overwritten when dropped.
///
/// Not a key yet: its bits are not uniform, so it goes through a hash first (Noise does that).
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; 32]);

impl SharedSecret {
    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

/// The public key is a point of low order: the agreement with it gives all zero, whatever the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the public key is a point of low order")]
#[non_exhaustive]
pub struct LowOrderPoint;

#[cfg(test)]
mod tests;
