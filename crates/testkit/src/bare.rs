//! An endpoint without a mesh: a link and an engine in a test's hands, for everything that an honest mesh never does.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rand::SeedableRng;
use rand::rngs::StdRng;
use telemesh_engine::{Config, ENGINE_VERSION, Engine, Seed};
use telemesh_hashname::Hashname;
use telemesh_keys::KeySet;
use telemesh_link::{
    DATA_HEADER_SIZE, Event, Identity, Link, LinkConfig, PacketKind, Peer, Received, State, TAG_SIZE,
    classify,
};
use telemesh_mesh::{LinkInfo, WallClock};
use telemesh_transport::{ReceiveBatch, Transmit, Transport};
use telemesh_wire::{Credential, Frame, PathAddress};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::SkewedClock;
use crate::node::Node;
use crate::transport::SimTransport;

/// See the module's page.
pub struct Bare {
    identity: Arc<Identity>,
    transport: SimTransport,
    clock: SkewedClock,
    seed: [u8; 32],
    link: Option<Link>,
    engine: Option<Engine>,
    /// Incarnation of the peer's process.
    peer_incarnation: u64,
    events: Vec<Event>,
    messages: Vec<Vec<u8>>,
    foreign: usize,
    heard: Vec<Heard>,
}

/// A packet that came over the link, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// What was in it: engine packets too, and padding.
    pub plaintext: Vec<u8>,
}

#[allow(clippy::expect_used, reason = "a test whose hostile endpoint does not work is wrong")]
impl Bare {
    pub(crate) fn new(transport: SimTransport, clock: SkewedClock, seed: [u8; 32]) -> Self {
        let keys = KeySet::generate(&mut StdRng::from_seed(seed));
        Self {
            identity: Identity::new(keys, 1, ENGINE_VERSION).expect("generated keys are usable"),
            transport,
            clock,
            seed,
            link: None,
            engine: None,
            peer_incarnation: 0,
            events: Vec::new(),
            messages: Vec::new(),
            foreign: 0,
            heard: Vec::new(),
        }
    }

    /// Who this is.
    pub fn hashname(&self) -> Hashname {
        self.identity.hashname()
    }

    /// What makes this endpoint a contact.
    ///
    /// # Panics
    /// Never: generated keys have a hashname.
    pub fn info(&self) -> LinkInfo {
        LinkInfo::new(self.identity.public_keys().clone()).expect("generated keys have a hashname")
    }

    /// Becomes a contact of the node and links to it.
    ///
    /// # Panics
    /// When the link does not come up within ten seconds.
    pub async fn connect(&mut self, node: &Node) {
        node.mesh().add_contact(self.info()).expect("a contact");
        assert!(
            self.reach(node, Credential::none(), Duration::from_secs(10)).await,
            "the link does not come up"
        );
    }

    /// Links to the node as a stranger who shows something; whether it is let in within two tenths of a second.
    pub async fn visit(&mut self, node: &Node, shown: Credential) -> bool {
        self.reach(node, shown, Duration::from_millis(200)).await
    }

    async fn reach(&mut self, node: &Node, shown: Credential, limit: Duration) -> bool {
        let info = node.info();
        let mut peer = Peer::new(info.hashname());
        peer.keys = Some(info.keys().clone());
        let now = now();
        let link = Link::new(self.identity.clone(), peer, 0, LinkConfig::default(), self.seed, now);
        let link = self.link.insert(link.expect("the node is a peer"));
        for address in info.addresses() {
            link.add_candidate(now, address);
        }
        link.set_credential(shown);
        link.connect(now, self.clock.micros());
        let end = Instant::now() + limit;
        while Instant::now() < end {
            self.run_for(Duration::from_millis(100)).await;
            if self.link().state() == State::Up {
                return true;
            }
        }
        false
    }

    /// The link.
    ///
    /// # Panics
    /// Before [`Bare::connect`].
    pub fn link(&mut self) -> &mut Link {
        self.link.as_mut().expect("connect comes first")
    }

    /// The engine, which is started with this number if there is none.
    ///
    /// # Panics
    /// Before [`Bare::connect`].
    pub fn engine(&mut self, number: u64) -> &mut Engine {
        let local = (self.identity.hashname(), self.identity.incarnation());
        let remote = (self.link().hashname(), self.peer_incarnation);
        let start = || Engine::start(&Seed::new(local, remote, number), &Config::default(), now());
        self.engine.get_or_insert_with(|| start().expect("the halves fit"))
    }

    /// Throws the engine away without a word.
    pub fn drop_engine(&mut self) {
        self.engine = None;
    }

    /// Seals and sends any plaintext that looks like an engine packet.
    pub fn send_engine_packet(&mut self, plaintext: &[u8]) {
        let mut packet = Vec::new();
        let batch = self.link().seal_batch(now(), plaintext, plaintext.len(), &mut packet);
        self.send(batch.map(|batch| batch.to), &packet);
    }

