//! Hashnames and cipher set ids as texts, and the order of things.

use proptest::prelude::*;
use telemesh_hashname::base32::{self, DecodeError};
use telemesh_hashname::{
    CipherSetId, HASHNAME_TEXT_LENGTH, Hashname, KeyDigest, MAX_CIPHER_SETS, ParseHashnameError, RollupError,
    rollup,
};

const TEXT: &str = "27ywx5e5ylzxfzxrhptowvwntqrd3jhksyxrfkzi6jfn64d3lwxa";

#[test]
fn a_hashname_has_52_characters() {
    assert_eq!(TEXT.len(), HASHNAME_TEXT_LENGTH);
    for length in (0..HASHNAME_TEXT_LENGTH).chain(HASHNAME_TEXT_LENGTH + 1..200) {
        let text = "a".repeat(length);
        assert_eq!(text.parse::<Hashname>(), Err(ParseHashnameError::Length { length }));
    }
    assert_eq!("a".repeat(HASHNAME_TEXT_LENGTH).parse(), Ok(Hashname::from_bytes([0; 32])));
}

#[test]
fn padding_and_white_space_are_refused() {
    for text in [format!("{TEXT}===="), format!(" {TEXT}"), format!("{TEXT}\n")] {
        assert!(matches!(text.parse::<Hashname>(), Err(ParseHashnameError::Length { .. })), "{text:?}");
    }
    let inside = TEXT.replace('y', " ");
    assert_eq!(
        inside.parse::<Hashname>(),
        Err(ParseHashnameError::Encoding(DecodeError::Symbol { offset: 2 }))
    );
}

#[test]
fn upper_case_is_refused_at_every_letter() {
    for (offset, letter) in TEXT.char_indices().filter(|(_, letter)| letter.is_ascii_lowercase()) {
        let mut text = TEXT.to_owned();
        text.replace_range(offset..=offset, &letter.to_ascii_uppercase().to_string());
        assert_eq!(
            text.parse::<Hashname>(),
            Err(ParseHashnameError::Encoding(DecodeError::Symbol { offset }))
        );
    }
}

#[test]
fn of_the_last_characters_only_those_without_trailing_bits_are_taken() {
    // 256 bits are 51 characters and one bit: the last character is `a` or `q`.
    let mut taken = Vec::new();
    for last in ('a'..='z').chain('2'..='7') {
        let text = format!("{}{last}", &TEXT[..51]);
        match text.parse::<Hashname>() {
            Ok(hashname) => {
                assert_eq!(hashname.to_string(), text);
                taken.push(last);
            }
            Err(error) => assert_eq!(error, ParseHashnameError::Encoding(DecodeError::TrailingBits)),
        }
    }
    assert_eq!(taken, ['a', 'q']);
}

#[test]
fn multi_byte_characters_are_refused_without_a_panic() {
    // 52 bytes, but fewer characters; and 52 characters, but more bytes.
    let narrow = format!("{}é", "a".repeat(50));
    assert_eq!(narrow.len(), 52);
    assert!(matches!(narrow.parse::<Hashname>(), Err(ParseHashnameError::Encoding(_))));
    assert_eq!("é".repeat(52).parse::<Hashname>(), Err(ParseHashnameError::Length { length: 104 }));
}

#[test]
fn short_and_debug_forms_show_the_first_eight_characters() {
    let hashname: Hashname = TEXT.parse().unwrap();
    assert_eq!(hashname.short().to_string(), "27ywx5e5");
    assert_eq!(format!("{hashname:?}"), "Hashname(27ywx5e5)");
    assert_eq!(format!("{:>10}", hashname.short()), "  27ywx5e5");
}

#[test]
fn a_cipher_set_id_is_two_lower_case_hex_digits() {
    for number in 0..=u8::MAX {
        let csid = CipherSetId::new(number);
        let text = csid.to_string();
        assert_eq!(text, format!("{number:02x}"));
        assert_eq!(text.parse(), Ok(csid));
        assert_eq!(u8::from(csid), number);
    }
    for text in ["", "1", "111", "1A", "A1", "+1", "-1", "0x", " 1", "1 ", "1g", "é", "11 "] {
        assert!(text.parse::<CipherSetId>().is_err(), "{text:?}");
    }
    assert_eq!(format!("{:?}", CipherSetId::CS21), "CS21");
}

