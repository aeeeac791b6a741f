//! The state of a link under its cell's lock: the sans-IO link, the engine, and how the two meet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use telemesh_channel::{ChannelError, LinkEvent};
use telemesh_engine::{Seed, StreamId};
use telemesh_hashname::Hashname;
use telemesh_link::{About, Event, Link, PathState, PathStatus, PingId, Received, State};
use telemesh_wire::{Frame, PathAddress};
use tokio::sync::oneshot;

use crate::birthday::Birthday;
use crate::cell::LinkCell;
use crate::comparison::Comparison;
use crate::core::Core;
use crate::datagrams::DatagramTable;
use crate::deadlines::Entries;
use crate::numbers::Numbers;
use crate::outcome::Outcome;
use crate::sending::Sending;
use crate::state::{channel_error, may_come_back};
use crate::streams::Streams;
use crate::wants::Want;

/// How late an engine may acknowledge (RFC 9000 section 18.2, the default of `max_ack_delay`).
const MAX_ACK_DELAY: Duration = Duration::from_millis(25);

/// See the module's page.
pub(crate) struct Inner {
    pub(crate) link: Link,
    pub(crate) datagrams: DatagramTable,
    pub(crate) streams: Option<Box<Streams>>,
    /// The streams of the last engine that has ended, while somebody may still read what had arrived.
    past: Option<Box<Streams>>,
    /// Engines that ended before everything that was ended here in order was acknowledged.
    lost: u64,
    /// The link is no link of the endpoint any more, or the endpoint has stopped: nothing is sent from here on.
    stopped: bool,
    /// What the peer has said about itself in the handshake of the current session.
    about: Option<About>,
    /// Numbers of the engines between these two incarnations.
    numbers: Numbers,
    /// Engines that this link has had in this process.
    epoch: u64,
    /// Why the last engine ended.
    ended: ChannelError,
    pub(crate) times: Times,
    pub(crate) sending: Sending,
    pub(crate) birthday: Birthday,
    pings: Vec<(PingId, oneshot::Sender<Pong>)>,
    peer: Hashname,
}

/// When there is something to do that neither link nor engine knows of.
#[derive(Default)]
pub(crate) struct Times {
    /// When the deadline task will look at this link.
    scheduled: Entries,
    /// When the channels end unless the link comes back.
    expires: Option<Instant>,
    /// When the two ends tell each other again where they are.
    pub(crate) comparison: Comparison,
}

/// The answer to a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pong {
    /// The round trip.
    pub rtt: Duration,
    /// The path it took.
    pub path: PathAddress,
}

