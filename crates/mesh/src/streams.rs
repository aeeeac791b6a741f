//! The reliable channels of one link: an engine, and who waits for each of its streams.
//!
//! A channel is one stream of the engine. The opener's direction begins with the open message, the other direction with the
//! answer, each behind its length. Nothing here locks, wakes or sends: the cell does, after it has let go of its lock.

use std::collections::BTreeMap;
use std::task::{Context, Waker};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use telemesh_channel::{ChannelError, Open};
use telemesh_engine::{Engine, EngineError, Event, ReadError, StreamId, WriteError};

use crate::outcome::Outcome;
use crate::unanswered::Unanswered;

/// Bytes of open messages that a peer may have half sent, all channels together. A whole one has at most 64 KiB.
const MAX_OPENING: usize = 1 << 20;

/// Code of a reset for a stream whose open message cannot be used.
const BAD_OPEN: u32 = telemesh_channel::CANCELLED;

/// See the module's page.
pub(crate) struct Streams {
    pub(crate) engine: Engine,
    /// The engine's number between these two incarnations.
    pub(crate) number: u64,
    /// Counts the engines of this link in this process, so that handles of an earlier one are recognised.
    pub(crate) epoch: u64,
    table: BTreeMap<StreamId, Stream>,
    /// Tasks that wait until the peer permits another stream, the longest waiting first.
    openers: BTreeMap<u64, Waker>,
    next_ticket: u64,
    /// Bytes held of open messages that are not complete.
    opening: usize,
    /// Streams whose end is under way.
    ending: usize,
    /// Streams that ended for us and not yet for the peer.
    unanswered: Unanswered,
    /// Counts the batches of packets, so that streams are known that are no older than the last.
    batch: u64,
    /// Something was done to an older one that the peer has not been told.
    urgent: bool,
    /// Who waited for the end of a direction that has ended since the last events.
    ended: Vec<Waker>,
}

/// One stream, as long as somebody here holds it or its open message is incomplete.
#[derive(Default)]
struct Stream {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Who wants to know when nobody reads any more what is written.
    watcher: Option<Waker>,
    /// What the peer has sent of its open message; `None` once complete, and for streams of our own.
    opening: Option<BytesMut>,
    /// What must be written before anything else: an open message or an answer that found no room.
    unsent: Bytes,
    end: End,
    /// The peer does not read what is written, and why.
    stopped: Option<u32>,
    /// No handle here any more; kept only while its end is under way.
    detached: bool,
    /// [`Streams::batch`] when it was opened.
    batch: u64,
}

/// How our direction of a stream ends.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    /// To be finished once what is unsent is gone.
    Wanted,
    /// Finished and not acknowledged.
    Sent,
    /// Acknowledged, reset, or not wanted by the peer.
    Over,
}

impl End {
    fn is_under_way(self) -> bool {
        matches!(self, Self::Wanted | Self::Sent)
    }
}

/// Whose waker to keep while nothing can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    Reader,
    /// A writer that was stopped and wants to know why.
    Writer,
}

/// A place among those who wait for a stream.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    pub(crate) epoch: u64,
    number: u64,
}

/// A channel that the peer has opened.
pub(crate) struct OpenedStream {
    /// [`Streams::epoch`].
    pub(crate) epoch: u64,
    pub(crate) id: StreamId,
    pub(crate) open: Open,
    /// Bytes that came behind the open message.
    pub(crate) early: Bytes,
}

impl Streams {
    pub(crate) fn new(engine: Engine, number: u64, epoch: u64) -> Self {
        Self {
            engine,
            number,
            epoch,
            table: BTreeMap::new(),
            openers: BTreeMap::new(),
            next_ticket: 0,
            opening: 0,
            ending: 0,
            unanswered: Unanswered::default(),
            batch: 0,
            urgent: false,
            ended: Vec::new(),
        }
    }

    /// Another batch of packets follows.
    pub(crate) fn begin_batch(&mut self) {
        self.batch += 1;
    }

    /// Whether something was done, and not told the peer, to a stream that is older than the last batch: such a stream does not
    /// wait for those that have just been opened.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// The peer is told of everything now.
    pub(crate) fn told(&mut self) {
        self.urgent = false;
    }

    fn touch(&mut self, id: StreamId) {
        self.urgent |= self.table.get(&id).is_some_and(|stream| stream.batch != self.batch);
    }

