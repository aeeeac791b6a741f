//! One link with everything that hangs on it, under one lock.
//!
//! Whoever has something for the link (the receive task, the deadline task, a task that writes to a channel) locks the cell,
//! does it, and sends what came of it, at once or as `sending` says: there is no task per link. Wakers, handlers and the store wait until the lock
//! is released, see [`Outcome`].

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use telemesh_channel::{ChannelError, DatagramError, Dispatcher, Open, OpenError, Refusal};
use telemesh_engine::{Engine, ReadError, StreamId, WriteError};
use telemesh_hashname::Hashname;
use telemesh_link::{Explain, Link, PeerRecord, Request, TokenBucket};
use telemesh_wire::{Circuit, CloseReason, Frame, LinkInfo, PathAddress};
use tokio::sync::{oneshot, watch};
use tracing::Span;

use crate::clock;
use crate::core::Core;
use crate::datagrams::Queue;
use crate::guests::GuestPlace;
use crate::inner::{Inner, Pong};
use crate::metrics::TrafficCounters;
use crate::outcome::Outcome;
use crate::outlet::Sent;
use crate::state::LinkState;
use crate::store::{Change, MAX_REMEMBERED_PATHS};
use crate::streams::{Streams, Ticket, Waiter};

/// How often a peer may tell us something new about its routers: as many times at once as an endpoint has routers to get tickets
/// from, and then once per interval. Each costs a write to the store.
const NEWS_BURST: u32 = 16;
const NEWS_INTERVAL: Duration = Duration::from_secs(10);

/// Routers of whom a link remembers what they were asked for: more than one peer's are ever asked at a time. A peer can name other
/// ones again and again.
const MAX_ASKED_CIRCUITS: usize = 16;

/// See the module's page.
pub(crate) struct LinkCell {
    pub(crate) peer: Hashname,
    pub(crate) core: Arc<Core>,
    pub(crate) dispatcher: Dispatcher,
    slot: u32,
    state: watch::Sender<LinkState>,
    /// The peer has been let in and has not yet shown that it is there: it may be a replay. If it bears an invite, that is
    /// reserved for it.
    provisional: AtomicBool,
    /// The peer is no contact: the policy lets it in, and nothing is kept of it.
    guest: AtomicBool,
    /// Its place among the guests.
    place: Mutex<Option<GuestPlace>>,
    /// Addresses at which the peer was reached, the last one first.
    reached: Mutex<Vec<PathAddress>>,
    pub(crate) traffic: TrafficCounters,
    /// What keeps the peer from having us write to the store without end.
    news: Mutex<TokenBucket>,
    /// How often routers were asked about the peer.
    asks: AtomicUsize,
    /// Circuits whose routers were asked to bring our keys to the peer, one for each router.
    asked: Mutex<Vec<Circuit>>,
    /// What is logged about the link is logged in here.
    span: Span,
    inner: Mutex<Inner>,
}

/// As what a peer comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The application trusts it.
    Contact,
    /// It bears an invite.
    Invited,
    /// It is no contact: the policy has let it in, or it is a router. If somebody's ticket or word has led to it, whose.
    Guest(Option<Hashname>),
}

impl LinkCell {
    pub(crate) fn new(
        core: Arc<Core>,
        slot: u32,
        link: Link,
        reached: Vec<PathAddress>,
        entry: Entry,
        place: Option<GuestPlace>,
    ) -> Arc<Self> {
        let peer = link.hashname();
        let state = watch::Sender::new(LinkState { state: link.state(), ups: 0 });
        let dispatcher = Dispatcher::new(core.registry.clone());
        let inner = Mutex::new(Inner::new(link, peer, &core));
        Arc::new(Self {
            peer,
            core,
            dispatcher,
            slot,
            state,
            provisional: AtomicBool::new(entry != Entry::Contact),
            guest: AtomicBool::new(matches!(entry, Entry::Guest(_))),
            place: Mutex::new(place),
            reached: Mutex::new(reached),
            traffic: TrafficCounters::default(),
            news: Mutex::default(),
            asks: AtomicUsize::new(0),
            asked: Mutex::default(),
            span: tracing::debug_span!("link", peer = %peer.short()),
            inner,
        })
    }

