//! What a set of public keys takes, refuses and answers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use telemesh_hashname::{
    CipherSetId, InsertError, KeyDigest, MAX_CIPHER_SETS, MAX_KEY_LENGTH, PublicKeys, RollupError,
};

const CS11: CipherSetId = CipherSetId::CS11;
const CS21: CipherSetId = CipherSetId::CS21;
const CS31: CipherSetId = CipherSetId::new(0x31);

#[test]
fn no_keys_have_no_hashname() {
    let keys = PublicKeys::new();
    assert!(keys.is_empty());
    assert_eq!(keys.hashname(), Err(RollupError::Empty));
    assert_eq!(keys.highest_shared(&[CS11, CS21]), None);
}

#[test]
fn keys_have_1_to_256_bytes() {
    let mut keys = PublicKeys::new();
    for length in [0, MAX_KEY_LENGTH + 1, 65_507] {
        assert_eq!(keys.insert_key(CS11, &vec![0; length]), Err(InsertError::KeyLength { length }));
        assert!(keys.is_empty());
    }
    keys.insert_key(CS11, &[0; 1]).unwrap();
    keys.insert_key(CS21, &[0; MAX_KEY_LENGTH]).unwrap();
}

#[test]
fn eight_cipher_sets_fit_and_nine_do_not() {
    let mut keys = PublicKeys::new();
    for number in (1..=8).rev() {
        keys.insert_key(CipherSetId::new(number), &[number]).unwrap();
    }
    assert_eq!(keys.len(), MAX_CIPHER_SETS);
    let before = keys.clone();
    assert_eq!(keys.insert_key(CS11, &[9]), Err(InsertError::TooMany));
    assert_eq!(keys.insert_digest(CS11, KeyDigest::of(&[9])), Err(InsertError::TooMany));
    // What is there already is still told apart from what does not fit.
    assert_eq!(
        keys.insert_key(CipherSetId::new(8), &[8]),
        Err(InsertError::Duplicate { csid: CipherSetId::new(8) })
    );
    assert_eq!(keys, before);
}

#[test]
fn a_digest_is_completed_by_its_key() {
    let mut keys = PublicKeys::new();
    keys.insert_digest(CS21, KeyDigest::of(b"key")).unwrap();
    assert_eq!(keys.key(CS21), None);
    let hashname = keys.hashname();

    keys.insert_key(CS21, b"key").unwrap();

    assert_eq!(keys.key(CS21), Some(&b"key"[..]));
    assert_eq!(keys.digest(CS21), Some(KeyDigest::of(b"key")));
    assert_eq!(keys.hashname(), hashname);
    assert_eq!(keys.len(), 1);
}

#[test]
fn nothing_is_replaced() {
    let mut keys = PublicKeys::new();
    keys.insert_key(CS11, b"mine").unwrap();
    keys.insert_digest(CS21, KeyDigest::of(b"also mine")).unwrap();
    let before = keys.clone();

    let other = KeyDigest::of(b"other");
    assert_eq!(keys.insert_key(CS11, b"other"), Err(InsertError::Mismatch { csid: CS11 }));
    assert_eq!(keys.insert_digest(CS11, other), Err(InsertError::Mismatch { csid: CS11 }));
    assert_eq!(keys.insert_key(CS21, b"other"), Err(InsertError::Mismatch { csid: CS21 }));
    assert_eq!(keys.insert_digest(CS21, other), Err(InsertError::Mismatch { csid: CS21 }));
    assert_eq!(keys.insert_key(CS11, b"mine"), Err(InsertError::Duplicate { csid: CS11 }));
    assert_eq!(keys.insert_digest(CS11, KeyDigest::of(b"mine")), Err(InsertError::Duplicate { csid: CS11 }));
    assert_eq!(
        keys.insert_digest(CS21, KeyDigest::of(b"also mine")),
        Err(InsertError::Duplicate { csid: CS21 })
    );

    assert_eq!(keys, before);
}

#[test]
fn the_highest_shared_set_counts_digests_and_unknown_sets() {
    let mut keys = PublicKeys::new();
    keys.insert_key(CS11, b"a").unwrap();
    keys.insert_digest(CS21, KeyDigest::of(b"b")).unwrap();
    keys.insert_digest(CS31, KeyDigest::of(b"c")).unwrap();

    assert_eq!(keys.highest_shared(&[CS11, CS21]), Some(CS21));
    assert_eq!(keys.highest_shared(&[CS21, CS11]), Some(CS21), "the order of ours does not matter");
    assert_eq!(keys.highest_shared(&[CS11]), Some(CS11));
    assert_eq!(keys.highest_shared(&[CS31, CS11]), Some(CS31));
    assert_eq!(keys.highest_shared(&[CipherSetId::new(0x41)]), None);
    assert_eq!(keys.highest_shared(&[]), None);
}

#[test]
fn debug_shows_what_is_known_and_no_bytes() {
    let mut keys = PublicKeys::new();
    keys.insert_key(CS11, b"a").unwrap();
    keys.insert_digest(CS21, KeyDigest::of(b"b")).unwrap();
    assert_eq!(format!("{keys:?}"), "{CS11(key), CS21(digest)}");
}

proptest! {
    /// Against a map that is filled in the same order: the first entry of each cipher set is kept.
    #[test]
    fn insertion_order_does_not_matter(
        entries in prop::collection::btree_map(any::<u8>(), (prop::collection::vec(any::<u8>(), 1..40), any::<bool>()), 1..=8),
        seed in any::<prop::sample::Index>(),
    ) {
        let expected: BTreeMap<_, _> = entries;
        let mut order: Vec<_> = expected.iter().collect();
        order.rotate_left(seed.index(expected.len()));

        let mut keys = PublicKeys::new();
        for (csid, (key, whole)) in order {
            let csid = CipherSetId::new(*csid);
            if *whole {
                keys.insert_key(csid, key).unwrap();
            } else {
                keys.insert_digest(csid, KeyDigest::of(key)).unwrap();
            }
        }

        let listed: Vec<_> = keys.iter().map(|key| (key.cipher_set().number(), key.digest(), key.key().is_some())).collect();
        let wanted: Vec<_> = expected.iter().map(|(csid, (key, whole))| (*csid, KeyDigest::of(key), *whole)).collect();
        prop_assert_eq!(listed, wanted);
        for (csid, (key, whole)) in &expected {
            let csid = CipherSetId::new(*csid);
            prop_assert_eq!(keys.key(csid), whole.then_some(key.as_slice()));
            prop_assert_eq!(keys.digest(csid), Some(KeyDigest::of(key)));
        }

        let mut complete = PublicKeys::new();
        for (csid, (key, _)) in &expected {
            complete.insert_key(CipherSetId::new(*csid), key).unwrap();
        }
        prop_assert_eq!(complete.hashname(), keys.hashname());
    }
}