    /// When [`Streams::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        [self.engine.poll_timeout(), self.unanswered.poll_timeout()].into_iter().flatten().min()
    }

    /// Does what was due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.engine.handle_timeout(now);
        }
        if let Some(id) = self.unanswered.take_due(now) {
            let _ = self.engine.reset(id, telemesh_channel::CANCELLED);
        }
        self.engine.set_unwanted_streams(self.unanswered.len());
    }

    /// Handles what the engine has to say; the reason if it has died.
    pub(crate) fn events(&mut self, outcome: &mut Outcome) -> Result<(), EngineError> {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Opened(id) => {
                    self.table.insert(
                        id,
                        Stream { opening: Some(BytesMut::new()), batch: self.batch, ..Stream::default() },
                    );
                    self.continue_opening(id, outcome);
                }
                Event::Readable(id) => match self.table.get_mut(&id) {
                    Some(stream) if stream.opening.is_some() => self.continue_opening(id, outcome),
                    Some(stream) => {
                        outcome.wakers.extend(stream.reader.take());
                        if stream.stopped.is_some() {
                            outcome.wakers.extend(stream.writer.take());
                        }
                    }
                    None => {}
                },
                Event::Writable(id) => {
                    self.write_unsent(id);
                    if let Some(stream) = self.table.get_mut(&id).filter(|stream| stream.unsent.is_empty()) {
                        outcome.wakers.extend(stream.writer.take());
                    }
                }
                Event::Finished(id) => self.over(id),
                Event::Stopped(id, code) => self.stopped(id, code, outcome),
                Event::Available => self.wake_opener(outcome),
                Event::Failed(error) => return Err(error),
                _ => {}
            }
        }
        outcome.wakers.append(&mut self.ended);
        Ok(())
    }

    fn stopped(&mut self, id: StreamId, code: u32, outcome: &mut Outcome) {
        if self.unanswered.contains(id) {
            return;
        }
        // A handle that still writes is told, and resets when it goes. Nobody else would: without a reset the engine keeps
        // the stream for ever.
        if self.table.get(&id).is_none_or(|stream| stream.end != End::Open || stream.detached) {
            let _ = self.engine.reset(id, code);
        }
        let Some(stream) = self.table.get_mut(&id) else { return };
        stream.stopped = Some(code);
        outcome.wakers.extend(stream.watcher.take());
        outcome.wakers.extend(stream.writer.take());
        outcome.wakers.extend(stream.reader.take());
        if stream.end == End::Open {
            stream.unsent = Bytes::new();
        } else {
            self.over(id);
        }
    }

    /// Reads on in an open message; hands the channel out when it is complete, resets the stream when it is unusable.
    fn continue_opening(&mut self, id: StreamId, outcome: &mut Outcome) {
        loop {
            let Some(stream) = self.table.get_mut(&id) else { return };
            let Some(held) = stream.opening.as_mut() else { return };
            match self.engine.read_chunk(id, usize::MAX) {
                Ok(Some(chunk)) => {
                    self.opening += chunk.len();
                    held.extend_from_slice(&chunk);
                }
                Err(ReadError::Blocked) => return,
                // The end, or a reset, before the message was complete.
                Ok(None) | Err(_) => return self.refuse_opening(id),
            }
            match Open::decode_delimited(held) {
                Ok(Some((open, taken))) => {
                    self.opening -= held.len();
                    held.advance(taken);
                    let early = std::mem::take(held).freeze();
                    stream.opening = None;
                    outcome.streams.push(OpenedStream { epoch: self.epoch, id, open, early });
                    return;
                }
                Ok(None) if self.opening <= MAX_OPENING => {}
                Ok(None) | Err(_) => return self.refuse_opening(id),
            }
        }
    }

    fn refuse_opening(&mut self, id: StreamId) {
        if let Some(held) = self.table.remove(&id).and_then(|stream| stream.opening) {
            self.opening -= held.len();
        }
        // Either may be over already, which is fine.
        let _ = self.engine.stop(id, BAD_OPEN);
        let _ = self.engine.reset(id, BAD_OPEN);
    }

    /// Opens a stream that begins with `first`; `None`, and a wake-up later, while the peer permits no more. The ticket keeps
    /// the place in the line.
    pub(crate) fn open(
        &mut self,
        first: &Bytes,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
        outcome: &mut Outcome,
    ) -> Option<StreamId> {
        let Some(id) = self.engine.open() else {
            let ticket = ticket.get_or_insert_with(|| {
                self.next_ticket += 1;
                Ticket { epoch: self.epoch, number: self.next_ticket }
            });
            outcome.discarded.extend(self.openers.insert(ticket.number, cx.waker().clone()));
            return None;
        };
        if let Some(ticket) = ticket.take() {
            outcome.discarded.extend(self.openers.remove(&ticket.number));
        }
        // There may be more where this one came from.
        self.wake_opener(outcome);
        self.table.insert(id, Stream { unsent: first.clone(), batch: self.batch, ..Stream::default() });
        self.write_unsent(id);
        Some(id)
    }

    /// Wakes the one who has waited longest. Who then opens a stream, or goes away, wakes the next.
    fn wake_opener(&self, outcome: &mut Outcome) {
        outcome.wakers.extend(self.openers.first_key_value().map(|(_, waker)| waker.clone()));
    }

    /// Somebody waits no more.
    pub(crate) fn leave_line(&mut self, ticket: Ticket, outcome: &mut Outcome) {
        outcome.discarded.extend(self.openers.remove(&ticket.number));
        self.wake_opener(outcome);
    }

    /// Begins our direction of the peer's stream with `first`.
    pub(crate) fn begin(&mut self, id: StreamId, first: Bytes) {
        if let Some(stream) = self.table.get_mut(&id) {
            stream.unsent = first;
            self.write_unsent(id);
        }
    }

    fn write_unsent(&mut self, id: StreamId) {
        let Some(stream) = self.table.get_mut(&id) else { return };
        while !stream.unsent.is_empty() {
            match self.engine.write_chunk(id, &mut stream.unsent) {
                Ok(1..) => {}
                Ok(0) | Err(WriteError::Blocked) => return,
                // Nobody will read it: what comes after it finds out why.
                Err(_) => stream.unsent = Bytes::new(),
            }
        }
        if stream.end == End::Wanted {
            stream.end = End::Sent;
            if self.engine.finish(id).is_err() {
                // The peer has stopped reading and wants no end either.
                self.reset(id, telemesh_channel::CANCELLED);
            }
        }
    }

    /// Room to write for a handle: whatever stands before is gone, or the waker is kept.
    fn ready_to_write(&mut self, id: StreamId, cx: &mut Context<'_>) -> bool {
        self.write_unsent(id);
        match self.table.get_mut(&id) {
            Some(stream) if !stream.unsent.is_empty() => {
                keep(&mut stream.writer, cx);
                false
            }
            _ => true,
        }
    }

    /// Writes with `write` once there is room; `None` and a wake-up later if there is none.
    pub(crate) fn write(
        &mut self,
        id: StreamId,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut Engine) -> Result<usize, WriteError>,
    ) -> Option<Result<usize, ChannelError>> {
        if !self.ready_to_write(id, cx) {
            return None;
        }
        self.touch(id);
        match write(&mut self.engine) {
            Ok(count) => Some(Ok(count)),
            Err(WriteError::Blocked) => {
                if let Some(stream) = self.table.get_mut(&id) {
                    keep(&mut stream.writer, cx);
                }
                None
            }
            Err(WriteError::Stopped(code)) => Some(Err(ChannelError::Stopped(code))),
            Err(_) => Some(Err(ChannelError::ClosedHere)),
        }
    }

    /// Why the peer reads no more; `None`, and a wake-up later, if it reads.
    pub(crate) fn stopped_or_wait(&mut self, id: StreamId, cx: &mut Context<'_>) -> Option<ChannelError> {
        let Some(stream) = self.table.get_mut(&id) else { return Some(ChannelError::ClosedHere) };
        if let Some(code) = stream.stopped {
            return Some(ChannelError::Stopped(code));
        }
        if stream.end == End::Over {
            return Some(ChannelError::ClosedHere);
        }
        keep(&mut stream.watcher, cx);
        None
    }

    /// Whether something waits to be written before anything else.
    pub(crate) fn has_unsent(&self, id: StreamId) -> bool {
        self.table.get(&id).is_some_and(|stream| !stream.unsent.is_empty())
    }

    /// Whether everything written is with the engine; a wake-up later if not.
    pub(crate) fn flush(&mut self, id: StreamId, cx: &mut Context<'_>) -> bool {
        self.ready_to_write(id, cx)
    }

    /// Reads with `read`; `None` and a wake-up later if nothing is there.
    pub(crate) fn read<T>(
        &mut self,
        id: StreamId,
        waiter: Waiter,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut Engine) -> Result<T, ReadError>,
    ) -> Option<Result<T, ChannelError>> {
        match read(&mut self.engine) {
            Ok(value) => Some(Ok(value)),
            Err(ReadError::Blocked) => {
                if let Some(stream) = self.table.get_mut(&id) {
                    let slot = match waiter {
                        Waiter::Reader => &mut stream.reader,
                        Waiter::Writer => &mut stream.writer,
                    };
                    keep(slot, cx);
                }
                None
            }
            Err(ReadError::Reset(code)) => Some(Err(ChannelError::Reset(code))),
            Err(_) => Some(Err(ChannelError::ClosedHere)),
        }
    }

    /// Ends our direction once all is written.
    pub(crate) fn finish(&mut self, id: StreamId) {
        if let Some(stream) = self.table.get_mut(&id)
            && stream.end == End::Open
        {
            stream.end = End::Wanted;
            self.ending += 1;
            self.write_unsent(id);
            self.touch(id);
        }
    }

    /// Our direction is over: acknowledged, given up, or not wanted by the peer.
    fn over(&mut self, id: StreamId) {
        if let Some(stream) = self.table.get_mut(&id) {
            stream.unsent = Bytes::new();
            self.ended.extend(stream.watcher.take());
            if std::mem::replace(&mut stream.end, End::Over).is_under_way() {
                self.ending = self.ending.saturating_sub(1);
            }
            if stream.detached {
                self.table.remove(&id);
            }
        }
    }

    pub(crate) fn reset(&mut self, id: StreamId, code: u32) {
        self.touch(id);
        self.over(id);
        let _ = self.engine.reset(id, code);
    }

    /// The peer has had its refusals: what it sends is dropped at once, and it hears the end later.
    pub(crate) fn ignore(&mut self, id: StreamId, now: Instant) {
        self.stop(id, telemesh_channel::CANCELLED);
        self.unanswered.add(id, now);
        self.engine.set_unwanted_streams(self.unanswered.len());
    }

    pub(crate) fn stop(&mut self, id: StreamId, code: u32) {
        self.touch(id);
        let _ = self.engine.stop(id, code);
    }

    pub(crate) fn set_priority(&mut self, id: StreamId, priority: i32) {
        let _ = self.engine.set_priority(id, priority);
    }

    /// The handle is gone; what it has ended is still delivered.
    pub(crate) fn detach(&mut self, id: StreamId, outcome: &mut Outcome) {
        if let Some(stream) = self.table.get_mut(&id) {
            stream.detached = true;
            outcome.wakers.extend(stream.watcher.take());
            outcome.discarded.extend(stream.reader.take());
            outcome.discarded.extend(stream.writer.take());
            if !stream.end.is_under_way() {
                self.table.remove(&id);
            }
        }
    }

    /// Whether the peer has everything of the channels that were ended here.
    pub(crate) fn is_drained(&self) -> bool {
        self.ending == 0
    }

    /// Whether somebody here may still read what has arrived.
    pub(crate) fn is_held(&self) -> bool {
        !self.table.is_empty()
    }

    /// The engine is no more: everybody who waits is woken, and only what has a handle is kept, for what can still be read.
    pub(crate) fn retire(&mut self, outcome: &mut Outcome) {
        outcome.wakers.extend(std::mem::take(&mut self.openers).into_values());
        self.table.retain(|_, stream| {
            outcome.wakers.extend(stream.reader.take());
            outcome.wakers.extend(stream.writer.take());
            outcome.wakers.extend(stream.watcher.take());
            stream.opening.is_none() && !stream.detached
        });
    }

    /// The link works again after a silence.
    pub(crate) fn recovered(&mut self, now: Instant, similar: bool) {
        if similar {
            self.engine.path_recovered(now);
        } else {
            self.engine.path_changed(now);
        }
    }
}

/// Keeps the waker of whoever polls; most of the time it is there already.
fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}
