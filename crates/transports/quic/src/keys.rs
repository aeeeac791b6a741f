//! Whose keys to expect at which address.

use std::{collections::HashMap, net::SocketAddr};

use telemesh_hashname::PublicKeys;

use crate::{
    ids::DialKey,
    limits::{MAX_EXPECTED, MAX_KEYS_PER_ADDRESS},
};

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct ExpectedKeys(HashMap<SocketAddr, Claims>);

/// Those who are said to be at one address.
#[derive(Debug, Default)]
struct Claims {
    keys: Vec<DialKey>,
    /// Which one is tried next. It stays where it is while dials succeed.
    next: usize,
}

impl ExpectedKeys {
    /// Somebody with these keys may be there.
    pub(crate) fn add(&mut self, address: SocketAddr, keys: &PublicKeys) {
        // One key is as good as another: a listener recognises all of its own.
        let Some(key) = DialKey::all(keys).into_iter().next() else { return };
        if self.0.len() >= MAX_EXPECTED
            && !self.0.contains_key(&address)
            && let Some(some) = self.0.keys().next().copied()
        {
            self.0.remove(&some);
        }
        let claims = self.0.entry(address).or_default();
        if claims.keys.contains(&key) {
            return;
        }
        if claims.keys.len() < MAX_KEYS_PER_ADDRESS {
            claims.keys.push(key);
            return;
        }
        // Not the one that is tried next: it may be the one that has worked.
        let place = (claims.next + 1) % MAX_KEYS_PER_ADDRESS;
        if let Some(old) = claims.keys.get_mut(place) {
            *old = key;
        }
    }

    /// The key to try now.
    pub(crate) fn current(&self, address: SocketAddr) -> Option<DialKey> {
        let claims = self.0.get(&address)?;
        claims.keys.get(claims.next).cloned()
    }

    /// The key that was tried got no answer.
    pub(crate) fn failed(&mut self, address: SocketAddr) {
        if let Some(claims) = self.0.get_mut(&address) {
            claims.next = (claims.next + 1) % claims.keys.len().max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use telemesh_hashname::CipherSetId;

    use super::*;

    fn keys(first: u8) -> PublicKeys {
        let mut keys = PublicKeys::new();
        keys.insert_key(CipherSetId::CS11, &[first; 32]).unwrap();
        keys
    }

    fn key(first: u8) -> DialKey {
        DialKey::all(&keys(first)).remove(0)
    }

    fn at() -> SocketAddr {
        ([192, 0, 2, 1], 443).into()
    }

    #[test]
    fn a_false_claim_does_not_displace_a_true_one() {
        let mut expected = ExpectedKeys::default();
        assert_eq!(expected.current(at()), None);
        expected.add(at(), &keys(1));
        expected.add(at(), &keys(2));
        expected.add(at(), &keys(1));
        assert_eq!(expected.current(at()), Some(key(1)));
        expected.failed(at());
        assert_eq!(expected.current(at()), Some(key(2)));
        expected.failed(at());
        assert_eq!(expected.current(at()), Some(key(1)));
        for claim in 3..100 {
            expected.add(at(), &keys(claim));
            assert_eq!(expected.current(at()), Some(key(1)), "it works, so it stays");
        }
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let mut expected = ExpectedKeys::default();
        for address in 0..u32::try_from(MAX_EXPECTED).unwrap() + 10 {
            expected.add(SocketAddr::new(std::net::Ipv4Addr::from(address).into(), 443), &keys(1));
        }
        assert_eq!(expected.0.len(), MAX_EXPECTED);
    }

    #[test]
    fn without_a_key_there_is_nothing_to_try() {
        let mut expected = ExpectedKeys::default();
        expected.add(at(), &PublicKeys::new());
        assert_eq!(expected.current(at()), None);
    }
}
