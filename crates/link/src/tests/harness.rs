//! The world of the scenarios: endpoints, networks with faults, and one clock. One seed decides everything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use telemesh_hashname::{CipherSetId, Hashname};
use telemesh_keys::{KeySet, SecretKey};
use telemesh_wire::{CloseReason, PathAddress};

use crate::{
    Admission, DropReason, Event, Gate, GateConfig, Identity, Link, LinkConfig, PacketKind, Peer, PeerRecord,
    Rate, Received, STRANGERS, classify, receiver_index, slot_of,
};

/// Wall clock at the start of every scenario: some day in 2026, in microseconds.
pub(super) const WALL: u64 = 1_790_000_000_000_000;
/// One-way delay of every network unless the scenario says otherwise.
pub(super) const DELAY: Duration = Duration::from_millis(10);

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The address of a host in one of the networks: packets go from a host's address in a network to others there.
pub(super) fn address(network: u8, host: u8, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, network, 0, host), port))
}

pub(super) fn network_of(address: SocketAddr) -> u8 {
    match address {
        SocketAddr::V4(address) => address.ip().octets()[1],
        SocketAddr::V6(_) => unreachable!("the scenarios use IPv4"),
    }
}

/// Key sets that differ in their cipher sets, from a small number.
pub(super) fn keys(number: u8, csids: &[CipherSetId]) -> KeySet {
    let secret = |csid: CipherSetId| {
        let mut bytes = [number; 32];
        bytes[31] = csid.number();
        (csid, SecretKey::from_bytes(&bytes))
    };
    KeySet::from_secrets(csids.iter().map(|&csid| secret(csid))).unwrap()
}

pub(super) const BOTH: &[CipherSetId] = &[CipherSetId::CS11, CipherSetId::CS21];

/// One endpoint: its gate, and one link to every peer, whose slot is the peer's place in the world.
pub(super) struct Node {
    pub(super) identity: Arc<Identity>,
    pub(super) gate: Gate,
    pub(super) settings: Settings,
    pub(super) links: BTreeMap<usize, Link>,
    /// Its address in each network.
    pub(super) addresses: BTreeMap<u8, SocketAddr>,
    /// Whether requests are accepted.
    pub(super) accepts: bool,
    /// Whether records are stored as soon as they are given out.
    pub(super) stores: bool,
    pub(super) stored: BTreeMap<usize, PeerRecord>,
    pub(super) events: Vec<Event>,
    /// Payloads that came out of the link.
    pub(super) received: Vec<Vec<u8>>,
    /// Initiations that a link took on.
    pub(super) accepted: BTreeSet<Vec<u8>>,
    pub(super) gate_results: Vec<Result<(), DropReason>>,
    pub(super) link_drops: Vec<DropReason>,
    pub(super) alive: bool,
    pub(super) sent: u64,
}

/// What a scenario may change.
pub(super) struct Settings {
    /// The gate's budget for those who show no return tag.
    pub(super) strangers: Rate,
    /// What the node's links have in common: the budget, and the tags that the gate knows.
    pub(super) config: LinkConfig,
    /// Microseconds that the node's wall clock is off.
    pub(super) skew: i64,
}

impl Node {
    pub(super) fn link(&mut self) -> &mut Link {
        self.links.values_mut().next().unwrap()
    }

    pub(super) fn ups(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Up(_))).count()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// What a network does to packets; probabilities are in percent.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) loss: u32,
    pub(super) duplicate: u32,
    pub(super) corrupt: u32,
    pub(super) dead: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self { delay: DELAY, jitter: Duration::ZERO, loss: 0, duplicate: 0, corrupt: 0, dead: false }
    }
}

/// How often each fault happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FaultCounts {
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) corrupted: u64,
    pub(super) reordered: u64,
}

pub(super) fn gate(identity: &Arc<Identity>, config: GateConfig, now: Instant) -> Gate {
    Gate::new(Arc::clone(identity), config, [77; 32], now)
}

