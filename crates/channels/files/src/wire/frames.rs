//! The messages of both directions and their bodies.

use super::buffer::{Malformed, Reader, put_varint};
use super::{HASH, Hash};
use crate::limits::{MAX_BYTES, MAX_PREFIXES, MAX_ZEROS};
use crate::report::{FailureCode, Reason};

/// Bytes before each message: type and length.
pub(crate) const HEADER: usize = 5;

/// Message types. Those of the sender have the high bit clear, those of the receiver set.
pub(crate) mod kind {
    /// Entries of the list, one after the other.
    pub(crate) const ENTRIES: u8 = 0x01;
    /// The list is complete.
    pub(crate) const LIST_END: u8 = 0x02;
    /// What follows belongs to this file, from this offset on.
    pub(crate) const FILE: u8 = 0x03;
    /// Bytes of the file.
    pub(crate) const DATA: u8 = 0x04;
    /// So many zeros of the file.
    pub(crate) const ZEROS: u8 = 0x05;
    /// The file is complete; the hash of all of it.
    pub(crate) const FILE_END: u8 = 0x06;
    /// This file does not come, or not to its end, and why.
    pub(crate) const LEFT_OUT: u8 = 0x07;
    /// All files were sent.
    pub(crate) const END: u8 = 0x08;
    /// What the receiver wants of the next entries.
    pub(crate) const DECISIONS: u8 = 0x81;
    /// All entries before this one are dealt with, and what was taken is on the disk.
    pub(crate) const SETTLED: u8 = 0x82;
    /// This file was sent but not kept, and why.
    pub(crate) const REFUSED: u8 = 0x83;
    /// The receiver gives up, and why.
    pub(crate) const FAILED: u8 = 0x84;
    /// All is settled; the transfer is complete.
    pub(crate) const DONE: u8 = 0x85;
}

/// A message of the sender, except for data and entries, which are taken apart where they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FromSender<'a> {
    Entries(&'a [u8]),
    ListEnd,
    File { index: u64, offset: u64 },
    Zeros(u64),
    FileEnd(Hash),
    LeftOut { index: u64, reason: Reason },
    End,
}

impl<'a> FromSender<'a> {
    pub(crate) fn decode(kind: u8, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let message = match kind {
            kind::ENTRIES => return Ok(Self::Entries(body)),
            kind::LIST_END => Self::ListEnd,
            kind::FILE => Self::File { index: reader.varint()?, offset: reader.varint()? },
            kind::ZEROS => match reader.varint()? {
                zeros @ 1..=MAX_ZEROS => Self::Zeros(zeros),
                _ => return Err(Malformed("too many zeros at once, or none")),
            },
            kind::FILE_END => Self::FileEnd(reader.array()?),
            kind::LEFT_OUT => {
                Self::LeftOut { index: reader.varint()?, reason: Reason::from_code(reader.byte()?) }
            }
            kind::END => Self::End,
            _ => return Err(Malformed("an unknown message")),
        };
        reader.end()?;
        Ok(message)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Entries(body) => put_frame(out, kind::ENTRIES, |out| out.extend_from_slice(body)),
            Self::ListEnd => put_frame(out, kind::LIST_END, |_| ()),
            Self::File { index, offset } => put_frame(out, kind::FILE, |out| {
                put_varint(out, index);
                put_varint(out, offset);
            }),
            Self::Zeros(zeros) => put_frame(out, kind::ZEROS, |out| put_varint(out, zeros)),
            Self::FileEnd(hash) => put_frame(out, kind::FILE_END, |out| out.extend_from_slice(&hash)),
            Self::LeftOut { index, reason } => put_frame(out, kind::LEFT_OUT, |out| {
                put_varint(out, index);
                out.push(reason.code());
            }),
            Self::End => put_frame(out, kind::END, |_| ()),
        }
    }
}

/// A message of the receiver, except for decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FromReceiver<'a> {
    Decisions(&'a [u8]),
    Settled(u64),
    Refused { index: u64, reason: Reason },
    Failed(FailureCode),
    Done,
}

