//! Connection ids by which a socket tells wanted packets from all others, without keeping anything.
//!
//! A dialler chooses the first destination id of a connection ([RFC 9000, section 7.2]). Ours is a *dial id*: random bytes
//! and a MAC over them, under a key that follows from the listener's public key. So nobody who does not know that key can
//! make the listener answer. All later packets carry an id that the receiver chose itself: those are *local ids*, with a MAC
//! under a key that the socket drew when it was opened.
//!
//! [RFC 9000, section 7.2]: https://www.rfc-editor.org/rfc/rfc9000#section-7.2

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::InvalidCid;
use ring::{
    digest::{self, SHA256},
    error::Unspecified,
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use telemesh_hashname::PublicKeys;

/// Bytes of a dial id: the longest connection id that QUIC version 1 has.
pub(crate) const DIAL_ID_LENGTH: usize = 20;

/// Random bytes of a dial id; the other twelve are the MAC. Two dials never have the same, and guessing the MAC is hopeless.
const DIAL_NONCE: usize = 8;

/// Bytes of a local id. It is in every packet, so it is short; a stranger's packet passes the socket's filter once in four
/// thousand million tries, and then meets quinn, which knows no such connection and is told not to answer.
pub(crate) const LOCAL_ID_LENGTH: usize = 8;

/// Unpredictable bytes of a local id; the other four are the MAC.
const LOCAL_NONCE: usize = 4;

/// What the keys for dial ids are derived with, so that they serve for nothing else.
const DIAL_LABEL: &[u8] = b"telemesh quic dial id 1";

/// Recognises and makes the ids of dials to the endpoint with one public key.
#[derive(Clone)]
pub(crate) struct DialKey {
    mac: hmac::Key,
    /// Tells keys apart.
    digest: [u8; 32],
}

impl DialKey {
    /// The key that follows from a public key of the listener's.
    fn of(public_key: &[u8]) -> Self {
        let mut context = digest::Context::new(&SHA256);
        context.update(DIAL_LABEL);
        context.update(public_key);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self { mac: hmac::Key::new(hmac::HMAC_SHA256, &bytes), digest: bytes }
    }

    /// The keys that follow from what is known of a listener's public keys, the highest cipher set first. Digests give none.
    pub(crate) fn all(keys: &PublicKeys) -> Vec<Self> {
        keys.iter().rev().filter_map(|key| key.key()).map(Self::of).collect()
    }

    /// A dial id that nobody has used before.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub(crate) fn draw(&self) -> Result<ConnectionId, Unspecified> {
        let mut nonce = [0; DIAL_NONCE];
        SystemRandom::new().fill(&mut nonce)?;
        Ok(join::<DIAL_ID_LENGTH>(&nonce, hmac::sign(&self.mac, &nonce).as_ref()))
    }

    /// Whether somebody made this id who knows the public key.
    pub(crate) fn recognises(&self, id: &[u8]) -> bool {
        id.len() == DIAL_ID_LENGTH
            && id.split_at_checked(DIAL_NONCE).is_some_and(|(nonce, mac)| is_mac(&self.mac, nonce, mac))
    }
}

impl PartialEq for DialKey {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// Whoever knows a listener's dial key can make it answer, so it is not shown.
impl fmt::Debug for DialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DialKey")
    }
}

/// Makes and recognises the ids that a socket of ours gives its connections.
pub(crate) struct LocalIds {
    mac: hmac::Key,
    nonces: hmac::Key,
    made: AtomicU64,
}

impl LocalIds {
    /// With keys of their own.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub(crate) fn new() -> Result<Arc<Self>, Unspecified> {
        let random = SystemRandom::new();
        Ok(Arc::new(Self {
            mac: hmac::Key::generate(hmac::HMAC_SHA256, &random)?,
            nonces: hmac::Key::generate(hmac::HMAC_SHA256, &random)?,
            made: AtomicU64::new(0),
        }))
    }

    /// The next id. Nobody can tell that two of them belong together.
    fn draw(&self) -> ConnectionId {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let random = hmac::sign(&self.nonces, &number.to_be_bytes());
        let nonce = random.as_ref().get(..LOCAL_NONCE).unwrap_or_default();
        join::<LOCAL_ID_LENGTH>(nonce, hmac::sign(&self.mac, nonce).as_ref())
    }

    /// Whether it is one of ours; the connection may be gone.
    pub(crate) fn recognises(&self, id: &[u8]) -> bool {
        id.len() == LOCAL_ID_LENGTH
            && id.split_at_checked(LOCAL_NONCE).is_some_and(|(nonce, mac)| is_mac(&self.mac, nonce, mac))
    }
}

impl fmt::Debug for LocalIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalIds")
    }
}