impl Inner {
    pub(crate) fn new(link: Link, peer: Hashname, core: &Core) -> Self {
        Self {
            link,
            datagrams: DatagramTable::new(core.hashname() > peer),
            streams: None,
            past: None,
            lost: 0,
            stopped: false,
            about: None,
            numbers: Numbers::default(),
            epoch: 0,
            ended: ChannelError::LinkDown,
            times: Times::default(),
            sending: Sending::default(),
            birthday: Birthday::default(),
            pings: Vec::new(),
            peer,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        !self.stopped && self.link.state() == State::Up
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Nothing is sent from here on, whoever still holds the link.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.birthday = Birthday::default();
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.times.scheduled.is_due(now)
    }

    pub(crate) fn engine_stats(&self) -> Option<telemesh_engine::Stats> {
        self.streams.as_ref().map(|streams| streams.engine.stats())
    }

    /// Whether nothing is left to wait for before the link is closed: the peer has everything of the channels that were
    /// ended here or never will, and knows that we have what it has sent.
    pub(crate) fn is_settled(&mut self, now: Instant) -> bool {
        !self.sending.has_waiting()
            && self.streams.as_mut().is_none_or(|streams| {
                let next = streams.engine.poll_timeout();
                streams.is_drained() && next.is_none_or(|next| next > now + MAX_ACK_DELAY)
            })
    }

    /// Whether the peer has everything of the channels that were ended here.
    pub(crate) fn is_delivered(&self) -> bool {
        self.lost == 0 && self.is_drained()
    }

    /// The same for the engine there is now.
    pub(crate) fn is_drained(&self) -> bool {
        self.streams.as_ref().is_none_or(|streams| streams.is_drained())
    }

    /// Engines that ended before everything was delivered.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// The streams of one epoch.
    ///
    /// # Errors
    /// Why that engine is no more.
    pub(crate) fn streams_of(&mut self, epoch: u64) -> Result<&mut Streams, ChannelError> {
        match &mut self.streams {
            Some(streams) if streams.epoch == epoch => Ok(streams),
            _ => Err(self.ended.clone()),
        }
    }

    /// The streams of one epoch, to read from. If that engine is no more, what had arrived is still there, and the error is
    /// for what comes after it.
    ///
    /// # Errors
    /// When nothing is left of it.
    pub(crate) fn streams_to_read(
        &mut self,
        epoch: u64,
    ) -> Result<(&mut Streams, Option<ChannelError>), ChannelError> {
        match (&mut self.streams, &mut self.past) {
            (Some(streams), _) if streams.epoch == epoch => Ok((streams, None)),
            (_, Some(past)) if past.epoch == epoch => Ok((past, Some(self.ended.clone()))),
            _ => Err(self.ended.clone()),
        }
    }

    /// The handle of a stream is gone.
    pub(crate) fn detach(&mut self, epoch: u64, id: StreamId, outcome: &mut Outcome) {
        if let Ok((streams, _)) = self.streams_to_read(epoch) {
            streams.detach(id, outcome);
        }
        self.past.take_if(|past| !past.is_held());
    }

    /// The streams, with an engine that is started if there is none.
    ///
    /// # Errors
    /// When there is no peer to have an engine with.
    pub(crate) fn ensure_streams(&mut self, core: &Core, now: Instant) -> Result<&mut Streams, ChannelError> {
        if self.streams.is_none() {
            let about = self.about.filter(|_| self.is_up()).ok_or(ChannelError::LinkDown)?;
            if about.engine_version != telemesh_engine::ENGINE_VERSION {
                return Err(ChannelError::Protocol("the peer's streams are of another version"));
            }
            let local = (core.hashname(), core.incarnation);
            let number = self.numbers.next();
            let seed = Seed::new(local, (self.peer, about.incarnation), number);
            let config = match self.link.rtt() {
                Some(rtt) => core.engine.clone().with_rtt(rtt),
                None => core.engine.clone(),
            };
            let engine = core
                .traces
                .start(&self.peer, &seed, &config, now)
                .map_err(|_| ChannelError::Protocol("the engine could not be started"))?;
            self.epoch += 1;
            self.streams = Some(Box::new(Streams::new(engine, number, self.epoch)));
        }
        self.streams.as_deref_mut().ok_or(ChannelError::LinkDown)
    }

    pub(crate) fn handle_packet(
        &mut self,
        cell: &Arc<LinkCell>,
        from: PathAddress,
        mut packet: BytesMut,
        now: Instant,
        outcome: &mut Outcome,
    ) {
        // A packet that is dropped is counted by the link.
        let Ok(received) = self.link.handle_packet(now, from, &mut packet) else { return };
        cell.traffic.received(packet.len());
        // The packet that brings the link up may carry data already: first things first.
        self.link_events(cell, now, outcome);
        match received {
            Received::Engine(range) => {
                packet.truncate(range.end);
                packet.advance(range.start);
                self.handle_engine_packet(&cell.core, packet, now);
            }
            Received::WholeEngine(packet) => {
                self.handle_engine_packet(&cell.core, BytesMut::from(&packet[..]), now);
            }
            Received::WholeMessage(frame) => self.handle_frame(cell, &frame, now, outcome),
            Received::Message(range) => {
                if let Some(frame) = packet.get(range) {
                    self.handle_frame(cell, frame, now, outcome);
                }
            }
            _ => {}
        }
    }

    fn handle_frame(&mut self, cell: &Arc<LinkCell>, frame: &[u8], now: Instant, outcome: &mut Outcome) {
        if let Some(channel) = self.datagrams.handle(frame, outcome) {
            // That it is closed was lost, or is on its way.
            let _ = self.send_frame(cell, &Frame::Close { channel, refusal: None }, now);
        }
    }

    fn handle_engine_packet(&mut self, core: &Core, packet: BytesMut, now: Instant) {
        let Ok(streams) = self.ensure_streams(core, now) else { return };
        if streams.engine.handle_packet(now, packet) {
            self.numbers.known();
        } else if self.numbers.is_answer_due(now)
            && let Some(streams) = &mut self.streams
        {
            // The two ends have engines of different numbers, and something that said so was lost. If ours is the later one
            // the peer hears that the others are over; if not, it hears from our engine, and tells us the same.
            if let Some(before) = streams.number.checked_sub(1) {
                self.link.send_engine_gone(before);
            }
            streams.engine.ping();
        }
    }

    pub(crate) fn handle_timeout(
        &mut self,
        cell: &Arc<LinkCell>,
        now: Instant,
        wall: u64,
        outcome: &mut Outcome,
    ) {
        self.times.scheduled.take_due(now);
        self.link.handle_timeout(now, wall);
        self.sending.handle_timeout(now);
        if self.sending.is_stuck(now) {
            self.link.suspect(now);
        }
        if self.is_up()
            && let Some(streams) = &mut self.streams
        {
            streams.handle_timeout(now);
        }
        if self.times.comparison.is_due(now) && self.is_up() {
            let birthday = self.times.comparison.is_hard() && self.begin_birthday(cell, now);
            outcome.wants.push(Want::Comparison { cell: Arc::downgrade(cell), ask: true, birthday });
        }
    }

    pub(crate) fn ping(&mut self, now: Instant) -> oneshot::Receiver<Pong> {
        let (sender, receiver) = oneshot::channel();
        self.pings.retain(|(_, waiting)| !waiting.is_closed());
        if let Some(id) = self.link.ping(now) {
            self.pings.push((id, sender));
        }
        receiver
    }

    /// Everything that follows from what was just done: events, packets, the next deadline.
    pub(crate) fn settle(&mut self, cell: &Arc<LinkCell>, now: Instant, outcome: &mut Outcome) {
        self.link_events(cell, now, outcome);
        if cell.state().state != self.link.state() {
            cell.publish(self.link.state());
        }
        self.engine_events(now, outcome);
        if self.is_up()
            && let Some(number) = self.numbers.poll(now)
        {
            self.link.send_engine_gone(number);
        }
        if !self.stopped {
            self.transmit(cell, now, outcome);
        }
        self.schedule(cell, now, outcome);
    }

    /// Handles what the engine has to say.
    pub(crate) fn engine_events(&mut self, now: Instant, outcome: &mut Outcome) {
        if let Some(streams) = &mut self.streams
            && let Err(error) = streams.events(outcome)
        {
            tracing::warn!(peer = %self.peer.short(), %error, "the engine failed");
            self.end_streams(&ChannelError::Protocol("the engine failed"), now, outcome);
        }
    }

    fn link_events(&mut self, cell: &Arc<LinkCell>, now: Instant, outcome: &mut Outcome) {
        let mut moved = false;
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Up(about) => {
                    self.about = Some(about);
                    self.times.expires = None;
                    // With or without its credential: it has shown who it is, and that it hears us.
                    outcome.confirmed |= cell.is_provisional();
                    outcome.path = self.link.path().map(|path| path.address);
                    self.numbers.came_up(now);
                    if let Some(streams) = &mut self.streams {
                        streams.recovered(now, true);
                    }
                    cell.publish(State::Up);
                    tracing::debug!(path = ?self.link.path().map(|path| path.address), "up");
                    cell.core.events.emit(&LinkEvent::Up { peer: self.peer });
                    outcome.wants.push(Want::Up(self.peer));
                    outcome.wants.push(Want::Comparison {
                        cell: Arc::downgrade(cell),
                        ask: false,
                        birthday: false,
                    });
                    moved = true;
                }
                Event::Down(reason) => {
                    self.went_down(cell, reason, now, outcome);
                    moved = true;
                }
                Event::PeerRestarted => {
                    outcome.wants.push(Want::Restarted(self.peer));
                    self.end_channels(&ChannelError::PeerRestarted, now, outcome);
                    self.numbers = Numbers::default();
                }
                Event::PathChanged { path, similar, .. } => {
                    tracing::debug!(%path, "data takes another path");
                    outcome.path = Some(path);
                    self.path_changed(path, similar, now);
                    self.times.comparison.path_changed(now, &path);
                    moved = true;
                }
                Event::PathProven { .. } => moved = true,
                Event::BirthdayOver(outcome) => {
                    tracing::debug!(?outcome, "many ports were tried");
                    moved = true;
                }
                Event::NeedsPath => outcome.wants.push(Want::Path(Arc::downgrade(cell))),
                Event::Observed { address, path } => outcome.observed = Some((address, path)),
                Event::Persist(_) => outcome.persist = !self.stopped,
                Event::Confirmed { .. } => outcome.confirmed |= cell.is_provisional(),
                Event::EngineGone { number } => {
                    if self.streams.as_ref().is_some_and(|streams| streams.number <= number) {
                        self.end_streams(&ChannelError::Reset(telemesh_channel::CANCELLED), now, outcome);
                    }
                    self.numbers.gone_at_peer(number);
                }
                Event::Pong { id, rtt, path } => {
                    if let Some(at) = self.pings.iter().position(|(waiting, _)| *waiting == id) {
                        // Nobody waits any more: fine.
                        let _ = self.pings.swap_remove(at).1.send(Pong { rtt, path });
                    }
                }
                _ => {}
            }
        }
        if moved {
            self.birthday.close_unneeded(&self.link);
            self.tell_whereabouts(cell);
        }
    }

    /// Where the peer is now, for circuits.
    fn tell_whereabouts(&self, cell: &Arc<LinkCell>) {
        let proven = |path: &PathStatus| path.state == PathState::Proven && path.address.is_direct();
        let mut here = Vec::new();
        if self.is_up() {
            here.extend(self.link.paths().filter(proven).map(|path| path.address));
        }
        let in_use = self.link.path().map(|path| path.address).filter(|_| self.is_up());
        cell.core.ways.whereabouts.update(self.peer, in_use, here);
    }

    fn went_down(
        &mut self,
        cell: &Arc<LinkCell>,
        reason: telemesh_link::DownReason,
        now: Instant,
        outcome: &mut Outcome,
    ) {
        let was_up = cell.state().is_up();
        let error = channel_error(reason);
        tracing::debug!(%reason, "down");
        self.sending.drop_data();
        self.pings.clear();
        if !may_come_back(reason) {
            self.end_channels(&error, now, outcome);
        } else if was_up {
            // Beyond what the clock can say they wait for ever.
            self.times.expires = now.checked_add(cell.core.survive_down);
        }
        cell.publish(self.link.state());
        if was_up {
            cell.core.events.emit(&LinkEvent::Down { peer: self.peer, reason: error });
        }
    }

    pub(crate) fn end_channels(&mut self, reason: &ChannelError, now: Instant, outcome: &mut Outcome) {
        self.times.expires = None;
        self.end_streams(reason, now, outcome);
        self.datagrams.fail(reason, outcome);
    }

    fn end_streams(&mut self, reason: &ChannelError, now: Instant, outcome: &mut Outcome) {
        self.sending.drop_data();
        self.ended = reason.clone();
        if let Some(mut streams) = self.streams.take() {
            // What the engine has received counts: acknowledgements, and data that nobody has read yet.
            let _ = streams.events(outcome);
            self.lost += u64::from(!streams.is_drained());
            self.numbers.ended(streams.number, now);
            streams.retire(outcome);
            self.past = streams.is_held().then_some(streams);
        }
    }

    fn schedule(&mut self, cell: &Arc<LinkCell>, now: Instant, outcome: &mut Outcome) {
        if self.times.expires.is_some_and(|at| at <= now) {
            self.end_channels(&ChannelError::LinkDown, now, outcome);
        }
        let (mut engine, mut numbers) = (None, None);
        if self.is_up() {
            engine = self.streams.as_mut().and_then(|streams| streams.poll_timeout());
            numbers = self.numbers.poll_timeout();
        }
        if self.stopped {
            return;
        }
        let comparison = self.times.comparison.poll_timeout().filter(|_| self.is_up());
        let times = [
            self.link.poll_timeout(),
            engine,
            numbers,
            self.times.expires,
            self.sending.poll_timeout(),
            comparison,
        ];
        let next = times.into_iter().flatten().min();
        if let Some(next) = next
            && self.times.scheduled.needs(next)
        {
            cell.core.deadlines.add(next, Arc::downgrade(cell));
        }
    }
}
