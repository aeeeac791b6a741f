//! Reading a message from a channel.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use telemesh_channel::ReadHalf;

use crate::error::BodyError;
use crate::frame::{Decoder, Event};

/// The message that comes in over a channel.
#[derive(Debug)]
pub(crate) struct MessageReader {
    read: ReadHalf,
    /// What was read and not looked at.
    input: Bytes,
    decoder: Decoder,
    /// What is left of the length that the head has announced.
    left: Option<u64>,
}

impl MessageReader {
    /// `early` came before what the channel carries.
    pub(crate) fn new(early: Bytes, read: ReadHalf) -> Self {
        Self { read, input: early, decoder: Decoder::new(), left: None }
    }

    /// The next head. Whether the message ends with it.
    pub(crate) async fn head(&mut self) -> Result<(Bytes, bool), BodyError> {
        match poll_fn(|cx| self.poll_event(cx)).await? {
            Event::Head { block, end } => Ok((block, end)),
            // Nothing else is found before a head.
            Event::Data(_) | Event::Trailers(_) | Event::End => Err(BodyError::Cut),
        }
    }

    /// The last head was the final one, and announces so many bytes.
    pub(crate) fn begin_body(&mut self, length: Option<u64>) -> Result<(), BodyError> {
        self.decoder.begin_body();
        self.left = length;
        if self.decoder.has_ended() { self.check_end() } else { Ok(()) }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.decoder.has_ended()
    }

    /// Whether only the end is left.
    pub(crate) fn is_at_end(&self) -> bool {
        self.decoder.is_at_end()
    }

    /// Bytes that are still to come, if the head has said.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    /// What comes next of the message.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, BodyError>> {
        loop {
            if let Some(event) = self.decoder.next(&mut self.input)? {
                return Poll::Ready(self.count(event));
            }
            match ready!(self.read.poll_read_chunk(cx))? {
                Some(chunk) => self.input = chunk,
                None => return Poll::Ready(Err(BodyError::Cut)),
            }
        }
    }

    /// Resolves when the peer closes its direction, which it does behind its message.
    ///
    /// # Errors
    /// It has gone, or sends on behind the end.
    pub(crate) async fn closed(&mut self) -> Result<(), BodyError> {
        if !self.input.is_empty() || self.read.read_chunk().await?.is_some() {
            return Err(BodyError::Frame(crate::error::FrameError::AfterEnd));
        }
        Ok(())
    }

    /// The message was read. If the channel's end has come with it, the peer need not be told that nobody reads on.
    pub(crate) fn finish(mut self) {
        // Whatever it is that comes.
        let _ = self.read.poll_read_chunk(&mut Context::from_waker(Waker::noop()));
    }

    /// The channel's bytes from here on, and those that were read already.
    pub(crate) fn into_raw(self) -> (Bytes, ReadHalf) {
        (self.input, self.read)
    }

    /// Gives up reading: the peer's writes fail with this code.
    pub(crate) fn stop(self, code: u32) {
        self.read.stop(code);
    }

    fn count(&mut self, event: Event) -> Result<Event, BodyError> {
        match &event {
            Event::Data(data) => {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                if let Some(left) = &mut self.left {
                    *left = left.checked_sub(length).ok_or(BodyError::Length)?;
                }
            }
            Event::Trailers(_) | Event::End => self.check_end()?,
            Event::Head { .. } => {}
        }
        Ok(event)
    }

    fn check_end(&self) -> Result<(), BodyError> {
        if self.left.is_some_and(|left| left > 0) { Err(BodyError::Length) } else { Ok(()) }
    }
}
