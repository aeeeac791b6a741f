//! Whose keys messages are sealed with: a small trait, because this crate knows no mesh, and what implements it with keys.

use std::fmt;
use std::sync::Arc;

use rand::rngs::{StdRng, SysRng};
use rand::{Rng as _, SeedableRng as _};
use telemesh_hashname::{Hashname, PublicKeys};
use telemesh_keys::KeySet;

/// Seals for others and opens what was sealed for us.
pub trait Sealer: Send + Sync + 'static {
    /// Seals for this endpoint. `context` says what for; opening needs the same.
    ///
    /// # Errors
    /// [`SealFailure`]: most often that the recipient's keys are not known.
    fn seal(&self, recipient: &Hashname, plaintext: &[u8], context: &[u8]) -> Result<Vec<u8>, SealFailure>;

    /// Opens: the proven sender, and what was sealed. `None` when it was not sealed for us, for this, or was changed.
    fn open(&self, sealed: &[u8], context: &[u8]) -> Option<(Hashname, Vec<u8>)>;
}

/// Why a message was not sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealFailure {
    /// The recipient's public keys are not known here.
    #[error("the keys of {} are not known: link with it once", .0.short())]
    UnknownKeys(Hashname),
    /// The keys do not allow it.
    #[error(transparent)]
    Keys(#[from] telemesh_keys::SealError),
    /// The machine gives no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness,
}

/// Seals with a key set, for peers whose public keys a function knows.
pub struct KeySealer<F> {
    keys: Arc<KeySet>,
    public_keys: F,
}

impl<F> KeySealer<F>
where
    F: Fn(&Hashname) -> Option<PublicKeys> + Send + Sync + 'static,
{
    /// Seals with `keys`; `public_keys` looks up those of a recipient.
    pub fn new(keys: Arc<KeySet>, public_keys: F) -> Self {
        Self { keys, public_keys }
    }
}

impl<F> Sealer for KeySealer<F>
where
    F: Fn(&Hashname) -> Option<PublicKeys> + Send + Sync + 'static,
{
    fn seal(&self, recipient: &Hashname, plaintext: &[u8], context: &[u8]) -> Result<Vec<u8>, SealFailure> {
        let keys = (self.public_keys)(recipient).ok_or(SealFailure::UnknownKeys(*recipient))?;
        Ok(telemesh_keys::seal(&mut generator()?, &keys, &self.keys, plaintext, context)?)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Option<(Hashname, Vec<u8>)> {
        let opened = telemesh_keys::open(&self.keys, sealed, context).ok()?;
        Some((opened.sender, opened.plaintext))
    }
}

impl<F> fmt::Debug for KeySealer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySealer").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// A number that nobody else has.
pub(crate) fn random() -> Result<u64, SealFailure> {
    Ok(generator()?.next_u64())
}

fn generator() -> Result<StdRng, SealFailure> {
    StdRng::try_from_rng(&mut SysRng).map_err(|_| SealFailure::NoRandomness)
}
