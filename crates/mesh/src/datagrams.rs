//! The unreliable channels of one link: numbered queues of messages, without an engine.
//!
//! Each side numbers the channels that it opens: the higher hashname's are odd, the other's even. A message that overtakes
//! its open message is lost, as messages here may be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use telemesh_channel::{ChannelError, DatagramError, Open, Pending, RawDatagrams, Refusal};
use telemesh_wire::Frame;
use telemesh_wire::limits::FRAME_HEADER_LENGTH;

use crate::cell::LinkCell;
use crate::outcome::Outcome;

/// Messages that a channel keeps for a reader; more are dropped.
const MAX_QUEUED: usize = 256;

/// Bytes that a channel keeps for a reader: many channels must not add up to much where nobody reads.
const MAX_QUEUED_BYTES: usize = 64 << 10;

/// Bytes that all channels of a link keep for readers.
const MAX_UNREAD: usize = 4 << 20;

/// What a message counts beside its bytes: about what keeping it costs, so that empty ones are bounded too.
const MESSAGE_COST: usize = 64;

/// Unreliable channels of one link, of either side. The types' own limits are below it; this bounds what waits for a decision,
/// and what the application itself opens. The peer's leave room for ours.
const MAX_CHANNELS: usize = 4_096;

/// All unreliable channels of a link.
pub(crate) struct DatagramTable {
    /// Whether our numbers are odd.
    odd: bool,
    next: u32,
    channels: BTreeMap<u32, Arc<Queue>>,
    /// How many of them are ours.
    ours: usize,
    /// What they all hold.
    unread: Arc<AtomicUsize>,
}

/// What has arrived on one channel.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Shared by all channels of the link.
    unread: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Bytes>,
    /// What `messages` count.
    held: usize,
    reader: Option<Waker>,
    /// No more messages will come: in order, or for this reason.
    ended: Option<Option<ChannelError>>,
}

