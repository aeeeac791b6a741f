//! A reliable channel in memory: two bounded pipes and the peer's answer, under one lock.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use telemesh_wire::Refusal;
use tokio::io::ReadBuf;

use super::link::Breakable;
use super::lock;
use crate::error::{ChannelError, OpenError};
use crate::raw::{CANCELLED, Pending, RawStream};

/// One end of a reliable channel in memory.
pub(super) struct MemoryStream {
    shared: Arc<Mutex<Shared>>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Opener,
    Acceptor,
}

struct Shared {
    /// What the opener writes.
    outward: Pipe,
    /// What the accepting end writes.
    homeward: Pipe,
    accepted: bool,
    accept_waker: Option<Waker>,
    /// Refused, or the link is gone.
    failure: Option<ChannelError>,
}

/// One direction.
#[derive(Default)]
struct Pipe {
    chunks: VecDeque<Bytes>,
    /// Bytes in `chunks`.
    size: usize,
    capacity: usize,
    /// The writer has shut down.
    ended: bool,
    reset: Option<u32>,
    stopped: Option<u32>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Who wants to know when nobody reads any more what is written.
    watcher: Option<Waker>,
}

impl MemoryStream {
    /// The opener's end, and the one that waits for acceptance.
    pub(super) fn pair(capacity: usize) -> (Self, Self) {
        let pipe = || Pipe { capacity, ..Pipe::default() };
        let shared = Arc::new(Mutex::new(Shared {
            outward: pipe(),
            homeward: pipe(),
            accepted: false,
            accept_waker: None,
            failure: None,
        }));
        (Self { shared: Arc::clone(&shared), end: End::Opener }, Self { shared, end: End::Acceptor })
    }

    pub(super) fn breakable(&self) -> Weak<dyn Breakable> {
        let shared: Weak<Mutex<Shared>> = Arc::downgrade(&self.shared);
        shared
    }

    /// Waits for something to read and lets `take` have the front of it; `Ok(None)` is the end.
    fn poll_take<R>(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut VecDeque<Bytes>) -> (usize, R),
    ) -> Poll<io::Result<Option<R>>> {
        let mut shared = lock(&self.shared);
        let (pipe, failure) = shared.read_by(self.end);
        if let Some(code) = pipe.reset {
            return Poll::Ready(Err(ChannelError::Reset(code).into()));
        }
        if !pipe.chunks.is_empty() {
            let (taken, result) = take(&mut pipe.chunks);
            pipe.size -= taken;
            wake(&mut pipe.writer);
            if pipe.is_read() {
                wake(&mut pipe.watcher);
            }
            return Poll::Ready(Ok(Some(result)));
        }
        if pipe.ended {
            return Poll::Ready(Ok(None));
        }
        if let Some(failure) = failure {
            return Poll::Ready(Err(failure.clone().into()));
        }
        pipe.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits for room and puts in what `make` returns for at most so many bytes.
    fn poll_put(&self, cx: &mut Context<'_>, make: impl FnOnce(usize) -> Bytes) -> Poll<io::Result<usize>> {
        let mut shared = lock(&self.shared);
        let (pipe, failure) = shared.written_by(self.end);
        if let Some(error) = pipe.write_error().or(failure.cloned()) {
            return Poll::Ready(Err(error.into()));
        }
        let room = pipe.capacity.saturating_sub(pipe.size);
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let chunk = make(room);
        let size = chunk.len();
        if size > 0 {
            pipe.size += size;
            pipe.chunks.push_back(chunk);
            wake(&mut pipe.reader);
        }
        Poll::Ready(Ok(size))
    }
}

impl Shared {
    fn read_by(&mut self, end: End) -> (&mut Pipe, Option<&ChannelError>) {
        let pipe = if end == End::Opener { &mut self.homeward } else { &mut self.outward };
        (pipe, self.failure.as_ref())
    }

    fn written_by(&mut self, end: End) -> (&mut Pipe, Option<&ChannelError>) {
        let pipe = if end == End::Opener { &mut self.outward } else { &mut self.homeward };
        (pipe, self.failure.as_ref())
    }

    fn fail(&mut self, reason: &ChannelError) {
        self.failure.get_or_insert_with(|| reason.clone());
        wake(&mut self.accept_waker);
        for pipe in [&mut self.outward, &mut self.homeward] {
            wake(&mut pipe.reader);
            wake(&mut pipe.writer);
            wake(&mut pipe.watcher);
        }
    }
}

