//! The unreliable channels of one link: numbered queues of messages, without an engine.
//!
//! Each side numbers the channels that it opens: the higher hashname's are odd, the other's even. A message that overtakes
//! its open message is lost, as messages here may be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
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

/// Unreliable channels of one link, both sides' together. The types' own limits are below it; this bounds what waits for a
/// decision and what the application itself opens.
const MAX_CHANNELS: usize = 4_096;

/// All unreliable channels of a link.
pub(crate) struct DatagramTable {
    /// Whether our numbers are odd.
    odd: bool,
    next: u32,
    channels: BTreeMap<u32, Arc<Queue>>,
}

/// What has arrived on one channel.
#[derive(Default)]
pub(crate) struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    messages: VecDeque<Bytes>,
    /// Bytes in `messages`.
    held: usize,
    reader: Option<Waker>,
    /// No more messages will come: in order, or for this reason.
    ended: Option<Option<ChannelError>>,
}

impl Queue {
    fn end(&self, reason: Option<ChannelError>, outcome: &mut Outcome) {
        let mut state = self.0.lock();
        state.ended.get_or_insert(reason);
        outcome.wakers.extend(state.reader.take());
    }

    fn push(&self, message: &[u8], outcome: &mut Outcome) {
        let mut state = self.0.lock();
        let fits = state.messages.len() < MAX_QUEUED && state.held + message.len() <= MAX_QUEUED_BYTES;
        if fits && state.ended.is_none() {
            state.held += message.len();
            state.messages.push_back(Bytes::copy_from_slice(message));
        }
        outcome.wakers.extend(state.reader.take());
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
        Self { odd, next: u32::from(odd), channels: BTreeMap::new() }
    }

    /// A number and a queue for a channel of ours; `None` when there are too many.
    pub(crate) fn open(&mut self) -> Option<(u32, Arc<Queue>)> {
        if self.channels.len() >= MAX_CHANNELS {
            return None;
        }
        while self.channels.contains_key(&self.next) {
            self.next = self.next.wrapping_add(2);
        }
        let number = self.next;
        self.next = number.wrapping_add(2);
        let queue = Arc::<Queue>::default();
        self.channels.insert(number, queue.clone());
        Some((number, queue))
    }

    /// Takes one frame from the peer. Whatever does not fit is dropped.
    pub(crate) fn handle(&mut self, frame: &[u8], outcome: &mut Outcome) {
        let Ok(frame) = Frame::decode(frame) else { return };
        match frame {
            Frame::Open { channel, open } => {
                let theirs = (channel % 2 == 1) != self.odd;
                if theirs && !self.channels.contains_key(&channel) && self.channels.len() < MAX_CHANNELS {
                    let queue = Arc::<Queue>::default();
                    self.channels.insert(channel, queue.clone());
                    outcome.datagrams.push(OpenedDatagrams { number: channel, open, queue });
                }
            }
            Frame::Message { channel, payload } => {
                if let Some(queue) = self.channels.get(&channel) {
                    queue.push(payload, outcome);
                }
            }
            Frame::Close { channel, refusal } => {
                if let Some(queue) = self.channels.remove(&channel) {
                    queue.end(refusal.map(ChannelError::Refused), outcome);
                }
            }
            _ => {}
        }
    }

    /// Forgets a channel that was closed here; whether it was still there.
    pub(crate) fn remove(&mut self, number: u32) -> bool {
        self.channels.remove(&number).is_some()
    }

    /// Ends all channels.
    pub(crate) fn fail(&mut self, reason: &ChannelError, outcome: &mut Outcome) {
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
        if self.queue.0.lock().ended.is_some() {
            return 0;
        }
        self.cell.max_message().saturating_sub(FRAME_HEADER_LENGTH)
    }

    fn try_send(&self, message: Bytes) -> Result<(), DatagramError> {
        match &self.queue.0.lock().ended {
            Some(None) => return Err(DatagramError::Closed),
            Some(Some(reason)) => return Err(DatagramError::Channel(reason.clone())),
            None => {}
        }
        self.cell.send_frame(&Frame::Message { channel: self.number, payload: &message })
    }

    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ChannelError>> {
        let mut state = self.queue.0.lock();
        if let Some(message) = state.messages.pop_front() {
            state.held -= message.len();
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

    fn close(&self) {
        self.queue.0.lock().ended.get_or_insert(None);
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
