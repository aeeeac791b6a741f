//! `Serialize` and `Deserialize`: the text form in formats for people, bytes in compact ones.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{CipherSetId, Hashname, KeyDigest, base32};

impl Serialize for Hashname {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_32(self.as_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for Hashname {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_32(deserializer, "a hashname").map(Self::from_bytes)
    }
}

impl Serialize for KeyDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_32(self.as_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for KeyDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_32(deserializer, "a key digest").map(Self::from_bytes)
    }
}

impl Serialize for CipherSetId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u8(self.number())
        }
    }
}

impl<'de> Deserialize<'de> for CipherSetId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(TextVisitor)
        } else {
            u8::deserialize(deserializer).map(Self::new)
        }
    }
}

fn serialize_32<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(&base32::encode(bytes))
    } else {
        serializer.serialize_bytes(bytes)
    }
}

fn deserialize_32<'de, D: Deserializer<'de>>(
    deserializer: D,
    what: &'static str,
) -> Result<[u8; 32], D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Visitor32 { what })
    } else {
        deserializer.deserialize_bytes(Visitor32 { what })
    }
}

/// Takes 52 characters of base32, 32 bytes, or a sequence of 32 numbers: compact formats differ in the last two.
struct Visitor32 {
    what: &'static str,
}

impl<'de> Visitor<'de> for Visitor32 {
    type Value = [u8; 32];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as 52 characters of lower-case base32 or 32 bytes", self.what)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        // A digest is spelled as a hashname is, so the hashname's parser serves both.
        text.parse().map(|name: Hashname| *name.as_bytes()).map_err(E::custom)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = sequence.next_element()?.ok_or_else(|| A::Error::invalid_length(index, &self))?;
        }
        if sequence.next_element::<u8>()?.is_some() {
            return Err(A::Error::invalid_length(33, &self));
        }
        Ok(bytes)
    }
}

/// Takes the two hex digits of a cipher set id.
struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = CipherSetId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two lower-case hex digits")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        CipherSetId::from_str(text).map_err(E::custom)
    }
}
