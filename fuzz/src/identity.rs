//! Hashnames, key files and sealed messages.

use std::sync::LazyLock;

use rand::SeedableRng;
use rand::rngs::StdRng;
use telemesh_hashname::{CipherSetId, Hashname, KeyDigest, MAX_CIPHER_SETS, PublicKeys, base32, rollup};
use telemesh_keys::{KeySet, open, seal};

use crate::input::Input;

/// Text that is read has one spelling, and is written in it.
pub fn hashname(data: &[u8]) {
    if let Ok(bytes) = <[u8; 32]>::try_from(data) {
        let hashname = Hashname::from_bytes(bytes);
        assert_eq!(hashname.to_string().parse(), Ok(hashname));
        assert!(hashname.to_string().starts_with(&hashname.short().to_string()));
    }
    assert_eq!(base32::decode(&base32::encode(data)).as_deref(), Ok(data));
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(bytes) = base32::decode(text) {
        assert_eq!(base32::encode(&bytes), text);
    }
    if let Ok(hashname) = text.parse::<Hashname>() {
        assert_eq!(hashname.to_string(), text);
    }
    if let Ok(csid) = text.parse::<CipherSetId>() {
        assert_eq!(csid.to_string(), text);
    }
    let quoted = serde_json::Value::from(text);
    assert_eq!(serde_json::from_value::<Hashname>(quoted.clone()).ok(), text.parse().ok());
    assert_eq!(serde_json::from_value::<CipherSetId>(quoted).ok(), text.parse().ok());
}

/// A hashname depends on the keys and on nothing else: not on their order, nor on whether they or their digests are known.
pub fn rollup_of_keys(data: &[u8]) {
    let mut input = Input::new(data);
    let mut keys = PublicKeys::new();
    let mut listed = Vec::new();
    while !input.is_empty() {
        let (csid, length) = (CipherSetId::new(input.byte()), usize::from(input.byte()));
        let before = keys.clone();
        let digest = if length == 0 {
            let digest = KeyDigest::from_bytes(input.array());
            keys.insert_digest(csid, digest).map(|()| digest)
        } else {
            // One more than a byte can say is the longest key, and two more are too long.
            let more = usize::from(input.byte() % 3);
            let key = input.bytes(length + more);
            keys.insert_key(csid, key).map(|()| KeyDigest::of(key))
        };
        match digest {
            Ok(digest) => assert_eq!(keys.digest(csid), Some(digest)),
            Err(_) => assert_eq!(keys, before, "a refusal changes nothing"),
        }
        if let Ok(digest) = digest {
            listed.push((csid, digest));
        }
    }
    assert!(keys.len() <= MAX_CIPHER_SETS);
    assert!(keys.cipher_sets().is_sorted());
    assert_eq!(keys.hashname(), rollup(keys.iter().map(|key| (key.cipher_set(), key.digest()))));

    let mut again = PublicKeys::new();
    for (csid, digest) in listed.iter().rev() {
        // The second time it is there already: it came as a digest first and as a key later.
        let _ = again.insert_digest(*csid, *digest);
    }
    assert_eq!(again.hashname(), keys.hashname());
    // A list as it comes, in any order: an error or the same name.
    if let Ok(hashname) = rollup(listed) {
        assert_eq!(Ok(hashname), keys.hashname());
    }
}

/// One key set has one text.
pub fn key_file(data: &[u8]) {
    if let Ok(keys) = KeySet::from_bytes(data) {
        assert_eq!(keys.to_bytes().as_slice(), data);
        assert_eq!(keys.public().hashname(), Ok(keys.hashname()));
    }
}

/// What was sealed comes out of the envelope; nothing that was changed in any bit does, nor anything made up.
pub fn sealed(data: &[u8]) {
    let [alice, bob] = &*PAIR;
    let mut input = Input::new(data);
    if input.flag() {
        let (context, envelope) = (input.counted(), input.all());
        assert!(open(bob, envelope, context).is_err(), "nobody sealed this");
        return;
    }
    let mut rng = StdRng::seed_from_u64(input.number());
    let (plaintext, context) = (input.counted(), input.counted());
    let Ok(envelope) = seal(&mut rng, bob.public(), alice, plaintext, context) else {
        panic!("two key sets of the same kind can seal for each other")
    };
    let mut changed = envelope.clone();
    let cut = input.choice(changed.len() + 1);
    if input.flag() {
        changed.truncate(cut);
    }
    while !input.is_empty() {
        let place = input.choice(changed.len() + 1);
        match changed.get_mut(place) {
            Some(byte) => *byte ^= input.byte(),
            None => changed.push(input.byte()),
        }
    }
    match open(bob, &changed, context) {
        Ok(opened) => {
            assert_eq!(changed, envelope, "a changed envelope was opened");
            assert_eq!((opened.plaintext.as_slice(), opened.sender), (plaintext, alice.hashname()));
        }
        Err(_) => assert_ne!(changed, envelope, "an envelope was not opened"),
    }
    assert!(open(alice, &envelope, context).is_err(), "it is for somebody else");
}

/// Two endpoints whose keys are always the same.
static PAIR: LazyLock<[KeySet; 2]> =
    LazyLock::new(|| [1, 2].map(|seed| KeySet::generate(&mut StdRng::seed_from_u64(seed))));
