//! The body of the open message: what the transfer is, so that the receiver can decide before it accepts.

use super::buffer::{Malformed, Reader, put_bytes, put_varint};
use super::{HASH, Hash};
use crate::limits::{MAX_BYTES, MAX_ENTRIES, MAX_TRANSFER_NAME, VERSION};

/// What the sender claims. Entries and bytes are upper bounds that the list is held to; nothing is allocated for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The hash of the list, checked when it is complete.
    pub(crate) id: Hash,
    pub(crate) entries: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// For people; decides nothing.
    pub(crate) name: Box<str>,
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + HASH + 30 + self.name.len());
        out.push(VERSION);
        out.extend_from_slice(&self.id);
        put_varint(&mut out, self.entries);
        put_varint(&mut out, self.files);
        put_varint(&mut out, self.bytes);
        put_bytes(&mut out, self.name.as_bytes());
        out
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        if reader.byte()? != VERSION {
            return Err(Malformed("another version of the files channel"));
        }
        let id = reader.array()?;
        let (entries, files, bytes) = (reader.varint()?, reader.varint()?, reader.varint()?);
        let name = reader.text(MAX_TRANSFER_NAME)?.into();
        reader.end()?;
        if entries > MAX_ENTRIES || files > entries {
            return Err(Malformed("more entries than a transfer may have"));
        }
        if bytes > MAX_BYTES {
            return Err(Malformed("more bytes than a transfer may have"));
        }
        Ok(Self { id, entries, files, bytes, name })
    }
}
