//! The key pairs of one endpoint: one per cipher set.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rand_core::CryptoRng;
use telemesh_hashname::{CipherSetId, Hashname, PublicKeys};
use zeroize::Zeroizing;

use crate::{KeyFileError, ParseKeysError, SecretKey, file, text};

/// The cipher sets that this crate has keys for, ascending. Both use X25519.
const KNOWN_CIPHER_SETS: [CipherSetId; 2] = [CipherSetId::CS11, CipherSetId::CS21];

/// The key pairs of one endpoint, and the hashname they make.
///
/// One key pair per cipher set, because Noise forbids one static key under two hash functions (Noise section 14,
/// "Static key reuse"). Cannot be cloned; share it with an `Arc`.
pub struct KeySet {
    /// Ascending, the same sets as in `secrets`.
    cipher_sets: Vec<CipherSetId>,
    /// In the order of `cipher_sets`, never empty.
    secrets: Vec<Arc<SecretKey>>,
    public: PublicKeys,
    hashname: Hashname,
}

/// Why secret keys do not make a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// There is no key.
    #[error("no keys")]
    Empty,
    /// A cipher set that this version does not know: its keys may be of another kind than X25519.
    #[error("cipher set {csid} is not known to this version")]
    UnknownCipherSet {
        /// The unknown cipher set.
        csid: CipherSetId,
    },
    /// There are two keys for one cipher set.
    #[error("cipher set {csid} is listed twice")]
    Duplicate {
        /// The cipher set with two keys.
        csid: CipherSetId,
    },
    /// A key is used for two cipher sets, which Noise forbids.
    #[error("cipher set {csid} has the key of another cipher set")]
    Reused {
        /// The higher of the two cipher sets.
        csid: CipherSetId,
    },
}

impl KeySet {
    /// New keys for the cipher sets of a new endpoint, `11` and `21`.
    #[expect(clippy::expect_used, reason = "two known cipher sets, each once, always make a key set")]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let secrets = KNOWN_CIPHER_SETS.map(|csid| (csid, SecretKey::generate(rng)));
        Self::from_secrets(secrets).expect("known cipher sets make a key set")
    }

    /// The key set made of these secrets, in any order.
    ///
    /// For an endpoint with one cipher set only, or with keys from elsewhere.
    ///
    /// # Errors
    ///
    /// [`KeySetError`] when there is no key, an unknown cipher set, two keys for one set or one key for two.
    pub fn from_secrets(
        secrets: impl IntoIterator<Item = (CipherSetId, SecretKey)>,
    ) -> Result<Self, KeySetError> {
        let mut sorted: Vec<_> = secrets.into_iter().map(|(csid, secret)| (csid, Arc::new(secret))).collect();
        sorted.sort_by_key(|(csid, _)| *csid);

        let mut public = PublicKeys::new();
        for (csid, secret) in &sorted {
            let csid = *csid;
            if !KNOWN_CIPHER_SETS.contains(&csid) {
                return Err(KeySetError::UnknownCipherSet { csid });
            }
            if public.iter().any(|other| other.key() == Some(secret.public())) {
                return Err(KeySetError::Reused { csid });
            }
            // The length is right and there are fewer known sets than `PublicKeys` holds, so it refuses only a repetition.
            public.insert_key(csid, secret.public()).map_err(|_| KeySetError::Duplicate { csid })?;
        }
        let hashname = public.hashname().map_err(|_| KeySetError::Empty)?;
        let (cipher_sets, secrets) = sorted.into_iter().unzip();
        Ok(Self { cipher_sets, secrets, public, hashname })
    }

    /// The public keys, one per cipher set.
    #[must_use]
    pub fn public(&self) -> &PublicKeys {
        &self.public
    }

    /// The hashname of the endpoint that has these keys. Kept, not computed each time.
    #[must_use]
    pub fn hashname(&self) -> Hashname {
        self.hashname
    }

    /// The cipher sets there are keys for, ascending. The form that [`PublicKeys::highest_shared`] wants.
    #[must_use]
    pub fn cipher_sets(&self) -> &[CipherSetId] {
        &self.cipher_sets
    }

    /// The secret key for a cipher set. Behind an `Arc`, so that a handshake can hold it without a second copy.
    #[must_use]
    pub fn secret(&self, csid: CipherSetId) -> Option<&Arc<SecretKey>> {
        let index = self.cipher_sets.binary_search(&csid).ok()?;
        self.secrets.get(index)
    }

    /// All secrets, ascending by cipher set.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (CipherSetId, &SecretKey)> {
        self.cipher_sets.iter().copied().zip(self.secrets.iter().map(AsRef::as_ref))
    }

    /// The keys as the key file holds them: a few lines of text with the secrets in clear.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        text::write(self)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, and nothing else.
    ///
    /// # Errors
    ///
    /// [`ParseKeysError`] when the bytes are cut short, changed, of another kind or of a newer version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseKeysError> {
        text::read(bytes)
    }

    /// Reads a key file.
    ///
    /// The file must be a regular file that only its owner can read, in a directory that only its owner can enter (modes
    /// 0600 and 0700; not checked on systems without such modes).
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]: [`NotFound`](KeyFileError::NotFound) when there is no such file, else why it was refused and
    /// what to do about it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        file::load(path.as_ref())
    }

    /// Reads a key file, or makes it with new keys if there is none.
    ///
    /// A directory that is missing is made too. When several callers, also in different processes, do this at once, all
    /// get the same keys. A file that is there but is refused is never replaced.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load) and [`save`](Self::save).
    pub fn load_or_create<R: CryptoRng + ?Sized>(
        path: impl AsRef<Path>,
        rng: &mut R,
    ) -> Result<Self, KeyFileError> {
        file::load_or_create(path.as_ref(), rng)
    }

    /// Writes the key file, replacing one that is there. After a crash there is the old file or the new one.
    ///
    /// A directory that is missing is made, with mode 0700. Beside the file stays an empty `<name>.lock`, which keeps
    /// writers apart.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] when the directory is open to others, when something that is not a regular file is in the way, or
    /// when the file system fails.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), KeyFileError> {
        file::save(self, path.as_ref())
    }
}

/// Prints only whose keys these are.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({})", self.hashname.short())
    }
}
