//! The engine: one state machine, seen through this crate's own words.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn_proto::{ConnectionError, Dir, FinishError, StreamEvent, VarInt};

use crate::config::{Config, INITIAL_STREAMS};
use crate::start::{Half, start};
use crate::trace::Trace;
use crate::{EngineError, Event, ReadError, Seed, StreamError, StreamId, WriteError};

/// Reliable streams between two ends of a link. See the crate's page for the run loop.
pub struct Engine {
    half: Half,
    events: VecDeque<Event>,
    max_streams: u32,
    permitted_streams: u32,
    /// Streams of the peer's that are no reason to permit more.
    unwanted_streams: u64,
    /// When a packet was sent last, or when one should have been for want of an answer.
    sent: Option<Instant>,
    /// Reading has released credit that the peer should hear of.
    credit: bool,
    failed: bool,
}

/// What an engine can say about its traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Congestion window in bytes.
    pub window: u64,
    /// Largest packet in bytes that the path is known to carry.
    pub packet: u16,
    /// Packets declared lost.
    pub lost_packets: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets received.
    pub received_packets: u64,
}

/// What [`Engine::read`] has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Bytes put into the buffer.
    pub length: usize,
    /// Whether these were the last.
    pub end: bool,
}

impl Engine {
    /// Starts this end's half of the engine that `seed` names. Sends nothing.
    ///
    /// # Errors
    /// [`EngineError::Start`] if the local handshake fails: a bug, never the peer's doing.
    pub fn start(seed: &Seed, config: &Config, now: Instant) -> Result<Self, EngineError> {
        Self::start_with(seed, config, now, Trace::default())
    }

    /// As [`Engine::start`], and writes what the engine does to `writer`, in qlog's format.
    ///
    /// # Errors
    /// See [`Engine::start`].
    #[cfg(feature = "qlog")]
    pub fn start_traced(
        seed: &Seed,
        config: &Config,
        now: Instant,
        writer: crate::QlogWriter,
    ) -> Result<Self, EngineError> {
        Self::start_with(seed, config, now, Trace::to(writer))
    }

    fn start_with(seed: &Seed, config: &Config, now: Instant, trace: Trace) -> Result<Self, EngineError> {
        Ok(Self {
            half: start(seed, config, now, trace)?,
            events: VecDeque::new(),
            max_streams: config.max_streams,
            permitted_streams: INITIAL_STREAMS,
            unwanted_streams: 0,
            sent: None,
            credit: false,
            failed: false,
        })
    }

    /// Takes one packet that the link has opened. Anything that is not of this engine is dropped; says whether it was of
    /// this engine.
    pub fn handle_packet(&mut self, now: Instant, packet: BytesMut) -> bool {
        // All that engines send each other has a short header. The state machine would still take a first packet of
        // another connection, and remember it for ever.
        let is_short = packet.first().is_some_and(|flags| flags & LONG_HEADER == 0);
        is_short && self.half.receive(now, packet)
    }

