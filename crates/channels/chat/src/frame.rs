//! What participants send each other: messages of a channel of type `chat`, and what mailboxes carry.

use bytes::Bytes;
use telemesh_hashname::Hashname;

use crate::ack::Ack;
use crate::codec::{Reader, Writer};
use crate::error::DecodeError;
use crate::id::{ChatId, EntryId, ParticipantKey};
use crate::key::{ChatKey, SIGNATURE_LENGTH, verify};
use crate::limits::{MAX_ACKS_PER_FRAME, MAX_ENTRY, MAX_FRAME, MAX_PARTICIPANTS, MAX_WANTS};

/// One message between two participants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// What the sender has, and whom it has links with.
    Hello(Hello),
    /// Entries of anybody's log, unverified.
    Entries(Vec<Bytes>),
    /// Acknowledgements, the sender's own or others'.
    Acks(Vec<Ack>),
    /// Entries that the sender needs to place others.
    Want(Vec<EntryId>),
    /// Whom the sender has links with, when that has changed.
    Presence(Vec<Hashname>),
    /// Somebody types, or has stopped. Neither stored nor relayed, and so not signed: the link says whose it is.
    Typing(bool),
    /// The sender, who was invited, wants to join with this key.
    Accept(Accept),
    /// Of a later version: ignored.
    Other(u8),
}

/// See [`Frame::Hello`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// What the sender has of each participant.
    pub heads: Vec<Head>,
    /// Whom the sender has links with.
    pub linked: Vec<Hashname>,
    /// Whether the sender wants the same in return.
    pub answer: bool,
}

/// What an endpoint has of one participant's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose log.
    pub key: ParticipantKey,
    /// How many entries, from the first on.
    pub count: u64,
    /// The id of the last of these. Of a log in two versions: all ids, combined by exclusive or.
    pub digest: EntryId,
}

/// The wish to join, signed with the key that is to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The key.
    pub key: ParticipantKey,
    signature: [u8; SIGNATURE_LENGTH],
}

impl Accept {
    pub(crate) fn sign(chat: &ChatId, key: &ChatKey, hashname: &Hashname) -> Self {
        Self { key: key.public(), signature: key.sign(&Self::signed(chat, hashname)) }
    }

    /// Whether whoever has this hashname also has the key.
    pub(crate) fn is_authentic(&self, chat: &ChatId, hashname: &Hashname) -> bool {
        verify(&self.key, &Self::signed(chat, hashname), &self.signature)
    }

    fn signed(chat: &ChatId, hashname: &Hashname) -> Vec<u8> {
        [b"telemesh chat accept 1\0".as_slice(), chat.as_bytes(), hashname.as_bytes()].concat()
    }
}

impl Frame {
    /// The frame's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        match self {
            Self::Hello(hello) => {
                out.u8(HELLO).u8(u8::from(hello.answer)).count(hello.heads.len());
                for head in &hello.heads {
                    out.raw(head.key.as_bytes()).u64(head.count).raw(head.digest.as_bytes());
                }
                write_hashnames(&mut out, &hello.linked);
            }
            Self::Entries(entries) => {
                out.u8(ENTRIES);
                for entry in entries {
                    out.bytes(entry);
                }
            }
            Self::Acks(acks) => {
                out.u8(ACKS).long_count(acks.len());
                for ack in acks {
                    ack.write(&mut out);
                }
            }
            Self::Want(ids) => {
                out.u8(WANT).long_count(ids.len());
                for id in ids {
                    out.raw(id.as_bytes());
                }
            }
            Self::Presence(linked) => {
                out.u8(PRESENCE);
                write_hashnames(&mut out, linked);
            }
            Self::Typing(typing) => {
                out.u8(TYPING).u8(u8::from(*typing));
            }
            Self::Accept(accept) => {
                out.u8(ACCEPT).raw(accept.key.as_bytes()).raw(&accept.signature);
            }
            Self::Other(kind) => {
                out.u8(*kind);
            }
        }
        out.finish().into()
    }

    /// Reads what [`encode`](Self::encode) wrote, here or in a newer build.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_FRAME {
            return Err(DecodeError::TooLong { what: "frame", length: bytes.len(), limit: MAX_FRAME });
        }
        let mut reader = Reader::new(bytes);
        let frame = match reader.u8()? {
            HELLO => {
                let answer = reader.flag()?;
                let heads = (0..reader.count("heads", MAX_PARTICIPANTS)?)
                    .map(|_| {
                        Ok(Head {
                            key: ParticipantKey::from_bytes(reader.array()?),
                            count: reader.u64()?,
                            digest: EntryId::from_bytes(reader.array()?),
                        })
                    })
                    .collect::<Result<_, DecodeError>>()?;
                Self::Hello(Hello { answer, heads, linked: read_hashnames(&mut reader)? })
            }
            ENTRIES => {
                let mut entries = Vec::new();
                while !reader.is_empty() {
                    entries.push(bytes.slice_ref(reader.bytes("entry", MAX_ENTRY)?));
                }
                Self::Entries(entries)
            }
            ACKS => {
                let count = reader.long_count("acks", MAX_ACKS_PER_FRAME)?;
                Self::Acks((0..count).map(|_| Ack::read(&mut reader)).collect::<Result<_, _>>()?)
            }
            WANT => {
                let count = reader.long_count("wants", MAX_WANTS)?;
                Self::Want(
                    (0..count).map(|_| reader.array().map(EntryId::from_bytes)).collect::<Result<_, _>>()?,
                )
            }
            PRESENCE => Self::Presence(read_hashnames(&mut reader)?),
            TYPING => Self::Typing(reader.flag()?),
            ACCEPT => {
                let key = ParticipantKey::from_bytes(reader.array()?);
                Self::Accept(Accept { key, signature: reader.array()? })
            }
            kind => return Ok(Self::Other(kind)),
        };
        reader.end()?;
        Ok(frame)
    }
}

fn write_hashnames(out: &mut Writer, hashnames: &[Hashname]) {
    out.count(hashnames.len());
    for hashname in hashnames {
        out.raw(hashname.as_bytes());
    }
}

fn read_hashnames(reader: &mut Reader<'_>) -> Result<Vec<Hashname>, DecodeError> {
    (0..reader.count("linked", MAX_PARTICIPANTS)?).map(|_| reader.array().map(Hashname::from_bytes)).collect()
}

const HELLO: u8 = 1;
const ENTRIES: u8 = 2;
const ACKS: u8 = 3;
const WANT: u8 = 4;
const PRESENCE: u8 = 5;
const TYPING: u8 = 6;
const ACCEPT: u8 = 7;
