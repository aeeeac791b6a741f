//! [`Messages`]: whole messages over any byte stream.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::error::MessageError;

/// Largest message unless [`Messages::with_max_size`] says otherwise, in bytes: enough for what people send as one piece,
/// small enough that a few peers at the limit do not fill a machine's memory.
pub const MAX_MESSAGE_SIZE: usize = 16 * 1024 * 1024;

/// Messages over a byte stream, each with its length before it: `Stream` and `Sink` of [`Bytes`].
///
/// On the wire a message is its length as four bytes, the highest first, and then its bytes. Empty messages are allowed.
/// A length over the limit is refused before a byte is stored, and memory grows with what has arrived, never with what
/// was announced.
///
/// [`receive`](Self::receive), [`send`](Self::send) and [`finish`](Self::finish) do for those who do not use the traits.
#[derive(Debug)]
pub struct Messages<T> {
    io: T,
    max_size: usize,
    /// Bytes read and not yet given out: at most one message that is not whole, or several whole ones.
    received: BytesMut,
    /// Nothing comes after the end or an error.
    read_ended: bool,
    /// How much is read at once, in bytes; grows while the stream below has more than that.
    read_size: usize,
    outgoing: Outgoing,
}

impl<T> Messages<T> {
    /// Messages over `io`, up to [`MAX_MESSAGE_SIZE`].
    pub fn new(io: T) -> Self {
        Self {
            io,
            max_size: MAX_MESSAGE_SIZE,
            received: BytesMut::new(),
            read_ended: false,
            read_size: MIN_READ_SIZE,
            outgoing: Outgoing::default(),
        }
    }

    /// Sets the largest message in both directions, in bytes. What does not fit in the four bytes of a length is taken as
    /// the most that does.
    #[must_use]
    pub fn with_max_size(mut self, max_size: usize) -> Self {
        self.max_size = max_size.min(usize::try_from(u32::MAX).unwrap_or(usize::MAX));
        self
    }

    /// The largest message, in bytes.
    pub fn max_size(&self) -> usize {
        self.max_size
    }

    /// The byte stream below. Reading or writing it directly mixes up the messages; its other functions are free to use.
    pub fn io(&self) -> &T {
        &self.io
    }

    /// As [`io`](Self::io), to change it.
    pub fn io_mut(&mut self) -> &mut T {
        &mut self.io
    }

    /// Gives the byte stream back, with what was read of it and not yet given out. Messages not yet flushed are lost.
    pub fn into_parts(self) -> (T, Bytes) {
        (self.io, self.received.freeze())
    }

    /// Takes the next whole message out of what was received; `Ok(None)` if it is not whole yet.
    fn decode(&mut self) -> Result<Option<Bytes>, MessageError> {
        let Some(&header) = self.received.first_chunk::<HEADER_SIZE>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(header);
        let size = usize::try_from(announced).unwrap_or(usize::MAX);
        if size > self.max_size {
            return Err(MessageError::TooLarge { size: announced.into(), max: self.max_size });
        }
        let Some(missing) =
            (HEADER_SIZE + size).checked_sub(self.received.len()).filter(|missing| *missing > 0)
        else {
            self.received.advance(HEADER_SIZE);
            let message = self.received.split_to(size);
            // A small message is copied out, so that somebody who keeps it does not keep the whole buffer with it.
            return Ok(Some(if size <= COPY_UP_TO {
                Bytes::copy_from_slice(&message)
            } else {
                message.freeze()
            }));
        };
        // Room for the rest, but never more than was received already: a peer gets memory for bytes, not for promises.
        self.received.reserve(missing.min(self.received.len().max(MIN_READ_SIZE)));
        Ok(None)
    }
}

impl<T: AsyncRead + Unpin> Messages<T> {
    /// Waits for the next message; `None` is the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`MessageError`]; the stream ends with it.
    pub async fn receive(&mut self) -> Result<Option<Bytes>, MessageError> {
        poll_fn(|cx| self.poll_receive(cx)).await.transpose()
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, MessageError>>> {
        if self.read_ended {
            return Poll::Ready(None);
        }
        loop {
            match self.decode() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) => {}
                Err(error) => {
                    self.read_ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => {
                    self.read_ended = true;
                    let whole = self.received.is_empty();
                    return Poll::Ready((!whole).then_some(Err(MessageError::Truncated)));
                }
                Ok(_) => {}
                Err(error) => {
                    self.read_ended = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
    }

    /// Reads once; how many bytes came.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.received.spare_capacity_mut().is_empty() {
            self.received.reserve(self.read_size);
        }
        let room = self.received.spare_capacity_mut().len();
        // The future keeps nothing between polls (it is documented to be cancel safe), so it can be made for each.
        let count = ready!(pin!(self.io.read_buf(&mut self.received)).poll(cx))?;
        if count == room {
            self.read_size = (self.read_size * 2).min(MAX_READ_SIZE);
        }
        Poll::Ready(Ok(count))
    }
}

impl<T: AsyncWrite + Unpin> Messages<T> {
    /// Sends one message and waits until it is with the byte stream below. If the future is dropped before it resolves,
    /// the message is sent with the next one, or not at all.
    ///
    /// # Errors
    /// [`MessageError::TooLarge`] concerns this message only; everything else ends the stream.
    pub async fn send(&mut self, message: Bytes) -> Result<(), MessageError> {
        poll_fn(|cx| self.poll_room(cx)).await?;
        self.outgoing.push(message, self.max_size)?;
        poll_fn(|cx| self.poll_flush_all(cx)).await
    }