    pub(crate) fn is_provisional(&self) -> bool {
        self.provisional.load(Ordering::Acquire)
    }

    /// The peer is there, or is a contact whether it is there or not.
    pub(crate) fn keep(&self) {
        self.provisional.store(false, Ordering::Release);
    }

    pub(crate) fn is_guest(&self) -> bool {
        self.guest.load(Ordering::Acquire)
    }

    /// The application trusts the peer.
    pub(crate) fn trust(&self) {
        self.guest.store(false, Ordering::Release);
        self.place.lock().take();
        self.keep();
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    pub(crate) fn state(&self) -> LinkState {
        *self.state.borrow()
    }

    /// Does something with the link and then everything that follows from it.
    pub(crate) fn drive<T>(self: &Arc<Self>, act: impl FnOnce(&mut Inner, Instant, &mut Outcome) -> T) -> T {
        let _logged = self.span.enter();
        let mut outcome = Outcome::default();
        let mut inner = self.inner.lock();
        // Under the lock, so that the link's time never goes back.
        let now = clock::now();
        let result = act(&mut inner, now, &mut outcome);
        inner.settle(self, now, &mut outcome);
        drop(inner);
        outcome.run(self);
        result
    }

    /// The tasks that the last batch of packets woke have had their turn: what they wrote is sent together.
    pub(crate) fn end_turn(self: &Arc<Self>) {
        self.guarded(|| self.drive(|inner, _, _| inner.sending.end_turn()));
    }

    /// Does something in a task that serves all links. If it panics, which a store, a clock, a transport or a mistake of ours
    /// could make it do, this link ends and the others go on.
    fn guarded(self: &Arc<Self>, act: impl FnOnce()) {
        // Nothing of the link's state is used again before it is closed, which throws the engine and the sessions away.
        if catch_unwind(AssertUnwindSafe(act)).is_err() {
            tracing::error!(peer = %self.peer.short(), "a link is closed after a panic");
            let _ = catch_unwind(AssertUnwindSafe(|| self.close(CloseReason::Failed)));
        }
    }

    /// The peer has initiated, and is one whom we trust.
    pub(crate) fn accept(self: &Arc<Self>, request: Request) {
        self.guarded(|| {
            let wall = self.core.clock.micros();
            // A request that is not accepted after all is counted by the link.
            let _ = self.drive(|inner, now, _| request.accept(&mut inner.link, now, wall));
        });
    }

    /// Sends a batch of equally long packets.
    pub(crate) fn send(&self, to: PathAddress, segment: usize, contents: &[u8]) -> Sent {
        let sent = self.core.send(to, segment, contents);
        let bytes = match sent {
            Sent::All => contents.len(),
            Sent::Part(bytes) => bytes,
            Sent::Refused => 0,
        };
        self.traffic.sent(bytes, segment);
        sent
    }

    /// Looks at the link without consequences.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.inner.lock())
    }

    /// Takes the packets of one receive batch that are for this link. If that gives many tasks something to do, it is true, and
    /// nothing that they write is sent until [`LinkCell::end_turn`].
    pub(crate) fn receive(self: &Arc<Self>, packets: &mut Vec<(PathAddress, BytesMut)>) -> bool {
        self.guarded(|| {
            self.drive(|inner, now, outcome| {
                if let Some(streams) = &mut inner.streams {
                    streams.begin_batch();
                }
                for (from, packet) in packets.drain(..) {
                    inner.handle_packet(self, from, packet, now, outcome);
                }
                inner.engine_events(now, outcome);
                inner.sending.begin_turn(outcome.tasks(), now);
            });
        });
        self.look(|inner| inner.sending.is_turn())
    }

    pub(crate) fn handle_deadline(self: &Arc<Self>) {
        let now = clock::now();
        if self.look(|inner| inner.is_due(now)) {
            self.guarded(|| {
                let wall = self.core.clock.micros();
                self.drive(|inner, now, outcome| inner.handle_timeout(self, now, wall, outcome));
            });
        }
    }

    /// The transport takes packets again.
    pub(crate) fn handle_writable(self: &Arc<Self>) {
        self.guarded(|| self.drive(|inner, now, _| inner.resume(self, now)));
    }