    /// Does what was due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.half.connection.handle_timeout(now);
        self.half.endpoint_events();
        if self.longest_wait().is_some_and(|at| at <= now) {
            self.sent = Some(now);
            self.path_recovered(now);
        }
    }

    /// When something is sent again at the latest. Loss timers back off without bound, and each of a link's changes of path is a
    /// loss to them; but whether anybody is there is the link's business, and while it is up an engine must not wait for hours.
    fn longest_wait(&self) -> Option<Instant> {
        self.sent.map(|sent| sent + LONGEST_LOSS_WAIT)
    }

    /// When [`Engine::handle_timeout`] wants to be called. Ask after every other call.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let at = self.half.connection.poll_timeout()?;
        Some(self.longest_wait().map_or(at, |longest| at.min(longest)))
    }

    /// Appends up to `max_segments` packets to `out`, which must be empty, and returns their size in
    /// bytes: all are this long, only the last may be shorter. `None` when there is nothing to send.
    pub fn poll_transmit(&mut self, now: Instant, max_segments: usize, out: &mut Vec<u8>) -> Option<usize> {
        let transmit = self.half.connection.poll_transmit(now, max_segments.max(1), out)?;
        self.sent = Some(now);
        Some(transmit.segment_size.unwrap_or(transmit.size))
    }

    /// The next thing that the application may be waiting for.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.half.endpoint_events();
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            match self.half.connection.poll()? {
                quinn_proto::Event::Stream(event) => self.stream_event(event),
                quinn_proto::Event::ConnectionLost { reason } => {
                    self.failed = true;
                    self.events.push_back(Event::Failed(failure(&reason)));
                }
                _ => {}
            }
        }
    }

    fn stream_event(&mut self, event: StreamEvent) {
        let event = match event {
            StreamEvent::Opened { .. } => {
                while let Some(id) = self.half.connection.streams().accept(Dir::Bi) {
                    self.events.push_back(Event::Opened(StreamId(id)));
                }
                self.raise_stream_limit();
                return;
            }
            StreamEvent::Readable { id } => Event::Readable(StreamId(id)),
            StreamEvent::Writable { id } => Event::Writable(StreamId(id)),
            StreamEvent::Finished { id } => Event::Finished(StreamId(id)),
            StreamEvent::Stopped { id, error_code } => Event::Stopped(StreamId(id), code(error_code)),
            StreamEvent::Available { .. } => Event::Available,
        };
        self.events.push_back(event);
    }

    /// Says how many of the peer's open streams nobody here wants: they do not count as use of what it may have.
    pub fn set_unwanted_streams(&mut self, streams: usize) {
        self.unwanted_streams = u64::try_from(streams).unwrap_or(u64::MAX);
    }

    /// Doubles the number of streams the peer may have open when it uses more than half of it.
    fn raise_stream_limit(&mut self) {
        let open = self.half.connection.streams().remote_open_streams(Dir::Bi);
        let open = open.saturating_sub(self.unwanted_streams);
        if open * 2 > u64::from(self.permitted_streams) && self.permitted_streams < self.max_streams {
            self.permitted_streams = self.permitted_streams.saturating_mul(2).min(self.max_streams);
            self.half
                .connection
                .set_max_concurrent_streams(Dir::Bi, VarInt::from_u32(self.permitted_streams));
        }
    }

    /// Opens a stream, or `None` while the peer permits no more; [`Event::Available`] follows then.
    ///
    /// The peer hears of the stream with its first bytes.
    pub fn open(&mut self) -> Option<StreamId> {
        self.half.connection.streams().open(Dir::Bi).map(StreamId)
    }

    /// Writes from `data`, as much as there is room for, and returns how many bytes were taken.
    ///
    /// # Errors
    /// [`WriteError::Blocked`] when there is no room at all.
    pub fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, WriteError> {
        self.half.connection.send_stream(id.0).write(data).map_err(write_error)
    }

    /// Writes from `chunk` without copying and leaves in it what there was no room for.
    ///
    /// # Errors
    /// [`WriteError::Blocked`] when there is no room at all.
    pub fn write_chunk(&mut self, id: StreamId, chunk: &mut Bytes) -> Result<usize, WriteError> {
        let written = self.half.connection.send_stream(id.0).write_chunks(std::slice::from_mut(chunk));
        written.map(|written| written.bytes).map_err(write_error)
    }

    /// Says that no more bytes follow. [`Event::Finished`] comes when the peer has all of them.
    ///
    /// # Errors
    /// When the stream was finished or reset before, or the peer has stopped it.
    pub fn finish(&mut self, id: StreamId) -> Result<(), StreamError> {
        match self.half.connection.send_stream(id.0).finish() {
            Ok(()) => Ok(()),
            Err(FinishError::Stopped(_) | FinishError::ClosedStream) => Err(StreamError),
        }
    }

    /// Gives up sending: bytes not yet delivered are dropped, and the peer reads `code`.
    ///
    /// # Errors
    /// When the stream is closed already.
    pub fn reset(&mut self, id: StreamId, code: u32) -> Result<(), StreamError> {
        self.half.connection.send_stream(id.0).reset(VarInt::from_u32(code)).map_err(|_| StreamError)
    }

    /// Gives up reading: unread bytes are dropped, and the peer is asked to stop with `code`.
    ///
    /// # Errors
    /// When the stream is closed already.
    pub fn stop(&mut self, id: StreamId, code: u32) -> Result<(), StreamError> {
        self.half.connection.recv_stream(id.0).stop(VarInt::from_u32(code)).map_err(|_| StreamError)
    }

    /// Streams of a higher priority are sent first. New streams have 0.
    ///
    /// # Errors
    /// When the stream is closed already.
    pub fn set_priority(&mut self, id: StreamId, priority: i32) -> Result<(), StreamError> {
        self.half.connection.send_stream(id.0).set_priority(priority).map_err(|_| StreamError)
    }

    /// Reads into `buffer` what has arrived, and says whether the stream ends behind it. Once the end
    /// was reported the stream is [`ReadError::Closed`].
    ///
    /// # Errors
    /// [`ReadError::Blocked`] when nothing has arrived.
    pub fn read(&mut self, id: StreamId, buffer: &mut [u8]) -> Result<Read, ReadError> {
        self.read_with(id, |chunks| {
            let mut length = 0;
            while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
                match chunks.next(room.len()) {
                    Ok(Some(chunk)) => {
                        let Some((room, _)) = room.split_at_mut_checked(chunk.bytes.len()) else { break };
                        room.copy_from_slice(&chunk.bytes);
                        length += room.len();
                    }
                    Ok(None) => return Ok(Read { length, end: true }),
                    Err(error) if length == 0 => return Err(read_error(&error)),
                    Err(_) => break,
                }
            }
            Ok(Read { length, end: false })
        })
    }

    /// Reads the next bytes as they arrived, at most `limit` and without copying; `None` is the end.
    ///
    /// # Errors
    /// [`ReadError::Blocked`] when nothing has arrived.
    pub fn read_chunk(&mut self, id: StreamId, limit: usize) -> Result<Option<Bytes>, ReadError> {
        self.read_with(id, |chunks| match chunks.next(limit) {
            Ok(chunk) => Ok(chunk.map(|chunk| chunk.bytes)),
            Err(error) => Err(read_error(&error)),
        })
    }

    fn read_with<T>(
        &mut self,
        id: StreamId,
        read: impl FnOnce(&mut quinn_proto::Chunks<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut stream = self.half.connection.recv_stream(id.0);
        let mut chunks = stream.read(true).map_err(|_| ReadError::Closed)?;
        let result = read(&mut chunks);
        self.credit |= chunks.finalize().should_transmit();
        result
    }

    /// Whether reading has released so much room that the peer should hear of it soon: then ask
    /// [`Engine::poll_transmit`]. Saying so once is enough.
    pub fn take_credit(&mut self) -> bool {
        std::mem::take(&mut self.credit)
    }

    /// Size in bytes of the packets that [`Engine::poll_transmit`] makes now, unless they are shorter.
    #[must_use]
    pub fn packet_size(&self) -> u16 {
        self.half.connection.current_mtu()
    }

    /// The link's path is another one now: forget what was learnt about the old, and resend at once.
    ///
    /// Congestion window, round-trip time and packet size start anew; do not call it when the new
    /// path is like the old.
    pub fn path_changed(&mut self, now: Instant) {
        self.half.connection.path_changed(now);
        self.path_recovered(now);
    }

    /// The link works again after a silence: resend what is in flight without waiting for the timer.
    ///
    /// Loss timers that have backed off for seconds would stall the streams, so what is due at the next one is done now.
    /// Only the timer is told that it is later: a clock that stays ahead would turn late acknowledgements into round
    /// trips of that length.
    pub fn path_recovered(&mut self, now: Instant) {
        for _ in 0..TIMERS_BEFORE_LOSS {
            let Some(at) = self.half.connection.poll_timeout() else { return };
            self.half.connection.handle_timeout(at.max(now));
            self.half.endpoint_events();
            if at > now + SHORT_TIMER {
                return;
            }
        }
    }

    /// Sends a packet that says nothing but wants to be acknowledged.
    pub fn ping(&mut self) {
        self.half.connection.ping();
    }

    /// Ends the engine for the peer as well: it is told so in a last packet.
    pub fn close(&mut self, now: Instant) {
        self.failed = true;
        self.half.connection.close(now, VarInt::from_u32(0), Bytes::new());
    }

    /// Whether the engine has died; its streams are lost.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.failed
    }

    /// Whether all that was written has been acknowledged.
    #[must_use]
    pub fn is_drained(&mut self) -> bool {
        self.half.connection.streams().send_streams() == 0
    }

    /// Figures about this engine's traffic.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let stats = self.half.connection.stats();
        Stats {
            rtt: stats.path.rtt,
            window: stats.path.cwnd,
            packet: stats.path.current_mtu,
            lost_packets: stats.path.lost_packets,
            sent_packets: stats.path.sent_packets,
            received_packets: stats.udp_rx.datagrams,
        }
    }
}

