//! The network itself: sending, time, delivering. Building and changing it is in [`setup`], faults in [`faults`].

mod faults;
mod setup;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::address::{HostId, SocketId};
use crate::counts::{DropReason, FaultCounts, Tick};
use crate::error::SendError;
use crate::flights::{Flight, Flights};
use crate::route::{Departure, RouteId, RouteKey, Routes, Setting};
use crate::time::{Nanos, nanos};
use crate::topology::Topology;
use crate::trace::{EventKind, Step, Trace};

/// The largest payload: what an IPv4 packet of 65,535 bytes leaves after the headers of IP and UDP.
pub const MAX_PAYLOAD: usize = 65_507;

/// Headers of IPv4 (20) and UDP (8), in bytes.
const IPV4_HEADERS: usize = 28;
/// Headers of IPv6 (40) and UDP (8), in bytes.
const IPV6_HEADERS: usize = 48;

/// A datagram that has reached a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// When it arrived, which may be earlier than the `now` at which it was taken out.
    pub at: Duration,
    /// The host that got it.
    pub host: HostId,
    /// The socket that got it.
    pub socket: SocketId,
    /// The receiver's own address to which it came, never a wildcard.
    pub to: SocketAddr,
    /// The sender as the receiver sees it: behind a NAT, the NAT's external address.
    pub from: SocketAddr,
    /// What was sent, unless corrupted. Give it back with [`Network::recycle`] where speed matters.
    pub payload: Vec<u8>,
}

/// A simulated network. See the [crate's documentation](crate).
pub struct Network {
    topology: Topology,
    routes: Routes,
    flights: Flights,
    blocked: BTreeSet<(HostId, HostId)>,
    counts: FaultCounts,
    trace: Trace,
    clock: Nanos,
    next_number: u64,
}

impl Network {
    /// An empty network. The seed decides everything that is left to chance.
    pub fn new(seed: u64) -> Self {
        Self {
            topology: Topology::new(seed),
            routes: Routes::new(seed),
            flights: Flights::default(),
            blocked: BTreeSet::new(),
            counts: FaultCounts::default(),
            trace: Trace::default(),
            clock: 0,
            next_number: 0,
        }
    }

