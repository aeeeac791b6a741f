//! Thousands of peers in one loop: a sans-IO link each, some hundred sockets, no endpoint around them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::time::Timespec;
use telemesh::wire::CloseReason;
use telemesh::{Hashname, KeySet, LinkInfo, LinkTarget, PathAddress};
use telemesh_link::{
    Admission, Event, Gate, GateConfig, Identity, Link, LinkConfig, PacketKind, Peer, classify,
    receiver_index, slot_of,
};

/// Links that are started before what has come in is looked at again.
const STARTED_AT_ONCE: usize = 8;
/// Datagrams that are taken from a socket before the others have their turn.
const TAKEN_AT_ONCE: usize = 64;
/// The version of streams is of no account here: the peers have none.
const ENGINE_VERSION: u32 = 1;

/// See the module's page. A peer's number is the slot of its link.
pub(crate) struct Crowd {
    poll: OwnedFd,
    sockets: Vec<UdpSocket>,
    peers: Vec<One>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Peers that are to dial, from the last one.
    to_dial: Vec<usize>,
    packet: Vec<u8>,
    buffer: Vec<u8>,
    server: Hashname,
}

struct One {
    link: Link,
    /// Reads what the endpoint initiates: a router does that to all it leads.
    gate: Gate,
    keys: LinkInfo,
    socket: usize,
    up: bool,
    /// When the entry in `timers` that counts is due.
    armed: Option<Instant>,
}

impl Crowd {
    /// So many peers of the endpoint with this URI, which do nothing yet.
    pub(crate) fn new(uri: &str, count: usize, sockets: usize) -> Result<Self> {
        let target = server(uri)?;
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let sockets = sockets_at_many_addresses(sockets.min(count))?;
        for (number, socket) in sockets.iter().enumerate() {
            epoll::add(&poll, socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
        }
        let make = |number| -> Result<One> {
            let Made { link, gate, keys } = link(&target, number)?;
            Ok(One { link, gate, keys, socket: number % sockets.len(), up: false, armed: None })
        };
        let peers = (0..count).map(make).collect::<Result<Vec<_>>>()?;
        let (timers, to_dial) = (BinaryHeap::new(), Vec::new());
        let (packet, buffer) = (Vec::new(), vec![0; 2_048]);
        let server = target.hashname();
        Ok(Self { poll, sockets, peers, timers, to_dial, packet, buffer, server })
    }

    /// What makes each of them a contact.
    pub(crate) fn uris(&self) -> impl Iterator<Item = String> + '_ {
        self.peers.iter().map(|peer| telemesh::LinkUri::new(peer.keys.clone()).to_string())
    }

    /// How many have a link that is up.
    pub(crate) fn up(&self) -> usize {
        self.peers.iter().filter(|peer| peer.up).count()
    }

    /// All of them dial as soon as they can, whatever they had.
    pub(crate) fn dial(&mut self) {
        self.to_dial = (0..self.peers.len()).collect();
    }