/// The flag of a packet with a long header (RFC 9000, section 17.2).
const LONG_HEADER: u8 = 0x80;

/// Timers of acknowledgements and of pacing are no longer than this; a loss timer that stalls anybody is.
const SHORT_TIMER: Duration = Duration::from_millis(30);

/// The longest wait for an acknowledgement before something is sent again: several round trips even of a bad satellite link.
const LONGEST_LOSS_WAIT: Duration = Duration::from_secs(10);

/// How many timers may stand before the loss timer: that of acknowledgements, that of pacing, and it.
const TIMERS_BEFORE_LOSS: usize = 3;

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("stats", &self.stats())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

fn failure(reason: &ConnectionError) -> EngineError {
    match reason {
        ConnectionError::ApplicationClosed(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::LocallyClosed => EngineError::PeerClosed,
        other => EngineError::PeerFault(other.to_string()),
    }
}

fn read_error(error: &quinn_proto::ReadError) -> ReadError {
    match error {
        quinn_proto::ReadError::Blocked => ReadError::Blocked,
        quinn_proto::ReadError::Reset(code_) => ReadError::Reset(code(*code_)),
    }
}

fn write_error(error: quinn_proto::WriteError) -> WriteError {
    match error {
        quinn_proto::WriteError::Blocked => WriteError::Blocked,
        quinn_proto::WriteError::Stopped(code_) => WriteError::Stopped(code(code_)),
        quinn_proto::WriteError::ClosedStream => WriteError::Closed,
    }
}

/// Codes are 32 bits here; a peer that sends a larger one is heard as saying the largest.
fn code(code: VarInt) -> u32 {
    u32::try_from(code.into_inner()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
