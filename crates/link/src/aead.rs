//! Sealing and opening data packets in place, with ring, under the raw keys that a Noise handshake left.
//!
//! Each cipher of Noise lays its 64-bit counter out as a 96-bit nonce in its own way (Noise specification, section 12):
//! ChaChaPoly four zero bytes and a little-endian counter, AESGCM four zero bytes and a big-endian counter. Nothing else
//! in the crate knows about nonces.

use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use telemesh_hashname::CipherSetId;
use zeroize::Zeroizing;

use crate::packet::{DATA_HEADER_SIZE, TAG_SIZE};

/// A key of one direction of a session did not fit its cipher, or a packet was not sealed under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AeadError;

/// The cipher of a cipher set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// Cipher set 11.
    ChaChaPoly,
    /// Cipher set 21.
    AesGcm,
}

impl Cipher {
    pub(crate) fn of(csid: CipherSetId) -> Option<Self> {
        match csid {
            CipherSetId::CS11 => Some(Self::ChaChaPoly),
            CipherSetId::CS21 => Some(Self::AesGcm),
            _ => None,
        }
    }

    fn nonce(self, counter: u64) -> Nonce {
        let [a, b, c, d, e, f, g, h] = match self {
            Self::ChaChaPoly => counter.to_le_bytes(),
            Self::AesGcm => counter.to_be_bytes(),
        };
        Nonce::assume_unique_for_key([0, 0, 0, 0, a, b, c, d, e, f, g, h])
    }

    fn key(self, bytes: &[u8; 32]) -> Result<LessSafeKey, AeadError> {
        let algorithm = match self {
            Self::ChaChaPoly => &CHACHA20_POLY1305,
            Self::AesGcm => &AES_256_GCM,
        };
        UnboundKey::new(algorithm, bytes).map(LessSafeKey::new).map_err(|_| AeadError)
    }
}

/// The two keys of a session, one per direction.
pub(crate) struct AeadKeys {
    cipher: Cipher,
    seal: LessSafeKey,
    open: LessSafeKey,
}

impl AeadKeys {
    /// Makes the keys of a session: `seal` for what this end sends, `open` for what it receives.
    pub(crate) fn new(
        cipher: Cipher,
        seal: &Zeroizing<[u8; 32]>,
        open: &Zeroizing<[u8; 32]>,
    ) -> Result<Self, AeadError> {
        Ok(Self { cipher, seal: cipher.key(seal)?, open: cipher.key(open)? })
    }

    /// The cipher, which decides how many packets one key may seal.
    pub(crate) fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Encrypts in place and returns the tag. The caller never uses a counter twice.
    pub(crate) fn seal(
        &self,
        counter: u64,
        header: &[u8; DATA_HEADER_SIZE],
        plaintext: &mut [u8],
    ) -> Result<[u8; TAG_SIZE], AeadError> {
        let nonce = self.cipher.nonce(counter);
        let tag = self
            .seal
            .seal_in_place_separate_tag(nonce, Aad::from(header), plaintext)
            .map_err(|_| AeadError)?;
        tag.as_ref().first_chunk().copied().ok_or(AeadError)
    }

    /// Authenticates and decrypts ciphertext and tag in place; returns the length of the plaintext at the front.
    ///
    /// The bytes are undefined after an error.
    pub(crate) fn open(
        &self,
        counter: u64,
        header: &[u8; DATA_HEADER_SIZE],
        sealed: &mut [u8],
    ) -> Result<usize, AeadError> {
        let nonce = self.cipher.nonce(counter);
        let plaintext = self.open.open_in_place(nonce, Aad::from(header), sealed).map_err(|_| AeadError)?;
        Ok(plaintext.len())
    }
}

#[cfg(test)]
mod tests;