/// Digests for these cipher sets, all different.
fn digests(csids: &[u8]) -> Vec<(CipherSetId, KeyDigest)> {
    csids.iter().map(|csid| (CipherSetId::new(*csid), KeyDigest::of(&[*csid]))).collect()
}

#[test]
fn rollup_refuses_what_is_empty_repeated_or_out_of_order() {
    assert_eq!(rollup([]), Err(RollupError::Empty));
    for wrong in [&[0x11, 0x11][..], &[0x21, 0x11], &[0x11, 0x21, 0x21], &[0x11, 0x31, 0x21]] {
        assert!(matches!(rollup(digests(wrong)), Err(RollupError::NotAscending { .. })), "{wrong:x?}");
    }
    let error = rollup(digests(&[0x11, 0x31, 0x21])).unwrap_err();
    assert_eq!(error, RollupError::NotAscending { csid: CipherSetId::CS21 });
    assert_eq!(error.to_string(), "cipher set 21 is listed twice or out of order");
}

#[test]
fn rollup_takes_eight_cipher_sets_and_not_nine() {
    let eight: Vec<u8> = (0..8).collect();
    let nine: Vec<u8> = (0..9).collect();
    assert_eq!(eight.len(), MAX_CIPHER_SETS);
    assert!(rollup(digests(&eight)).is_ok());
    assert_eq!(rollup(digests(&nine)), Err(RollupError::TooMany));
}

#[test]
fn rollup_stops_reading_an_endless_list() {
    let mut taken = 0;
    let endless = (0..=u8::MAX).cycle().inspect(|_| taken += 1);
    let endless = endless.map(|csid| (CipherSetId::new(csid), KeyDigest::from_bytes([0; 32])));
    assert_eq!(rollup(endless), Err(RollupError::TooMany));
    assert_eq!(taken, MAX_CIPHER_SETS + 1);
}

proptest! {
    #[test]
    fn any_32_bytes_are_a_hashname_with_one_spelling(bytes: [u8; 32]) {
        let hashname = Hashname::from_bytes(bytes);
        let text = hashname.to_string();
        prop_assert_eq!(text.len(), HASHNAME_TEXT_LENGTH);
        prop_assert_eq!(&text, &base32::encode(&bytes));
        prop_assert_eq!(text.parse::<Hashname>(), Ok(hashname));
    }

    #[test]
    fn a_text_that_parses_is_the_one_that_is_printed(text in "[a-z2-7]{51}[aq]|[a-zA-Z2-7=]{52}|.{0,60}") {
        if let Ok(hashname) = text.parse::<Hashname>() {
            prop_assert_eq!(hashname.to_string(), text);
        }
    }

    #[test]
    fn base32_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let text = base32::encode(&bytes);
        prop_assert_eq!(text.len(), (8 * bytes.len()).div_ceil(5));
        prop_assert_eq!(base32::decode(&text), Ok(bytes));
    }

    #[test]
    fn a_base32_text_that_is_read_is_the_one_that_is_written(text in "[a-z2-7]{0,40}|.{0,40}") {
        if let Ok(bytes) = base32::decode(&text) {
            prop_assert_eq!(base32::encode(&bytes), text);
        }
    }

    #[test]
    fn hashnames_are_ordered_as_their_bytes(a: [u8; 32], b: [u8; 32]) {
        prop_assert_eq!(Hashname::from_bytes(a).cmp(&Hashname::from_bytes(b)), a.cmp(&b));
    }

    #[test]
    fn a_flipped_bit_in_a_digest_or_a_number_is_another_hashname(
        bytes: [[u8; 32]; 3], which in 0..3_usize, bit in 0..256_usize,
    ) {
        let list = |bytes: [[u8; 32]; 3]| {
            [0x11, 0x21, 0x31].map(CipherSetId::new).into_iter().zip(bytes.map(KeyDigest::from_bytes))
        };
        let mut changed = bytes;
        changed[which][bit / 8] ^= 1 << (bit % 8);
        let hashname = rollup(list(bytes)).unwrap();
        prop_assert_ne!(rollup(list(changed)).unwrap(), hashname);

        let renumbered = list(bytes).zip([0x12, 0x21, 0x31]).map(|((_, digest), csid)| (CipherSetId::new(csid), digest));
        prop_assert_ne!(rollup(renumbered).unwrap(), hashname);
    }
}
