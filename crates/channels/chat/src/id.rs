//! What chats, entries and participants are known by.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use telemesh_hashname::base32;

macro_rules! id {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        ///
        /// Written as 52 characters of lower-case base32, the alphabet of hashnames.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// From its bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first eight characters, for people.
            #[must_use]
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&base32::encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let bytes = base32::decode(text).map_err(|_| ParseIdError)?;
                bytes.try_into().map(Self).map_err(|_| ParseIdError)
            }
        }
    };
}

id! {
    /// A chat: the hash of its leader's key for this chat, so that nobody else can lead it.
    ChatId
}

id! {
    /// One entry of a chat's history: the hash of the chat's id and the entry without its signature.
    EntryId
}

id! {
    /// A participant's Ed25519 public key for one chat (RFC 8032).
    ParticipantKey
}

/// The text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: 52 characters of lower-case base32 are expected")]
pub struct ParseIdError;

impl ChatId {
    /// The id of the chat that this key leads.
    #[must_use]
    pub fn of_leader(key: &ParticipantKey) -> Self {
        Self(hash(b"telemesh chat id 1\0", &[key.as_bytes()]))
    }
}

/// SHA-256 over a label and parts of fixed length, of which only the last may vary.
pub(crate) fn hash(label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(label);
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = ChatId::from_bytes([0xa5; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 52);
        for wrong in ["", "abc", &id.to_string()[1..], &id.to_string().to_uppercase()] {
            assert_eq!(wrong.parse::<ChatId>(), Err(ParseIdError), "{wrong}");
        }
    }

    #[test]
    fn another_leader_has_another_chat() {
        let of = |byte| ChatId::of_leader(&ParticipantKey::from_bytes([byte; 32]));
        assert_ne!(of(1), of(2));
    }
}
