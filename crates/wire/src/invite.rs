//! The secret in the fragment of a URI, and the check that ties it to an endpoint.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use telemesh_hashname::{Hashname, base32};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The 256-bit secret of an invite. Whoever proves it becomes a contact; it never travels itself.
///
/// Wiped on drop, redacted in `Debug`, compared in constant time, and not to be cloned.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct InviteSecret([u8; InviteSecret::LENGTH]);

impl InviteSecret {
    /// Length in bytes.
    pub const LENGTH: usize = 32;

    /// A secret of these bytes, which must come from a good random generator.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes: handle them as a secret.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl PartialEq for InviteSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for InviteSecret {}

impl fmt::Debug for InviteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteSecret(secret)")
    }
}

/// A secret, and the endpoint that it is for in a form that does not name it.
///
/// The check is the first 16 bytes of SHA-256 over a label, the endpoint's hashname and the secret. It shows that a URI
/// was mangled or its keys exchanged, and lets somebody who got the hashname from a router make sure of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Invite {
    check: [u8; CHECK_LENGTH],
    secret: InviteSecret,
}

impl Invite {
    /// An invite by the endpoint with this hashname.
    #[must_use]
    pub fn new(hashname: &Hashname, secret: InviteSecret) -> Self {
        Self { check: check(hashname, &secret), secret }
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> &InviteSecret {
        &self.secret
    }

    /// Whether this is an invite by the endpoint with this hashname. Takes the same time either way.
    #[must_use]
    pub fn is_by(&self, hashname: &Hashname) -> bool {
        check(hashname, &self.secret).ct_eq(&self.check).into()
    }

    /// Appends `check.secret`, both in base32: 79 characters.
    pub(crate) fn write_fragment(&self, out: &mut Zeroizing<String>) {
        let secret = Zeroizing::new(base32::encode(self.secret.as_bytes()));
        // In one piece of memory, or growing would leave a part of the secret behind.
        let check = base32::encode(&self.check);
        let mut grown = Zeroizing::new(String::with_capacity(out.len() + check.len() + secret.len() + 2));
        for part in [out.as_str(), "#", &check, ".", &secret] {
            grown.push_str(part);
        }
        *out = grown;
    }

    /// Reads what [`write_fragment`](Self::write_fragment) wrote after the `#`.
    pub(crate) fn from_fragment(fragment: &str) -> Option<Self> {
        let (check, secret) = fragment.split_once('.')?;
        // Lengths first: base32 has no limit of its own.
        if check.len() != CHECK_TEXT_LENGTH || secret.len() != SECRET_TEXT_LENGTH {
            return None;
        }
        let check = base32::decode(check).ok()?.try_into().ok()?;
        let secret = Zeroizing::new(base32::decode(secret).ok()?);
        Some(Self { check, secret: InviteSecret(secret.as_slice().try_into().ok()?) })
    }
}

fn check(hashname: &Hashname, secret: &InviteSecret) -> [u8; CHECK_LENGTH] {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(CHECK_LABEL)
        .chain_update(hashname.as_bytes())
        .chain_update(secret.as_bytes())
        .finalize()
        .into();
    let mut check = [0; CHECK_LENGTH];
    check.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    check
}

/// Nothing else that is hashed here begins with these bytes.
const CHECK_LABEL: &[u8] = b"telemesh invite check v1";
const CHECK_LENGTH: usize = 16;
/// Characters of 16 and 32 bytes in base32.
const CHECK_TEXT_LENGTH: usize = 26;
const SECRET_TEXT_LENGTH: usize = 52;
