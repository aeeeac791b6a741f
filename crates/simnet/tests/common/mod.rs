//! What the tests share: short ways to build a network and to let it run.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "these helpers only ever run inside tests")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use telemesh_simnet::{
    Delivery, DropReason, FaultCounts, HostId, NatConfig, NatId, Network, Realm, SocketId,
};

/// The port on which the helpers bind.
pub(crate) const PORT: u16 = 5000;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A host with one address and a socket on [`PORT`].
pub(crate) fn host(network: &mut Network, realm: Realm, address: &str) -> (HostId, SocketId) {
    let host = network.add_host(realm, [ip(address)]).unwrap();
    let socket = network.bind(host, SocketAddr::new(ip("::"), PORT)).unwrap();
    (host, socket)
}

/// A NAT on the internet with one host inside.
pub(crate) fn home(network: &mut Network, external: &str, config: NatConfig) -> (NatId, HostId, SocketId) {
    let nat = network.add_nat(Realm::INTERNET, [ip(external)], config).unwrap();
    let (host, socket) = host(network, nat.inside(), "192.168.1.2");
    (nat, host, socket)
}

/// Two hosts on the internet, at 192.0.2.1 and 192.0.2.2.
pub(crate) struct Pair {
    pub(crate) network: Network,
    pub(crate) a: HostId,
    pub(crate) at_a: SocketId,
    pub(crate) b: HostId,
    pub(crate) at_b: SocketId,
}

pub(crate) const A: &str = "192.0.2.1:5000";
pub(crate) const B: &str = "192.0.2.2:5000";

pub(crate) fn pair() -> Pair {
    let mut network = Network::new(1);
    let (a, at_a) = host(&mut network, Realm::INTERNET, "192.0.2.1");
    let (b, at_b) = host(&mut network, Realm::INTERNET, "192.0.2.2");
    Pair { network, a, at_a, b, at_b }
}

impl Pair {
    /// Sends `count` numbered datagrams of `size` bytes from a to b, `spacing` apart from now on, and returns what
    /// arrived at b until nothing was on its way any more.
    pub(crate) fn burst(&mut self, count: u64, size: usize, spacing: Duration) -> Vec<Delivery> {
        let start = self.network.time();
        let mut arrived = Vec::new();
        for number in 0..count {
            let now = start + spacing * u32::try_from(number).unwrap();
            while let Some(delivery) = self.network.deliver(now) {
                arrived.push(delivery);
            }
            self.network.send(now, self.at_a, addr(B), &numbered(number, size)).unwrap();
        }
        arrived.extend(drain(&mut self.network));
        assert!(arrived.iter().all(|delivery| delivery.socket == self.at_b));
        arrived
    }

    pub(crate) fn counts(&self) -> FaultCounts {
        self.network.counts_between(self.a, self.b)
    }
}

pub(crate) fn numbered(number: u64, size: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(size, 0);
    payload
}

pub(crate) fn number(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload[..8].try_into().unwrap())
}

/// Lets everything arrive that is on its way.
pub(crate) fn drain(network: &mut Network) -> Vec<Delivery> {
    let mut arrived = Vec::new();
    while let Some(now) = network.next_delivery_at() {
        while let Some(delivery) = network.deliver(now) {
            arrived.push(delivery);
        }
    }
    arrived
}

/// Sends one datagram now and says from where the receiver saw it come, or why it was dropped.
pub(crate) fn try_send(
    network: &mut Network,
    from: SocketId,
    to: SocketAddr,
) -> Result<SocketAddr, DropReason> {
    let before = network.counts();
    network.send(network.time(), from, to, b"x").unwrap();
    let delivered = drain(network).pop().map(|delivery| delivery.from);
    let after = network.counts();
    let dropped = DropReason::ALL.into_iter().find(|&why| after.dropped(why) > before.dropped(why));
    delivered.ok_or_else(|| dropped.unwrap())
}

/// Lets time pass without anything happening.
pub(crate) fn wait(network: &mut Network, time: Duration) {
    let until = network.time() + time;
    assert_eq!(network.deliver(until), None);
    assert_eq!(network.time(), until);
}