impl Pipe {
    fn write_error(&self) -> Option<ChannelError> {
        if self.ended || self.reset.is_some() {
            return Some(ChannelError::ClosedHere);
        }
        self.stopped.map(ChannelError::Stopped)
    }

    /// Whether it has ended and everything in it was read.
    fn is_read(&self) -> bool {
        self.ended && self.chunks.is_empty()
    }

    fn discard(&mut self) {
        self.chunks.clear();
        self.size = 0;
        wake(&mut self.reader);
        wake(&mut self.writer);
        wake(&mut self.watcher);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Breakable for Mutex<Shared> {
    fn fail(&self, reason: &ChannelError) {
        lock(self).fail(reason);
    }
}

impl RawStream for MemoryStream {
    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OpenError>> {
        let mut shared = lock(&self.shared);
        if shared.accepted {
            return Poll::Ready(Ok(()));
        }
        match &shared.failure {
            Some(ChannelError::Refused(refusal)) => Poll::Ready(Err(OpenError::Refused(refusal.clone()))),
            Some(failure) => Poll::Ready(Err(OpenError::Channel(failure.clone()))),
            None => {
                shared.accept_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let copy = |chunks: &mut VecDeque<Bytes>| {
            let before = buf.remaining();
            while let Some(chunk) = chunks.front_mut()
                && buf.remaining() > 0
            {
                buf.put_slice(&chunk.split_to(chunk.len().min(buf.remaining())));
                if chunk.is_empty() {
                    chunks.pop_front();
                }
            }
            (before - buf.remaining(), ())
        };
        self.poll_take(cx, copy).map_ok(|_| ())
    }

    fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        self.poll_take(cx, |chunks| {
            let chunk = chunks.pop_front().unwrap_or_default();
            (chunk.len(), chunk)
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_put(cx, |room| Bytes::copy_from_slice(data.get(..room).unwrap_or(data)))
    }

    fn poll_write_chunk(&mut self, cx: &mut Context<'_>, chunk: &mut Bytes) -> Poll<io::Result<usize>> {
        self.poll_put(cx, |room| chunk.split_to(chunk.len().min(room)))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<ChannelError> {
        let mut shared = lock(&self.shared);
        let (pipe, failure) = shared.written_by(self.end);
        if let Some(error) = pipe.stopped.map(ChannelError::Stopped).or(failure.cloned()) {
            return Poll::Ready(error);
        }
        if pipe.reset.is_some() || pipe.is_read() {
            return Poll::Ready(ChannelError::ClosedHere);
        }
        pipe.watcher = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.shared);
        let (pipe, failure) = shared.written_by(self.end);
        if pipe.ended {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = pipe.write_error().or(failure.cloned()) {
            return Poll::Ready(Err(error.into()));
        }
        pipe.ended = true;
        wake(&mut pipe.reader);
        if pipe.is_read() {
            wake(&mut pipe.watcher);
        }
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, code: u32) {
        let mut shared = lock(&self.shared);
        let (pipe, _) = shared.written_by(self.end);
        // An end that was read completely stays an end.
        if pipe.reset.is_none() && !pipe.is_read() {
            pipe.reset = Some(code);
            pipe.discard();
        }
    }

    fn stop(&mut self, code: u32) {
        let mut shared = lock(&self.shared);
        let (pipe, _) = shared.read_by(self.end);
        if pipe.stopped.is_none() {
            pipe.stopped = Some(code);
            pipe.discard();
        }
    }

    /// Everything is delivered at once here.
    fn set_priority(&mut self, _priority: i32) {}
}

/// The end of a channel that nobody has decided upon.
pub(super) struct PendingMemoryStream(pub(super) MemoryStream);

impl Pending<Box<dyn RawStream>> for PendingMemoryStream {
    fn accept(self: Box<Self>) -> Box<dyn RawStream> {
        {
            let mut shared = lock(&self.0.shared);
            shared.accepted = true;
            wake(&mut shared.accept_waker);
        }
        Box::new(self.0)
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        lock(&self.0.shared).fail(&ChannelError::Refused(refusal));
    }

    fn ignore(self: Box<Self>) {
        lock(&self.0.shared).fail(&ChannelError::Reset(CANCELLED));
    }
}
