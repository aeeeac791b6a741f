//! Keys for an endpoint: new ones, or those of a key file.

use std::path::Path;

use rand::SeedableRng;
use rand::rngs::{StdRng, SysError, SysRng};
use telemesh_keys::{KeyFileError, KeySet};

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The key file was not read or not written; the message names the repair.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The machine gives no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness(#[from] SysError),
}

/// New keys, from the operating system's randomness.
///
/// # Errors
/// [`KeysError::NoRandomness`].
pub fn generate_keys() -> Result<KeySet, KeysError> {
    Ok(KeySet::generate(&mut rng()?))
}

/// The keys in this file, which is made with new ones if it is missing: mode 0600, in a directory of mode 0700.
///
/// # Errors
/// [`KeysError`]: for example a file that others can read.
pub fn load_or_create_keys(path: impl AsRef<Path>) -> Result<KeySet, KeysError> {
    Ok(KeySet::load_or_create(path, &mut rng()?)?)
}

fn rng() -> Result<StdRng, SysError> {
    StdRng::try_from_rng(&mut SysRng)
}
