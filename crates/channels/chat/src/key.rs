//! A participant's key for one chat: Ed25519 (RFC 8032), by ring.

use std::fmt;

use rand::TryRng as _;
use rand::rngs::SysRng;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::id::ParticipantKey;

/// Length of a signature, in bytes.
pub(crate) const SIGNATURE_LENGTH: usize = 64;

/// A key pair for one chat. Nobody can tell from it which other chats its owner is in.
pub struct ChatKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl ChatKey {
    /// A new one, from the operating system's randomness; `None` if the system gives none.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(seed.as_mut()).ok()?;
        Self::from_seed(&seed)
    }

    /// The key pair of a secret seed; `None` does not happen.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Some(Self { seed: Zeroizing::new(*seed), pair })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> ParticipantKey {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(self.pair.public_key().as_ref()) {
            *to = *from;
        }
        ParticipantKey::from_bytes(bytes)
    }

    /// The secret, to be stored.
    pub(crate) fn seed(&self) -> &Zeroizing<[u8; 32]> {
        &self.seed
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LENGTH] {
        let mut bytes = [0; SIGNATURE_LENGTH];
        for (to, from) in bytes.iter_mut().zip(self.pair.sign(message).as_ref()) {
            *to = *from;
        }
        bytes
    }
}

/// Prints the public half only.
impl fmt::Debug for ChatKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ChatKey").field(&self.public()).finish()
    }
}

/// Whether a signature is this key's over this message.
pub(crate) fn verify(key: &ParticipantKey, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_and_message_alone() {
        let (one, other) = (ChatKey::from_seed(&[1; 32]).unwrap(), ChatKey::from_seed(&[2; 32]).unwrap());
        let signature = one.sign(b"hello");
        assert!(verify(&one.public(), b"hello", &signature));
        assert!(!verify(&one.public(), b"hallo", &signature));
        assert!(!verify(&other.public(), b"hello", &signature));
        assert!(!verify(&one.public(), b"hello", &signature[..63]));
    }

    #[test]
    fn the_secret_is_not_printed() {
        let key = ChatKey::from_seed(&[0x77; 32]).unwrap();
        assert!(!format!("{key:?}").contains("77"));
        assert_eq!(format!("{key:?}"), format!("ChatKey({:?})", key.public()));
    }
}
