//! mac1 and mac2: the keyed checksums at the end of handshake packets. They are checked before any Diffie-Hellman.
//!
//! The key of an initiation's mac1 comes from the responder's public key, so who does not know that key cannot make an
//! endpoint do any work. The key of a response's mac1 was named inside the initiation, so nobody else can recognise what
//! answers it. There is no clock in either.
//!
//! mac2 is in initiations only, under a key that the responder has given out before: that of a return tag, which says
//! that the sender is a known peer, or a cookie, which says that it is where it claims to be.

use ring::hmac;
use subtle::ConstantTimeEq as _;

use crate::packet::{self, MAC_SIZE};

const INITIATION_LABEL: &[u8] = b"telemesh mac1 initiation v1";
const RESPONSE_LABEL: &[u8] = b"telemesh mac1 response v1";

/// A key for mac1: HMAC-SHA256, cut to 16 bytes.
#[derive(Clone)]
pub(crate) struct Mac1Key(hmac::Key);

impl Mac1Key {
    /// The key for initiations that go to the owner of a public key.
    pub(crate) fn for_initiations_to(public_key: &[u8]) -> Self {
        Self::derive(INITIATION_LABEL, public_key)
    }

    /// The key for the response to the initiation that named this key.
    pub(crate) fn for_response(named: &[u8; 16]) -> Self {
        Self::derive(RESPONSE_LABEL, named)
    }

    fn derive(label: &[u8], material: &[u8]) -> Self {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        hash.update(label);
        hash.update(material);
        Self(hmac::Key::new(hmac::HMAC_SHA256, hash.finish().as_ref()))
    }

    fn mac(&self, covered: &[u8]) -> [u8; MAC_SIZE] {
        mac(&self.0, covered)
    }

    /// Writes mac1 into a handshake packet that is otherwise complete, and returns it.
    pub(crate) fn write(&self, packet: &mut [u8]) -> [u8; MAC_SIZE] {
        let Some((covered, place)) = packet::split_mac1(packet) else { return [0; MAC_SIZE] };
        *place = self.mac(covered);
        *place
    }

    /// Whether `mac1` is right, in constant time.
    pub(crate) fn verify(&self, covered: &[u8], mac1: &[u8; MAC_SIZE]) -> bool {
        self.mac(covered).ct_eq(mac1).into()
    }
}

/// Writes return id and mac2 into an initiation that is otherwise complete.
pub(crate) fn write_mac2(key: &[u8], return_id: u64, packet: &mut [u8]) {
    if let Some((covered, place)) = packet::split_mac2(packet, return_id) {
        *place = mac(&hmac::Key::new(hmac::HMAC_SHA256, key), covered);
    }
}

/// Whether `mac2` is right, in constant time.
pub(crate) fn verify_mac2(key: &[u8], covered: &[u8], mac2: &[u8; MAC_SIZE]) -> bool {
    mac(&hmac::Key::new(hmac::HMAC_SHA256, key), covered).ct_eq(mac2).into()
}

fn mac(key: &hmac::Key, covered: &[u8]) -> [u8; MAC_SIZE] {
    hmac::sign(key, covered).as_ref().first_chunk().copied().unwrap_or_default()
}