/// What quinn asks for local ids.
pub(crate) struct Generator(pub(crate) Arc<LocalIds>);

impl ConnectionIdGenerator for Generator {
    fn generate_cid(&mut self) -> ConnectionId {
        self.0.draw()
    }

    /// Quinn asks this of a packet for which it has no connection, before it answers with a stateless reset
    /// ([RFC 9000, section 10.3]). There is no answer that we want to give, so every id is refused.
    ///
    /// [RFC 9000, section 10.3]: https://www.rfc-editor.org/rfc/rfc9000#section-10.3
    fn validate(&self, _id: &ConnectionId) -> Result<(), InvalidCid> {
        Err(InvalidCid)
    }

    fn cid_len(&self) -> usize {
        LOCAL_ID_LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The first bytes of both, `LENGTH` in all.
fn join<const LENGTH: usize>(nonce: &[u8], mac: &[u8]) -> ConnectionId {
    let mut id = [0; LENGTH];
    for (to, from) in id.iter_mut().zip(nonce.iter().chain(mac)) {
        *to = *from;
    }
    ConnectionId::new(&id)
}

/// Whether `mac` is the beginning of the MAC of `nonce`. The comparison takes the same time wherever they differ.
fn is_mac(key: &hmac::Key, nonce: &[u8], mac: &[u8]) -> bool {
    let right = hmac::sign(key, nonce);
    let right = right.as_ref().get(..mac.len()).unwrap_or_default();
    right.len() == mac.len() && right.iter().zip(mac).fold(0, |wrong, (a, b)| wrong | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use telemesh_hashname::CipherSetId;

    use super::*;

    fn keys(first: u8) -> PublicKeys {
        let mut keys = PublicKeys::new();
        keys.insert_key(CipherSetId::CS11, &[first; 32]).unwrap();
        keys.insert_key(CipherSetId::CS21, &[first + 1; 32]).unwrap();
        keys
    }

    #[test]
    fn a_dial_is_recognised_by_its_listener_and_by_nobody_else() {
        let (ours, others) = (DialKey::all(&keys(1)), DialKey::all(&keys(7)));
        for key in &ours {
            let id = key.draw().unwrap();
            assert_eq!(ours.iter().filter(|key| key.recognises(&id)).count(), 1);
            assert!(!others.iter().any(|key| key.recognises(&id)));
        }
    }

    #[test]
    fn every_flipped_bit_of_a_dial_id_is_noticed() {
        let key = &DialKey::all(&keys(1))[0];
        let id = key.draw().unwrap();
        for bit in 0..DIAL_ID_LENGTH * 8 {
            let mut wrong = id.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.recognises(&wrong), "bit {bit}");
        }
        for length in 0..DIAL_ID_LENGTH {
            assert!(!key.recognises(&id[..length]), "cut to {length}");
        }
    }

    #[test]
    fn a_dial_id_is_the_one_in_the_protocol_page() {
        let mut keys = PublicKeys::new();
        keys.insert_key(CipherSetId::CS11, &[7; 32]).unwrap();
        let id = "0102030405060708b74be436bff7d8f94292a368";
        let bytes: Vec<u8> =
            (0..DIAL_ID_LENGTH).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap()).collect();
        assert!(DialKey::all(&keys)[0].recognises(&bytes));
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/PROTOCOL.md");
        assert!(std::fs::read_to_string(page).unwrap().contains(id));
    }

    #[test]
    fn two_dials_have_nothing_in_common() {
        let key = &DialKey::all(&keys(1))[0];
        assert_ne!(key.draw().unwrap(), key.draw().unwrap());
    }

    #[test]
    fn the_digest_of_a_key_is_not_enough_to_dial() {
        let mut known = PublicKeys::new();
        for key in keys(1).iter() {
            known.insert_digest(key.cipher_set(), key.digest()).unwrap();
        }
        assert!(DialKey::all(&known).is_empty());
    }

    #[test]
    fn a_socket_knows_its_own_ids() {
        let (ours, others) = (LocalIds::new().unwrap(), LocalIds::new().unwrap());
        let mut drawn = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let id = ours.draw();
            assert!(ours.recognises(&id) && !others.recognises(&id));
            drawn.insert(id);
        }
        assert_eq!(drawn.len(), 1_000);
        let mut wrong = ours.draw().to_vec();
        wrong[LOCAL_ID_LENGTH - 1] ^= 1;
        assert!(!ours.recognises(&wrong) && !ours.recognises(&wrong[..7]) && !ours.recognises(&[]));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(
            format!("{:?} {:?}", DialKey::all(&keys(1))[0], LocalIds::new().unwrap()),
            "DialKey LocalIds"
        );
    }
}
