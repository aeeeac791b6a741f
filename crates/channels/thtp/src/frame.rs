//! The frames of a message in one direction of a channel: a head, data, trailers. Without I/O.
//!
//! A frame is one byte for its kind, three for the length of what follows, the highest first, and that. The kind's highest bit
//! says that the message ends with this frame, so that a channel that was cut never looks like a message that has ended.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::error::FrameError;
use crate::limits::MAX_HEADER_LIST;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A part of the body.
    Data = 0,
    /// The head of a request or a response, encoded as [`crate::fields`] does.
    Head = 1,
    /// Headers behind the body, in the same form. They end the message.
    Trailers = 2,
}

/// The message ends with this frame.
const END: u8 = 0x80;

/// Bytes in front of what a frame holds.
pub(crate) const FRAME_HEADER: usize = 4;

/// Writes the header of a frame. Whoever calls keeps `length` below 2^24.
pub(crate) fn put_header(out: &mut BytesMut, kind: Kind, end: bool, length: usize) {
    out.put_u8(kind as u8 | if end { END } else { 0 });
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let [_, high, middle, low] = length.to_be_bytes();
    out.put_slice(&[high, middle, low]);
}

/// What a reader has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A whole head; whether the message ends with it.
    Head { block: Bytes, end: bool },
    /// Some of the body; never empty.
    Data(Bytes),
    /// Whole trailers, with which the message ends.
    Trailers(Bytes),
    /// The message ends behind the data that was there before.
    End,
}

/// Takes a message apart, in whatever pieces it comes.
#[derive(Debug)]
pub(crate) struct Decoder {
    phase: Phase,
    part: Part,
}

/// How far the message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Heads come: interim ones, then the final one.
    Head,
    Body,
    Ended,
}

/// Where in a frame the reader is.
#[derive(Debug)]
enum Part {
    Header { bytes: [u8; FRAME_HEADER], have: usize },
    Block { kind: Kind, end: bool, length: usize, bytes: BytesMut },
    Data { left: usize, end: bool },
}

impl Part {
    const START: Self = Self::Header { bytes: [0; FRAME_HEADER], have: 0 };
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Head, part: Part::START }
    }

    /// The last head was the final one: a body follows, unless the message has ended.
    pub(crate) fn begin_body(&mut self) {
        if self.phase == Phase::Head {
            self.phase = Phase::Body;
        }
    }

    /// Whether the message has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Takes from the front of `input` until something is found; `None` when more is needed.
    ///
    /// # Errors
    /// [`FrameError`]; the message cannot be read on.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> Result<Option<Event>, FrameError> {
        loop {
            if let Some(end) = self.ended_data() {
                return Ok(Some(end));
            }
            if input.is_empty() {
                return Ok(None);
            }
            if self.phase == Phase::Ended {
                return Err(FrameError::AfterEnd);
            }
            match &mut self.part {
                Part::Header { bytes, have } => {
                    while *have < FRAME_HEADER && !input.is_empty() {
                        if let Some(byte) = bytes.get_mut(*have) {
                            *byte = input.get_u8();
                        }
                        *have += 1;
                    }
                    if *have == FRAME_HEADER {
                        let header = *bytes;
                        if let Some(event) = self.begin(header)? {
                            return Ok(Some(event));
                        }
                    }
                }
                Part::Block { length, bytes, .. } => {
                    let take = input.len().min(length.saturating_sub(bytes.len()));
                    bytes.extend_from_slice(&input.split_to(take));
                    if bytes.len() == *length {
                        return Ok(Some(self.end_block()));
                    }
                }
                Part::Data { left, end } => {
                    let data = input.split_to(input.len().min(*left));
                    *left -= data.len();
                    if *left == 0 && !*end {
                        self.part = Part::START;
                    }
                    return Ok(Some(Event::Data(data)));
                }
            }
        }
    }

    /// The end behind the last data.
    fn ended_data(&mut self) -> Option<Event> {
        self.is_at_end().then(|| {
            self.phase = Phase::Ended;
            Event::End
        })
    }

    fn begin(&mut self, header: [u8; FRAME_HEADER]) -> Result<Option<Event>, FrameError> {
        let [kind, high, middle, low] = header;
        let end = kind & END != 0;
        let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
        let kind = match (kind & !END, self.phase) {
            (0, Phase::Body) => Kind::Data,
            (1, Phase::Head) => Kind::Head,
            (2, Phase::Body) => Kind::Trailers,
            (0..=2, _) => return Err(FrameError::Order),
            (kind, _) => return Err(FrameError::UnknownKind(kind)),
        };
        self.part = match kind {
            // It would only keep a reader busy.
            Kind::Data if length == 0 && !end => return Err(FrameError::Empty),
            Kind::Data => Part::Data { left: length, end },
            Kind::Trailers if !end => return Err(FrameError::Order),
            _ if length > MAX_HEADER_LIST => return Err(FrameError::TooLong(length)),
            // An empty head says nothing; it is found when it is read. No room before the bytes are there.
            _ => Part::Block { kind, end, length, bytes: BytesMut::new() },
        };
        Ok(matches!(self.part, Part::Block { length: 0, .. }).then(|| self.end_block()))
    }

    fn end_block(&mut self) -> Event {
        let Part::Block { kind, end, bytes, .. } = std::mem::replace(&mut self.part, Part::START) else {
            return Event::End;
        };
        if end {
            self.phase = Phase::Ended;
        }
        let block = bytes.freeze();
        match kind {
            Kind::Trailers => Event::Trailers(block),
            _ => Event::Head { block, end },
        }
    }

    /// Whether all data was found and only the end is left, which needs no more input.
    pub(crate) fn is_at_end(&self) -> bool {
        self.phase == Phase::Body && matches!(self.part, Part::Data { left: 0, end: true })
    }
}

#[cfg(test)]
mod tests;
