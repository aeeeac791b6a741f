//! Sealing: one message that only its recipient can read and that says who wrote it, without a session.
//!
//! Noise X with the static keys of the highest cipher set that both have, and that set's cipher and hash. The sealed
//! form, integers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | number of the cipher set |
//! | 32 | the sender's ephemeral key |
//! | 48 | the sender's static key, encrypted |
//! | up to 65,455 | encrypted: length of the plaintext (4), number of the sender's key digests (1), each with its cipher set number (1) and digest (32), then the first part of the plaintext |
//! | up to 65,535 each | further parts of the plaintext, encrypted as Noise transport messages |
//!
//! Only the last part may be smaller than the most that a Noise message holds, so there is one way to cut a plaintext.
//! The prologue is a label, the recipient's hashname and the caller's context.

mod noise;
mod read;
mod write;

use std::fmt;

use telemesh_hashname::{CipherSetId, Hashname, PublicKeys};

pub use read::open;
pub use write::seal;

/// Longest plaintext in bytes: 16 MiB for the largest message that the box channel takes, and 64 KiB for its headers.
pub const MAX_PLAINTEXT: usize = 16 * 1024 * 1024 + 64 * 1024;

/// First byte of everything sealed.
const VERSION: u8 = 1;

/// Version and cipher set.
const PREFIX_LENGTH: usize = 2;

/// Longest Noise message in bytes (Noise section 3).
const MAX_NOISE_MESSAGE: usize = 65_535;

/// Length of an AEAD tag, of which every encrypted part has one.
const TAG_LENGTH: usize = 16;

/// What the first message of Noise X has besides its payload: ephemeral key, encrypted static key, tag.
const HANDSHAKE_OVERHEAD: usize = 32 + 32 + TAG_LENGTH + TAG_LENGTH;

/// Keeps sealed messages apart from everything else that Noise is used for with these keys.
const PROLOGUE_LABEL: &[u8] = b"telemesh seal 1\0";

/// What came out of a sealed message.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// Who sealed it. Proven, unless the recipient's own secret key has leaked (see [`seal`]).
    pub sender: Hashname,
    /// The sender's keys as far as the message shows them: one key, and the digests of the rest.
    pub sender_keys: PublicKeys,
    /// What was sealed.
    pub plaintext: Vec<u8>,
}

/// Prints who sealed it and how long it is, not what it says.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("sender", &self.sender)
            .field("length", &self.plaintext.len())
            .finish_non_exhaustive()
    }
}

/// Why a message was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The two endpoints have no cipher set in common.
    #[error("no cipher set in common with the recipient")]
    NoSharedCipherSet,
    /// Of the recipient's key in the highest shared set only the digest is known. Another set will not do: whoever
    /// withheld the key could choose the set.
    #[error("the recipient's key for cipher set {csid} is not known")]
    KeyUnknown {
        /// The highest shared cipher set.
        csid: CipherSetId,
    },
    /// The recipient's key is not an X25519 key, or one of low order.
    #[error("the recipient's key for cipher set {csid} is not valid")]
    InvalidKey {
        /// The highest shared cipher set.
        csid: CipherSetId,
    },
    /// The plaintext is longer than [`MAX_PLAINTEXT`].
    #[error("a message of {length} bytes is too long to be sealed")]
    TooLong {
        /// Length of the plaintext in bytes.
        length: usize,
    },
    /// The Noise implementation failed. It has no reason to.
    #[error("the noise implementation failed")]
    Noise,
}

/// Why something sealed could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is not a sealed message of this version.
    #[error("not a sealed message of a known version")]
    NotSealed,
    /// It is for a cipher set that the recipient has no key for.
    #[error("sealed for cipher set {csid}, for which there is no key")]
    NoKey {
        /// The cipher set it names.
        csid: CipherSetId,
    },
    /// It was sealed for somebody else or in another context, was changed or cut short, or its sender is not who it
    /// says. One error for all of these, so that nobody learns from it which.
    #[error("the sealed message is not authentic")]
    NotAuthentic,
}

/// What both sides mix in first: it ends with the only part of variable length, so no two are alike.
fn prologue(recipient: Hashname, context: &[u8]) -> Vec<u8> {
    [PROLOGUE_LABEL, recipient.as_bytes(), context].concat()
}

#[cfg(test)]
mod tests;
