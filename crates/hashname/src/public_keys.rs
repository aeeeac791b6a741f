//! The public keys of one endpoint, as far as they are known.

use std::fmt;

use crate::{CipherSetId, Hashname, KeyDigest, MAX_CIPHER_SETS, RollupError, rollup};

/// Longest public key of any cipher set, in bytes.
///
/// X25519 keys have 32. A post-quantum set will show a hash of its key here and send the key itself where there is room.
pub const MAX_KEY_LENGTH: usize = 256;

/// What is known of one public key: the key and its digest, or only the digest.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    csid: CipherSetId,
    digest: KeyDigest,
    key: Option<Box<[u8]>>,
}

impl PublicKey {
    /// The cipher set that this key is for.
    #[must_use]
    pub fn cipher_set(&self) -> CipherSetId {
        self.csid
    }

    /// The digest of the key, which is what the hashname is made of.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        self.digest
    }

    /// The key, if more than its digest is known: 1 to [`MAX_KEY_LENGTH`] bytes.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({})", self.csid, if self.key.is_some() { "key" } else { "digest" })
    }
}

/// Why a key or a digest was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// The key is empty or longer than [`MAX_KEY_LENGTH`].
    #[error("a public key has 1 to {MAX_KEY_LENGTH} bytes, this has {length}")]
    KeyLength {
        /// Length of the refused key in bytes.
        length: usize,
    },
    /// There are [`MAX_CIPHER_SETS`] already.
    #[error("more than {MAX_CIPHER_SETS} cipher sets")]
    TooMany,
    /// This is already known of the cipher set.
    #[error("cipher set {csid} is listed twice")]
    Duplicate {
        /// The cipher set that is listed twice.
        csid: CipherSetId,
    },
    /// Another key or digest is known for the cipher set, so the two cannot belong to one endpoint.
    #[error("another key is known for cipher set {csid}")]
    Mismatch {
        /// The cipher set with two different keys.
        csid: CipherSetId,
    },
}

/// The public keys of one endpoint: per cipher set the key, or only its digest.
///
/// Ordered by cipher set, at most [`MAX_CIPHER_SETS`]. Insertion order does not matter, and nothing is ever replaced: a
/// digest may be completed with its key, anything else that is already there is an error.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct PublicKeys {
    /// Ascending by cipher set, so that this is the order of the rollup.
    keys: Vec<PublicKey>,
}

impl PublicKeys {
    /// No keys yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { keys: Vec::new() }
    }

    /// Adds a key, or completes a digest that is already there.
    ///
    /// # Errors
    ///
    /// [`InsertError`] when the key has an impossible length, is already there, or is not the one whose digest is
    /// there, and when there are too many. Nothing has changed then.
    pub fn insert_key(&mut self, csid: CipherSetId, key: &[u8]) -> Result<(), InsertError> {
        if key.is_empty() || key.len() > MAX_KEY_LENGTH {
            return Err(InsertError::KeyLength { length: key.len() });
        }
        self.insert(PublicKey { csid, digest: KeyDigest::of(key), key: Some(key.into()) })
    }

    /// Adds the digest of a key that is not known itself.
    ///
    /// # Errors
    ///
    /// [`InsertError`] when something is already known of the cipher set, and when there are too many.
    pub fn insert_digest(&mut self, csid: CipherSetId, digest: KeyDigest) -> Result<(), InsertError> {
        self.insert(PublicKey { csid, digest, key: None })
    }

    fn insert(&mut self, new: PublicKey) -> Result<(), InsertError> {
        let csid = new.csid;
        match self.keys.binary_search_by_key(&csid, PublicKey::cipher_set) {
            Ok(index) => {
                let Some(known) = self.keys.get_mut(index) else {
                    return Err(InsertError::Duplicate { csid });
                };
                if known.digest != new.digest {
                    return Err(InsertError::Mismatch { csid });
                }
                if known.key.is_some() || new.key.is_none() {
                    return Err(InsertError::Duplicate { csid });
                }
                *known = new;
            }
            Err(_) if self.keys.len() >= MAX_CIPHER_SETS => return Err(InsertError::TooMany),
            Err(index) => self.keys.insert(index, new),
        }
        Ok(())
    }

    /// The hashname of the endpoint that has exactly these keys.
    ///
    /// Computed each time: two SHA-256 blocks per cipher set. Keep the result where it is needed often.
    ///
    /// # Errors
    ///
    /// [`RollupError::Empty`] when there are none.
    pub fn hashname(&self) -> Result<Hashname, RollupError> {
        rollup(self.keys.iter().map(|key| (key.csid, key.digest)))
    }

    /// The key for a cipher set, if it is known.
    #[must_use]
    pub fn key(&self, csid: CipherSetId) -> Option<&[u8]> {
        self.find(csid).and_then(PublicKey::key)
    }

    /// The digest of the key for a cipher set, if the endpoint has that cipher set.
    #[must_use]
    pub fn digest(&self, csid: CipherSetId) -> Option<KeyDigest> {
        self.find(csid).map(PublicKey::digest)
    }

    /// The highest cipher set that is both here, as a key or as a digest, and among `ours`.
    ///
    /// Digests count, because that is what keeps somebody who withholds a strong key from bringing two endpoints down to
    /// a weaker set: the caller that lacks the key has to get it, not to use another set.
    #[must_use]
    pub fn highest_shared(&self, ours: &[CipherSetId]) -> Option<CipherSetId> {
        self.cipher_sets().rfind(|csid| ours.contains(csid))
    }

    /// The cipher sets of the endpoint, ascending.
    pub fn cipher_sets(&self) -> impl DoubleEndedIterator<Item = CipherSetId> + '_ {
        self.keys.iter().map(PublicKey::cipher_set)
    }

    /// All that is known, in ascending order of the cipher sets.
    pub fn iter(&self) -> std::slice::Iter<'_, PublicKey> {
        self.keys.iter()
    }

    /// Number of cipher sets: 0 to [`MAX_CIPHER_SETS`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn find(&self, csid: CipherSetId) -> Option<&PublicKey> {
        let index = self.keys.binary_search_by_key(&csid, PublicKey::cipher_set).ok()?;
        self.keys.get(index)
    }
}

impl<'a> IntoIterator for &'a PublicKeys {
    type Item = &'a PublicKey;
    type IntoIter = std::slice::Iter<'a, PublicKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.keys).finish()
    }
}
