//! Who is there, what is on its way, and how packets get in and out.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use telemesh_hashname::{Hashname, PublicKeys};
use telemesh_keys::KeySet;
use telemesh_link::{
    Admission, DropReason, Event, Gate, GateConfig, Identity, Link, LinkConfig, MessageError, PacketKind,
    Peer, PeerRecord, Received, State, classify, receiver_index, slot_of,
};
use telemesh_wire::PathAddress;

use super::check;

/// The two endpoints that trust each other, and one whom neither knows.
pub(super) const ALICE: usize = 0;
pub(super) const BOB: usize = 1;
pub(super) const STRANGER: usize = 2;

/// One endpoint. Each has one link: Alice and Bob to each other, the stranger to Alice.
pub(super) struct Node {
    pub(super) gate: Gate,
    pub(super) link: Link,
    pub(super) address: SocketAddr,
    /// What the disk holds of the link's record.
    pub(super) stored: PeerRecord,
    /// Records that were not stored yet, while the disk is slow.
    pub(super) unstored: Option<PeerRecord>,
    /// What the gate wants sent to whom it does not know.
    cookie: Option<Vec<u8>>,
    pub(super) disk_is_slow: bool,
    /// Microseconds that the wall clock is off.
    pub(super) skew: i64,
    /// Where this endpoint may send: candidates that its owner named, and sources of what was authentic.
    pub(super) told: BTreeSet<PathAddress>,
    pub(super) incarnation: u64,
}

/// A packet that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
    /// The endpoint at `to` took it once. For initiations, with which `at`.
    pub(super) taken: Option<u64>,
}

pub(super) struct World {
    pub(super) nodes: [Node; 3],
    pub(super) now: Instant,
    pub(super) start: Instant,
    /// Everything sent to somebody who is there, in this order.
    pub(super) log: Vec<Sent>,
    /// Places in the log that were not delivered yet.
    pub(super) queue: VecDeque<usize>,
    /// Plaintexts that each endpoint sealed and the other one did not get yet.
    pub(super) sealed: [BTreeSet<Vec<u8>>; 2],
    /// This endpoint made up halves of plaintexts: what they become when put together is nothing that was sent.
    pub(super) made_up_halves: [bool; 2],
    pub(super) next_number: u64,
}

impl World {
    pub(super) fn new() -> Self {
        let start = Instant::now();
        let node = |place: usize| {
            let peer = if place == ALICE { BOB } else { ALICE };
            Node::new(place, peer, start)
        };
        Self {
            nodes: [node(ALICE), node(BOB), node(STRANGER)],
            now: start,
            start,
            log: Vec::new(),
            queue: VecDeque::new(),
            sealed: [BTreeSet::new(), BTreeSet::new()],
            made_up_halves: [false; 2],
            next_number: 0,
        }
    }

    /// The wall clock of an endpoint, in microseconds since 1970.
    pub(super) fn wall(&self, place: usize) -> u64 {
        let elapsed = u64::try_from((self.now - self.start).as_micros()).unwrap_or(u64::MAX);
        (WALL + elapsed).saturating_add_signed(self.nodes[place].skew)
    }

    /// Hands bytes to whoever has the address `to`; says whether they were taken.
    pub(super) fn deliver(&mut self, from: SocketAddr, to: SocketAddr, mut bytes: Vec<u8>) -> Taken {
        let Some(place) = self.nodes.iter().position(|node| node.address == to) else { return Taken::No };
        let (now, wall) = (self.now, self.wall(place));
        let source = PathAddress::Udp(from);
        let node = &mut self.nodes[place];
        let kind = classify(&bytes);
        let taken = if kind == Ok(PacketKind::Initiation) {
            node.handle_initiation(now, wall, source, &mut bytes)
        } else {
            match receiver_index(&bytes) {
                Some(index) if slot_of(index) == node.link.slot() => {
                    let result = node.link.handle_packet(now, source, &mut bytes);
                    let taken = match &result {
                        Ok(_) if kind == Ok(PacketKind::Cookie) => Taken::Cookie,
                        Ok(_) => Taken::Yes,
                        Err(reason) => Taken::Dropped(*reason),
                    };
                    self.received(place, result, &bytes);
                    taken
                }
                _ => Taken::No,
            }
        };
        if let Taken::Unproven = taken
            && let Some(cookie) = self.nodes[place].cookie.take()
        {
            check::may_give(&self.nodes[place].gate, &cookie);
            if from != super::actions::REPLAYER {
                self.send_to(place, from, cookie);
            }
        }
        match check::effect(taken) {
            check::Effect::Authentic => drop(self.nodes[place].told.insert(source)),
            check::Effect::Elsewhere => {}
            check::Effect::Nothing => check::nothing_to_send(&mut self.nodes[place].link, now, taken),
        }
        self.flush();
        taken
    }