    /// What must not be forgotten, as it is by now; `None` if the link is one no more.
    pub(crate) fn record(&self) -> Option<PeerRecord> {
        self.look(|inner| (!inner.is_stopped()).then(|| inner.link.record()))
    }

    /// Stores what must not be forgotten. Of a guest nothing is: who lets strangers in answers an old packet as well as a new one.
    pub(crate) fn persist(self: &Arc<Self>) {
        if self.is_guest() {
            self.record().iter().for_each(|record| self.persisted(record));
        } else {
            self.core.saver.record(self);
        }
    }

    /// The record is stored: what waited for that may be sent.
    pub(crate) fn persisted(self: &Arc<Self>, record: &PeerRecord) {
        self.guarded(|| self.drive(|inner, now, _| inner.link.persisted(now, record)));
    }

    /// The peer has sent its first data: whoever it claimed to be, it is there.
    pub(crate) fn confirmed(self: &Arc<Self>) {
        if !self.is_guest() {
            let keys = self.look(|inner| inner.link.keys().cloned()).unwrap_or_default();
            let info = LinkInfo::new(keys).unwrap_or_else(|_| LinkInfo::unresolved(self.peer));
            self.core.trust.confirm(info, clock::now());
        }
        self.keep();
    }

    /// The peer was reached at this address, and may be there again after a restart.
    pub(crate) fn reached(&self, address: PathAddress) {
        if self.is_guest() || self.is_provisional() {
            return;
        }
        let mut reached = self.reached.lock();
        // An extra socket's NAT lets the peer in, and nobody knows it after a restart.
        let passing = address.socket_address().is_none() || matches!(address, PathAddress::Extra(_));
        if passing || reached.first() == Some(&address) {
            return;
        }
        reached.retain(|other| *other != address);
        reached.insert(0, address);
        reached.truncate(MAX_REMEMBERED_PATHS);
        self.core.saver.change(Change::Paths(self.peer, reached.clone()));
    }

    /// Whether what the peer tells about its routers is kept now.
    pub(crate) fn takes_news(&self, now: Instant) -> bool {
        self.news.lock().take(now, NEWS_BURST, NEWS_INTERVAL)
    }

    /// How often routers were asked about the peer before; this time counts from now on.
    pub(crate) fn count_ask(&self) -> usize {
        self.asks.fetch_add(1, Ordering::Relaxed)
    }

    /// The circuit that this router was asked for already, or this one from now on: asking again must not make another.
    pub(crate) fn asked_circuit(&self, new: Circuit) -> Circuit {
        let mut asked = self.asked.lock();
        match asked.iter().find(|circuit| circuit.router == new.router) {
            Some(circuit) => *circuit,
            None => {
                if asked.len() >= MAX_ASKED_CIRCUITS {
                    asked.remove(0);
                }
                asked.push(new);
                new
            }
        }
    }

    /// Ends the link at both ends, and with it all channels, also those that wait for it to come back.
    pub(crate) fn close(self: &Arc<Self>, reason: CloseReason) {
        // After a panic nothing of the state is used again.
        if reason != CloseReason::Failed {
            self.drive(|inner, _, _| inner.sending.end_turn());
        }
        self.drive(|inner, now, outcome| {
            inner.link.close(now, reason);
            inner.end_channels(&ChannelError::LinkClosed(reason), now, outcome);
        });
    }

    /// The endpoint has stopped: all channels end here, and nobody is told.
    pub(crate) fn abandon(self: &Arc<Self>) {
        self.look(Inner::stop);
        self.close(CloseReason::ShuttingDown);
    }

    /// The peer is no contact any more: the link ends, and from here on nothing is sent, whoever still holds it.
    pub(crate) fn forget(self: &Arc<Self>) {
        self.close(CloseReason::NotTrusted);
        self.look(Inner::stop);
        self.place.lock().take();
    }

    /// Updates what watchers see; call it under the lock, so that they see states in order.
    pub(crate) fn publish(&self, state: telemesh_link::State) {
        self.state.send_if_modified(|seen| {
            let came_up = state == telemesh_link::State::Up && seen.state != state;
            seen.ups += u64::from(came_up);
            std::mem::replace(&mut seen.state, state) != state
        });
    }

