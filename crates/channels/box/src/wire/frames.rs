//! What the two ends of a session say to each other. Each is one message on the channel, integers big-endian, byte 0 the
//! kind:
//!
//! | kind | from | fields |
//! |---|---|---|
//! | 1, offer | giver | id (16), recipient (32), size in bytes (4) |
//! | 2, part | giver | id (16), offset (4), up to 64 KiB of bytes |
//! | 3, gone | giver | id (16): the giver, for whom it is, does not need it any more |
//! | 4, want | taker | id (16), offset (4) of the first byte that is missing |
//! | 5, stored | taker | id (16): stored and synced |
//! | 6, done | taker | id (16): its recipient does not need it (any more) |
//! | 7, refused | taker | id (16), reason (1) |
//! | 8, caches | giver | number (1), up to 4, and so many hashnames (32 each): who keeps messages for the giver |
//!
//! Every offer gets one want or none, and then one of the other three answers. Parts come in order; all but the last have
//! 64 KiB.

use bytes::Bytes;
use telemesh_hashname::Hashname;

use crate::id::MessageId;
use crate::limits::{MAX_TOLD, PART};
use crate::wire::bytes::{Reader, Truncated, put_u32};

/// Largest frame in bytes.
pub(crate) const MAX_FRAME: usize = PART + 32;

/// What the giver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Offer { id: MessageId, recipient: Hashname, size: u32 },
    Part { id: MessageId, offset: u32, bytes: Bytes },
    Gone { id: MessageId },
    Caches { caches: Vec<Hashname> },
}

/// What the taker answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Want { id: MessageId, offset: u32 },
    Stored { id: MessageId },
    Done { id: MessageId },
    Refused { id: MessageId, reason: Reason },
}

/// Why a message was not taken. None of them depends on whether the recipient exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The taker does not cache, or not for this giver.
    NotAllowed,
    /// Longer than the taker's limit.
    TooLarge,
    /// No room now.
    Full,
    /// The taker's store has failed.
    Failed,
    /// The bytes are not those of the id.
    Damaged,
}

impl Reason {
    /// Whether the same offer may succeed in a while.
    pub(crate) fn is_passing(self) -> bool {
        matches!(self, Self::Full | Self::Failed)
    }

    fn number(self) -> u8 {
        match self {
            Self::NotAllowed => 1,
            Self::TooLarge => 2,
            Self::Full => 3,
            Self::Failed => 4,
            Self::Damaged => 5,
        }
    }

    fn from_number(number: u8) -> Result<Self, Truncated> {
        Ok(match number {
            1 => Self::NotAllowed,
            2 => Self::TooLarge,
            3 => Self::Full,
            4 => Self::Failed,
            5 => Self::Damaged,
            _ => return Err(Truncated),
        })
    }
}

impl Said {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out;
        match self {
            Self::Offer { id, recipient, size } => {
                out = start(OFFER, id, 36);
                out.extend_from_slice(recipient.as_bytes());
                put_u32(&mut out, *size);
            }
            Self::Part { id, offset, bytes } => {
                out = start(PART_OF, id, 4 + bytes.len());
                put_u32(&mut out, *offset);
                out.extend_from_slice(bytes);
            }
            Self::Gone { id } => out = start(GONE, id, 0),
            Self::Caches { caches } => {
                let caches = caches.get(..MAX_TOLD).unwrap_or(caches);
                out = vec![CACHES, u8::try_from(caches.len()).unwrap_or(0)];
                caches.iter().for_each(|cache| out.extend_from_slice(cache.as_bytes()));
            }
        }
        out.into()
    }

    pub(crate) fn decode(frame: &Bytes) -> Result<Self, Truncated> {
        let mut reader = Reader::new(frame);
        let kind = reader.u8()?;
        if kind == CACHES {
            let count = usize::from(reader.u8()?);
            if count > MAX_TOLD {
                return Err(Truncated);
            }
            let caches = (0..count).map(|_| reader.hashname()).collect::<Result<_, _>>()?;
            return reader.end().map(|()| Self::Caches { caches });
        }
        let id = reader.id()?;
        match kind {
            OFFER => {
                let offer = Self::Offer { id, recipient: reader.hashname()?, size: reader.u32()? };
                reader.end()?;
                Ok(offer)
            }
            PART_OF => {
                let offset = reader.u32()?;
                let bytes = frame.slice_ref(reader.rest());
                if bytes.is_empty() || bytes.len() > PART {
                    return Err(Truncated);
                }
                Ok(Self::Part { id, offset, bytes })
            }
            GONE => reader.end().map(|()| Self::Gone { id }),
            _ => Err(Truncated),
        }
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out;
        match self {
            Self::Want { id, offset } => {
                out = start(WANT, id, 4);
                put_u32(&mut out, *offset);
            }
            Self::Stored { id } => out = start(STORED, id, 0),
            Self::Done { id } => out = start(DONE, id, 0),
            Self::Refused { id, reason } => {
                out = start(REFUSED, id, 1);
                out.push(reason.number());
            }
        }
        out.into()
    }

    pub(crate) fn decode(frame: &[u8]) -> Result<Self, Truncated> {
        let mut reader = Reader::new(frame);
        let (kind, id) = (reader.u8()?, reader.id()?);
        let answer = match kind {
            WANT => Self::Want { id, offset: reader.u32()? },
            STORED => Self::Stored { id },
            DONE => Self::Done { id },
            REFUSED => Self::Refused { id, reason: Reason::from_number(reader.u8()?)? },
            _ => return Err(Truncated),
        };
        reader.end()?;
        Ok(answer)
    }
}

fn start(kind: u8, id: &MessageId, more: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + id.as_bytes().len() + more);
    out.push(kind);
    out.extend_from_slice(id.as_bytes());
    out
}

const OFFER: u8 = 1;
const PART_OF: u8 = 2;
const GONE: u8 = 3;
const WANT: u8 = 4;
const STORED: u8 = 5;
const DONE: u8 = 6;
const REFUSED: u8 = 7;
const CACHES: u8 = 8;

#[cfg(test)]
mod tests;
