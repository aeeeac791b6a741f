//! Tickets of a router, and introductions that it cannot read.
//!
//! A ticket says for which of the router's peers it was issued and until when; only the router can read it, and it tells nobody
//! else anything. It is a nonce (12 bytes) and, sealed with ChaCha20-Poly1305, the peer's hashname (32) and the end in seconds
//! since 1970 (8, little-endian): 68 bytes. The key follows from the router's own keys, so that tickets outlive a restart.
//!
//! A sealed introduction is a nonce (12) and a link JSON under a key that follows from an invite's secret: whoever leads to the
//! issuer of the invite can neither read it nor put anybody else's keys in.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use telemesh_hashname::Hashname;

use crate::identity::Identity;

/// Bytes of a ticket.
pub const TICKET_SIZE: usize = NONCE_LEN + TICKET_BODY + TAG;

const TICKET_BODY: usize = 32 + 8;
const TAG: usize = 16;
const TICKET_LABEL: &[u8] = b"telemesh router ticket v1";
const INTRODUCTION_LABEL: &[u8] = b"telemesh introduction v1";

/// What a router issues tickets with.
pub struct TicketKey(Option<LessSafeKey>);

impl TicketKey {
    /// The key of this endpoint, the same after every start.
    ///
    /// It follows from the agreement of the endpoint's key with itself, which nobody else can compute.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        let shared = identity.cipher_sets().first().and_then(|csid| {
            let secret = identity.secret(*csid)?;
            secret.agree(secret.public()).ok()
        });
        Self(shared.and_then(|shared| derived(shared.as_bytes(), TICKET_LABEL)))
    }

    /// A ticket that leads to this peer until then, in seconds since 1970. The nonce is random.
    #[must_use]
    pub fn issue(&self, peer: &Hashname, until: u64, nonce: [u8; NONCE_LEN]) -> Option<Vec<u8>> {
        let body = [peer.as_bytes().as_slice(), &until.to_le_bytes()].concat();
        seal(self.0.as_ref()?, nonce, body)
    }

    /// To whom a ticket leads; `None` if it is not ours, or has expired by this time in seconds since 1970.
    #[must_use]
    pub fn open(&self, ticket: &[u8], now: u64) -> Option<Hashname> {
        if ticket.len() != TICKET_SIZE {
            return None;
        }
        let body = open(self.0.as_ref()?, ticket)?;
        let (peer, until) = body.split_first_chunk::<32>()?;
        let until = u64::from_le_bytes(until.try_into().ok()?);
        (now < until).then(|| Hashname::from_bytes(*peer))
    }
}

/// Seals an introduction for whoever has issued the invite with this secret. The nonce is random.
#[must_use]
pub fn seal_introduction(secret: &[u8; 32], nonce: [u8; NONCE_LEN], body: &[u8]) -> Option<Vec<u8>> {
    seal(&derived(secret, INTRODUCTION_LABEL)?, nonce, body.to_vec())
}

/// Opens an introduction that was sealed with the secret of this invite.
#[must_use]
pub fn open_introduction(secret: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
    open(&derived(secret, INTRODUCTION_LABEL)?, sealed)
}

fn derived(secret: &[u8; 32], label: &[u8]) -> Option<LessSafeKey> {
    let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), label);
    UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok().map(LessSafeKey::new)
}

fn seal(key: &LessSafeKey, nonce: [u8; NONCE_LEN], mut body: Vec<u8>) -> Option<Vec<u8>> {
    let tag =
        key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body).ok()?;
    Some([nonce.as_slice(), &body, tag.as_ref()].concat())
}

fn open(key: &LessSafeKey, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, body) = sealed.split_first_chunk()?;
    let mut body = body.to_vec();
    let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut body).ok()?;
    Some(opened.to_vec())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use telemesh_keys::KeySet;

    use super::*;

    fn router(seed: u8) -> TicketKey {
        let keys = KeySet::generate(&mut rand::rngs::StdRng::from_seed([seed; 32]));
        TicketKey::of(&Identity::new(keys, u64::from(seed), 1).unwrap())
    }

    const PEER: Hashname = Hashname::from_bytes([7; 32]);

    #[test]
    fn a_ticket_leads_to_its_peer_until_it_expires_and_only_at_its_router() {
        let ticket = router(1).issue(&PEER, 1_000, [1; 12]).unwrap();
        assert_eq!(ticket.len(), TICKET_SIZE);
        assert_eq!(router(1).open(&ticket, 999), Some(PEER), "also after a restart");
        assert_eq!(router(1).open(&ticket, 1_000), None);
        assert_eq!(router(2).open(&ticket, 0), None);
    }

    #[test]
    fn a_ticket_that_was_changed_anywhere_is_none() {
        let ticket = router(1).issue(&PEER, 1_000, [1; 12]).unwrap();
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(router(1).open(&changed, 0), None, "byte {place}");
            assert_eq!(router(1).open(&ticket[..place], 0), None);
        }
        assert!(!ticket.windows(8).any(|window| window == [7; 8]), "it shows nothing");
    }

    #[test]
    fn an_introduction_opens_with_its_secret_only() {
        let sealed = seal_introduction(&[1; 32], [2; 12], b"who I am").unwrap();
        assert_eq!(open_introduction(&[1; 32], &sealed).as_deref(), Some(&b"who I am"[..]));
        assert_eq!(open_introduction(&[2; 32], &sealed), None);
        assert_eq!(open_introduction(&[1; 32], &sealed[..11]), None);
    }
}
