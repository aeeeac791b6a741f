//! An unreliable channel in memory: two bounded queues of messages under one lock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use telemesh_wire::Refusal;

use super::link::Breakable;
use super::{MemoryConfig, lock};
use crate::error::{ChannelError, DatagramError};
use crate::raw::{CANCELLED, Pending, RawDatagrams};

/// One end of an unreliable channel in memory.
pub(super) struct MemoryDatagrams {
    shared: Arc<Mutex<Shared>>,
    end: End,
    config: MemoryConfig,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Opener,
    Acceptor,
}

#[derive(Default)]
struct Shared {
    /// What the opener sends.
    outward: Queue,
    /// What the accepting end sends.
    homeward: Queue,
    /// Either end has closed.
    closed: bool,
    /// Refused, or the link is gone.
    failure: Option<ChannelError>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Bytes>,
    reader: Option<Waker>,
}

impl MemoryDatagrams {
    /// The opener's end, and the one that waits for acceptance.
    pub(super) fn pair(config: MemoryConfig) -> (Self, Self) {
        let shared = Arc::default();
        (
            Self { shared: Arc::clone(&shared), end: End::Opener, config },
            Self { shared, end: End::Acceptor, config },
        )
    }

    pub(super) fn breakable(&self) -> Weak<dyn Breakable> {
        let shared: Weak<Mutex<Shared>> = Arc::downgrade(&self.shared);
        shared
    }
}

impl Shared {
    fn wake(&mut self) {
        for queue in [&mut self.outward, &mut self.homeward] {
            if let Some(waker) = queue.reader.take() {
                waker.wake();
            }
        }
    }

    fn fail(&mut self, reason: &ChannelError) {
        if !self.closed {
            self.failure.get_or_insert_with(|| reason.clone());
        }
        self.wake();
    }
}

impl Breakable for Mutex<Shared> {
    fn fail(&self, reason: &ChannelError) {
        lock(self).fail(reason);
    }
}

impl RawDatagrams for MemoryDatagrams {
    fn max_size(&self) -> usize {
        let shared = lock(&self.shared);
        if shared.closed || shared.failure.is_some() { 0 } else { self.config.max_datagram_size }
    }

    /// A full queue blocks here, so that a test sees it; over a network the message would be lost at the other end.
    fn try_send(&self, message: Bytes) -> Result<(), DatagramError> {
        let max = self.config.max_datagram_size;
        let mut shared = lock(&self.shared);
        if let Some(failure) = &shared.failure {
            return Err(DatagramError::Channel(failure.clone()));
        }
        if shared.closed {
            return Err(DatagramError::Closed);
        }
        if message.len() > max {
            return Err(DatagramError::TooLarge { size: message.len(), max });
        }
        let queue = if self.end == End::Opener { &mut shared.outward } else { &mut shared.homeward };
        if queue.messages.len() >= self.config.datagram_queue {
            return Err(DatagramError::Blocked);
        }
        queue.messages.push_back(message);
        if let Some(waker) = queue.reader.take() {
            waker.wake();
        }
        Ok(())
    }

    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ChannelError>> {
        let mut shared = lock(&self.shared);
        let (closed, failure) = (shared.closed, shared.failure.clone());
        let queue = if self.end == End::Opener { &mut shared.homeward } else { &mut shared.outward };
        if let Some(message) = queue.messages.pop_front() {
            return Poll::Ready(Ok(Some(message)));
        }
        if let Some(failure) = failure {
            return Poll::Ready(Err(failure));
        }
        if closed {
            return Poll::Ready(Ok(None));
        }
        queue.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn close(&self) {
        let mut shared = lock(&self.shared);
        shared.closed = true;
        shared.wake();
    }
}

/// The end of a channel that nobody has decided upon.
pub(super) struct PendingMemoryDatagrams(pub(super) MemoryDatagrams);

impl Pending<Arc<dyn RawDatagrams>> for PendingMemoryDatagrams {
    /// The opener is not told: it may send before, and only a refusal makes a difference.
    fn accept(self: Box<Self>) -> Arc<dyn RawDatagrams> {
        Arc::new(self.0)
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        lock(&self.0.shared).fail(&ChannelError::Refused(refusal));
    }

    fn ignore(self: Box<Self>) {
        lock(&self.0.shared).fail(&ChannelError::Reset(CANCELLED));
    }
}
