//! What a carrier of channels (the mesh, the memory pair) implements. Users of channels need nothing from here.

use std::io;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use telemesh_wire::Refusal;
use tokio::io::ReadBuf;

use crate::error::{ChannelError, DatagramError, OpenError};

/// Code of a reset or a stop that nobody chose: a channel was dropped before it was shut down or read to its end.
///
/// Every other code belongs to the channel's type.
pub const CANCELLED: u32 = 0;

/// How much the default of [`RawStream::poll_read_chunk`] reads at once, in bytes: a stack buffer, so it stays small.
const DEFAULT_CHUNK: usize = 8 * 1024;

/// One reliable channel as its carrier gives it.
///
/// The rules for an implementation:
/// - One waiter per direction: the last waker given to the reading functions, to the writing functions and to
///   [`poll_accepted`](Self::poll_accepted) is kept, each apart. A reader's poll must not displace a writer's waker.
/// - Errors are [`ChannelError`]s turned into [`io::Error`] (`From` is implemented), so that a user can look inside with
///   [`ChannelError::of`].
/// - [`reset`](Self::reset) and [`stop`](Self::stop) are harmless after the end of that direction; [`crate::Channel`] calls
///   them when it is dropped, so an implementation needs no `Drop` for that.
/// - The open message goes before everything that these functions send.
pub trait RawStream: Send {
    /// Resolves when the peer has accepted or refused, or the channel is lost before. The accepting side is ready at once.
    ///
    /// # Errors
    /// [`OpenError::Refused`] with the peer's reason, or why the answer will never come.
    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OpenError>>;

    /// Reads into `buf` as [`tokio::io::AsyncRead::poll_read`] does: nothing filled in means the end.
    ///
    /// # Errors
    /// A [`ChannelError`] inside an [`io::Error`].
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;

    /// Takes the next run of bytes without copying it; `None` is the end, and a chunk is never empty.
    ///
    /// The default copies through [`poll_read`](Self::poll_read) and allocates only when there is something to return.
    ///
    /// # Errors
    /// As [`poll_read`](Self::poll_read).
    fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let mut space = [const { std::mem::MaybeUninit::uninit() }; DEFAULT_CHUNK];
        let mut buf = ReadBuf::uninit(&mut space);
        self.poll_read(cx, &mut buf).map_ok(|()| {
            let filled = buf.filled();
            (!filled.is_empty()).then(|| Bytes::copy_from_slice(filled))
        })
    }

    /// Writes a part of `data`, as [`tokio::io::AsyncWrite::poll_write`] does. Waits while the peer does not read.
    ///
    /// # Errors
    /// A [`ChannelError`] inside an [`io::Error`].
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;

    /// Writes a part of several slices. The default writes of the first that is not empty.
    ///
    /// # Errors
    /// As [`poll_write`](Self::poll_write).
    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = data.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        self.poll_write(cx, first)
    }

    /// Whether [`poll_write_vectored`](Self::poll_write_vectored) is better than the default.
    fn is_write_vectored(&self) -> bool {
        false
    }

    /// Takes bytes from the front of `chunk`, at least one of a chunk that is not empty, and returns how many. An
    /// implementation that keeps `Bytes` takes them without copying. The default copies.
    ///
    /// # Errors
    /// As [`poll_write`](Self::poll_write).
    fn poll_write_chunk(&mut self, cx: &mut Context<'_>, chunk: &mut Bytes) -> Poll<io::Result<usize>> {
        self.poll_write(cx, chunk).map_ok(|written| {
            let written = written.min(chunk.len());
            chunk.advance(written);
            written
        })
    }

    /// Resolves when all written bytes are with the carrier. It does not wait for the peer.
    ///
    /// # Errors
    /// As [`poll_write`](Self::poll_write).
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Resolves when the peer reads no more, this direction has ended, or the channel is lost: whatever would be written from then on is
    /// for nobody. Its waker has a place of its own, and is woken when the channel is dropped, too.
    fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<ChannelError>;

    /// Ends the writing direction. The first call already counts, even if it returns `Pending`: everything written before
    /// is delivered although the channel is dropped next.
    ///
    /// # Errors
    /// As [`poll_write`](Self::poll_write).
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Gives up the writing direction: the peer's reads fail with [`ChannelError::Reset`], bytes under way may be dropped.
    fn reset(&mut self, code: u32);

    /// Gives up the reading direction: the peer's writes fail with [`ChannelError::Stopped`].
    fn stop(&mut self, code: u32);

    /// While a stream is corked, what is written and the end of writing may wait a few milliseconds for something else that is
    /// sent; taking the cork out sends it. A carrier that sends nothing by itself has nothing to do, as the default.
    fn cork(&mut self, corked: bool) {
        let _ = corked;
    }

    /// Among the channels of a link those of a higher priority send first; 0 at the start, equals share fairly.
    fn set_priority(&mut self, priority: i32);
}

/// One unreliable channel as its carrier gives it. Both directions may be used from different tasks at once.
pub trait RawDatagrams: Send + Sync {
    /// Bytes that fit in one message now. It follows the path, so it may change; 0 while nothing can be sent.
    fn max_size(&self) -> usize;

    /// Sends one message or says why it was not sent. Never waits.
    ///
    /// # Errors
    /// [`DatagramError`]; the message is lost to this call, but the caller may try again.
    fn try_send(&self, message: Bytes) -> Result<(), DatagramError>;

    /// The next message; `None` after the peer has closed in order. One waiter: the last waker is kept. Messages that
    /// arrive while nobody reads are kept up to a bound of the carrier, and dropped beyond it.
    ///
    /// # Errors
    /// [`ChannelError`], for example `Refused` by the peer.
    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ChannelError>>;

    /// Closes the channel and tells the peer. Called once, when the [`crate::Datagrams`] is closed or dropped.
    fn close(&self);
}

/// A channel the peer opened and nobody has decided upon. `Accepted` is what accepting gives: `Box<dyn RawStream>` or
/// `Arc<dyn RawDatagrams>`. Exactly one of its functions is called.
///
/// None of them waits: what must be sent is queued.
pub trait Pending<Accepted>: Send {
    /// Accepts. The peer is told with the first bytes that are written, when something is waited for, or after a few milliseconds.
    fn accept(self: Box<Self>) -> Accepted;

    /// Refuses with a reason that the peer's opener reads.
    fn refuse(self: Box<Self>, refusal: Refusal);

    /// Frees what the channel holds without an answer, because the peer had too many refusals already. A reliable
    /// channel's streams end with a bare reset, since the engine wants them back.
    fn ignore(self: Box<Self>);
}
