//! The text of a key file: one spelling, and nothing that was cut or changed is taken.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

/// Keys that are the same in every run.
fn keys() -> KeySet {
    let secrets = [(CipherSetId::CS11, [0x11; 32]), (CipherSetId::CS21, [0x21; 32])];
    KeySet::from_secrets(secrets.map(|(csid, bytes)| (csid, SecretKey::from_bytes(&bytes)))).unwrap()
}

/// What [`keys`] has always looked like: a change of this text makes the key files that people have unreadable.
const GOLDEN: &str = "\
telemesh keys 1\n\
hashname foh47hzfi7zatd4in3rbfopyrqhaorolf3fbtr7h52cpbvkox4za\n\
11 cairceirceirceirceirceirceirceirceirceirceirceircfiq\n\
21 eaqscijbeeqscijbeeqscijbeeqscijbeeqscijbeeqscijbefqq\n";

fn read_text(text: &str) -> Result<KeySet, ParseKeysError> {
    read(text.as_bytes())
}

/// The error that a text must have.
#[track_caller]
fn refused(text: &str) -> ParseKeysError {
    read_text(text).expect_err(text)
}

#[test]
fn the_text_stays_what_it_was() {
    assert_eq!(std::str::from_utf8(&write(&keys())).unwrap(), GOLDEN);
    assert_eq!(read_text(GOLDEN).unwrap().hashname(), keys().hashname());
}

#[test]
fn every_shorter_text_is_refused() {
    for length in 0..GOLDEN.len() {
        assert!(read_text(&GOLDEN[..length]).is_err(), "{length} bytes");
    }
    assert_eq!(refused(""), ParseKeysError::Truncated);
    assert_eq!(refused("telemesh k"), ParseKeysError::Truncated);
    assert_eq!(refused(&GOLDEN[..GOLDEN.len() - 1]), ParseKeysError::Truncated);
}

#[test]
fn a_text_without_its_last_key_is_refused() {
    let last_line = GOLDEN.trim_end().rfind('\n').unwrap() + 1;
    assert_eq!(refused(&GOLDEN[..last_line]), ParseKeysError::HashnameMismatch);
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    for offset in 0..GOLDEN.len() {
        for bit in 0..8 {
            let mut bytes = GOLDEN.as_bytes().to_vec();
            bytes[offset] ^= 1 << bit;
            assert!(read(&bytes).is_err(), "bit {bit} of byte {offset}");
        }
    }
}

#[test]
fn anything_after_the_keys_is_refused() {
    for more in ["\n", " ", "x", "\0", "31 \n", "# comment\n"] {
        assert!(read_text(&format!("{GOLDEN}{more}")).is_err(), "{more:?}");
    }
}

#[test]
fn other_spellings_are_refused() {
    let lines: Vec<&str> = GOLDEN.lines().collect();
    let [first, name, key_11, key_21] = lines[..] else { panic!("four lines") };
    let text = |lines: &[&str]| lines.join("\n") + "\n";

    assert_eq!(refused(&GOLDEN.replace('\n', "\r\n")), ParseKeysError::Version);
    assert_eq!(refused(&format!("\u{feff}{GOLDEN}")), ParseKeysError::NotKeys);
    assert_eq!(refused(&text(&[first, name, key_21, key_11])), ParseKeysError::Malformed { line: 4 });
    assert_eq!(refused(&text(&[first, name, key_11, key_11])), ParseKeysError::Malformed { line: 4 });
    assert_eq!(refused(&text(&[first, key_11, key_21])), ParseKeysError::Malformed { line: 2 });
    assert_eq!(refused(&text(&[first, name])), ParseKeysError::Truncated);
    assert_eq!(refused(&text(&[first, name, &key_11.to_uppercase()])), ParseKeysError::Malformed { line: 3 });
    assert_eq!(
        refused(&text(&[first, name, &key_11.replace(' ', "  ")])),
        ParseKeysError::Malformed { line: 3 }
    );
}

#[test]
fn another_version_or_another_file_is_named_as_such() {
    assert_eq!(refused(&GOLDEN.replace("keys 1", "keys 2")), ParseKeysError::Version);
    assert_eq!(refused(&GOLDEN.replace("keys 1", "keys 10")), ParseKeysError::Version);
    assert_eq!(refused("-----BEGIN OPENSSH PRIVATE KEY-----\n"), ParseKeysError::NotKeys);
    assert_eq!(read(&[0xff; 64]).unwrap_err(), ParseKeysError::NotKeys);
    let newer = GOLDEN.replace("\n21 ", "\n31 ");
    let csid = CipherSetId::new(0x31);
    assert_eq!(refused(&newer), ParseKeysError::KeySet(KeySetError::UnknownCipherSet { csid }));
}

#[test]
fn one_key_for_two_cipher_sets_is_refused() {
    let line = GOLDEN.lines().nth(2).unwrap();
    let text = format!("{}21 {}\n", &GOLDEN[..GOLDEN.rfind("21 ").unwrap()], &line[3..]);
    let csid = CipherSetId::CS21;
    assert_eq!(refused(&text), ParseKeysError::KeySet(KeySetError::Reused { csid }));
}

#[test]
fn a_text_longer_than_any_is_refused() {
    let long = format!("{LABEL}{}\n", "1".repeat(MAX_TEXT_LENGTH));
    assert_eq!(refused(&long), ParseKeysError::NotKeys);
}

#[test]
fn no_error_repeats_what_was_read() {
    for offset in 0..GOLDEN.len() {
        let mut bytes = GOLDEN.as_bytes().to_vec();
        bytes[offset] = b'!';
        let error = read(&bytes).unwrap_err();
        let shown = format!("{error} {error:?}");
        for line in GOLDEN.lines().skip(2) {
            assert!(!shown.contains(&line[3..11]) && !shown.contains('!'), "{shown}");
        }
    }
}

proptest! {
    #[test]
    fn keys_round_trip(seed: u64, which in 0..3_usize) {
        let mut rng = StdRng::seed_from_u64(seed);
        let sets = [&[CipherSetId::CS11][..], &[CipherSetId::CS21], &[CipherSetId::CS11, CipherSetId::CS21]][which];
        let keys = KeySet::from_secrets(sets.iter().map(|csid| (*csid, SecretKey::generate(&mut rng)))).unwrap();

        let text = write(&keys);
        let read = read(&text).unwrap();

        prop_assert!(text.len() <= MAX_TEXT_LENGTH);
        prop_assert_eq!(read.hashname(), keys.hashname());
        prop_assert_eq!(read.public(), keys.public());
        prop_assert_eq!(write(&read), text);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn texts_that_look_like_keys_are_refused_without_a_panic(tail in "(hashname |11 |21 |[a-z2-7]{50,53}|\n| ){0,12}") {
        let text = format!("{FIRST_LINE}\n{tail}");
        prop_assert!(read_text(&text).is_err());
    }
}