    /// Delivers a packet of the log, from its sender or from elsewhere.
    pub(super) fn deliver_sent(&mut self, place: usize, from: Option<SocketAddr>) {
        let Some(sent) = self.log.get(place).cloned() else { return };
        match self.deliver(from.unwrap_or(sent.from), sent.to, sent.bytes) {
            Taken::Yes | Taken::Cookie => self.log[place].taken = Some(0),
            Taken::Accepted(at) => self.log[place].taken = Some(at),
            Taken::Dropped(_) | Taken::Refused(_) | Taken::Unproven | Taken::No => {}
        }
    }

    fn received(&mut self, place: usize, result: Result<Received, DropReason>, bytes: &[u8]) {
        let (content, whole) = match result {
            Ok(Received::Engine(range)) => (bytes.get(range).unwrap_or_default().to_vec(), true),
            Ok(Received::Message(range)) => {
                ([&[MESSAGE], bytes.get(range).unwrap_or_default()].concat(), true)
            }
            Ok(Received::WholeEngine(bytes)) => (bytes, false),
            Ok(Received::WholeMessage(bytes)) => ([&[MESSAGE], bytes.as_slice()].concat(), false),
            Ok(_) | Err(_) => return,
        };
        assert_ne!(place, STRANGER, "nobody sends data to the stranger");
        let sender = 1 - place;
        let expected = self.sealed[sender].remove(&content);
        assert!(
            expected || (!whole && self.made_up_halves[sender]),
            "this was not sent, or came out twice: {content:?}"
        );
    }

    /// Seals a plaintext at `place` as an engine packet would be, and sends it.
    pub(super) fn seal(&mut self, place: usize, plaintext: &[u8]) -> bool {
        let (now, mut out) = (self.now, Vec::new());
        let batch = self.nodes[place].link.seal_batch(now, plaintext, plaintext.len(), &mut out);
        let Some(batch) = batch else { return false };
        assert_eq!(out.len(), batch.segment);
        check::is_proven(&self.nodes[place], &batch.to);
        self.sealed[place].insert(plaintext.to_vec());
        self.post(place, batch.to, out);
        self.flush();
        true
    }

    /// Seals a message of an unreliable channel and sends it, in two packets if need be.
    pub(super) fn seal_message(&mut self, place: usize, message: &[u8]) {
        let (now, mut out) = (self.now, Vec::new());
        let link = &mut self.nodes[place].link;
        let max = link.max_message();
        match link.seal_message(now, message, &mut out) {
            Ok(batch) => {
                self.sealed[place].insert([&[MESSAGE], message].concat());
                check::is_proven(&self.nodes[place], &batch.to);
                let packets: Vec<_> = out.chunks(batch.segment).map(<[u8]>::to_vec).collect();
                assert!((1..=2).contains(&packets.len()));
                for packet in packets {
                    self.post(place, batch.to, packet);
                }
            }
            Err(MessageError::TooLarge { .. }) => assert!(message.len() > max),
            Err(_) => assert!(out.is_empty(), "half a message was sealed"),
        }
        self.flush();
    }

    /// A packet leaves an endpoint.
    fn post(&mut self, place: usize, to: PathAddress, bytes: Vec<u8>) {
        let node = &self.nodes[place];
        check::may_send(node, place, &to, &bytes);
        if let Some(to) = to.socket_address() {
            self.send_to(place, to, bytes);
        }
    }

    fn send_to(&mut self, place: usize, to: SocketAddr, bytes: Vec<u8>) {
        let node = &self.nodes[place];
        // Others are deaf: what goes to them is checked and forgotten.
        if self.nodes.iter().any(|node| node.address == to) {
            self.queue.push_back(self.log.len());
            self.log.push(Sent { from: node.address, to, bytes, taken: None });
        }
    }