pub(super) struct World {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    pub(super) faults: BTreeMap<u8, Faults>,
    pub(super) counts: FaultCounts,
    /// Everything that was ever sent.
    pub(super) log: Vec<Datagram>,
    /// Addresses to which nothing is delivered (and which nobody can be heard from).
    pub(super) blocked: BTreeSet<SocketAddr>,
    /// Addresses to which nothing is delivered, but which can be heard from.
    pub(super) deaf: BTreeSet<SocketAddr>,
    pub(super) random: StdRng,
    /// Payloads that a scenario has checked.
    pub(super) delivered: u64,
    queue: BTreeMap<(Instant, u64), Datagram>,
    sequence: u64,
    last_delivery: Instant,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let start = super::start();
        Self {
            start,
            now: start,
            nodes: Vec::new(),
            faults: BTreeMap::new(),
            counts: FaultCounts::default(),
            log: Vec::new(),
            blocked: BTreeSet::new(),
            deaf: BTreeSet::new(),
            random: StdRng::seed_from_u64(seed),
            delivered: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            last_delivery: start,
        }
    }

    /// Two endpoints with both cipher sets in network 1, each with a link to the other, nothing sent yet.
    pub(super) fn pair(seed: u64) -> Self {
        Self::pair_with(seed, BOTH, BOTH)
    }

    pub(super) fn pair_with(seed: u64, left: &[CipherSetId], right: &[CipherSetId]) -> Self {
        let mut world = Self::new(seed);
        world.add_node(keys(1, left));
        world.add_node(keys(2, right));
        world.introduce(0, 1);
        world.introduce(1, 0);
        world
    }

    /// A pair whose link is up, connected by the first.
    pub(super) fn connected(seed: u64) -> Self {
        let mut world = Self::pair(seed);
        world.connect(0);
        world.run(secs(1));
        assert_eq!((world.nodes[0].ups(), world.nodes[1].ups()), (1, 1));
        world
    }

    pub(super) fn add_node(&mut self, keys: KeySet) -> usize {
        let place = self.nodes.len();
        let identity = Identity::new(keys, self.random.next_u64(), 1).unwrap();
        let config = LinkConfig::default();
        self.nodes.push(Node {
            gate: gate(&identity, GateConfig::new(config.tags.clone()), self.now),
            settings: Settings { strangers: STRANGERS, config, skew: 0 },
            identity,
            links: BTreeMap::new(),
            addresses: BTreeMap::from([(1, address(1, u8::try_from(place).unwrap() + 1, 4242))]),
            accepts: true,
            stores: true,
            stored: BTreeMap::new(),
            events: Vec::new(),
            received: Vec::new(),
            accepted: BTreeSet::new(),
            gate_results: Vec::new(),
            link_drops: Vec::new(),
            alive: true,
            sent: 0,
        });
        place
    }

    /// Makes a link at `owner` to `peer`, with all its addresses as candidates.
    pub(super) fn introduce(&mut self, owner: usize, peer: usize) {
        self.make_link(owner, peer);
        let addresses: Vec<_> = self.nodes[peer].addresses.values().copied().collect();
        let now = self.now;
        let link = self.nodes[owner].links.get_mut(&peer).unwrap();
        for address in addresses {
            link.add_candidate(now, PathAddress::Udp(address));
        }
    }

    fn make_link(&mut self, owner: usize, peer: usize) {
        let keys = self.nodes[peer].identity.public_keys().clone();
        let record = self.nodes[owner].stored.get(&peer).cloned().unwrap_or_default();
        let peer_info = Peer { hashname: keys.hashname().unwrap(), keys: Some(keys), record };
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        let slot = u32::try_from(peer).unwrap();
        let identity = Arc::clone(&self.nodes[owner].identity);
        let config = self.nodes[owner].settings.config.clone();
        let link = Link::new(identity, peer_info, slot, config, seed, self.now).unwrap();
        self.nodes[owner].links.insert(peer, link);
    }

    /// The process starts anew: same keys and store, everything else gone. Its link has candidates but is not asked to
    /// connect.
    pub(super) fn restart(&mut self, place: usize, keys: KeySet) {
        let incarnation = self.random.next_u64();
        let node = &mut self.nodes[place];
        node.identity = Identity::new(keys, incarnation, 1).unwrap();
        node.settings.config = LinkConfig::default();
        self.remake_gate(place);
        let node = &mut self.nodes[place];
        let peers: Vec<_> = node.links.keys().copied().collect();
        for peer in peers {
            self.introduce(place, peer);
        }
    }

    /// From now on the gate reads so much of those who show no return tag.
    pub(super) fn limit_strangers(&mut self, place: usize, strangers: Rate) {
        self.nodes[place].settings.strangers = strangers;
        self.remake_gate(place);
    }

    /// From now on the gate reads nothing that shows no return tag.
    pub(super) fn close_to_strangers(&mut self, place: usize) {
        self.limit_strangers(place, Rate { burst: 0, per_second: 1 });
    }

    fn remake_gate(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let mut config = GateConfig::new(node.settings.config.tags.clone());
        config.strangers = node.settings.strangers;
        let public = node.gate.is_public();
        node.gate = gate(&node.identity, config, self.now);
        node.gate.set_public(public);
    }

    /// The application ends the link of a node.
    pub(super) fn close(&mut self, place: usize) {
        let now = self.now;
        self.nodes[place].link().close(now, CloseReason::Closed);
        self.flush();
    }

    pub(super) fn connect(&mut self, place: usize) {
        let (now, wall) = (self.now, self.wall(place));
        self.nodes[place].link().connect(now, wall);
        self.flush();
    }

    /// Seals one engine packet at `place` and sends it; false when the link is not ready.
    pub(super) fn send(&mut self, place: usize, payload: &[u8]) -> bool {
        let now = self.now;
        let mut out = Vec::new();
        let plaintext = [&[0x40], payload].concat();
        let link = self.nodes[place].link();
        let Some(batch) = link.seal_batch(now, &plaintext, plaintext.len(), &mut out) else { return false };
        self.post(place, batch.to, out);
        self.flush();
        true
    }

    pub(super) fn wall(&self, place: usize) -> u64 {
        let elapsed = u64::try_from((self.now - self.start).as_micros()).unwrap();
        (WALL + elapsed).saturating_add_signed(self.nodes[place].settings.skew)
    }

    pub(super) fn faults(&mut self, network: u8) -> &mut Faults {
        self.faults.entry(network).or_default()
    }

    /// A node sends a packet; its source is the node's address in the destination's network.
    pub(super) fn post(&mut self, place: usize, to: PathAddress, bytes: Vec<u8>) {
        self.nodes[place].sent += 1;
        let to = to.socket_address().unwrap();
        let Some(&from) = self.nodes[place].addresses.get(&network_of(to)) else { return };
        self.inject(Datagram { from, to, bytes });
    }

    /// Puts a packet on the network.
    pub(super) fn inject(&mut self, datagram: Datagram) {
        self.log.push(datagram.clone());
        let faults = self.faults.get(&network_of(datagram.to)).cloned().unwrap_or_default();
        let deaf = self.deaf.contains(&datagram.to);
        let blocked = deaf || self.blocked.contains(&datagram.to) || self.blocked.contains(&datagram.from);
        if faults.dead || blocked || self.chance(faults.loss) {
            self.counts.lost += 1;
            return;
        }
        let copies = if self.chance(faults.duplicate) { 2 } else { 1 };
        self.counts.duplicated += copies - 1;
        for _ in 0..copies {
            let mut datagram = datagram.clone();
            if self.chance(faults.corrupt) {
                self.counts.corrupted += 1;
                let place = self.random.random_range(0..datagram.bytes.len());
                datagram.bytes[place] ^= 1 << self.random.random_range(0..8);
            }
            let jitter = faults.jitter.as_micros().try_into().unwrap_or(0);
            let extra = if jitter == 0 { 0 } else { self.random.random_range(0..jitter) };
            let at = self.now + faults.delay + Duration::from_micros(extra);
            self.counts.reordered += u64::from(at < self.last_delivery);
            self.last_delivery = self.last_delivery.max(at);
            self.sequence += 1;
            self.queue.insert((at, self.sequence), datagram);
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.random.random_range(0..100) < percent
    }

    /// Lets virtual time pass.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.flush();
        loop {
            let timeouts = self.nodes.iter().filter(|node| node.alive);
            let timeouts = timeouts.flat_map(|node| node.links.values()).filter_map(Link::poll_timeout);
            let arrival = self.queue.keys().next().map(|&(at, _)| at);
            let Some(next) = timeouts.chain(arrival).min().filter(|&next| next <= end) else { break };
            assert!(self.log.len() < 2_000_000, "the links keep talking without end");
            let advanced = next > self.now;
            self.now = self.now.max(next);
            let due = self.queue.first_key_value().is_some_and(|(&(at, _), _)| at <= self.now);
            if due {
                let (_, datagram) = self.queue.pop_first().unwrap();
                self.deliver(datagram);
            }
            let before = self.log.len();
            let fired = self.fire_timeouts();
            self.flush();
            assert!(
                advanced || due || fired == 0 || self.log.len() > before || !self.stuck(),
                "a timeout that changes nothing asks for another at once"
            );
        }
        self.now = end;
        self.fire_timeouts();
        self.flush();
    }

    fn stuck(&self) -> bool {
        let due = |link: &Link| link.poll_timeout().is_some_and(|at| at <= self.now);
        self.nodes.iter().filter(|node| node.alive).flat_map(|node| node.links.values()).any(due)
    }

    fn fire_timeouts(&mut self) -> usize {
        let mut fired = 0;
        for place in 0..self.nodes.len() {
            let (now, wall) = (self.now, self.wall(place));
            let node = &mut self.nodes[place];
            if !node.alive {
                continue;
            }
            for link in node.links.values_mut() {
                if link.poll_timeout().is_some_and(|at| at <= now) {
                    link.handle_timeout(now, wall);
                    fired += 1;
                }
            }
        }
        fired
    }

    /// Hands a packet to whoever owns its destination, if anybody.
    pub(super) fn deliver(&mut self, mut datagram: Datagram) {
        let owns = |node: &Node| node.alive && node.addresses.values().any(|&address| address == datagram.to);
        let Some(place) = self.nodes.iter().position(owns) else { return };
        let (now, wall) = (self.now, self.wall(place));
        let from = PathAddress::Udp(datagram.from);
        let peers: BTreeMap<Hashname, usize> =
            self.nodes.iter().enumerate().map(|(place, node)| (node.identity.hashname(), place)).collect();
        let node = &mut self.nodes[place];
        if classify(&datagram.bytes) == Ok(PacketKind::Initiation) {
            let original = datagram.bytes.clone();
            let mut cookie = None;
            let request = node.gate.handle_initiation(now, from, &mut datagram.bytes);
            let result = request.and_then(|admission| {
                let request = match admission {
                    Admission::Request(request) => request,
                    Admission::Cookie { to, packet } => {
                        cookie = Some((to, packet));
                        return Ok(());
                    }
                };
                let link = peers.get(&request.claim().hashname).and_then(|peer| node.links.get_mut(peer));
                match link {
                    Some(link) if node.accepts => {
                        let accepted = request.accept(link, now, wall);
                        if accepted.is_ok() {
                            node.accepted.insert(original);
                        }
                        accepted
                    }
                    _ => {
                        request.ignore();
                        Ok(())
                    }
                }
            });
            node.gate_results.push(result);
            if let Some((to, packet)) = cookie {
                self.post(place, to, packet.into_vec());
            }
        } else if let Some(link) = receiver_index(&datagram.bytes)
            .and_then(|index| node.links.get_mut(&usize::try_from(slot_of(index)).unwrap()))
        {
            match link.handle_packet(now, from, &mut datagram.bytes) {
                Ok(Received::Engine(range)) => node.received.push(datagram.bytes[range][1..].to_vec()),
                Ok(Received::Message(range)) => node.received.push(datagram.bytes[range].to_vec()),
                Ok(Received::WholeMessage(bytes) | Received::WholeEngine(bytes)) => node.received.push(bytes),
                Ok(Received::Nothing) => {}
                Err(reason) => node.link_drops.push(reason),
            }
        }
        self.flush();
    }

    /// Takes everything out of the links.
    pub(super) fn flush(&mut self) {
        let now = self.now;
        for place in 0..self.nodes.len() {
            let mut posted = Vec::new();
            let node = &mut self.nodes[place];
            if !node.alive {
                continue;
            }
            for (&peer, link) in &mut node.links {
                while let Some(event) = link.poll_event() {
                    if let Event::Persist(record) = &event
                        && node.stores
                    {
                        node.stored.insert(peer, record.clone());
                        link.persisted(now, record);
                    }
                    node.events.push(event);
                }
                let mut out = Vec::new();
                while let Some(to) = link.poll_transmit(now, &mut out) {
                    posted.push((to, std::mem::take(&mut out)));
                }
            }
            for (to, bytes) in posted {
                self.post(place, to, bytes);
            }
        }
    }

    /// Packets in the log whose type byte is this.
    pub(super) fn sent_of_type(&self, kind: u8) -> Vec<Datagram> {
        self.log.iter().filter(|datagram| datagram.bytes[0] == kind).cloned().collect()
    }
}