impl<'a> FromReceiver<'a> {
    pub(crate) fn decode(kind: u8, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let message = match kind {
            kind::DECISIONS => return Ok(Self::Decisions(body)),
            kind::SETTLED => Self::Settled(reader.varint()?),
            kind::REFUSED => {
                Self::Refused { index: reader.varint()?, reason: Reason::from_code(reader.byte()?) }
            }
            kind::FAILED => Self::Failed(FailureCode::from_code(reader.byte()?)),
            kind::DONE => Self::Done,
            _ => return Err(Malformed("an unknown message")),
        };
        reader.end()?;
        Ok(message)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Decisions(body) => put_frame(out, kind::DECISIONS, |out| out.extend_from_slice(body)),
            Self::Settled(count) => put_frame(out, kind::SETTLED, |out| put_varint(out, count)),
            Self::Refused { index, reason } => put_frame(out, kind::REFUSED, |out| {
                put_varint(out, index);
                out.push(reason.code());
            }),
            Self::Failed(code) => put_frame(out, kind::FAILED, |out| out.push(code.code())),
            Self::Done => put_frame(out, kind::DONE, |_| ()),
        }
    }
}

/// Appends a message whose body `body` writes. No body comes near the four gigabytes that its length could say.
fn put_frame(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[kind, 0, 0, 0, 0]);
    let start = out.len();
    body(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(place) = start.checked_sub(4).and_then(|from| out.get_mut(from..start)) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends what stands before so many bytes of a file.
pub(crate) fn put_data_header(out: &mut Vec<u8>, length: usize) {
    out.push(kind::DATA);
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

/// So many bytes from a file's beginning have this hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) length: u64,
    pub(crate) hash: Hash,
}

/// What the receiver wants of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing: a folder, a link, or a file it has from an earlier attempt.
    Skip,
    /// The file from its beginning.
    Send,
    /// The file from behind the longest of these that the sender finds right, ascending; or from its beginning.
    Resume(Vec<Prefix>),
    /// Whether the file's content has this hash, and no data either way.
    Compare(Hash),
    /// Nothing, for this reason.
    Refuse(Reason),
}

const SKIP: u8 = 0;
const SEND: u8 = 1;
const RESUME: u8 = 2;
const COMPARE: u8 = 3;
const REFUSE: u8 = 4;

/// Appends a decision for the next `count` entries; only `Skip` and `Send` may have more than one.
pub(crate) fn encode_decision(out: &mut Vec<u8>, decision: &Decision, count: u64) {
    match decision {
        Decision::Skip => {
            out.push(SKIP);
            put_varint(out, count);
        }
        Decision::Send => {
            out.push(SEND);
            put_varint(out, count);
        }
        Decision::Resume(prefixes) => {
            out.push(RESUME);
            put_varint(out, prefixes.len() as u64);
            for prefix in prefixes {
                put_varint(out, prefix.length);
                out.extend_from_slice(&prefix.hash);
            }
        }
        Decision::Compare(hash) => {
            out.push(COMPARE);
            out.extend_from_slice(hash);
        }
        Decision::Refuse(reason) => {
            out.push(REFUSE);
            out.push(reason.code());
        }
    }
}

/// Most bytes that one decision takes.
pub(crate) const MAX_DECISION: usize = 1 + 10 + MAX_PREFIXES * (10 + HASH);

/// Takes decisions apart; `each` gets how many entries each is for.
pub(crate) fn decode_decisions(
    body: &[u8],
    mut each: impl FnMut(Decision, u64) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let (decision, count) = match reader.byte()? {
            SKIP => (Decision::Skip, reader.varint()?),
            SEND => (Decision::Send, reader.varint()?),
            RESUME => (Decision::Resume(prefixes(&mut reader)?), 1),
            COMPARE => (Decision::Compare(reader.array()?), 1),
            REFUSE => (Decision::Refuse(Reason::from_code(reader.byte()?)), 1),
            _ => return Err(Malformed("an unknown decision")),
        };
        if count == 0 {
            return Err(Malformed("a decision for no entry"));
        }
        each(decision, count)?;
    }
    Ok(())
}

fn prefixes(reader: &mut Reader<'_>) -> Result<Vec<Prefix>, Malformed> {
    let count = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    if count == 0 || count > MAX_PREFIXES {
        return Err(Malformed("too many points to resume from, or none"));
    }
    let mut prefixes = Vec::with_capacity(count);
    let mut last = 0;
    for _ in 0..count {
        let length = reader.varint()?;
        if length <= last || length > MAX_BYTES {
            return Err(Malformed("points to resume from out of order"));
        }
        last = length;
        prefixes.push(Prefix { length, hash: reader.array()? });
    }
    Ok(prefixes)
}
