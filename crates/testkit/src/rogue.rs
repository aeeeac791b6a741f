//! A router that does what it likes with what passes through its hands: a real mesh with a router's keys, whose sockets and
//! whose service for introductions are in a test's hands.
//!
//! Everything that a router can do without breaking cryptography can be had with it: packets of circuits are lost, held back,
//! doubled, changed, repeated much later, and sent to others or back ([`Trick`]); introductions are written down, passed on
//! or not; what the test makes of them it sends with [`Opener::notify`](telemesh_channel::Opener::notify) on the node's
//! links. Addresses are lied about by letting the mesh see others than there are ([`Rogue::lie`]).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::BytesMut;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use telemesh_channel::{
    ChannelKind, Connection, Endpoint, HandleError, Incoming, Introduction, Need, Service,
};
use telemesh_hashname::Hashname;
use telemesh_link::{CIRCUIT_HEADER_SIZE, circuit_id, set_circuit_id};
use telemesh_transport::{ReceiveBatch, Received, SendError, Transmit, Transport};
use telemesh_wire::{CircuitId, PathAddress};
use tokio::io::AsyncWriteExt;

use crate::transport::SimTransport;

/// What happens to a packet that goes through a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trick {
    /// It is lost.
    Drop,
    /// It waits until a few others have passed.
    Hold,
    /// It goes twice.
    Twice,
    /// A bit of it is another one.
    Flip,
    /// It is cut short.
    Cut,
    /// Some earlier packet goes with it, to where that went then.
    Replay,
    /// It goes to another end of some circuit, instead of its own.
    Astray,
    /// It goes back to who sent it.
    Back,
}

impl Trick {
    /// All of them.
    pub const ALL: [Trick; 8] = [
        Trick::Drop,
        Trick::Hold,
        Trick::Twice,
        Trick::Flip,
        Trick::Cut,
        Trick::Replay,
        Trick::Astray,
        Trick::Back,
    ];
}

/// See the module's page. Clones are the same rogue.
#[derive(Clone)]
pub struct Rogue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
}

struct State {
    rng: StdRng,
    /// What may happen to a packet, one as likely as the other, and how often anything does.
    tricks: Vec<Trick>,
    probability: f64,
    /// Ends of circuits: an address, and the number there.
    ends: Vec<(SocketAddr, CircuitId)>,
    /// From which end a packet came that is being forwarded.
    arrived: VecDeque<(Vec<u8>, SocketAddr, CircuitId)>,
    past: Vec<(SocketAddr, Vec<u8>)>,
    held: VecDeque<(SocketAddr, Vec<u8>)>,
    played: BTreeMap<Trick, u64>,
    /// Where somebody is, and where the mesh shall believe that it is.
    lies: BTreeMap<SocketAddr, SocketAddr>,
    introductions: Vec<(Hashname, Introduction)>,
    passes_on: bool,
}

impl Rogue {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            tricks: Vec::new(),
            probability: 0.0,
            ends: Vec::new(),
            arrived: VecDeque::new(),
            past: Vec::new(),
            held: VecDeque::new(),
            played: BTreeMap::new(),
            lies: BTreeMap::new(),
            introductions: Vec::new(),
            passes_on: true,
        };
        Self(Arc::new(Shared { state: Mutex::new(state) }))
    }

    /// From now on this part of the packets of circuits meets one of these tricks.
    pub fn play(&self, tricks: &[Trick], probability: f64) {
        let mut state = self.0.state.lock();
        state.tricks = tricks.to_vec();
        state.probability = probability;
    }

    /// Forwards as an honest router does; what it still holds back is lost.
    pub fn behave(&self) {
        self.play(&[], 0.0);
        let mut state = self.0.state.lock();
        state.held.clear();
        state.lies.clear();
        state.passes_on = true;
    }

    /// How often each trick was played.
    pub fn played(&self) -> BTreeMap<Trick, u64> {
        self.0.state.lock().played.clone()
    }

    /// Makes its mesh believe that who is at `there` is at `lie`, and so tell them.
    pub fn lie(&self, there: SocketAddr, lie: SocketAddr) {
        self.0.state.lock().lies.insert(there, lie);
    }

    /// Whether introductions are passed on. They are written down in any case.
    pub fn pass_on(&self, passes_on: bool) {
        self.0.state.lock().passes_on = passes_on;
    }

    /// Who has asked for what since this was asked last.
    pub fn take_introductions(&self) -> Vec<(Hashname, Introduction)> {
        std::mem::take(&mut self.0.state.lock().introductions)
    }

    pub(crate) fn transport(&self, inner: SimTransport) -> RogueTransport {
        RogueTransport { inner, rogue: self.clone(), batch: Mutex::new(ReceiveBatch::new(8)) }
    }

    pub(crate) fn service(&self) -> RogueService {
        RogueService { rogue: self.clone(), endpoint: OnceLock::new() }
    }
}

