//! [`Channel`]: a reliable channel in its user's hands.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use telemesh_hashname::Hashname;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::dispatch::Permit;
use crate::error::{ChannelError, OpenError};
use crate::raw::{CANCELLED, RawStream};
use crate::split::{ReadHalf, WriteHalf};

/// A reliable channel: an ordered byte stream each way, half-closable.
///
/// Both directions end apart. `shutdown` (of tokio's `AsyncWriteExt`, or [`finish`](Self::finish)) ends writing: the peer
/// reads to the end, also when the channel is dropped right after. Dropped before, it is reset with [`CANCELLED`], and so is
/// reading stopped that had not reached its end.
///
/// Errors are [`ChannelError`]s inside [`io::Error`]s; [`ChannelError::of`] looks inside.
pub struct Channel {
    peer: Hashname,
    channel_type: Box<str>,
    raw: Box<dyn RawStream>,
    /// The reading direction reached its end or was stopped.
    read_ended: bool,
    /// The writing direction was shut down or reset.
    write_ended: bool,
    /// Kept for its drop: gives this channel's place in the type's limit back.
    _permit: Option<Permit>,
}

impl Channel {
    /// Wraps what the carrier gives.
    pub fn new(peer: Hashname, channel_type: impl Into<Box<str>>, raw: Box<dyn RawStream>) -> Self {
        Self {
            peer,
            channel_type: channel_type.into(),
            raw,
            read_ended: false,
            write_ended: false,
            _permit: None,
        }
    }

    pub(crate) fn with_permit(mut self, permit: Option<Permit>) -> Self {
        self._permit = permit;
        self
    }

    /// The endpoint at the other end.
    pub fn peer(&self) -> Hashname {
        self.peer
    }

    /// The type the channel was opened with.
    pub fn channel_type(&self) -> &str {
        &self.channel_type
    }

    /// Waits until the peer has accepted. Nobody has to: data may be written before, and a refusal fails reads and writes.
    ///
    /// # Errors
    /// [`OpenError::Refused`] with the peer's reason, or why the answer will never come.
    pub async fn accepted(&mut self) -> Result<(), OpenError> {
        poll_fn(|cx| self.raw.poll_accepted(cx)).await
    }

    /// Waits for the next run of bytes, without copying where the carrier can; `None` is the end. Never empty. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// A [`ChannelError`] inside an [`io::Error`].
    pub async fn read_chunk(&mut self) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_read_chunk(cx)).await
    }

    /// [`read_chunk`](Self::read_chunk) as a poll function.
    ///
    /// # Errors
    /// As [`read_chunk`](Self::read_chunk).
    pub fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.read_ended {
            return Poll::Ready(Ok(None));
        }
        let chunk = ready!(self.raw.poll_read_chunk(cx))?;
        self.read_ended = chunk.is_none();
        Poll::Ready(Ok(chunk))
    }

    /// Writes all of `chunk`, without copying where the carrier can. If the future is dropped before it resolves, a part
    /// may have been written.
    ///
    /// # Errors
    /// A [`ChannelError`] inside an [`io::Error`].
    pub async fn write_chunk(&mut self, mut chunk: Bytes) -> io::Result<()> {
        while !chunk.is_empty() {
            if poll_fn(|cx| self.poll_write_chunk(cx, &mut chunk)).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Takes bytes from the front of `chunk` and returns how many.
    ///
    /// # Errors
    /// As [`write_chunk`](Self::write_chunk).
    pub fn poll_write_chunk(&mut self, cx: &mut Context<'_>, chunk: &mut Bytes) -> Poll<io::Result<usize>> {
        self.writable()?;
        self.raw.poll_write_chunk(cx, chunk)
    }

    /// Ends the writing direction; what was written is delivered even if the channel is dropped next. The same as `shutdown`.
    ///
    /// # Errors
    /// A [`ChannelError`] inside an [`io::Error`].
    pub async fn finish(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_finish(cx)).await
    }

    /// Gives up both directions: the peer's reads fail with [`ChannelError::Reset`] and its writes with
    /// [`ChannelError::Stopped`], both with this code. Bytes under way may be dropped.
    pub fn reset(mut self, code: u32) {
        self.reset_writing(code);
        self.stop_reading(code);
    }

    /// Gives up writing, unless it was ended already: the peer's reads fail with [`ChannelError::Reset`].
    pub fn reset_writing(&mut self, code: u32) {
        // Also after a shutdown: a reset is how a user takes back an end that is still under way.
        self.write_ended = true;
        self.raw.reset(code);
    }

    /// Gives up reading: the peer's writes fail with [`ChannelError::Stopped`]; own reads return the end.
    pub fn stop_reading(&mut self, code: u32) {
        if !self.read_ended {
            self.read_ended = true;
            self.raw.stop(code);
        }
    }

    /// Among the channels of a link those of a higher priority send first; 0 at the start, equals share fairly.
    pub fn set_priority(&mut self, priority: i32) {
        self.raw.set_priority(priority);
    }

    /// While a channel is corked, what is written and the end of writing may wait up to 5 ms for something else that the link
    /// sends, so that several writes, or the last one and the end, share a packet. Taking the cork out sends what waits, as does
    /// a write that finds no room or a read that finds nothing; to flush does not.
    pub fn cork(&mut self, corked: bool) {
        self.raw.cork(corked);
    }

    /// Two halves for two tasks. Unlike those of [`tokio::io::split`], they keep the zero-copy functions and the codes.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        crate::split::split(self)
    }

    pub(crate) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<ChannelError> {
        self.raw.poll_stopped(cx)
    }

    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_ended = true;
        self.raw.poll_shutdown(cx)
    }

    /// What dropping means for the writing direction.
    pub(crate) fn abandon_writing(&mut self) {
        if !self.write_ended {
            self.write_ended = true;
            self.raw.reset(CANCELLED);
        }
    }

    fn writable(&self) -> Result<(), io::Error> {
        if self.write_ended { Err(ChannelError::ClosedHere.into()) } else { Ok(()) }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.abandon_writing();
        self.stop_reading(CANCELLED);
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read_ended || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(self.raw.poll_read(cx, buf))?;
        self.read_ended = buf.filled().len() == before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Channel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.writable()?;
        self.raw.poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writable()?;
        self.raw.poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.raw.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.raw.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_finish(cx)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Channel")
            .field("peer", &self.peer)
            .field("type", &self.channel_type)
            .field("read_ended", &self.read_ended)
            .field("write_ended", &self.write_ended)
            .finish_non_exhaustive()
    }
}
