//! What a participant says about another one's entries: how many are here, how many were read.
//!
//! An acknowledgement is no entry of the log: there is one for each pair of participants, the latest counts, and both
//! numbers only grow. It is signed, so that others can pass it on.

use crate::codec::{Reader, Writer};
use crate::error::DecodeError;
use crate::id::{ChatId, ParticipantKey};
use crate::key::{ChatKey, SIGNATURE_LENGTH, verify};

/// See the module's page. 144 bytes on the wire: two keys, two numbers, the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Who says it.
    pub from: ParticipantKey,
    /// Whose entries it is about.
    pub about: ParticipantKey,
    /// So many of their first entries are here, and stored.
    pub received: u64,
    /// So many were read, at most as many as are here.
    pub read: u64,
    signature: [u8; SIGNATURE_LENGTH],
}

impl Ack {
    pub(crate) fn sign(
        chat: &ChatId,
        key: &ChatKey,
        about: ParticipantKey,
        received: u64,
        read: u64,
    ) -> Self {
        let mut ack = Self { from: key.public(), about, received, read, signature: [0; SIGNATURE_LENGTH] };
        ack.signature = key.sign(&ack.signed(chat));
        ack
    }

    pub(crate) fn is_authentic(&self, chat: &ChatId) -> bool {
        self.read <= self.received && verify(&self.from, &self.signed(chat), &self.signature)
    }

    /// Whether it says more than another one of the same two participants.
    pub(crate) fn exceeds(&self, other: &Self) -> bool {
        self.received >= other.received
            && self.read >= other.read
            && (self.received, self.read) != (other.received, other.read)
    }

    fn signed(&self, chat: &ChatId) -> Vec<u8> {
        let mut out = Writer::default();
        out.raw(b"telemesh chat ack 1\0").raw(chat.as_bytes());
        self.write_fields(&mut out);
        out.finish()
    }

    fn write_fields(&self, out: &mut Writer) {
        out.raw(self.from.as_bytes()).raw(self.about.as_bytes()).u64(self.received).u64(self.read);
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        self.write_fields(out);
        out.raw(&self.signature);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            from: ParticipantKey::from_bytes(reader.array()?),
            about: ParticipantKey::from_bytes(reader.array()?),
            received: reader.u64()?,
            read: reader.u64()?,
            signature: reader.array()?,
        })
    }
}
