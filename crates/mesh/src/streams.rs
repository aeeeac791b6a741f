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
    /// Tasks that wait until the peer permits another stream.
    openers: Vec<Waker>,
    /// Bytes held of open messages that are not complete.
    opening: usize,
    /// Streams that were ended here and are not acknowledged yet.
    ending: usize,
}

/// One stream, as long as somebody here holds it or its open message is incomplete.
#[derive(Default)]
struct Stream {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// What the peer has sent of its open message; `None` once complete, and for streams of our own.
    opening: Option<BytesMut>,
    /// What must be written before anything else: an open message or an answer that found no room.
    unsent: Bytes,
    /// Ended here: to be finished once `unsent` is gone, or finished and not acknowledged.
    ending: bool,
    /// The engine has been told of the end.
    finished: bool,
    /// No handle here any more; kept only until `ending` or `unsent` is done.
    detached: bool,
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
        Self { engine, number, epoch, table: BTreeMap::new(), openers: Vec::new(), opening: 0, ending: 0 }
    }

    /// Handles what the engine has to say; the reason if it has died.
    pub(crate) fn events(&mut self, outcome: &mut Outcome) -> Result<(), EngineError> {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Opened(id) => {
                    self.table.insert(id, Stream { opening: Some(BytesMut::new()), ..Stream::default() });
                    self.continue_opening(id, outcome);
                }
                Event::Readable(id) => match self.table.get_mut(&id) {
                    Some(stream) if stream.opening.is_some() => self.continue_opening(id, outcome),
                    Some(stream) => outcome.wakers.extend(stream.reader.take()),
                    None => {}
                },
                Event::Writable(id) => {
                    self.write_unsent(id);
                    if let Some(stream) = self.table.get_mut(&id).filter(|stream| stream.unsent.is_empty()) {
                        outcome.wakers.extend(stream.writer.take());
                    }
                }
                Event::Finished(id) => self.ended(id),
                Event::Stopped(id, code) => {
                    // A handle that still writes is told, and resets when it goes. Nobody else would: without a reset the
                    // engine keeps the stream for ever.
                    if self.table.get(&id).is_none_or(|stream| stream.ending || stream.detached) {
                        let _ = self.engine.reset(id, code);
                    }
                    self.ended(id);
                    if let Some(stream) = self.table.get_mut(&id) {
                        outcome.wakers.extend(stream.writer.take());
                        outcome.wakers.extend(stream.reader.take());
                    }
                }
                Event::Available => outcome.wakers.append(&mut self.openers),
                Event::Failed(error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
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

    /// Opens a stream that begins with `first`; `None`, and a wake-up later, while the peer permits no more.
    pub(crate) fn open(&mut self, first: Bytes, cx: &mut Context<'_>) -> Option<StreamId> {
        let Some(id) = self.engine.open() else {
            self.openers.push(cx.waker().clone());
            return None;
        };
        self.table.insert(id, Stream { unsent: first, ..Stream::default() });
        self.write_unsent(id);
        Some(id)
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
            if self.engine.write_chunk(id, &mut stream.unsent).is_err() {
                break;
            }
        }
        if stream.unsent.is_empty() && stream.ending && !stream.finished {
            stream.finished = true;
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
                stream.writer = Some(cx.waker().clone());
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
        match write(&mut self.engine) {
            Ok(count) => Some(Ok(count)),
            Err(WriteError::Blocked) => {
                if let Some(stream) = self.table.get_mut(&id) {
                    stream.writer = Some(cx.waker().clone());
                }
                None
            }
            Err(WriteError::Stopped(code)) => Some(Err(ChannelError::Stopped(code))),
            Err(_) => Some(Err(ChannelError::ClosedHere)),
        }
    }

    /// Whether everything written is with the engine; a wake-up later if not.
    pub(crate) fn flush(&mut self, id: StreamId, cx: &mut Context<'_>) -> bool {
        self.ready_to_write(id, cx)
    }

    /// Reads with `read`; `None` and a wake-up later if nothing is there.
    pub(crate) fn read<T>(
        &mut self,
        id: StreamId,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut Engine) -> Result<T, ReadError>,
    ) -> Option<Result<T, ChannelError>> {
        match read(&mut self.engine) {
            Ok(value) => Some(Ok(value)),
            Err(ReadError::Blocked) => {
                if let Some(stream) = self.table.get_mut(&id) {
                    stream.reader = Some(cx.waker().clone());
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
            && !stream.ending
        {
            stream.ending = true;
            self.ending += 1;
            self.write_unsent(id);
        }
    }

    /// Our direction is over: acknowledged, or not wanted by the peer.
    fn ended(&mut self, id: StreamId) {
        if let Some(stream) = self.table.get_mut(&id) {
            stream.unsent = Bytes::new();
            if std::mem::take(&mut stream.ending) {
                self.ending -= 1;
            }
            if stream.detached {
                self.table.remove(&id);
            }
        }
    }

    pub(crate) fn reset(&mut self, id: StreamId, code: u32) {
        self.ended(id);
        let _ = self.engine.reset(id, code);
    }

    pub(crate) fn stop(&mut self, id: StreamId, code: u32) {
        let _ = self.engine.stop(id, code);
    }

    pub(crate) fn set_priority(&mut self, id: StreamId, priority: i32) {
        let _ = self.engine.set_priority(id, priority);
    }

    /// The handle is gone; what it has ended is still delivered.
    pub(crate) fn detach(&mut self, id: StreamId) {
        if let Some(stream) = self.table.get_mut(&id) {
            stream.detached = true;
            stream.reader = None;
            stream.writer = None;
            if !stream.ending {
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

    /// Everybody who waits, because the engine is no more.
    pub(crate) fn wake_all(&mut self, outcome: &mut Outcome) {
        outcome.wakers.append(&mut self.openers);
        for stream in self.table.values_mut() {
            outcome.wakers.extend(stream.reader.take());
            outcome.wakers.extend(stream.writer.take());
        }
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
