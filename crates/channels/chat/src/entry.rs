//! One signed entry of a participant's log.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 32 | the sender's key |
//! | 8 | its number among the sender's entries, from 0 |
//! | 32 | id of the sender's previous entry; zeros for number 0 |
//! | 8 | the sender's clock, milliseconds since 1970; shown, and used for nothing |
//! | 1, 32 each | ids of other entries that this one comes after, at most 16, in ascending order |
//! | 1, 4, up to 135,168 | kind, length and bytes of the content |
//! | 64 | signature over a label and the entry's id |
//!
//! Its id is SHA-256 over a label, the chat's id, and all of it but the signature. Numbers have the highest byte first.

use std::fmt;

use bytes::Bytes;

use crate::codec::{Reader, Writer};
use crate::content::{Content, read_list};
use crate::error::{DecodeError, Refused};
use crate::id::{ChatId, EntryId, ParticipantKey, hash};
use crate::key::{ChatKey, SIGNATURE_LENGTH, verify};
use crate::limits::{MAX_AFTER, MAX_ENTRY};

/// An entry whose signature is its sender's. There is no other way to get one.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    id: EntryId,
    fields: Fields,
    raw: Bytes,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Who says it.
    pub sender: ParticipantKey,
    /// Its number among the sender's entries, from 0.
    pub sequence: u64,
    /// The sender's previous entry; `None` for number 0.
    pub previous: Option<EntryId>,
    /// The sender's clock, in milliseconds since 1970. It may be wrong by years.
    pub time: u64,
    /// Other entries that it comes after, in ascending order and at most [`MAX_AFTER`].
    pub after: Vec<EntryId>,
    /// What it says.
    pub content: Content,
}

/// An entry of which only the form is checked.
#[derive(Debug)]
pub struct Unverified(Entry);

impl Entry {
    /// Signs an entry.
    #[must_use]
    pub fn sign(chat: &ChatId, key: &ChatKey, mut fields: Fields) -> Self {
        fields.sender = key.public();
        fields.after.sort_unstable();
        fields.after.dedup();
        fields.after.truncate(MAX_AFTER);
        let mut out = Writer::default();
        fields.write(&mut out);
        let body = out.finish();
        let id = id_of(chat, &body);
        let signature = key.sign(&signed(&id));
        Self { id, fields, raw: Bytes::from([body.as_slice(), &signature].concat()) }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// All of it, as it is sent and stored.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
}

impl Unverified {
    /// Reads the bytes of an entry.
    ///
    /// # Errors
    /// [`DecodeError`] for everything that [`Entry::sign`] does not make.
    pub fn read(chat: &ChatId, raw: Bytes) -> Result<Self, DecodeError> {
        if raw.len() > MAX_ENTRY {
            return Err(DecodeError::TooLong { what: "entry", length: raw.len(), limit: MAX_ENTRY });
        }
        let length = raw.len().checked_sub(SIGNATURE_LENGTH).ok_or(DecodeError::Malformed)?;
        let body = raw.get(..length).ok_or(DecodeError::Malformed)?;
        let mut reader = Reader::new(body);
        let fields = Fields::read(&mut reader)?;
        reader.end()?;
        Ok(Self(Entry { id: id_of(chat, body), fields, raw }))
    }

    /// Its id, if it is what it says.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.0.id
    }

    /// Who has sent it, if it is what it says.
    #[must_use]
    pub fn sender(&self) -> ParticipantKey {
        self.0.fields.sender
    }

    /// What it says, whoever has said it.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.0.fields
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`Refused::Forged`].
    pub fn verify(self) -> Result<Entry, Refused> {
        let Self(entry) = self;
        let (_, signature) = entry.raw.split_at(entry.raw.len().saturating_sub(SIGNATURE_LENGTH));
        if verify(&entry.fields.sender, &signed(&entry.id), signature) {
            Ok(entry)
        } else {
            Err(Refused::Forged)
        }
    }

    /// Takes it without checking the signature, because this endpoint has done so when it stored it.
    pub(crate) fn trust(self) -> Entry {
        self.0
    }
}

impl Fields {
    fn write(&self, out: &mut Writer) {
        out.u8(VERSION).raw(self.sender.as_bytes()).u64(self.sequence);
        let none = EntryId::from_bytes([0; 32]);
        out.raw(self.previous.as_ref().unwrap_or(&none).as_bytes());
        out.u64(self.time).count(self.after.len());
        for id in &self.after {
            out.raw(id.as_bytes());
        }
        self.content.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        let sender = ParticipantKey::from_bytes(reader.array()?);
        let sequence = reader.u64()?;
        let previous: [u8; 32] = reader.array()?;
        // Only the first entry has no previous one, and nothing has the hash of zeros.
        if (sequence == 0) != (previous == [0; 32]) {
            return Err(DecodeError::Malformed);
        }
        let time = reader.u64()?;
        let after = read_list(reader, "after", MAX_AFTER, EntryId::from_bytes)?;
        if !after.is_sorted_by(|one, next| one < next) {
            return Err(DecodeError::Malformed);
        }
        let previous = (sequence > 0).then(|| EntryId::from_bytes(previous));
        Ok(Self { sender, sequence, previous, time, after, content: Content::read(reader)? })
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Entry")
            .field("id", &self.id)
            .field("sender", &self.fields.sender)
            .field("sequence", &self.fields.sequence)
            .finish_non_exhaustive()
    }
}

fn id_of(chat: &ChatId, body: &[u8]) -> EntryId {
    EntryId::from_bytes(hash(b"telemesh chat entry 1\0", &[chat.as_bytes(), body]))
}

fn signed(id: &EntryId) -> Vec<u8> {
    [b"telemesh chat signature 1\0".as_slice(), id.as_bytes()].concat()
}

const VERSION: u8 = 1;
