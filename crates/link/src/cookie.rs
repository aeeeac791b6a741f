//! Cookies: how somebody proves that it is where it claims to be, without the prover or us keeping anything.
//!
//! Only an endpoint that is public by choice gives them, only under load, and only to who has shown no return tag and
//! knows our public key. A cookie packet (type 3) has exactly 64 bytes:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `03 00 00 00` |
//! | 4 | 4 | receiver index: the sender index of the initiation |
//! | 8 | 24 | nonce, random |
//! | 32 | 16 | the cookie, encrypted |
//! | 48 | 16 | tag |
//!
//! The cookie is the first 16 bytes of HMAC-SHA256 over the sender's address, under a secret that changes every two
//! minutes. It is sealed with ChaCha20-Poly1305 under `HMAC-SHA256(SHA-256(label | our public key), nonce)` with a nonce
//! of zeros, as each key is used once; the associated data is mac1 of the initiation. So it can be read by who saw that
//! initiation and knows our public key, and a forged one does not come from somebody who is not on the way.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::{digest, hmac};
use telemesh_wire::PathAddress;
use zeroize::Zeroizing;

use crate::packet::{COOKIE_NONCE_SIZE, Cookie, MAC_SIZE};
use crate::random::LinkRandom;
use crate::rate::Rate;

/// Cookies that a gate gives. Each costs some 4 µs and 64 bytes, so that as many as [`STRANGERS`](crate::STRANGERS)
/// are a hundredth of a core, and the most that can be aimed at a forged address is 128 KB/s.
pub const COOKIES: Rate = Rate { burst: 1_000, per_second: 2_000 };
/// The secret behind the cookies changes this often. The one before still counts, so a cookie is good for at least this.
pub const COOKIE_SECRET_LIFE: Duration = Duration::from_secs(120);

const SECRET_LABEL: &[u8] = b"telemesh cookie secret v1";
const SEAL_LABEL: &[u8] = b"telemesh cookie seal v1";

/// What proves an address.
pub(crate) type CookieBytes = [u8; MAC_SIZE];

/// The gate's side: makes cookies and recognises them.
pub(crate) struct CookieMaker {
    /// The secrets come out of this one, so that nothing is kept per secret and none is known before its time.
    seed: Zeroizing<[u8; 32]>,
    nonces: LinkRandom,
    started: Instant,
}

impl CookieMaker {
    pub(crate) fn new(seed: [u8; 32], now: Instant) -> Self {
        let mut random = LinkRandom::new(seed);
        Self { seed: random.draw(), nonces: random, started: now }
    }

    /// The cookies that count for this address: of the secret now, and of the one before.
    pub(crate) fn valid(&self, now: Instant, from: &PathAddress) -> [Option<CookieBytes>; 2] {
        let epoch = self.epoch(now);
        [Some(self.cookie(epoch, from)), epoch.checked_sub(1).map(|epoch| self.cookie(epoch, from))]
    }

    /// A cookie packet for the sender of the initiation with this sender index and mac1.
    pub(crate) fn packet(
        &mut self,
        now: Instant,
        from: &PathAddress,
        our_public_key: &[u8],
        sender_index: u32,
        mac1: &[u8; MAC_SIZE],
    ) -> Option<Box<[u8]>> {
        let nonce: [u8; COOKIE_NONCE_SIZE] = self.nonces.bytes();
        let mut cookie = self.cookie(self.epoch(now), from);
        let key = seal_key(our_public_key, &nonce)?;
        let tag = key.seal_in_place_separate_tag(zero_nonce(), Aad::from(mac1), &mut cookie).ok()?;
        Some(Cookie::write(sender_index, &nonce, &cookie, tag.as_ref().first_chunk()?))
    }

    fn epoch(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() / COOKIE_SECRET_LIFE.as_secs()
    }

    fn cookie(&self, epoch: u64, from: &PathAddress) -> CookieBytes {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.seed.as_ref()));
        context.update(SECRET_LABEL);
        context.update(&epoch.to_le_bytes());
        let secret = context.sign();
        let cookie = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()), &address_bytes(from));
        cookie.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

/// Opens the cookie that answers an initiation with this mac1 to the owner of the public key.
pub(crate) fn open(packet: &Cookie<'_>, public_key: &[u8], mac1: &[u8; MAC_SIZE]) -> Option<CookieBytes> {
    let mut sealed = *packet.sealed;
    let key = seal_key(public_key, packet.nonce)?;
    let cookie = key.open_in_place(zero_nonce(), Aad::from(mac1), &mut sealed).ok()?;
    cookie.first_chunk().copied()
}

/// Which address is meant, in a form that differs for any two of them: kind, then address and port, or router and circuit.
fn address_bytes(address: &PathAddress) -> Vec<u8> {
    let mut bytes = address.kind().as_bytes().to_vec();
    bytes.push(0);
    if let Some(router) = address.router() {
        bytes.extend_from_slice(router.as_bytes());
    }
    if let PathAddress::Circuit(circuit) = address {
        bytes.extend_from_slice(&circuit.id.to_bytes());
    }
    if let Some(socket) = address.socket_address() {
        match socket.ip().to_canonical() {
            IpAddr::V4(ip) => bytes.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
        }
        bytes.extend_from_slice(&socket.port().to_be_bytes());
    }
    bytes
}

fn seal_key(public_key: &[u8], nonce: &[u8; COOKIE_NONCE_SIZE]) -> Option<LessSafeKey> {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(SEAL_LABEL);
    hash.update(public_key);
    let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, hash.finish().as_ref()), nonce);
    UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok().map(LessSafeKey::new)
}

/// The key is another one for every packet, so its nonce is always the first.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests;
