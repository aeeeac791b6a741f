//! Published vectors: hashnames from telehash, base32 from RFC 4648.

#![allow(
    clippy::expect_used,
    reason = "clippy sees tests only in functions marked as such, not in their helpers"
)]

use telemesh_hashname::{CipherSetId, Hashname, KeyDigest, PublicKeys, base32, rollup};

/// A pair of keys (cipher sets 1a and 3a, which telehash uses) and the hashname they make.
struct Vector {
    key_1a: &'static str,
    key_3a: &'static str,
    hashname: &'static str,
}

const TELEHASH: [Vector; 2] = [
    Vector {
        key_1a: "an7lbl5e6vk4ql6nblznjicn5rmf3lmzlm",
        key_3a: "eg3fxjnjkz763cjfnhyabeftyf75m2s4gll3gvmuacegax5h6nia",
        hashname: "27ywx5e5ylzxfzxrhptowvwntqrd3jhksyxrfkzi6jfn64d3lwxa",
    },
    Vector {
        key_1a: "vgjz3yjb6cevxjomdleilmzasbj6lcc7",
        key_3a: "hp6yglmmqwcbw5hno37uauh6fn6dx5oj7s5vtapaifrur2jv6zha",
        hashname: "jvdoio6kjvf3yqnxfvck43twaibbg4pmb7y3mqnvxafb26rqllwa",
    },
];

const CS1A: CipherSetId = CipherSetId::new(0x1a);
const CS3A: CipherSetId = CipherSetId::new(0x3a);

fn bytes(text: &str) -> Vec<u8> {
    base32::decode(text).expect("the vectors are canonical base32")
}

#[test]
fn telehash_keys_make_the_published_hashnames() {
    for vector in TELEHASH {
        let mut keys = PublicKeys::new();
        keys.insert_key(CS1A, &bytes(vector.key_1a)).unwrap();
        keys.insert_key(CS3A, &bytes(vector.key_3a)).unwrap();

        let hashname = keys.hashname().unwrap();

        assert_eq!(hashname.to_string(), vector.hashname);
        assert_eq!(vector.hashname.parse(), Ok(hashname));
    }
}

#[test]
fn digests_are_enough_for_the_published_hashnames() {
    for vector in TELEHASH {
        let digests =
            [(CS1A, KeyDigest::of(&bytes(vector.key_1a))), (CS3A, KeyDigest::of(&bytes(vector.key_3a)))];
        assert_eq!(rollup(digests).unwrap().to_string(), vector.hashname);

        let mut one_key = PublicKeys::new();
        one_key.insert_digest(CS1A, digests[0].1).unwrap();
        one_key.insert_key(CS3A, &bytes(vector.key_3a)).unwrap();
        assert_eq!(one_key.hashname().unwrap().to_string(), vector.hashname);
    }
}

#[test]
fn one_of_two_keys_alone_is_another_hashname() {
    let [vector, _] = TELEHASH;
    let mut keys = PublicKeys::new();
    keys.insert_key(CS3A, &bytes(vector.key_3a)).unwrap();
    assert_ne!(keys.hashname().unwrap().to_string(), vector.hashname);
}

#[test]
fn published_hashnames_read_back_as_their_bytes() {
    for vector in TELEHASH {
        let hashname: Hashname = vector.hashname.parse().unwrap();
        assert_eq!(base32::encode(hashname.as_bytes()), vector.hashname);
        assert_eq!(Hashname::from_bytes(*hashname.as_bytes()), hashname);
    }
}

/// RFC 4648 section 10, "Test Vectors", in lower case and without the padding.
const RFC_4648: [(&[u8], &str); 7] = [
    (b"", ""),
    (b"f", "my"),
    (b"fo", "mzxq"),
    (b"foo", "mzxw6"),
    (b"foob", "mzxw6yq"),
    (b"fooba", "mzxw6ytb"),
    (b"foobar", "mzxw6ytboi"),
];

#[test]
fn base32_follows_rfc_4648() {
    for (plain, text) in RFC_4648 {
        assert_eq!(base32::encode(plain), text);
        assert_eq!(base32::decode(text).as_deref(), Ok(plain));
    }
}

#[test]
fn base32_refuses_the_other_spellings_of_the_rfc() {
    use base32::DecodeError;

    for (_, text) in RFC_4648.into_iter().skip(1) {
        let upper = text.to_ascii_uppercase();
        assert_eq!(base32::decode(&upper), Err(DecodeError::Symbol { offset: 0 }));
        let padded = format!("{text}{}", "=".repeat(8 - text.len() % 8));
        assert_eq!(base32::decode(&padded), Err(DecodeError::Symbol { offset: text.len() }));
    }
    for impossible in ["a", "aaa", "aaaaaa", "aaaaaaaaa"] {
        assert_eq!(base32::decode(impossible), Err(DecodeError::Length), "{impossible}");
    }
    // `my` is "f"; `mz` has the same first eight bits and a bit that belongs to no byte.
    assert_eq!(base32::decode("mz"), Err(DecodeError::TrailingBits));
    for foreign in ["a0", "a1", "a8", "a9", "a b", "a\n", "ä2", "a\0"] {
        assert!(matches!(base32::decode(foreign), Err(DecodeError::Symbol { .. })), "{foreign:?}");
    }
}
