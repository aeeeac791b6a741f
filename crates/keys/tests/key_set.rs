//! Key sets as a user of the crate sees them.

use rand::SeedableRng;
use rand::rngs::StdRng;
use telemesh_hashname::{CipherSetId, Hashname, KeyDigest, rollup};
use telemesh_keys::{KeySet, KeySetError, SecretKey};

const CS11: CipherSetId = CipherSetId::CS11;
const CS21: CipherSetId = CipherSetId::CS21;

#[test]
fn a_new_endpoint_has_two_cipher_sets_with_different_keys() {
    let keys = KeySet::generate(&mut StdRng::seed_from_u64(1));
    assert_eq!(keys.cipher_sets(), [CS11, CS21]);
    assert_ne!(keys.public().key(CS11), keys.public().key(CS21));
    for csid in [CS11, CS21] {
        let secret = keys.secret(csid).unwrap();
        assert_eq!(keys.public().key(csid), Some(&secret.public()[..]));
    }
    assert!(keys.secret(CipherSetId::new(0x31)).is_none());
}

#[test]
fn the_hashname_is_the_rollup_of_the_public_keys() {
    let keys = KeySet::generate(&mut StdRng::seed_from_u64(2));
    let digests = [CS11, CS21].map(|csid| (csid, KeyDigest::of(keys.secret(csid).unwrap().public())));
    assert_eq!(rollup(digests), Ok(keys.hashname()));
    assert_eq!(keys.public().hashname(), Ok(keys.hashname()));
}

#[test]
fn the_generator_decides_the_keys() {
    let hashname = |seed| KeySet::generate(&mut StdRng::seed_from_u64(seed)).hashname();
    assert_eq!(hashname(3), hashname(3));
    assert_ne!(hashname(3), hashname(4));
}

#[test]
fn a_generator_behind_dyn_serves_too() {
    let mut rng = StdRng::seed_from_u64(5);
    let rng: &mut dyn rand_core::CryptoRng = &mut rng;
    let keys = KeySet::generate(rng);
    let sealed = telemesh_keys::seal(rng, keys.public(), &keys, b"note", b"").unwrap();
    assert_eq!(telemesh_keys::open(&keys, &sealed, b"").unwrap().sender, keys.hashname());
}

#[test]
fn secrets_come_in_any_order() {
    let set = |order: [CipherSetId; 2]| {
        KeySet::from_secrets(order.map(|csid| (csid, SecretKey::from_bytes(&[csid.number(); 32])))).unwrap()
    };
    assert_eq!(set([CS11, CS21]).hashname(), set([CS21, CS11]).hashname());
    assert_eq!(set([CS21, CS11]).cipher_sets(), [CS11, CS21]);
}

#[test]
fn impossible_key_sets_are_refused() {
    let of = |sets: &[(u8, u8)]| {
        let secrets =
            sets.iter().map(|(csid, byte)| (CipherSetId::new(*csid), SecretKey::from_bytes(&[*byte; 32])));
        KeySet::from_secrets(secrets).map(|keys| keys.hashname())
    };
    let csid = CipherSetId::new(0x31);
    assert_eq!(of(&[]), Err(KeySetError::Empty));
    assert_eq!(of(&[(0x11, 1), (0x31, 2)]), Err(KeySetError::UnknownCipherSet { csid }));
    assert_eq!(of(&[(0x11, 1), (0x11, 2)]), Err(KeySetError::Duplicate { csid: CS11 }));
    assert_eq!(of(&[(0x11, 1), (0x21, 1)]), Err(KeySetError::Reused { csid: CS21 }));
    assert!(of(&[(0x21, 1)]).is_ok());
}

#[test]
fn keys_go_through_bytes() {
    let keys = KeySet::generate(&mut StdRng::seed_from_u64(6));
    let read = KeySet::from_bytes(&keys.to_bytes()).unwrap();
    assert_eq!(read.public(), keys.public());
}

#[test]
fn debug_prints_only_whose_keys_these_are() {
    let keys = KeySet::generate(&mut StdRng::seed_from_u64(7));
    assert_eq!(format!("{keys:?}"), format!("KeySet({})", keys.hashname().short()));
    assert_eq!(format!("{:#?}", keys.secret(CS11).unwrap()), "SecretKey(..)");
}

/// telemesh-link shares keys between tasks and hands them to snow, which wants this.
#[test]
fn keys_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<KeySet>();
    shared::<SecretKey>();
    shared::<Hashname>();
}
