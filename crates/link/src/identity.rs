//! Who this endpoint is: its keys and what it says about itself in every handshake. Shared by its gate and all its links.

use std::fmt;
use std::sync::Arc;

use telemesh_hashname::{CipherSetId, Hashname, PublicKeys};
use telemesh_keys::{KeySet, SecretKey};
use telemesh_wire::{Credential, Hello, KeyDigests, ResponseMacKey};

use crate::aead::Cipher;
use crate::mac::Mac1Key;

/// The local endpoint, as its gate and links need it. Made once per process start and shared.
pub struct Identity {
    keys: KeySet,
    hashname: Hashname,
    cipher_sets: Vec<CipherSetId>,
    /// Keys of the mac1 of initiations to us, in the order of `cipher_sets`.
    mac1_keys: Vec<Mac1Key>,
    incarnation: u64,
    engine_version: u32,
    features: u64,
    /// The list of key digests that every hello carries.
    digests: KeyDigests,
}

/// The key set has no key for any cipher set that this crate can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key for a cipher set that links can use")]
#[non_exhaustive]
pub struct NoUsableKey;

impl Identity {
    /// Wraps the endpoint's keys.
    ///
    /// `incarnation` is drawn at random when the process starts: a peer that sees another one knows that everything it
    /// shared with the process before is gone. `engine_version` is that of the engine for reliable channels.
    ///
    /// # Errors
    ///
    /// [`NoUsableKey`] when there is no key for cipher set 11 or 21.
    pub fn new(keys: KeySet, incarnation: u64, engine_version: u32) -> Result<Arc<Self>, NoUsableKey> {
        Self::with_features(keys, incarnation, engine_version, 0)
    }

    /// As [`Identity::new`], with the bits of optional abilities that the endpoint has.
    ///
    /// # Errors
    ///
    /// See [`Identity::new`].
    pub fn with_features(
        keys: KeySet,
        incarnation: u64,
        engine_version: u32,
        features: u64,
    ) -> Result<Arc<Self>, NoUsableKey> {
        let usable = |csid: &CipherSetId| Cipher::of(*csid).is_some() && keys.secret(*csid).is_some();
        let cipher_sets: Vec<_> = keys.public().cipher_sets().filter(usable).collect();
        if cipher_sets.is_empty() {
            return Err(NoUsableKey);
        }
        let mac1_keys = cipher_sets
            .iter()
            .filter_map(|&csid| keys.public().key(csid))
            .map(Mac1Key::for_initiations_to)
            .collect();
        let digests = KeyDigests::of(keys.public()).map_err(|_| NoUsableKey)?;
        let hashname = keys.hashname();
        Ok(Arc::new(Self {
            keys,
            hashname,
            cipher_sets,
            mac1_keys,
            incarnation,
            engine_version,
            features,
            digests,
        }))
    }

    /// The hashname of this endpoint.
    #[must_use]
    pub fn hashname(&self) -> Hashname {
        self.hashname
    }

    /// The public keys of this endpoint.
    #[must_use]
    pub fn public_keys(&self) -> &PublicKeys {
        self.keys.public()
    }

    /// The key pairs, for what else is done with them: sealing, for example.
    #[must_use]
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Random number of this process start.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Version of the engine for reliable channels.
    #[must_use]
    pub fn engine_version(&self) -> u32 {
        self.engine_version
    }

    /// Bits of optional abilities.
    #[must_use]
    pub fn features(&self) -> u64 {
        self.features
    }

    /// The cipher sets that links of this endpoint can use, ascending.
    #[must_use]
    pub fn cipher_sets(&self) -> &[CipherSetId] {
        &self.cipher_sets
    }

    pub(crate) fn secret(&self, csid: CipherSetId) -> Option<&SecretKey> {
        self.keys.secret(csid).map(Arc::as_ref)
    }

    /// The strongest cipher set that we have in common with somebody who has these.
    pub(crate) fn highest_shared(&self, theirs: impl Iterator<Item = CipherSetId>) -> Option<CipherSetId> {
        theirs.filter(|csid| self.cipher_sets.contains(csid)).max()
    }

    /// What this endpoint says about itself in a handshake.
    pub(crate) fn hello(&self, at: u64, credential: Credential, response_mac_key: ResponseMacKey) -> Hello {
        Hello {
            keys: self.digests.clone(),
            at,
            incarnation: self.incarnation,
            engine_version: self.engine_version,
            features: self.features,
            credential,
            response_mac_key,
        }
    }

    pub(crate) fn mac1_key(&self, csid: CipherSetId) -> Option<&Mac1Key> {
        let index = self.cipher_sets.iter().position(|&ours| ours == csid)?;
        self.mac1_keys.get(index)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("hashname", &self.hashname).finish_non_exhaustive()
    }
}