impl State {
    /// What goes out instead of a packet that is to be forwarded.
    fn forward(&mut self, to: SocketAddr, packet: &[u8], out: &mut Vec<(SocketAddr, Vec<u8>)>) {
        if let Some(id) = circuit_id(packet)
            && !self.ends.contains(&(to, id))
        {
            self.ends.push((to, id));
        }
        if self.past.len() < MAX_PAST {
            self.past.push((to, packet.to_vec()));
        }
        let plays = self.rng.random_bool(self.probability);
        let trick = self.any_of(self.tricks.len()).filter(|_| plays).map(|at| self.tricks[at]);
        let mut packet = packet.to_vec();
        if let Some(trick) = trick {
            *self.played.entry(trick).or_default() += 1;
        }
        match trick {
            None => out.push((to, packet)),
            Some(Trick::Drop) => {}
            Some(Trick::Hold) => self.held.push_back((to, packet)),
            Some(Trick::Twice) => out.extend([(to, packet.clone()), (to, packet)]),
            Some(Trick::Flip) => {
                let at = self.rng.random_range(CIRCUIT_HEADER_SIZE..packet.len());
                let bit = self.rng.random_range(0..8);
                packet[at] ^= 1 << bit;
                out.push((to, packet));
            }
            Some(Trick::Cut) => {
                packet.truncate(self.rng.random_range(CIRCUIT_HEADER_SIZE + 1..packet.len()));
                out.push((to, packet));
            }
            Some(Trick::Replay) => {
                out.push((to, packet));
                out.extend(self.any_of(self.past.len()).map(|at| self.past[at].clone()));
            }
            Some(Trick::Astray) => {
                if let Some((other, id)) = self.any_of(self.ends.len()).map(|at| self.ends[at]) {
                    set_circuit_id(&mut packet, id);
                    out.push((other, packet));
                }
            }
            Some(Trick::Back) => {
                let inside = packet.get(CIRCUIT_HEADER_SIZE..).unwrap_or_default();
                let from = self.arrived.iter().find(|(arrived, ..)| arrived == inside);
                if let Some((_, from, id)) = from.cloned() {
                    set_circuit_id(&mut packet, id);
                    out.push((from, packet));
                }
            }
        }
        if self.held.len() >= MOST_HELD {
            let count = self.rng.random_range(1..MOST_HELD);
            out.extend(self.held.drain(..count).rev());
        }
    }

    /// The place of one of so many.
    fn any_of(&mut self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.rng.random_range(0..count))
    }

    fn shown(&self, there: SocketAddr) -> SocketAddr {
        self.lies.get(&there).copied().unwrap_or(there)
    }

    fn there(&self, shown: SocketAddr) -> SocketAddr {
        self.lies.iter().find(|(_, lie)| **lie == shown).map_or(shown, |(there, _)| *there)
    }
}

/// Packets that are kept to be repeated.
const MAX_PAST: usize = 2_000;

/// Packets that wait for others to overtake them.
const MOST_HELD: usize = 8;