    /// Sends what is left and ends the writing direction.
    ///
    /// # Errors
    /// [`MessageError::Io`].
    pub async fn finish(&mut self) -> Result<(), MessageError> {
        poll_fn(|cx| self.poll_finish(cx)).await
    }

    /// Ready when another message may be queued.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        if self.outgoing.size >= WRITE_AT { self.poll_drain(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Writes all that is queued.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        while self.outgoing.size > 0 {
            let written = ready!(self.outgoing.poll_write(Pin::new(&mut self.io), cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            self.outgoing.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_flush(cx).map_err(Into::into)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx).map_err(Into::into)
    }
}

impl<T: AsyncRead + Unpin> Stream for Messages<T> {
    type Item = Result<Bytes, MessageError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_receive(cx)
    }
}

impl<T: AsyncWrite + Unpin> Sink<Bytes> for Messages<T> {
    type Error = MessageError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.poll_room(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Bytes) -> Result<(), MessageError> {
        let max_size = self.max_size;
        self.outgoing.push(message, max_size)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.poll_flush_all(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), MessageError>> {
        self.poll_finish(cx)
    }
}

/// Messages on their way out, with their lengths.
#[derive(Debug, Default)]
struct Outgoing {
    /// Goes out first. Large messages are here as they were given, without a copy.
    chunks: VecDeque<Bytes>,
    /// Goes out last: lengths and small messages, gathered so that many of them make one write.
    tail: BytesMut,
    /// Bytes in `chunks` and `tail`.
    size: usize,
}

impl Outgoing {
    fn push(&mut self, message: Bytes, max_size: usize) -> Result<(), MessageError> {
        let too_large = || MessageError::TooLarge {
            size: u64::try_from(message.len()).unwrap_or(u64::MAX),
            max: max_size,
        };
        if message.len() > max_size {
            return Err(too_large());
        }
        self.tail.put_u32(u32::try_from(message.len()).map_err(|_| too_large())?);
        self.size += HEADER_SIZE + message.len();
        if message.len() <= COPY_UP_TO {
            self.tail.put(message);
        } else {
            self.chunks.push_back(self.tail.split().freeze());
            self.chunks.push_back(message);
        }
        Ok(())
    }

    /// Writes once, as much as the stream below takes.
    fn poll_write<T: AsyncWrite>(&self, io: Pin<&mut T>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut pieces = self.chunks.iter().map(|chunk| &chunk[..]).chain([&self.tail[..]]);
        if !io.is_write_vectored() {
            return io.poll_write(cx, pieces.next().unwrap_or(&[]));
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        io.poll_write_vectored(cx, slices.get(..count).unwrap_or(&[]))
    }

    /// Forgets what was written.
    fn advance(&mut self, mut written: usize) {
        self.size = self.size.saturating_sub(written);
        while let Some(chunk) = self.chunks.front_mut() {
            if written < chunk.len() {
                return chunk.advance(written);
            }
            written -= chunk.len();
            self.chunks.pop_front();
        }
        self.tail.advance(written.min(self.tail.len()));
    }
}

/// Bytes of the length before each message.
const HEADER_SIZE: usize = size_of::<u32>();

/// Messages up to this size are copied on both ways: a copy of so little costs less than a buffer that it keeps alive.
const COPY_UP_TO: usize = 1024;

/// What a stream of messages that waits holds, in bytes; thousands of them are open in a busy endpoint.
const MIN_READ_SIZE: usize = 8 * 1024;

/// The most that is read at once, in bytes; more brings no measurable speed.
const MAX_READ_SIZE: usize = 64 * 1024;

/// A sink that holds this many bytes writes them before it takes more.
const WRITE_AT: usize = 64 * 1024;

/// Pieces of one vectored write: eight large messages with their lengths.
const MAX_SLICES: usize = 16;

#[cfg(test)]
mod tests;
