//! What is inside a seal: a message of an application, or a receipt for some.
//!
//! Integers are big-endian. Byte 0 is the kind.
//!
//! | kind | fields |
//! |---|---|
//! | 1, message | stream (8), number (8), settled (8), gaps end (8), sent at (8), expires (8), label (1 for its length, and it), content |
//! | 2, receipt | stream (8), below (8), number of runs (2), each with its first number (8) and the first behind it (8) |
//!
//! The seal's context is [`CONTEXT`], which carries the version.

use crate::runs::Runs;
use crate::wire::bytes::{Reader, Truncated, put_text, put_u64};
use crate::wire::label::Label;

/// A message sealed for this is no other kind of sealed message.
pub(crate) const CONTEXT: &[u8] = b"telemesh box 1";

/// All of a message but its content. Times are in seconds since 1970, on the sender's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Drawn at random when the sender first writes to this recipient under this label.
    pub(crate) stream: u64,
    /// Counts the messages of the stream from 0.
    pub(crate) number: u64,
    /// Everything below has its receipt or is given up: nobody needs to wait for it.
    pub(crate) settled: u64,
    /// When the last of the earlier messages without a receipt expires.
    pub(crate) gaps_end: u64,
    pub(crate) sent_at: u64,
    pub(crate) expires: u64,
    pub(crate) label: Label,
}

/// The recipient's application has acknowledged these messages of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) stream: u64,
    pub(crate) settled: Runs,
}

/// See the module's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Letter<'a> {
    Message(Header, &'a [u8]),
    Receipt(Receipt),
}

impl Header {
    /// The bytes in front of the content.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.label.as_str().len());
        out.push(MESSAGE);
        for value in [self.stream, self.number, self.settled, self.gaps_end, self.sent_at, self.expires] {
            put_u64(&mut out, value);
        }
        put_text(&mut out, self.label.as_str());
        out
    }
}

impl Receipt {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![RECEIPT];
        put_u64(&mut out, self.stream);
        self.settled.encode(&mut out);
        out
    }
}

impl<'a> Letter<'a> {
    /// Reads what was inside a seal.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Truncated> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            MESSAGE => {
                let header = Header {
                    stream: reader.u64()?,
                    number: reader.u64()?,
                    settled: reader.u64()?,
                    gaps_end: reader.u64()?,
                    sent_at: reader.u64()?,
                    expires: reader.u64()?,
                    label: reader.text()?.parse().map_err(|_| Truncated)?,
                };
                // The last number has no successor, and nothing is settled before it was sent.
                if header.number == u64::MAX || header.settled > header.number {
                    return Err(Truncated);
                }
                Ok(Self::Message(header, reader.rest()))
            }
            RECEIPT => {
                let receipt = Receipt { stream: reader.u64()?, settled: Runs::decode(&mut reader)? };
                reader.end()?;
                Ok(Self::Receipt(receipt))
            }
            _ => Err(Truncated),
        }
    }
}

const MESSAGE: u8 = 1;
const RECEIPT: u8 = 2;
