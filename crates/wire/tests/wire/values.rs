//! Values that several modules use.

use telemesh_hashname::{CipherSetId, PublicKeys};
use telemesh_wire::{Credential, Hello, KeyDigests, ResponseMacKey};

/// An endpoint with both of today's cipher sets.
pub(crate) fn keys() -> PublicKeys {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS11, &[0x11; 32]).unwrap();
    keys.insert_key(CipherSetId::CS21, &[0x22; 32]).unwrap();
    keys
}

/// An endpoint with as many cipher sets as there can be, and the longest keys.
pub(crate) fn most_keys() -> PublicKeys {
    let mut keys = PublicKeys::new();
    for number in 0xf8..=0xff {
        keys.insert_key(CipherSetId::new(number), &[number; 256]).unwrap();
    }
    keys
}

pub(crate) fn hello() -> Hello {
    Hello {
        keys: KeyDigests::of(&keys()).unwrap(),
        at: 1_700_000_000_000_000,
        incarnation: 0x0123_4567_89ab_cdef,
        engine_version: 1,
        features: 5,
        credential: Credential::new(b"proof".to_vec()).unwrap(),
        response_mac_key: ResponseMacKey::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    }
}

/// A Hello in which every field takes the most room it can.
pub(crate) fn largest_hello() -> Hello {
    Hello {
        keys: KeyDigests::of(&most_keys()).unwrap(),
        at: u64::MAX,
        incarnation: u64::MAX,
        engine_version: u32::MAX,
        features: u64::MAX,
        credential: Credential::new(vec![0xff; 512]).unwrap(),
        response_mac_key: ResponseMacKey::from_bytes([0xff; 16]),
    }
}