    pub(crate) fn explain(&self) -> Explain {
        self.look(|inner| inner.link.explain(clock::now()))
    }

    /// The answer arrives in the receiver; it closes if the ping is lost or the link goes down.
    pub(crate) fn ping(self: &Arc<Self>) -> oneshot::Receiver<Pong> {
        self.drive(|inner, now, _| inner.ping(now))
    }

    /// Opens a stream; `Pending` while the peer permits no more.
    pub(crate) fn poll_open(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        first: &Bytes,
        ticket: &mut Option<Ticket>,
    ) -> Poll<Result<(u64, StreamId), ChannelError>> {
        self.drive(|inner, now, outcome| {
            if !inner.is_up() {
                return Poll::Ready(Err(ChannelError::LinkDown));
            }
            let streams = match inner.ensure_streams(&self.core, now) {
                Ok(streams) => streams,
                Err(error) => return Poll::Ready(Err(error)),
            };
            ticket.take_if(|ticket| ticket.epoch != streams.epoch);
            let (id, epoch) = (streams.open(first, ticket, cx, outcome), streams.epoch);
            let Some(id) = id else { return Poll::Pending };
            // What the opener writes first takes the open message along, as does waiting for what the other end says.
            inner.sending.write_quietly(now);
            Poll::Ready(Ok((epoch, id)))
        })
    }

    /// Somebody who waited for a stream waits no more.
    pub(crate) fn leave_line(self: &Arc<Self>, ticket: Ticket) {
        self.drive(|inner, _, outcome| {
            if let Ok(streams) = inner.streams_of(ticket.epoch) {
                streams.leave_line(ticket, outcome);
            }
        });
    }

    /// Does something with the streams of one epoch and sends what comes of it.
    ///
    /// # Errors
    /// Why that engine is no more.
    pub(crate) fn streams<T>(
        self: &Arc<Self>,
        epoch: u64,
        act: impl FnOnce(&mut Streams) -> T,
    ) -> Result<T, ChannelError> {
        self.drive(|inner, _, _| inner.streams_of(epoch).map(act))
    }

    /// As [`streams`](Self::streams), but what comes of it is sent with the next that is, or a little later.
    ///
    /// # Errors
    /// Why that engine is no more.
    pub(crate) fn streams_quietly<T>(
        self: &Arc<Self>,
        epoch: u64,
        act: impl FnOnce(&mut Streams) -> T,
    ) -> Result<T, ChannelError> {
        self.drive(|inner, now, _| {
            inner.sending.write_quietly(now);
            inner.streams_of(epoch).map(act)
        })
    }

    /// Sends what was written quietly.
    pub(crate) fn end_quiet(self: &Arc<Self>) {
        if self.look(|inner| inner.sending.has_waiting()) {
            self.drive(|_, _, _| ());
        }
    }

    /// The handle of a stream is gone. Whatever the peer must hear of that was done before.
    pub(crate) fn detach(&self, epoch: u64, id: StreamId) {
        // Woken, and dropped, outside of the lock.
        let mut outcome = Outcome::default();
        self.look(|inner| inner.detach(epoch, id, &mut outcome));
        outcome.wakers.drain(..).for_each(Waker::wake);
    }

