//! How digests of public keys become a hashname.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{CipherSetId, Hashname, base32};

/// Most cipher sets one endpoint can have.
///
/// Two are in use and one is reserved; eight leave room for decades and keep a list that a stranger sends small.
pub const MAX_CIPHER_SETS: usize = 8;

/// The SHA-256 of one public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a public key, given as the bytes of which the cipher set makes it.
    #[must_use]
    pub fn of(public_key: &[u8]) -> Self {
        Self(Sha256::digest(public_key).into())
    }

    /// A digest that somebody else computed.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = base32::encode_32(&self.0);
        let prefix = text.get(..8).and_then(|prefix| std::str::from_utf8(prefix).ok());
        write!(f, "KeyDigest({})", prefix.unwrap_or_default())
    }
}

/// Why a list of digests has no hashname.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RollupError {
    /// There is no cipher set in the list.
    #[error("no cipher sets")]
    Empty,
    /// There are more than [`MAX_CIPHER_SETS`].
    #[error("more than {MAX_CIPHER_SETS} cipher sets")]
    TooMany,
    /// A cipher set is listed twice, or after a higher one.
    #[error("cipher set {csid} is listed twice or out of order")]
    NotAscending {
        /// The first cipher set that is not above the one before it.
        csid: CipherSetId,
    },
}

/// Computes a hashname from the digests of an endpoint's public keys, in ascending order of their cipher sets.
///
/// Starting from the empty string, for each cipher set: `h = SHA-256(h || csid)`, then `h = SHA-256(h || digest)`; the
/// last `h` is the hashname. telehash v3 uses the same rollup, so its published vectors hold.
///
/// Stops at the first error, so that a list from outside costs at most [`MAX_CIPHER_SETS`] rounds however long it is.
///
/// # Errors
///
/// [`RollupError`] when the list is empty, too long, or not strictly ascending.
pub fn rollup(digests: impl IntoIterator<Item = (CipherSetId, KeyDigest)>) -> Result<Hashname, RollupError> {
    let mut state: Option<(CipherSetId, [u8; 32])> = None;
    for (index, (csid, digest)) in digests.into_iter().enumerate() {
        if index >= MAX_CIPHER_SETS {
            return Err(RollupError::TooMany);
        }
        if state.is_some_and(|(previous, _)| csid <= previous) {
            return Err(RollupError::NotAscending { csid });
        }
        let mut hash = Sha256::new();
        if let Some((_, so_far)) = state {
            hash.update(so_far);
        }
        hash.update([csid.number()]);
        let with_csid = hash.finalize();
        let with_digest = Sha256::new().chain_update(with_csid).chain_update(digest.0).finalize();
        state = Some((csid, with_digest.into()));
    }
    state.map(|(_, hash)| Hashname::from_bytes(hash)).ok_or(RollupError::Empty)
}
