//! X25519 against the vectors of RFC 7748, and the points that must be refused.

use super::*;

fn hex(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    bytes
}

fn agree(secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    *SecretKey::from_bytes(secret).agree(public).unwrap().as_bytes()
}

#[test]
fn agreement_follows_rfc_7748_section_5_2() {
    let vectors = [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ];
    for (secret, public, shared) in vectors {
        assert_eq!(agree(&hex(secret), &hex(public)), hex(shared));
    }
}

#[test]
fn a_thousand_agreements_in_a_row_follow_rfc_7748_section_5_2() {
    let mut base_point = [0; 32];
    base_point[0] = 9;
    let (mut secret, mut public) = (base_point, base_point);
    for round in 1..=1_000 {
        let shared = agree(&secret, &public);
        (secret, public) = (shared, secret);
        if round == 1 {
            assert_eq!(secret, hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
        }
    }
    assert_eq!(secret, hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
fn both_sides_agree_as_in_rfc_7748_section_6_1() {
    let alice =
        SecretKey::from_bytes(&hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let bob = SecretKey::from_bytes(&hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    let shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");

    assert_eq!(alice.public(), &hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    assert_eq!(bob.public(), &hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    assert_eq!(alice.agree(bob.public()).unwrap().as_bytes(), &shared);
    assert_eq!(bob.agree(alice.public()).unwrap().as_bytes(), &shared);
}

/// Every u-coordinate below 2^255 that has low order on the curve or its twist: 0, 1, two of order eight, and p - 1, p and
/// p + 1, of which the last two are other spellings of 0 and 1.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn low_order_points_are_refused_whatever_the_secret() {
    for secret in [[0; 32], [1; 32], [0x5a; 32], [0xff; 32]] {
        let secret = SecretKey::from_bytes(&secret);
        for text in LOW_ORDER {
            let mut public = hex(text);
            assert_eq!(secret.agree(&public).unwrap_err(), LowOrderPoint, "{text}");
            // RFC 7748 ignores the highest bit, so each has a second spelling.
            public[31] |= 0x80;
            assert_eq!(secret.agree(&public).unwrap_err(), LowOrderPoint, "{text} with the highest bit");
        }
    }
}

#[test]
fn neighbours_of_low_order_points_are_taken() {
    let secret = SecretKey::from_bytes(&[3; 32]);
    for text in LOW_ORDER {
        let mut public = hex(text);
        public[0] ^= 4;
        assert!(secret.agree(&public).is_ok(), "{text}");
    }
}

#[test]
fn bits_that_every_key_has_alike_are_set_at_once() {
    assert_eq!(SecretKey::from_bytes(&[0; 32]).as_bytes()[31], 0x40);
    assert_eq!(SecretKey::from_bytes(&[0xff; 32]).as_bytes()[0], 0xf8);
    assert_eq!(SecretKey::from_bytes(&[0xff; 32]).as_bytes()[31], 0x7f);
}

#[test]
fn debug_shows_nothing() {
    let secret = SecretKey::from_bytes(&[0xab; 32]);
    assert_eq!(format!("{secret:?}"), "SecretKey(..)");
    assert_eq!(format!("{:?}", secret.agree(secret.public()).unwrap()), "SharedSecret(..)");
}

#[test]
fn a_secret_is_overwritten_when_asked() {
    // What `drop` does cannot be looked at afterwards in safe code; that it does this is the derive's promise.
    let secret = SecretKey::from_bytes(&[7; 32]);
    let mut shared = secret.agree(secret.public()).unwrap();
    shared.zeroize();
    assert_eq!(shared.as_bytes(), &[0; 32]);

    fn assert_overwritten_on_drop<T: ZeroizeOnDrop>() {}
    assert_overwritten_on_drop::<SecretKey>();
    assert_overwritten_on_drop::<SharedSecret>();
}