    /// Takes everything out of the links.
    pub(super) fn flush(&mut self) {
        for place in [ALICE, BOB, STRANGER] {
            let now = self.now;
            let node = &mut self.nodes[place];
            let (mut events, mut packets) = (0, Vec::new());
            while let Some(event) = node.link.poll_event() {
                events += 1;
                if let Event::Persist(record) = event {
                    node.unstored = Some(record);
                }
            }
            if !node.disk_is_slow {
                node.store(now);
            }
            let mut out = Vec::new();
            while let Some(to) = node.link.poll_transmit(now, &mut out) {
                packets.push((to, std::mem::take(&mut out)));
            }
            assert!(out.is_empty(), "bytes that go nowhere");
            check::bounded(&node.link, events, packets.len());
            for (to, bytes) in packets {
                self.post(place, to, bytes);
            }
        }
    }

    /// Lets time pass, and with it whatever is due.
    pub(super) fn pass(&mut self, time: Duration, network: Network) {
        let end = self.now + time;
        self.flush();
        for turn in 0.. {
            while network == Network::Works
                && let Some(place) = self.queue.pop_front()
            {
                self.deliver_sent(place, None);
            }
            let times = self.nodes.iter().filter_map(|node| node.link.poll_timeout());
            let Some(next) = times.min().filter(|next| *next <= end) else { break };
            assert!(turn < MOST_TIMEOUTS, "timeouts without end");
            self.now = self.now.max(next);
            for place in [ALICE, BOB, STRANGER] {
                let (now, wall) = (self.now, self.wall(place));
                let link = &mut self.nodes[place].link;
                if link.poll_timeout().is_some_and(|at| at <= now) {
                    link.handle_timeout(now, wall);
                }
            }
            self.flush();
        }
        self.now = end;
    }

    /// The process of an endpoint ends, and another one starts with what the disk holds.
    pub(super) fn restart(&mut self, place: usize) {
        let now = self.now;
        self.nodes[place].restart(place, now);
        // What the last process took may be taken by the new one if nothing about it was stored.
        let Node { address, stored, .. } = &self.nodes[place];
        for sent in self.log.iter_mut().filter(|sent| sent.to == *address) {
            let initiation = classify(&sent.bytes) == Ok(PacketKind::Initiation);
            if initiation && sent.taken.is_some_and(|at| !stored.is_stale(at)) {
                sent.taken = None;
            }
        }
    }

    /// A network without faults and owners who want the link: it comes up, and data goes both ways.
    pub(super) fn heal(mut self) {
        let addresses = self.nodes.each_ref().map(|node| node.address);
        self.queue.clear();
        for place in [ALICE, BOB] {
            let (now, wall) = (self.now, self.wall(place));
            let node = &mut self.nodes[place];
            node.disk_is_slow = false;
            let peer = PathAddress::Udp(addresses[1 - place]);
            node.told.insert(peer);
            node.link.add_candidate(now, peer);
            node.link.connect(now, wall);
        }
        self.flush();
        self.pass(HEALING, Network::Works);
        for place in [ALICE, BOB] {
            let link = &self.nodes[place].link;
            assert_eq!(link.state(), State::Up, "a link that can come up does: {}", link.explain(self.now));
            self.next_number += 1;
            let plaintext = [&[ENGINE], self.next_number.to_le_bytes().as_slice()].concat();
            assert!(self.seal(place, &plaintext), "a link that is up carries data");
            while let Some(place) = self.queue.pop_front() {
                self.deliver_sent(place, None);
            }
            assert!(!self.sealed[place].contains(&plaintext), "data did not arrive");
        }
    }
}

/// Whether packets arrive while time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    Works,
    Stalls,
}

/// What became of bytes that were handed to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A link took them.
    Yes,
    /// A link took them for a cookie, which anybody can make who saw an initiation.
    Cookie,
    /// An initiation with this `at` was accepted.
    Accepted(u64),
    /// A link dropped them.
    Dropped(DropReason),
    /// An initiation that the gate dropped, or the link did not accept.
    Refused(DropReason),
    /// The gate is public, and wants the sender to prove its address first.
    Unproven,
    /// They are for nobody here.
    No,
}

impl Node {
    fn new(place: usize, peer: usize, now: Instant) -> Self {
        let identity = identity(place, 1);
        let record = PeerRecord::default();
        let (gate, link) = new_link(identity, peer, 1, record.clone(), now);
        Self {
            gate,
            link,
            address: address(place),
            stored: record,
            unstored: None,
            cookie: None,
            disk_is_slow: false,
            skew: 0,
            told: BTreeSet::new(),
            incarnation: 1,
        }
    }

