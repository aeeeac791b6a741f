//! The list of key digests in a Hello: everything that makes a hashname, and nothing more.

use std::fmt;

use telemesh_hashname::{
    CipherSetId, Hashname, InsertError, KeyDigest, MAX_CIPHER_SETS, PublicKeys, RollupError, rollup,
};

use crate::error::{DecodeError, InvalidValue};
use crate::generated;
use crate::shape::{Field, Shape};

/// The cipher sets of one endpoint with the digests of its keys: 1 to 8, strictly ascending.
///
/// Valid by construction, so its hashname is computed once and is always there.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyDigests {
    hashname: Hashname,
    entries: Vec<(CipherSetId, KeyDigest)>,
}

impl KeyDigests {
    /// The digests of these keys.
    ///
    /// # Errors
    /// [`RollupError::Empty`] when there are none.
    pub fn of(keys: &PublicKeys) -> Result<Self, RollupError> {
        Self::from_entries(keys.iter().map(|key| (key.cipher_set(), key.digest())).collect())
    }

    fn from_entries(entries: Vec<(CipherSetId, KeyDigest)>) -> Result<Self, RollupError> {
        let hashname = rollup(entries.iter().copied())?;
        Ok(Self { hashname, entries })
    }

    /// The hashname of the endpoint with these keys.
    #[must_use]
    pub fn hashname(&self) -> Hashname {
        self.hashname
    }

    /// The digest of the key for a cipher set, if the endpoint has that cipher set.
    #[must_use]
    pub fn digest(&self, csid: CipherSetId) -> Option<KeyDigest> {
        self.iter().find(|(listed, _)| *listed == csid).map(|(_, digest)| digest)
    }

    /// The entries in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (CipherSetId, KeyDigest)> + '_ {
        self.entries.iter().copied()
    }

    /// The cipher sets in ascending order.
    pub fn cipher_sets(&self) -> impl DoubleEndedIterator<Item = CipherSetId> + '_ {
        self.entries.iter().map(|(csid, _)| *csid)
    }

    /// The same as a set of public keys, of which the keys themselves can be filled in as they become known.
    ///
    /// # Errors
    /// Never with today's limits, which are the same on both sides.
    pub fn to_public_keys(&self) -> Result<PublicKeys, InsertError> {
        let mut keys = PublicKeys::new();
        self.iter().try_for_each(|(csid, digest)| keys.insert_digest(csid, digest))?;
        Ok(keys)
    }

    pub(crate) fn to_raw(&self) -> Vec<generated::KeyDigest> {
        let raw = |(csid, digest): (CipherSetId, KeyDigest)| generated::KeyDigest {
            csid: csid.number().into(),
            digest: digest.as_bytes().to_vec(),
        };
        self.iter().map(raw).collect()
    }

    pub(crate) fn from_raw(raw: &[generated::KeyDigest]) -> Result<Self, DecodeError> {
        let entries = raw.iter().map(entry_from_raw).collect::<Result<_, DecodeError>>()?;
        Ok(Self::from_entries(entries)?)
    }
}

fn entry_from_raw(raw: &generated::KeyDigest) -> Result<(CipherSetId, KeyDigest), DecodeError> {
    let number = u8::try_from(raw.csid).map_err(|_| InvalidValue::Form { what: "cipher set id" })?;
    let digest: [u8; 32] = raw
        .digest
        .as_slice()
        .try_into()
        .map_err(|_| InvalidValue::WrongLength { what: "key digest", length: raw.digest.len() })?;
    Ok((CipherSetId::new(number), KeyDigest::from_bytes(digest)))
}

impl fmt::Debug for KeyDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.cipher_sets()).finish()
    }
}

/// The list inside a Hello.
pub(crate) const KEY_DIGESTS_FIELD: Field = Field::list(1, "key digests", MAX_CIPHER_SETS, &ENTRY_SHAPE);

static ENTRY_SHAPE: Shape = Shape {
    what: "key digest",
    // 3 bytes of cipher set and 34 of digest, and room for fields to come.
    limit: 64,
    fields: &[Field::once(1, "cipher set id"), Field::once(2, "key digest")],
    exclusive: false,
};
