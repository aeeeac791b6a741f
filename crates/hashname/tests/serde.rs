//! The `serde` feature: texts in formats for people, bytes in compact ones.

#![cfg(feature = "serde")]

use serde::de::value::{BytesDeserializer, Error, SeqDeserializer};
use serde::{Deserialize, Deserializer, de};
use telemesh_hashname::{CipherSetId, Hashname, KeyDigest};

const TEXT: &str = "27ywx5e5ylzxfzxrhptowvwntqrd3jhksyxrfkzi6jfn64d3lwxa";

#[test]
fn json_has_the_text_forms() {
    let hashname: Hashname = TEXT.parse().unwrap();
    let json = format!("\"{TEXT}\"");
    assert_eq!(serde_json::to_string(&hashname).unwrap(), json);
    assert_eq!(serde_json::from_str::<Hashname>(&json).unwrap(), hashname);

    let digest = KeyDigest::from_bytes(*hashname.as_bytes());
    assert_eq!(serde_json::to_string(&digest).unwrap(), json);
    assert_eq!(serde_json::from_str::<KeyDigest>(&json).unwrap(), digest);

    assert_eq!(serde_json::to_string(&CipherSetId::CS21).unwrap(), "\"21\"");
    assert_eq!(serde_json::from_str::<CipherSetId>("\"21\"").unwrap(), CipherSetId::CS21);
}

#[test]
fn json_refuses_other_spellings() {
    for json in [format!("\"{}\"", TEXT.to_uppercase()), format!("\"{TEXT}=\""), "33".into(), "null".into()] {
        assert!(serde_json::from_str::<Hashname>(&json).is_err(), "{json}");
    }
    for json in ["\"2\"", "\"2A\"", "21"] {
        assert!(serde_json::from_str::<CipherSetId>(json).is_err(), "{json}");
    }
}

#[test]
fn a_map_may_have_hashnames_and_cipher_sets_as_its_keys() {
    let json = format!("{{\"{TEXT}\":{{\"11\":1,\"21\":2}}}}");
    let map: std::collections::BTreeMap<Hashname, std::collections::BTreeMap<CipherSetId, u8>> =
        serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&map).unwrap(), json);
}

/// A format for machines: what it is given is bytes or a sequence.
struct Compact<D>(D);

impl<'de, D: Deserializer<'de, Error = Error>> Deserializer<'de> for Compact<D> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn a_compact_format_has_exactly_32_bytes() {
    for length in [0_usize, 31, 32, 33] {
        let bytes = vec![7; length];
        let from_bytes = Hashname::deserialize(Compact(BytesDeserializer::new(&bytes)));
        let from_sequence = Hashname::deserialize(Compact(SeqDeserializer::new(bytes.iter().copied())));
        if length == 32 {
            assert_eq!(from_bytes, Ok(Hashname::from_bytes([7; 32])));
            assert_eq!(from_sequence, Ok(Hashname::from_bytes([7; 32])));
        } else {
            assert!(from_bytes.is_err() && from_sequence.is_err(), "{length} bytes");
        }
    }
}
