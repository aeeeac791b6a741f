//! Reading fields one after the other, never past the end. Integers are big-endian.

use telemesh_hashname::Hashname;

use crate::id::{ID_LENGTH, MessageId};

/// There are fewer bytes, or others, than the field wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truncated;

/// What is left to read.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Truncated)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Truncated> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn sixteen(&mut self) -> Result<[u8; ID_LENGTH], Truncated> {
        self.array()
    }

    pub(crate) fn id(&mut self) -> Result<MessageId, Truncated> {
        self.array().map(MessageId::from_bytes)
    }

    pub(crate) fn hashname(&mut self) -> Result<Hashname, Truncated> {
        self.array().map(Hashname::from_bytes)
    }

    /// A text with its length before it in one byte.
    pub(crate) fn text(&mut self) -> Result<&'a str, Truncated> {
        let length = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(length).ok_or(Truncated)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Truncated)
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Truncated> {
        if self.0.is_empty() { Ok(()) } else { Err(Truncated) }
    }
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// A text of at most 255 bytes; labels are shorter.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}
