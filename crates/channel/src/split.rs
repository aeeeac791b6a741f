//! The two halves of a [`Channel`], for two tasks.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use telemesh_hashname::Hashname;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::channel::Channel;
use crate::error::ChannelError;
use crate::raw::CANCELLED;

/// The lock is held for one poll only and never across an await. Both halves lock the same link below anyway.
type Shared = Arc<Mutex<Channel>>;

pub(crate) fn split(channel: Channel) -> (ReadHalf, WriteHalf) {
    let peer = channel.peer();
    let shared = Arc::new(Mutex::new(channel));
    (ReadHalf { shared: Arc::clone(&shared), peer }, WriteHalf { shared, peer })
}

/// A panic inside a poll has already failed that task; the channel's own state is a few flags that stay true.
fn lock(shared: &Shared) -> MutexGuard<'_, Channel> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reading half of a [`Channel`]. Dropped before the end, it stops the peer with [`CANCELLED`].
#[derive(Debug)]
pub struct ReadHalf {
    shared: Shared,
    peer: Hashname,
}

impl ReadHalf {
    /// The endpoint at the other end.
    pub fn peer(&self) -> Hashname {
        self.peer
    }

    /// As [`Channel::read_chunk`].
    ///
    /// # Errors
    /// As [`Channel::read_chunk`].
    pub async fn read_chunk(&mut self) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_read_chunk(cx)).await
    }

    /// As [`Channel::poll_read_chunk`].
    ///
    /// # Errors
    /// As [`Channel::read_chunk`].
    pub fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        lock(&self.shared).poll_read_chunk(cx)
    }

    /// As [`Channel::stop_reading`].
    pub fn stop(self, code: u32) {
        lock(&self.shared).stop_reading(code);
    }
}

impl Drop for ReadHalf {
    fn drop(&mut self) {
        lock(&self.shared).stop_reading(CANCELLED);
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.shared)).poll_read(cx, buf)
    }
}

/// The writing half of a [`Channel`]. Dropped before it was shut down, it resets with [`CANCELLED`].
#[derive(Debug)]
pub struct WriteHalf {
    shared: Shared,
    peer: Hashname,
}

impl WriteHalf {
    /// The endpoint at the other end.
    pub fn peer(&self) -> Hashname {
        self.peer
    }

    /// As [`Channel::write_chunk`].
    ///
    /// # Errors
    /// As [`Channel::write_chunk`].
    pub async fn write_chunk(&mut self, mut chunk: Bytes) -> io::Result<()> {
        while !chunk.is_empty() {
            if poll_fn(|cx| self.poll_write_chunk(cx, &mut chunk)).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// As [`Channel::poll_write_chunk`].
    ///
    /// # Errors
    /// As [`Channel::write_chunk`].
    pub fn poll_write_chunk(&mut self, cx: &mut Context<'_>, chunk: &mut Bytes) -> Poll<io::Result<usize>> {
        lock(&self.shared).poll_write_chunk(cx, chunk)
    }

    /// As [`Channel::finish`].
    ///
    /// # Errors
    /// As [`Channel::finish`].
    pub async fn finish(&mut self) -> io::Result<()> {
        poll_fn(|cx| lock(&self.shared).poll_finish(cx)).await
    }

    /// Resolves when nobody reads any more what is written: the peer has stopped reading, this direction has ended, or the channel
    /// is lost or dropped. For whoever works on something to write; it does not keep the channel. One at a time is woken.
    pub fn stopped(&self) -> impl Future<Output = ChannelError> + Send + use<> {
        let shared = Arc::downgrade(&self.shared);
        poll_fn(move |cx| match shared.upgrade() {
            Some(shared) => lock(&shared).poll_stopped(cx),
            None => Poll::Ready(ChannelError::ClosedHere),
        })
    }

    /// As [`Channel::reset_writing`].
    pub fn reset(self, code: u32) {
        lock(&self.shared).reset_writing(code);
    }

    /// As [`Channel::cork`].
    pub fn cork(&mut self, corked: bool) {
        lock(&self.shared).cork(corked);
    }

    /// As [`Channel::set_priority`].
    pub fn set_priority(&mut self, priority: i32) {
        lock(&self.shared).set_priority(priority);
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        lock(&self.shared).abandon_writing();
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.shared)).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.shared)).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.shared).is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.shared)).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.shared).poll_finish(cx)
    }
}
