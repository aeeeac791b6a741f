//! The link without sockets and clock: two ways, many flows that share each way's rate and queue.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use telemesh_simnet::{Conditions, FaultCounts, HostId, Network, Realm, Scope, SocketId};

/// The most flows at a time. Each has a socket of its own towards the target, and a process has about so many files
/// where nobody has changed the limit.
pub const MAX_FLOWS: u16 = 1_000;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From who sent first to the target.
    There,
    /// From the target.
    Back,
}

/// What holds on each way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ways {
    /// Towards the target.
    pub there: Conditions,
    /// From the target.
    pub back: Conditions,
}

impl Ways {
    /// The same on both, each with a rate and a queue of its own.
    pub fn both(conditions: Conditions) -> Self {
        Self { there: conditions, back: conditions }
    }
}

/// One conversation over the link: what one sender's address and the target say to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow(u16);

impl Flow {
    /// A small number, below [`MAX_FLOWS`]. Used again after the flow was closed.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A datagram at the end of its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// When, since the start of the model; may be earlier than the `now` at which it was taken out.
    pub at: Duration,
    /// The conversation to which it belongs.
    pub flow: Flow,
    /// In which direction it went.
    pub way: Way,
    /// What was sent, unless corrupted. Give it back with [`Model::recycle`].
    pub payload: Vec<u8>,
}

/// The link. Times are since its start; see the run loop in [`crate::Forwarder`].
#[derive(Debug)]
pub struct Model {
    network: Network,
    near: End,
    far: End,
    /// Sockets of the flows at the near and at the far end; `None` where a flow was closed.
    flows: Vec<Option<(SocketId, SocketId)>>,
}

#[derive(Debug, Clone, Copy)]
struct End {
    host: HostId,
    ip: IpAddr,
}

impl Model {
    /// A link that treats datagrams as `ways` says. `ipv6` says of which family the real packets are, whose headers count
    /// for rate, queue and MTU.
    pub fn new(ways: Ways, ipv6: bool, seed: u64) -> Option<Self> {
        let mut network = Network::new(seed);
        // Addresses for documentation (RFC 5737, RFC 3849); nobody outside sees them.
        let [near, far]: [IpAddr; 2] = if ipv6 {
            [1, 2].map(|last| [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into())
        } else {
            [1, 2].map(|last| [192, 0, 2, last].into())
        };
        let mut end = |ip| Some(End { host: network.add_host(Realm::INTERNET, [ip]).ok()?, ip });
        let (near, far) = (end(near)?, end(far)?);
        let mut model = Self { network, near, far, flows: Vec::new() };
        model.set_ways(ways);
        Some(model)
    }

    /// Changes what holds from now on. What is on its way stays on its way.
    pub fn set_ways(&mut self, ways: Ways) {
        let (near, far) = (self.near.host, self.far.host);
        self.network.set_conditions(Scope::Hosts { from: near, to: far }, ways.there);
        self.network.set_conditions(Scope::Hosts { from: far, to: near }, ways.back);
    }

    /// A new flow, or `None` when there are [`MAX_FLOWS`].
    pub fn open(&mut self) -> Option<Flow> {
        let free = self.flows.iter().position(Option::is_none).unwrap_or(self.flows.len());
        let index = u16::try_from(free).ok().filter(|index| *index < MAX_FLOWS)?;
        let flow = Flow(index);
        let near = self.network.bind(self.near.host, self.near.address(flow)).ok()?;
        let far = self.network.bind(self.far.host, self.far.address(flow)).ok()?;
        match self.flows.get_mut(free) {
            Some(slot) => *slot = Some((near, far)),
            None => self.flows.push(Some((near, far))),
        }
        Some(flow)
    }

    /// Ends a flow. What is on its way is lost.
    pub fn close(&mut self, flow: Flow) {
        if let Some((near, far)) = self.flows.get_mut(flow.index()).and_then(Option::take) {
            self.network.unbind(near);
            self.network.unbind(far);
        }
    }

    /// Puts a datagram on its way. One of a flow that was closed is dropped, and one of more than 65,507 bytes.
    pub fn send(&mut self, now: Duration, flow: Flow, way: Way, payload: &[u8]) {
        let Some(Some((near, far))) = self.flows.get(flow.index()).copied() else { return };
        let (from, to) = match way {
            Way::There => (near, self.far),
            Way::Back => (far, self.near),
        };
        // The sockets are bound and the addresses are known: only the size could be refused.
        let _ = self.network.send(now, from, to.address(flow), payload);
    }

    /// When the next datagram arrives.
    pub fn next_at(&self) -> Option<Duration> {
        self.network.next_delivery_at()
    }

    /// Takes out the next datagram that has arrived by `now`. Call it until it returns `None`.
    pub fn take(&mut self, now: Duration) -> Option<Arrived> {
        let delivery = self.network.deliver(now)?;
        let way = if delivery.host == self.far.host { Way::There } else { Way::Back };
        let flow = Flow(delivery.to.port() - FIRST_PORT);
        Some(Arrived { at: delivery.at, flow, way, payload: delivery.payload })
    }

    /// Takes a payload's memory back for later datagrams.
    pub fn recycle(&mut self, payload: Vec<u8>) {
        self.network.recycle(payload);
    }

    /// Datagrams on their way.
    pub fn in_flight(&self) -> usize {
        self.network.in_flight()
    }

    /// What has happened on one way.
    pub fn counts(&self, way: Way) -> FaultCounts {
        let (near, far) = (self.near.host, self.far.host);
        match way {
            Way::There => self.network.counts_between(near, far),
            Way::Back => self.network.counts_between(far, near),
        }
    }
}

impl End {
    /// A flow has the same port at both ends, by which its datagrams are known.
    fn address(self, flow: Flow) -> SocketAddr {
        SocketAddr::new(self.ip, FIRST_PORT + flow.0)
    }
}

/// Ports begin above zero, which no socket can have.
const FIRST_PORT: u16 = 1;

#[cfg(test)]
mod tests;