    /// Lets them live until `done` says so, which is asked now and then; `false` if that took longer than `limit`.
    pub(crate) fn run(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<bool> {
        const ASKED_EVERY: Duration = Duration::from_millis(100);
        let end = Instant::now() + limit;
        let mut ask_at = Instant::now() + ASKED_EVERY;
        let mut ready = Vec::with_capacity(256);
        loop {
            self.dial_some()?;
            let next = self.timers.peek().map_or(ask_at, |Reverse((at, _))| ask_at.min(*at));
            let wait = if self.to_dial.is_empty() {
                next.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
            epoll::wait(&self.poll, spare_capacity(&mut ready), Some(&wait))?;
            for event in ready.drain(..) {
                self.receive(usize::try_from(event.data.u64())?)?;
            }
            self.timeouts()?;
            let now = Instant::now();
            if now >= ask_at {
                if done(self)? {
                    return Ok(true);
                }
                if now >= end {
                    return Ok(false);
                }
                ask_at = Instant::now() + ASKED_EVERY;
            }
        }
    }

    fn dial_some(&mut self) -> Result<()> {
        for _ in 0..STARTED_AT_ONCE {
            let Some(number) = self.to_dial.pop() else { break };
            let Some(peer) = self.peers.get_mut(number) else { continue };
            let (now, wall) = clock();
            peer.link.close(now, CloseReason::Closed);
            peer.link.connect(now, wall);
            self.settle(number)?;
        }
        Ok(())
    }

    fn receive(&mut self, socket: usize) -> Result<()> {
        for _ in 0..TAKEN_AT_ONCE {
            let received = match self.sockets.get(socket).context("a socket")?.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Nobody listens at the other end now.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            let (length, from) = received;
            let packet = self.buffer.get_mut(..length).unwrap_or_default();
            match classify(packet) {
                Ok(PacketKind::Response | PacketKind::Data) => {}
                Ok(PacketKind::Initiation) => {
                    self.admit(socket, length, from)?;
                    continue;
                }
                _ => continue,
            }
            let number = receiver_index(packet).map(slot_of).and_then(|slot| usize::try_from(slot).ok());
            let Some((number, peer)) = number.and_then(|number| Some((number, self.peers.get_mut(number)?)))
            else {
                continue;
            };
            // What is dropped is counted by the link.
            let _ = peer.link.handle_packet(Instant::now(), PathAddress::Udp(from).canonical(), packet);
            self.settle(number)?;
        }
        Ok(())
    }

    /// An initiation of the endpoint's to one of the peers at this socket: which one, its gate tells.
    fn admit(&mut self, socket: usize, length: usize, from: SocketAddr) -> Result<()> {
        let (now, wall) = clock();
        let from = PathAddress::Udp(from).canonical();
        let packet = self.buffer.get_mut(..length).unwrap_or_default();
        let mut here = (socket..self.peers.len()).step_by(self.sockets.len());
        let admitted = here.find_map(|number| {
            // What is for somebody else costs a hash.
            let admitted = self.peers.get_mut(number)?.gate.handle_initiation(now, from, packet);
            admitted.ok().map(|admission| (number, admission))
        });
        let Some((number, Admission::Request(request))) = admitted else { return Ok(()) };
        let peer = self.peers.get_mut(number).context("a peer")?;
        if request.claim().hashname == self.server {
            // What is too late or too often is counted by the link.
            let _ = request.accept(&mut peer.link, now, wall);
        }
        self.settle(number)
    }

    fn timeouts(&mut self) -> Result<()> {
        while let Some(Reverse((at, number))) = self.timers.peek().copied() {
            let (now, wall) = clock();
            if at > now {
                break;
            }
            self.timers.pop();
            if let Some(peer) = self.peers.get_mut(number).filter(|peer| peer.armed == Some(at)) {
                peer.armed = None;
                peer.link.handle_timeout(now, wall);
                self.settle(number)?;
            }
        }
        Ok(())
    }

    /// Everything that follows from what was done with a link.
    fn settle(&mut self, number: usize) -> Result<()> {
        let peer = self.peers.get_mut(number).context("a peer")?;
        let now = Instant::now();
        while let Some(event) = peer.link.poll_event() {
            match event {
                Event::Persist(record) => peer.link.persisted(now, &record),
                Event::Up(_) => peer.up = true,
                Event::Down(_) => peer.up = false,
                _ => {}
            }
        }
        let socket = self.sockets.get(peer.socket).context("a socket")?;
        self.packet.clear();
        while let Some(to) = peer.link.poll_transmit(now, &mut self.packet) {
            let to = to.socket_address().context("an address without a socket")?;
            match socket.send_to(&self.packet, to) {
                // What does not fit is lost, as anywhere.
                Err(error)
                    if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) =>
                {
                    return Err(error.into());
                }
                _ => self.packet.clear(),
            }
        }
        if let Some(at) = peer.link.poll_timeout()
            && peer.armed.is_none_or(|armed| at < armed)
        {
            peer.armed = Some(at);
            self.timers.push(Reverse((at, number)));
        }
        Ok(())
    }

    /// The next initiation of a peer, which is not sent.
    pub(crate) fn initiation(&mut self, number: usize) -> Result<Vec<u8>> {
        let peer = self.peers.get_mut(number).context("a peer")?;
        initiation(&mut peer.link)
    }

    /// Sends a packet from a peer's own address.
    pub(crate) fn send(&self, number: usize, to: SocketAddr, packet: &[u8]) -> Result<()> {
        let peer = self.peers.get(number).context("a peer")?;
        self.sockets.get(peer.socket).context("a socket")?.send_to(packet, to)?;
        Ok(())
    }
}

/// The endpoint behind a URI.
pub(crate) fn server(uri: &str) -> Result<LinkInfo> {
    match uri.parse()? {
        LinkTarget::Uri(uri) => {
            let known: Vec<_> = uri.addresses().collect();
            Ok(known.into_iter().try_fold(uri.link().clone(), |info, address| info.with_path(address))?)
        }
        _ => anyhow::bail!("the endpoint has no URI"),
    }
}

/// Where the endpoint listens.
pub(crate) fn address(server: &LinkInfo) -> Result<SocketAddr> {
    server.addresses().find_map(|address| address.socket_address()).context("the endpoint has no address")
}

/// Somebody new: a link with the server, a gate for what the server initiates, and who that is.
pub(crate) struct Made {
    pub(crate) link: Link,
    pub(crate) gate: Gate,
    pub(crate) keys: LinkInfo,
}

/// Somebody new.
pub(crate) fn link(server: &LinkInfo, slot: usize) -> Result<Made> {
    let keys: KeySet = telemesh::generate_keys()?;
    let info = LinkInfo::new(keys.public().clone())?;
    let peer = Peer { keys: Some(server.keys().clone()), ..Peer::new(server.hashname()) };
    // The seed decides ephemeral keys: fine for a peer that exists to be measured.
    let mut seed = [0; 32];
    seed.copy_from_slice(info.hashname().as_bytes());
    let identity = Identity::new(keys, slot as u64, ENGINE_VERSION)?;
    let now = Instant::now();
    let config = LinkConfig::default();
    let gate = Gate::new(identity.clone(), GateConfig::new(config.tags.clone()), seed, now);
    let mut link = Link::new(identity, peer, u32::try_from(slot)?, config, seed, now)?;
    link.add_candidate(now, PathAddress::Udp(address(server)?).canonical());
    Ok(Made { link, gate, keys: info })
}

/// A fresh initiation.
pub(crate) fn initiation(link: &mut Link) -> Result<Vec<u8>> {
    let (now, wall) = clock();
    link.close(now, CloseReason::Closed);
    // The word of parting, if there was a session.
    while link.poll_transmit(now, &mut Vec::new()).is_some() {}
    link.connect(now, wall);
    while link.poll_event().is_some() {}
    let mut packet = Vec::new();
    link.poll_transmit(now, &mut packet).context("no initiation")?;
    Ok(packet)
}

/// Sockets at 127.1.0.1, 127.1.0.2 and so on.
pub(crate) fn sockets_at_many_addresses(count: usize) -> Result<Vec<UdpSocket>> {
    let bind = |number: usize| -> Result<UdpSocket> {
        let [.., high, low] = u32::try_from(number)?.to_be_bytes();
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 1, high, low), 0))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    (1..=count).map(bind).collect()
}

fn clock() -> (Instant, u64) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (Instant::now(), u64::try_from(wall.as_micros()).unwrap_or(u64::MAX))
}