    /// Sends a datagram. That it was taken says nothing about whether it arrives.
    ///
    /// Time does not run backwards: a `now` before the network's own [`time`](Self::time) counts as that.
    /// IPv4-mapped IPv6 destinations count as IPv4.
    ///
    /// # Errors
    /// If the socket, the destination or the size make it impossible; nothing was sent then.
    pub fn send(
        &mut self,
        now: Duration,
        socket: SocketId,
        to: SocketAddr,
        payload: &[u8],
    ) -> Result<(), SendError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(SendError::TooLarge(payload.len()));
        }
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        let source = self.topology.source(socket, to)?;
        self.advance(nanos(now));
        let mut passage = Passage { number: self.next_number, from: source.address, to, size: payload.len() };
        self.next_number += 1;
        self.trace.record_payload(payload);
        self.record(None, passage, Step::Sent);
        let crossing = match self.topology.leave(self.clock, source, to) {
            Ok(crossing) => crossing,
            Err(reason) => {
                self.record(None, passage, Step::Dropped(reason));
                return Ok(());
            }
        };
        passage.from = crossing.from;
        let key = RouteKey {
            from: source.host,
            to: crossing.receiver,
            source: crossing.source,
            destination: crossing.destination,
        };
        let setting = Setting { source: crossing.from.ip(), destination: to.ip(), inside: crossing.inside };
        let route = self.routes.entry(key, setting);
        self.routes.route(route).counts.tick(Tick::Sent);
        if crossing.receiver.is_some_and(|receiver| self.is_blocked(source.host, receiver)) {
            self.record(Some(route), passage, Step::Dropped(DropReason::Partition));
            return Ok(());
        }
        match self.routes.route(route).enter(self.clock, passage.packet_size()) {
            Ok(departure) => self.fly(route, key, passage, departure, payload),
            Err(reason) => self.record(Some(route), passage, Step::Dropped(reason)),
        }
        Ok(())
    }

    /// When the next datagram arrives somewhere. It may still end at a NAT or a closed port there, so
    /// [`deliver`](Self::deliver) may have nothing at that time.
    pub fn next_delivery_at(&self) -> Option<Duration> {
        self.flights.next_arrival().map(Duration::from_nanos)
    }

    /// Takes out the next datagram that has reached a socket by `now`. Call it until it returns `None`.
    ///
    /// NATs see each datagram at the time it arrives, also when `now` is later.
    pub fn deliver(&mut self, now: Duration) -> Option<Delivery> {
        let now = nanos(now);
        while let Some((at, flight)) = self.flights.pop_due(now) {
            self.advance(at);
            let delivery = self.land(at, flight);
            if delivery.is_some() {
                return delivery;
            }
        }
        self.advance(now);
        None
    }

    /// Takes a payload's memory back for later datagrams.
    pub fn recycle(&mut self, payload: Vec<u8>) {
        self.flights.recycle(payload);
    }

    /// The latest time of which the network knows.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.clock)
    }

    /// Copies that are on their way.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    fn advance(&mut self, now: Nanos) {
        self.clock = self.clock.max(now);
    }

    /// Puts one or two copies of a datagram on their way.
    fn fly(&mut self, id: RouteId, key: RouteKey, passage: Passage, departure: Departure, payload: &[u8]) {
        let duplicated = self.routes.route(id).duplicates();
        if duplicated {
            self.record(Some(id), passage, Step::Duplicated);
        }
        if departure.queued {
            self.count(Some(id), Tick::Queued);
        }
        for _ in 0..=usize::from(duplicated) {
            let mut buffer = self.flights.buffer_with(payload);
            let route = self.routes.route(id);
            let flipped = route.flipped_bit(buffer.len());
            let arrival = route.arrival(departure.at);
            let delayed = route.conditions.delay > 0;
            if let Some(bit) = flipped {
                flip(&mut buffer, bit);
                self.record(Some(id), passage, Step::Corrupted(bit));
            }
            if delayed {
                self.count(Some(id), Tick::Delayed);
            }
            if arrival.jittered {
                self.count(Some(id), Tick::Jittered);
            }
            if arrival.reordered {
                self.record(Some(id), passage, Step::Reordered);
            }
            let Passage { number, from, to, .. } = passage;
            let destination = key.destination;
            self.flights
                .push(arrival.at, Flight { number, route: id, from, to, destination, payload: buffer });
        }
    }

    /// Brings a copy that has arrived to its socket, or drops it.
    fn land(&mut self, at: Nanos, flight: Flight) -> Option<Delivery> {
        let Flight { number, route, from, to, destination, payload } = flight;
        let mut passage = Passage { number, from, to, size: payload.len() };
        let sender = self.routes.route(route).key.from;
        let landing = self.topology.arrive(self.clock, destination, from, to.port());
        match landing {
            // Checked here as well, so that a partition holds from the moment it is made.
            Ok(landing) if !self.is_blocked(sender, landing.host) => {
                passage.to = landing.to;
                self.record(Some(route), passage, Step::Delivered);
                let at = Duration::from_nanos(at);
                Some(Delivery {
                    at,
                    host: landing.host,
                    socket: landing.socket,
                    to: landing.to,
                    from,
                    payload,
                })
            }
            refused => {
                let reason = refused.err().unwrap_or(DropReason::Partition);
                self.record(Some(route), passage, Step::Dropped(reason));
                self.flights.recycle(payload);
                None
            }
        }
    }

    fn is_blocked(&self, from: HostId, to: HostId) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(&(from, to))
    }

    /// Traces and counts a step, for the network and for the route if there is one yet.
    fn record(&mut self, route: Option<RouteId>, passage: Passage, step: Step) {
        let Passage { number, from, to, size } = passage;
        self.trace.record(self.clock, EventKind::Datagram { number, step, from, to, size });
        let tick = match step {
            Step::Sent => Tick::Sent,
            Step::Duplicated => Tick::Duplicated,
            Step::Corrupted(_) => Tick::Corrupted,
            Step::Reordered => Tick::Reordered,
            Step::Delivered => Tick::Delivered,
            Step::Dropped(reason) => Tick::Dropped(reason),
        };
        self.count(route, tick);
    }

    fn count(&mut self, route: Option<RouteId>, tick: Tick) {
        self.counts.tick(tick);
        if let Some(route) = route {
            self.routes.route(route).counts.tick(tick);
        }
    }
}

/// A datagram as it looks at one point of its way.
#[derive(Debug, Clone, Copy)]
struct Passage {
    number: u64,
    from: SocketAddr,
    to: SocketAddr,
    size: usize,
}

impl Passage {
    fn packet_size(&self) -> usize {
        self.size + if self.to.is_ipv4() { IPV4_HEADERS } else { IPV6_HEADERS }
    }
}

fn flip(payload: &mut [u8], bit: u64) {
    let byte = usize::try_from(bit / 8).ok().and_then(|index| payload.get_mut(index));
    if let Some(byte) = byte {
        *byte ^= 1 << (bit % 8);
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("time", &self.time())
            .field("hosts", &self.topology.hosts.len())
            .field("nats", &self.topology.nats.len())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