impl Queue {
    fn new(unread: &Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), unread: unread.clone() })
    }

    fn end(&self, reason: Option<ChannelError>, outcome: &mut Outcome) {
        let mut state = self.state.lock();
        state.ended.get_or_insert(reason);
        outcome.wakers.extend(state.reader.take());
    }

    fn push(&self, message: &[u8], outcome: &mut Outcome) {
        let mut state = self.state.lock();
        let size = message.len() + MESSAGE_COST;
        // Only the link's receiver adds, under its lock, so that two cannot both take the last room.
        let room = self.unread.load(Ordering::Relaxed) + size <= MAX_UNREAD;
        let fits = state.messages.len() < MAX_QUEUED && state.held + size <= MAX_QUEUED_BYTES;
        if room && fits && state.ended.is_none() {
            state.held += size;
            self.unread.fetch_add(size, Ordering::Relaxed);
            state.messages.push_back(Bytes::copy_from_slice(message));
        }
        outcome.wakers.extend(state.reader.take());
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ChannelError>> {
        let mut state = self.state.lock();
        if let Some(message) = state.messages.pop_front() {
            let size = message.len() + MESSAGE_COST;
            state.held = state.held.saturating_sub(size);
            self.unread.fetch_sub(size, Ordering::Relaxed);
            return Poll::Ready(Ok(Some(message)));
        }
        match &state.ended {
            Some(None) => Poll::Ready(Ok(None)),
            Some(Some(reason)) => Poll::Ready(Err(reason.clone())),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.unread.fetch_sub(self.state.get_mut().held, Ordering::Relaxed);
    }
}

/// A channel that the peer has opened.
pub(crate) struct OpenedDatagrams {
    pub(crate) number: u32,
    pub(crate) open: Open,
    pub(crate) queue: Arc<Queue>,
}

impl DatagramTable {
    pub(crate) fn new(odd: bool) -> Self {
        Self { odd, next: u32::from(odd), channels: BTreeMap::new(), ours: 0, unread: Arc::default() }
    }

    fn is_ours(&self, number: u32) -> bool {
        (number % 2 == 1) == self.odd
    }

    /// A number and a queue for a channel of ours; `None` when there are too many.
    pub(crate) fn open(&mut self) -> Option<(u32, Arc<Queue>)> {
        if self.ours >= MAX_CHANNELS {
            return None;
        }
        while self.channels.contains_key(&self.next) {
            self.next = self.next.wrapping_add(2);
        }
        let number = self.next;
        self.next = number.wrapping_add(2);
        let queue = Queue::new(&self.unread);
        self.channels.insert(number, queue.clone());
        self.ours += 1;
        Some((number, queue))
    }

    /// Takes one frame from the peer. Whatever does not fit is dropped. Returns the number of a channel of which the peer
    /// should hear that it is closed.
    pub(crate) fn handle(&mut self, frame: &[u8], outcome: &mut Outcome) -> Option<u32> {
        match Frame::decode(frame).ok()? {
            Frame::Open { channel, open } => {
                let room = self.channels.len().saturating_sub(self.ours) < MAX_CHANNELS;
                if room && !self.is_ours(channel) && !self.channels.contains_key(&channel) {
                    let queue = Queue::new(&self.unread);
                    self.channels.insert(channel, queue.clone());
                    outcome.datagrams.push(OpenedDatagrams { number: channel, open, queue });
                }
            }
            Frame::Message { channel, payload } => {
                if let Some(queue) = self.channels.get(&channel) {
                    queue.push(payload, outcome);
                } else if self.is_ours(channel) && channel < self.next {
                    // We have opened and closed it. (Of the peer's we cannot tell: the open message may still come.)
                    return Some(channel);
                }
            }
            Frame::Close { channel, refusal } => {
                if let Some(queue) = self.take(channel) {
                    queue.end(refusal.map(ChannelError::Refused), outcome);
                }
            }
            Frame::Notice { open } => outcome.notices.push(open),
            _ => {}
        }
        None
    }

    fn take(&mut self, number: u32) -> Option<Arc<Queue>> {
        let queue = self.channels.remove(&number)?;
        self.ours = self.ours.saturating_sub(usize::from(self.is_ours(number)));
        Some(queue)
    }

    /// Forgets a channel that was closed here; whether it was still there.
    pub(crate) fn remove(&mut self, number: u32) -> bool {
        self.take(number).is_some()
    }

    /// Ends all channels.
    pub(crate) fn fail(&mut self, reason: &ChannelError, outcome: &mut Outcome) {
        self.ours = 0;
        for queue in std::mem::take(&mut self.channels).into_values() {
            queue.end(Some(reason.clone()), outcome);
        }
    }
}

/// One unreliable channel over a link.
pub(crate) struct MeshDatagrams {
    pub(crate) cell: Arc<LinkCell>,
    pub(crate) number: u32,
    pub(crate) queue: Arc<Queue>,
}

impl RawDatagrams for MeshDatagrams {
    fn max_size(&self) -> usize {
        if self.queue.state.lock().ended.is_some() {
            return 0;
        }
        self.cell.max_message().saturating_sub(FRAME_HEADER_LENGTH)
    }

    fn try_send(&self, message: Bytes) -> Result<(), DatagramError> {
        match &self.queue.state.lock().ended {
            Some(None) => return Err(DatagramError::Closed),
            Some(Some(reason)) => return Err(DatagramError::Channel(reason.clone())),
            None => {}
        }
        self.cell.send_frame(&Frame::Message { channel: self.number, payload: &message })
    }

    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ChannelError>> {
        self.queue.poll(cx)
    }

    fn close(&self) {
        self.queue.state.lock().ended.get_or_insert(None);
        self.cell.close_datagrams(self.number, None);
    }
}

/// An unreliable channel that the peer has opened and nobody has decided upon.
pub(crate) struct PendingDatagrams(pub(crate) MeshDatagrams);

impl Pending<Arc<dyn RawDatagrams>> for PendingDatagrams {
    /// The opener is not told: it may send before, and only a refusal makes a difference.
    fn accept(self: Box<Self>) -> Arc<dyn RawDatagrams> {
        Arc::new(self.0)
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        self.0.cell.close_datagrams(self.0.number, Some(refusal));
    }

    fn ignore(self: Box<Self>) {
        self.0.cell.forget_datagrams(self.0.number);
    }
}
