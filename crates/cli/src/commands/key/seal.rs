//! Sealing a backup with a passphrase: Argon2id makes it costly to try passphrases, ChaCha20-Poly1305 seals.
//!
//! `salt (16) ‖ ciphertext ‖ tag (16)`. The key is good for this one message, since its salt is fresh: the nonce is zero. The
//! hashname that the text shows in clear is authenticated with it.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use rand::TryRng as _;
use rand::rngs::SysRng;
use telemesh::Hashname;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Memory of one guess, in KiB, with the passes over it: the second of RFC 9106's recommendations (section 4), for machines
/// that have no 2 GiB to spare. About a quarter of a second.
const MEMORY: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;

const SALT: usize = 16;

/// Authenticated in front of the hashname, so that nothing else is taken for a backup.
const LABEL: &[u8] = b"telemesh key backup 1";

/// Seals the bytes of a key file.
///
/// # Errors
/// The machine has no randomness, or not the memory.
pub(super) fn seal(
    content: &[u8],
    hashname: &Hashname,
    passphrase: &str,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut salt = [0; SALT];
    SysRng
        .try_fill_bytes(&mut salt)
        .map_err(|_| Failure::Failed("the operating system gives no randomness".into()))?;
    let associated = associated(hashname);
    let sealed = cipher(passphrase, &salt)?
        .encrypt(&Nonce::default(), Payload { msg: content, aad: &associated })
        .map_err(|_| Failure::Failed("could not seal the backup".into()))?;
    Ok(Zeroizing::new([salt.as_slice(), &sealed].concat()))
}

/// Opens what [`seal`] has sealed.
///
/// # Errors
/// The passphrase is another one, or the content was changed: nobody can tell which.
pub(super) fn open(
    sealed: &[u8],
    hashname: &Hashname,
    passphrase: &str,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let wrong = || Failure::Failed("the passphrase is wrong, or the backup was changed".into());
    let (salt, sealed) = sealed.split_at_checked(SALT).ok_or_else(wrong)?;
    let associated = associated(hashname);
    let content = cipher(passphrase, salt)?
        .decrypt(&Nonce::default(), Payload { msg: sealed, aad: &associated })
        .map_err(|_| wrong())?;
    Ok(Zeroizing::new(content))
}

fn associated(hashname: &Hashname) -> Vec<u8> {
    [LABEL, hashname.as_bytes()].concat()
}

fn cipher(passphrase: &str, salt: &[u8]) -> Result<ChaCha20Poly1305, Failure> {
    let failed = |error| Failure::Failed(format!("could not make a key of the passphrase: {error}"));
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(MEMORY, PASSES, LANES, Some(key.len())).map_err(failed)?;
    // The crate would take the memory itself only with its feature for password hashes, which nothing here needs.
    let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase.as_bytes(), salt, &mut *key, memory.as_mut_slice())
        .map_err(failed)?;
    Ok(ChaCha20Poly1305::new((&*key).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: &str = "27ywx5e5ylzxfzxrhptowvwntqrd3jhksyxrfkzi6jfn64d3lwxa";
    const SOMEBODY: &str = "jvdoio6kjvf3yqnxfvck43twaibbg4pmb7y3mqnvxafb26rqllwa";

    #[test]
    fn only_the_passphrase_opens_and_only_what_was_sealed() {
        let (hashname, other) = (NOBODY.parse().unwrap(), SOMEBODY.parse().unwrap());
        let sealed = seal(b"secret", &hashname, "correct horse").unwrap();
        assert_eq!(sealed.len(), SALT + 6 + 16);
        assert_eq!(**open(&sealed, &hashname, "correct horse").unwrap(), *b"secret");
        assert!(open(&sealed, &hashname, "correct horsf").is_err());
        assert!(open(&sealed, &other, "correct horse").is_err());
        for place in [0, SALT, SALT + 5, sealed.len() - 1] {
            let mut changed = sealed.to_vec();
            changed[place] ^= 1;
            assert!(open(&changed, &hashname, "correct horse").is_err(), "{place}");
        }
        for length in [0, SALT - 1, SALT, SALT + 15] {
            assert!(open(&sealed[..length], &hashname, "correct horse").is_err(), "{length}");
        }
        assert_ne!(*seal(b"secret", &hashname, "correct horse").unwrap(), *sealed, "a fresh salt");
    }
}