    /// Writes to a stream, and sends at once unless it is done quietly.
    pub(crate) fn write(
        self: &Arc<Self>,
        epoch: u64,
        id: StreamId,
        quietly: bool,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut Engine) -> Result<usize, WriteError>,
    ) -> Poll<Result<usize, ChannelError>> {
        let written = self.drive(|inner, now, _| {
            let written = inner.streams_of(epoch).map(|streams| streams.write(id, cx, write));
            // Whoever finds no room waits for what the peer says to what was sent.
            if quietly && matches!(written, Ok(Some(Ok(_)))) {
                inner.sending.write_quietly(now);
            }
            written
        });
        match written {
            Ok(Some(result)) => Poll::Ready(result),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    pub(crate) fn flush(
        self: &Arc<Self>,
        epoch: u64,
        id: StreamId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ChannelError>> {
        // Usually nothing waits, and then there is nothing to send.
        let flushed = match self.look(|inner| inner.streams_of(epoch).map(|streams| streams.has_unsent(id))) {
            Ok(true) => self.streams(epoch, |streams| streams.flush(id, cx)),
            waits => waits.map(|_| true),
        };
        match flushed {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Resolves when the peer reads a stream no more, or the engine is over.
    pub(crate) fn poll_stopped(
        self: &Arc<Self>,
        epoch: u64,
        id: StreamId,
        cx: &mut Context<'_>,
    ) -> Poll<ChannelError> {
        let stopped =
            self.look(|inner| inner.streams_of(epoch).map(|streams| streams.stopped_or_wait(id, cx)));
        match stopped {
            Ok(None) => Poll::Pending,
            Ok(Some(error)) | Err(error) => Poll::Ready(error),
        }
    }

    /// Reads from a stream. Sends only if the peer should hear of the room that this made, or what is waited for may depend on
    /// something that was written quietly.
    pub(crate) fn read<T>(
        self: &Arc<Self>,
        epoch: u64,
        id: StreamId,
        waiter: Waiter,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut Engine) -> Result<T, ReadError>,
    ) -> Poll<Result<T, ChannelError>> {
        let mut send = false;
        let result = self.look(|inner| {
            let (streams, over) = inner.streams_to_read(epoch)?;
            let result = streams.read(id, waiter, cx, read);
            send = over.is_none() && streams.engine.take_credit();
            send |= result.is_none() && inner.sending.has_quiet();
            // Nothing more will arrive where the engine is over.
            Ok(result.or_else(|| over.map(Err)))
        });
        if send {
            self.drive(|_, _, _| ());
        }
        match result {
            Ok(Some(result)) => Poll::Ready(result),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Bytes of the largest frame of an unreliable channel that the path carries now; 0 while the link is not up.
    pub(crate) fn max_message(&self) -> usize {
        self.look(|inner| if inner.is_up() { inner.link.max_message() } else { 0 })
    }

    /// Opens an unreliable channel.
    pub(crate) fn open_datagrams(self: &Arc<Self>, open: Open) -> Result<(u32, Arc<Queue>), OpenError> {
        self.drive(|inner, now, _| {
            let (channel, queue) = inner.datagrams.open().ok_or(OpenError::TooMany)?;
            let error = match inner.send_frame(self, &Frame::Open { channel, open }, now) {
                Ok(()) => return Ok((channel, queue)),
                Err(DatagramError::TooLarge { size, max }) => OpenError::TooLarge { size, max },
                // Lost on the way out, as every message may be lost on its way.
                Err(DatagramError::Blocked) => return Ok((channel, queue)),
                Err(_) => OpenError::Channel(ChannelError::LinkDown),
            };
            inner.datagrams.remove(channel);
            Err(error)
        })
    }

    /// Sends an open message that is the whole conversation.
    pub(crate) fn notify(self: &Arc<Self>, open: Open) -> Result<(), OpenError> {
        match self.send_frame(&Frame::Notice { open }) {
            // Lost on the way out, as every message may be lost on its way.
            Ok(()) | Err(DatagramError::Blocked) => Ok(()),
            Err(DatagramError::TooLarge { size, max }) => Err(OpenError::TooLarge { size, max }),
            Err(_) => Err(OpenError::Channel(ChannelError::LinkDown)),
        }
    }

    /// Sends one frame of an unreliable channel now or not at all.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn send_frame(self: &Arc<Self>, frame: &Frame<'_>) -> Result<(), DatagramError> {
        self.drive(|inner, now, _| inner.send_frame(self, frame, now))
    }

    /// Closes an unreliable channel and tells the peer, if it has not closed it itself.
    pub(crate) fn close_datagrams(self: &Arc<Self>, channel: u32, refusal: Option<Refusal>) {
        self.drive(|inner, now, _| {
            if inner.datagrams.remove(channel) {
                // If it is lost the peer's next message is dropped, which it cannot tell from a lost one.
                let _ = inner.send_frame(self, &Frame::Close { channel, refusal }, now);
            }
        });
    }

    pub(crate) fn forget_datagrams(&self, channel: u32) {
        self.look(|inner| inner.datagrams.remove(channel));
    }
}

impl fmt::Debug for LinkCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkCell").field("peer", &self.peer).field("slot", &self.slot).finish_non_exhaustive()
    }
}
