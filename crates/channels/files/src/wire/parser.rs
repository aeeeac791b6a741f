//! Cuts a byte stream into messages. File data is passed on in the pieces it arrives in, never gathered.

use super::buffer::Malformed;
use super::frames::{HEADER, kind};
use crate::limits::{MAX_DATA, MAX_MESSAGE};

/// What comes next in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// A whole message.
    Message(u8, &'a [u8]),
    /// The next bytes of a file.
    Data(&'a [u8]),
}

/// The state between two pieces of the stream. It holds at most one message that is not whole yet, and memory for it grows
/// with what has arrived, not with what was announced.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    held: Vec<u8>,
    /// `held` was given out whole and is to be emptied.
    spent: bool,
    /// Bytes of data still to come after the header of a data message.
    data: usize,
    /// Whether this direction carries file data.
    takes_data: bool,
}

impl Parser {
    /// For the sender's direction.
    pub(crate) fn with_data() -> Self {
        Self { takes_data: true, ..Self::default() }
    }

    /// Takes the next message, or piece of data, from the front of `input`; `None` when it needs more.
    ///
    /// # Errors
    /// A length over the limit of its type, before anything of it is held.
    pub(crate) fn next<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
    ) -> Result<Option<Parsed<'a>>, Malformed> {
        if std::mem::take(&mut self.spent) {
            self.held.clear();
        }
        loop {
            if self.data > 0 {
                if input.is_empty() {
                    return Ok(None);
                }
                let data = take(input, self.data);
                self.data = self.data.saturating_sub(data.len());
                return Ok(Some(Parsed::Data(data)));
            }
            if self.held.is_empty() {
                // The usual case: the message lies whole in the input and is not copied.
                let Some((&header, rest)) = input.split_first_chunk::<HEADER>() else {
                    self.held.extend_from_slice(take(input, HEADER));
                    return Ok(None);
                };
                let (message, length) = self.header(header)?;
                if message == kind::DATA {
                    *input = rest;
                    self.data = length;
                    continue;
                }
                if let Some((body, rest)) = rest.split_at_checked(length) {
                    *input = rest;
                    return Ok(Some(Parsed::Message(message, body)));
                }
            }
            let missing = HEADER.saturating_sub(self.held.len());
            self.held.extend_from_slice(take(input, missing));
            let Some(&header) = self.held.first_chunk::<HEADER>() else {
                return Ok(None);
            };
            let (message, length) = self.header(header)?;
            if message == kind::DATA {
                self.held.clear();
                self.data = length;
                continue;
            }
            let missing = (HEADER + length).saturating_sub(self.held.len());
            self.held.extend_from_slice(take(input, missing));
            if self.held.len() < HEADER + length {
                return Ok(None);
            }
            self.spent = true;
            return Ok(self.held.get(HEADER..).map(|body| Parsed::Message(message, body)));
        }
    }

    fn header(&self, header: [u8; HEADER]) -> Result<(u8, usize), Malformed> {
        let [message, length @ ..] = header;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if message == kind::DATA {
            if !self.takes_data {
                return Err(Malformed("file data from the receiver"));
            }
            if length == 0 || length > MAX_DATA {
                return Err(Malformed("too much data after one header, or none"));
            }
        } else if length > MAX_MESSAGE {
            return Err(Malformed("a message over its limit"));
        }
        Ok((message, length))
    }
}

/// Takes at most `count` bytes from the front.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at_checked(count).unwrap_or((input, &[]));
    *input = rest;
    taken
}