    fn restart(&mut self, place: usize, now: Instant) {
        self.incarnation += 1;
        let identity = identity(place, self.incarnation);
        let peer = if place == ALICE { BOB } else { ALICE };
        let public = self.gate.is_public();
        (self.gate, self.link) = new_link(identity, peer, self.incarnation, self.stored.clone(), now);
        self.gate.set_public(public);
        self.unstored = None;
        self.told.clear();
    }

    /// Asks the gate. Who is not the one that this endpoint trusts is ignored.
    fn handle_initiation(&mut self, now: Instant, wall: u64, from: PathAddress, bytes: &mut [u8]) -> Taken {
        let request = match self.gate.handle_initiation(now, from, bytes) {
            Ok(Admission::Request(request)) => request,
            Ok(Admission::Cookie { to, packet }) => {
                assert_eq!(to, from, "a cookie goes to where the initiation came from");
                self.cookie = Some(packet.into_vec());
                return Taken::Unproven;
            }
            Ok(other) => panic!("what is {other:?}"),
            Err(reason) => return Taken::Refused(reason),
        };
        if request.claim().hashname != self.link.hashname() {
            request.ignore();
            return Taken::No;
        }
        let at = request.claim().at;
        request.accept(&mut self.link, now, wall).map_or_else(Taken::Refused, |()| Taken::Accepted(at))
    }

    /// The disk has the record now.
    pub(super) fn store(&mut self, now: Instant) {
        if let Some(record) = self.unstored.take() {
            self.link.persisted(now, &record);
            self.stored = record;
        }
    }
}

/// The gate of an endpoint, and its only link.
fn new_link(
    identity: Arc<Identity>,
    peer: usize,
    seed: u64,
    record: PeerRecord,
    now: Instant,
) -> (Gate, Link) {
    let (hashname, keys) = &PUBLIC[peer];
    let peer = Peer { hashname: *hashname, keys: Some(keys.clone()), record };
    let mut randomness = [0; 32];
    randomness[..8].copy_from_slice(&seed.to_le_bytes());
    randomness[8..].copy_from_slice(&identity.hashname().as_bytes()[..24]);
    let settings = LinkConfig::default();
    let mut config = GateConfig::new(settings.tags.clone());
    // So that a few initiations are load already.
    config.strangers.burst = STRANGERS;
    let gate = Gate::new(Arc::clone(&identity), config, randomness, now);
    match Link::new(identity, peer, SLOT, settings, randomness, now) {
        Ok(link) => (gate, link),
        Err(error) => panic!("no link: {error}"),
    }
}

fn identity(place: usize, incarnation: u64) -> Arc<Identity> {
    static FIRST: LazyLock<[Arc<Identity>; 3]> =
        LazyLock::new(|| [ALICE, BOB, STRANGER].map(|place| new_identity(place, 1)));
    // Nearly every input begins with these, and making keys takes longer than most inputs.
    if incarnation == 1 { Arc::clone(&FIRST[place]) } else { new_identity(place, incarnation) }
}

fn new_identity(place: usize, incarnation: u64) -> Arc<Identity> {
    match Identity::new(keys(place), incarnation, 1) {
        Ok(identity) => identity,
        Err(error) => panic!("no identity: {error}"),
    }
}

fn keys(place: usize) -> KeySet {
    KeySet::generate(&mut StdRng::seed_from_u64(place as u64 + 11))
}

/// The public halves of everybody's keys, which do not change.
static PUBLIC: LazyLock<[(Hashname, PublicKeys); 3]> = LazyLock::new(|| {
    [ALICE, BOB, STRANGER].map(|place| {
        let keys = keys(place);
        (keys.hashname(), keys.public().clone())
    })
});

/// Where an endpoint is: 192.0.2.1, .2 and .3.
pub(super) fn address(place: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, u8::try_from(place + 1).unwrap_or(0)], 4_242))
}

/// First byte of a plaintext that is an engine packet, and of one that is a message.
pub(super) const ENGINE: u8 = 0x40;
pub(super) const MESSAGE: u8 = 4;

const SLOT: u32 = 5;

/// Initiations that a gate reads at once without a return tag.
const STRANGERS: u32 = 10;

/// Some day in 2025, in microseconds since 1970.
const WALL: u64 = 1_750_000_000_000_000;

/// Hours with some timers a minute.
const MOST_TIMEOUTS: usize = 10_000;

/// Longer than it takes to notice that a session is dead, give up an attempt, and make another one.
const HEALING: Duration = Duration::from_secs(180);