    /// Sends any bytes to anybody, as they are.
    pub fn send_packet(&self, to: std::net::SocketAddr, packet: &[u8]) {
        self.transport.send(to, packet);
    }

    /// Sends one frame of an unreliable channel.
    ///
    /// # Panics
    /// When it does not fit.
    pub fn send_frame(&mut self, frame: &Frame<'_>) {
        let (mut plain, mut packet) = (Vec::new(), Vec::new());
        frame.encode_into(&mut plain).expect("a frame");
        let batch = self.link().seal_message(now(), &plain, &mut packet).expect("it fits");
        for packet in packet.chunks(batch.segment) {
            self.send(Some(batch.to), packet);
        }
    }

    /// The frames of unreliable channels that have come in, but for notices: services send those by themselves.
    pub fn take_messages(&mut self) -> Vec<Vec<u8>> {
        let mut messages = std::mem::take(&mut self.messages);
        messages.retain(|frame| !matches!(Frame::decode(frame), Ok(Frame::Notice { .. })));
        messages
    }

    /// Engine packets that have come in and were of another engine than this endpoint's.
    pub fn take_foreign(&mut self) -> usize {
        std::mem::take(&mut self.foreign)
    }

    /// All packets that have come over the link since this was asked last.
    pub fn take_heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// What the link has said.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Does what an honest endpoint does, for so long.
    pub async fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        let mut batch = ReceiveBatch::new(8);
        loop {
            self.advance();
            let wake = self.next_timeout().map_or(end, |at| end.min(at));
            let received = timeout_at(wake, poll_fn(|cx| self.transport.poll_receive(cx, &mut batch))).await;
            if received.is_ok() {
                for received in batch.drain().collect::<Vec<_>>() {
                    let source = received.source;
                    received.into_datagrams().for_each(|packet| self.receive(source, packet));
                }
            } else if Instant::now() >= end {
                self.advance();
                return;
            } else {
                // A timer that is due already must not keep virtual time from moving on.
                sleep_until(wake.max(Instant::now()) + Duration::from_micros(1)).await;
            }
        }
    }

    fn next_timeout(&mut self) -> Option<Instant> {
        let link = self.link.as_ref().and_then(Link::poll_timeout);
        let engine = self.engine.as_mut().and_then(Engine::poll_timeout);
        link.into_iter().chain(engine).min().map(Instant::from_std)
    }

    fn receive(&mut self, source: PathAddress, mut packet: BytesMut) {
        let Some(link) = &mut self.link else { return };
        let is_data = classify(&packet) == Ok(PacketKind::Data);
        let received = link.handle_packet(now(), source, &mut packet);
        if is_data && received.is_ok() {
            // It was decrypted in place, between header and tag.
            let plaintext =
                packet.get(DATA_HEADER_SIZE..packet.len() - TAG_SIZE).unwrap_or_default().to_vec();
            self.heard.push(Heard { at: Instant::now(), plaintext });
        }
        match received {
            Ok(Received::Engine(range)) => {
                packet.truncate(range.end);
                packet.advance(range.start);
                let taken = self.engine.as_mut().is_some_and(|engine| engine.handle_packet(now(), packet));
                self.foreign += usize::from(!taken);
            }
            Ok(Received::Message(range)) => self.messages.extend(packet.get(range).map(<[u8]>::to_vec)),
            Ok(Received::WholeMessage(message)) => self.messages.push(message),
            _ => {}
        }
    }

    /// Timers, events, and everything there is to send.
    fn advance(&mut self) {
        let Some(link) = &mut self.link else { return };
        link.handle_timeout(now(), self.clock.micros());
        while let Some(event) = link.poll_event() {
            if let Event::Up(about) = &event {
                self.peer_incarnation = about.incarnation;
            }
            self.events.push(event);
        }
        let mut packet = Vec::new();
        while let Some(to) = self.link().poll_transmit(now(), &mut packet) {
            self.send(Some(to), &packet);
            packet.clear();
        }
        if let Some(engine) = &mut self.engine
            && engine.poll_timeout().is_some_and(|at| at <= now())
        {
            engine.handle_timeout(now());
        }
        let mut plain = Vec::new();
        while self.engine.as_mut().and_then(|engine| engine.poll_transmit(now(), 1, &mut plain)).is_some() {
            self.send_engine_packet(&plain);
            plain.clear();
        }
    }

    fn send(&self, to: Option<PathAddress>, packet: &[u8]) {
        if let Some(to) = to {
            // A destination without a route is a packet that is lost.
            let _ = self.transport.try_send(&Transmit::segmented(to, packet, packet.len()));
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl fmt::Debug for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bare").field("hashname", &self.identity.hashname()).finish_non_exhaustive()
    }
}
