//! What names a message, and what a cache writes instead of names.

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use telemesh_hashname::Hashname;
use zeroize::Zeroize;

/// Names a sealed message: the first 16 bytes of SHA-256 over a label and the sealed bytes.
///
/// Whoever carries the message computes the same, and nobody can make another message of the same name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; ID_LENGTH]);

impl MessageId {
    /// The id of these sealed bytes.
    #[must_use]
    pub fn of(sealed: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(ID_LABEL).chain_update(sealed).finalize();
        Self(first_16(&digest))
    }

    /// The id with these bytes, as they come from the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ID_LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ID_LENGTH] {
        &self.0
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// What a cache keys the names with that it writes. Keep it apart from the store: who has both knows who wrote to whom.
#[derive(Clone)]
pub struct CacheSecret([u8; 32]);

impl CacheSecret {
    /// The secret with these bytes, which nobody else may know.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first 16 bytes of HMAC-SHA-256 (RFC 2104) over what it is for and a value.
    fn keyed(&self, purpose: &[u8], value: &[u8]) -> [u8; ID_LENGTH] {
        // HMAC takes a key of any length; the error of its constructor cannot happen.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; ID_LENGTH] };
        mac.update(purpose);
        mac.update(value);
        first_16(&mac.finalize().into_bytes())
    }
}

impl Drop for CacheSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Shows nothing of it.
impl fmt::Debug for CacheSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheSecret(..)")
    }
}

/// An endpoint as a shelf knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tag(pub(crate) [u8; ID_LENGTH]);

/// How a shelf writes names.
#[derive(Clone, Debug)]
pub(crate) enum Keying {
    /// As they are: an endpoint's own messages, beside its contacts.
    Plain,
    /// So that nobody without the secret can tell whose they are.
    Secret(CacheSecret),
}

impl Keying {
    /// Who hands over.
    pub(crate) fn giver(&self, peer: &Hashname) -> Tag {
        self.tag(b"giver", peer)
    }

    /// Whom it is for. Another tag than the same endpoint has as a giver, so that a copy does not even show that the two
    /// are one.
    pub(crate) fn recipient(&self, peer: &Hashname) -> Tag {
        self.tag(b"recipient", peer)
    }

    fn tag(&self, purpose: &[u8], peer: &Hashname) -> Tag {
        match self {
            Self::Plain => Tag(first_16(peer.as_bytes())),
            Self::Secret(secret) => Tag(secret.keyed(purpose, peer.as_bytes())),
        }
    }

    /// Hides an id, or shows a hidden one. `nonce` is another one for each.
    pub(crate) fn mask(&self, nonce: u64, id: [u8; ID_LENGTH]) -> [u8; ID_LENGTH] {
        match self {
            Self::Plain => id,
            Self::Secret(secret) => {
                let mut masked = secret.keyed(b"message", &nonce.to_be_bytes());
                masked.iter_mut().zip(id).for_each(|(mask, byte)| *mask ^= byte);
                masked
            }
        }
    }

    /// What tells one secret from another, without telling what it is.
    pub(crate) fn check(&self) -> [u8; ID_LENGTH] {
        match self {
            Self::Plain => [0; ID_LENGTH],
            Self::Secret(secret) => secret.keyed(b"check", b""),
        }
    }
}

fn first_16(bytes: &[u8]) -> [u8; ID_LENGTH] {
    // Callers have 32 bytes.
    bytes.first_chunk().copied().unwrap_or_default()
}

/// Bytes of an id: nobody finds two messages with one id on purpose in less than 2^64 attempts, and then has only
/// replaced a message of their own.
pub(crate) const ID_LENGTH: usize = 16;

const ID_LABEL: &[u8] = b"telemesh box message 1\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_that_of_the_bytes_and_no_other() {
        assert_eq!(MessageId::of(b"a"), MessageId::of(b"a"));
        assert_ne!(MessageId::of(b"a"), MessageId::of(b"b"));
        assert_eq!(MessageId::of(b"").to_string(), "9f26a049f5a47980ffba5795860d09f3");
    }

    #[test]
    fn names_are_unreadable_without_the_secret_and_masks_undo_themselves() {
        let keying = |byte| Keying::Secret(CacheSecret::from_bytes([byte; 32]));
        let (ours, other) = (keying(1), keying(2));
        let peer = Hashname::from_bytes([9; 32]);
        assert_eq!(ours.giver(&peer), keying(1).giver(&peer));
        assert_ne!(ours.giver(&peer), other.giver(&peer));
        assert_ne!(ours.giver(&peer), ours.recipient(&peer));
        let id = *MessageId::of(b"a").as_bytes();
        assert_ne!(ours.mask(1, id), id);
        assert_ne!(ours.mask(1, id), ours.mask(2, id));
        assert_eq!(ours.mask(1, ours.mask(1, id)), id);
        assert_eq!(format!("{:?}", CacheSecret::from_bytes([7; 32])), "CacheSecret(..)");
    }
}