/// The rogue's socket.
#[derive(Debug)]
pub(crate) struct RogueTransport {
    inner: SimTransport,
    rogue: Rogue,
    batch: Mutex<ReceiveBatch>,
}

impl Transport for RogueTransport {
    fn carries(&self, address: &PathAddress) -> bool {
        self.inner.carries(address)
    }

    fn local_addresses(&self) -> Vec<PathAddress> {
        self.inner.local_addresses()
    }

    fn max_send_segments(&self) -> usize {
        self.inner.max_send_segments()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> Result<(), SendError> {
        let PathAddress::Udp(to) = transmit.destination else { return Err(SendError::UnusableAddress) };
        let mut out = Vec::new();
        {
            let mut state = self.rogue.0.state.lock();
            let to = state.there(to);
            for packet in transmit.datagrams() {
                match circuit_id(packet) {
                    Some(_) => state.forward(to, packet, &mut out),
                    None => out.push((to, packet.to_vec())),
                }
            }
        }
        out.iter().for_each(|(to, packet)| self.inner.send(*to, packet));
        Ok(())
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_writable(cx)
    }

    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        let mut own = self.batch.lock();
        if self.inner.poll_receive(cx, &mut own)?.is_pending() {
            return Poll::Pending;
        }
        let mut state = self.rogue.0.state.lock();
        for received in own.drain() {
            let PathAddress::Udp(from) = received.source else { continue };
            if let Some(id) = circuit_id(&received.contents) {
                let inside = received.contents.get(CIRCUIT_HEADER_SIZE..).unwrap_or_default().to_vec();
                state.arrived.push_back((inside, from, id));
                if state.arrived.len() > MAX_ARRIVED {
                    state.arrived.pop_front();
                }
            }
            let contents = BytesMut::from(&received.contents[..]);
            // It has as much room as the other.
            let _ =
                batch.push(Received { source: PathAddress::Udp(state.shown(from)), contents, ..received });
        }
        Poll::Ready(Ok(()))
    }

    fn rebind(&self) -> io::Result<()> {
        self.inner.rebind()
    }
}

/// Packets of which it is known where they came from.
const MAX_ARRIVED: usize = 64;

/// Stands in for the `peer` service.
pub(crate) struct RogueService {
    rogue: Rogue,
    endpoint: OnceLock<Arc<dyn Endpoint>>,
}

impl RogueService {
    async fn take(&self, incoming: Incoming) {
        let Some(endpoint) = self.endpoint.get() else { return };
        if incoming.kind() == ChannelKind::Reliable {
            let ticket = endpoint.ticket_for(&incoming.peer());
            if let (Some(ticket), Ok(mut channel)) = (ticket, incoming.accept()) {
                let _ = channel.write_all(&ticket).await;
                let _ = channel.shutdown().await;
            }
            return;
        }
        let Ok(introduction) = Introduction::decode(&incoming.open().body) else { return };
        let passes_on = {
            let mut state = self.rogue.0.state.lock();
            state.introductions.push((incoming.peer(), introduction.clone()));
            state.passes_on
        };
        if let Some(joined) = endpoint.join(&incoming.peer(), &introduction).filter(|_| passes_on) {
            let connection = Connection { circuit: joined.circuit, body: introduction.body };
            endpoint.state(&Need::Connection { target: joined.target, connection });
        }
    }
}

impl Service for RogueService {
    fn install(self: Arc<Self>, endpoint: Arc<dyn Endpoint>) -> Result<(), HandleError> {
        let service = self.clone();
        let handler = move |incoming: Incoming| {
            let service = service.clone();
            async move { service.take(incoming).await }
        };
        endpoint.handle(telemesh_peer::PEER, Arc::new(handler))?;
        let _ = self.endpoint.set(endpoint);
        Ok(())
    }

    fn serve(&self, _need: &Need) -> bool {
        // It asks nobody for anything.
        false
    }
}

impl fmt::Debug for Rogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rogue").field("played", &self.played()).finish_non_exhaustive()
    }
}
