//! The link's own random generator, from the seed that it is made with.
//!
//! A link draws rarely (a token per probe, a key per handshake) but there may be thousands of links, so the generator is
//! 32 bytes: HMAC-SHA256 under a key that is replaced on every draw, so that what was drawn before cannot be computed
//! from what is in memory now ("fast key erasure").

use std::time::Duration;

use ring::hmac;
use zeroize::{Zeroize as _, Zeroizing};

/// A deterministic generator: the same seed gives the same bytes.
pub(crate) struct LinkRandom {
    key: Zeroizing<[u8; 32]>,
}

impl LinkRandom {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { key: Zeroizing::new(seed) }
    }

    /// 32 fresh bytes.
    pub(crate) fn draw(&mut self) -> Zeroizing<[u8; 32]> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.as_ref());
        let out = hmac::sign(&key, b"output");
        let next = hmac::sign(&key, b"next key");
        self.key.zeroize();
        self.key.copy_from_slice(next.as_ref());
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(out.as_ref());
        bytes
    }

    /// `N` fresh bytes, at most 32.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= 32, "one draw gives 32 bytes") };
        self.draw().first_chunk().copied().unwrap_or([0; N])
    }

    /// A duration from `base` to a quarter above it, so that many links do not all act at the same moment.
    pub(crate) fn jittered(&mut self, base: Duration) -> Duration {
        let [a, b] = self.bytes();
        base + base * u32::from(u16::from_le_bytes([a, b])) / (4 * u32::from(u16::MAX))
    }
}
