//! The transport itself.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use telemesh_hashname::PublicKeys;
use telemesh_transport::{PathAddress, ReceiveBatch, Received, SendError, Transmit, Transport};
use tokio::{runtime::Handle, sync::mpsc};

use crate::{
    ids::DialKey,
    interfaces::reachable_addresses,
    limits::{Config, RECEIVE_QUEUE, SEND_SEGMENTS},
    port::Port,
    shared::Shared,
};

/// Carries link packets as datagrams of QUIC connections.
///
/// It dials whoever it sends to, if the keys of who is there are [known](Transport::expect), and opens a socket for that with
/// the first dial. Only one that was [listens](Self::add_listener) can be dialled.
#[derive(Debug)]
pub struct QuicTransport {
    shared: Arc<Shared>,
    listeners: Vec<Port>,
    received: Mutex<mpsc::Receiver<Received>>,
}

impl QuicTransport {
    /// Dials and never listens. No socket is opened before the first dial.
    ///
    /// # Errors
    /// Outside a tokio runtime.
    pub fn dial_only() -> io::Result<Self> {
        Self::with_config(Config::default())
    }

    /// As [`dial_only`](Self::dial_only), with other limits for what it may [listen](Self::add_listener) to.
    ///
    /// # Errors
    /// Outside a tokio runtime.
    pub fn with_config(config: Config) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let (sender, received) = mpsc::channel(RECEIVE_QUEUE);
        let shared = Shared::new(runtime, sender, config);
        Ok(Self { shared, listeners: Vec::new(), received: Mutex::new(received) })
    }

    /// Listens on one address, and dials. See [`add_listener`](Self::add_listener).
    ///
    /// # Errors
    /// Outside a tokio runtime, if the address cannot be bound, or if there is no key among `keys`.
    pub fn listen(address: SocketAddr, keys: &PublicKeys) -> io::Result<Self> {
        let mut transport = Self::dial_only()?;
        transport.add_listener(address, keys)?;
        Ok(transport)
    }

    /// Listens on this address too, for those who know a public key of this endpoint: one of `keys`. Port 0 lets the
    /// operating system choose; the wildcard of IPv6 stands for IPv4 too. Dialling uses another socket.
    ///
    /// **Only for endpoints that are public by choice**: who knows the key, or has seen somebody dial, gets an answer, which
    /// shows that there is an endpoint.
    ///
    /// # Errors
    /// If the address cannot be bound, or if there is no key among `keys`.
    pub fn add_listener(&mut self, address: SocketAddr, keys: &PublicKeys) -> io::Result<()> {
        let keys = DialKey::all(keys);
        if keys.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a listener needs its public keys"));
        }
        let _entered = self.shared.runtime.enter();
        let port = Port::listener(address, keys)?;
        self.shared.runtime.spawn(self.shared.clone().listen(port.clone()));
        self.listeners.push(port);
        Ok(())
    }

    /// The addresses that it listens on, as they were bound.
    #[must_use]
    pub fn bound_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|port| port.endpoint.local_addr().ok()).collect()
    }

    /// Datagrams that strangers, or the remains of old connections, have sent to its sockets: dropped unanswered.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.listeners.iter().map(|port| port.filter.dropped()).sum::<u64>() + self.shared.dropped()
    }
}

impl Transport for QuicTransport {
    fn carries(&self, address: &PathAddress) -> bool {
        matches!(address, PathAddress::Quic(address) if is_usable(*address))
    }

    fn local_addresses(&self) -> Vec<PathAddress> {
        reachable(&self.bound_addresses(), reachable_addresses).into_iter().map(PathAddress::Quic).collect()
    }

    fn expect(&self, address: &PathAddress, keys: &PublicKeys) {
        if let PathAddress::Quic(address) = address.canonical()
            && is_usable(address)
        {
            self.shared.expect(address, keys);
        }
    }

    fn max_send_segments(&self) -> usize {
        SEND_SEGMENTS
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> Result<(), SendError> {
        match transmit.destination.canonical() {
            PathAddress::Quic(to) if is_usable(to) => {
                self.shared.connection(to)?.send(transmit, &self.shared.signal)
            }
            _ => Err(SendError::UnusableAddress),
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.signal.poll(cx).map(Ok)
    }

    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        let mut received = self.received.lock();
        while batch.room() > 0
            && let Poll::Ready(Some(run)) = received.poll_recv(cx)
        {
            // There is room.
            let _ = batch.push(run);
        }
        if batch.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// The sockets for dialling move, and connections go on where they were. Listeners stay: their ports are what others
    /// know, and a wildcard hears new interfaces as well.
    fn rebind(&self) -> io::Result<()> {
        self.shared.rebind()
    }
}

impl Drop for QuicTransport {
    fn drop(&mut self) {
        self.listeners.iter().for_each(Port::close);
        self.shared.close();
    }
}

/// Whether one endpoint may be there, as far as the address tells.
fn is_usable(address: SocketAddr) -> bool {
    let one_host = match address {
        SocketAddr::V4(v4) => !v4.ip().is_unspecified() && !v4.ip().is_broadcast() && !v4.ip().is_multicast(),
        SocketAddr::V6(v6) => {
            !v6.ip().is_unspecified()
                && !v6.ip().is_multicast()
                && (!v6.ip().is_unicast_link_local() || v6.scope_id() != 0)
        }
    };
    one_host && address.port() != 0
}

/// The addresses by which `bound` ones can be reached: wildcards as those of the interfaces, loopback if there are none.
fn reachable(bound: &[SocketAddr], interfaces: impl FnOnce() -> Vec<IpAddr>) -> Vec<SocketAddr> {
    let (wildcards, mut reachable): (Vec<SocketAddr>, Vec<SocketAddr>) =
        bound.iter().partition(|address| address.ip().is_unspecified());
    if wildcards.is_empty() {
        return reachable;
    }
    let interfaces = interfaces();
    for wildcard in &wildcards {
        let heard = |ip: &&IpAddr| wildcard.is_ipv6() || ip.is_ipv4();
        reachable.extend(interfaces.iter().filter(heard).map(|ip| SocketAddr::new(*ip, wildcard.port())));
    }
    if reachable.is_empty() {
        let loopback = |wildcard: &SocketAddr| match wildcard {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        reachable.extend(wildcards.iter().map(|at| SocketAddr::new(loopback(at), at.port())));
    }
    reachable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(bound: &[&str], interfaces: &[&str]) -> Vec<String> {
        let bound: Vec<SocketAddr> = bound.iter().map(|text| text.parse().unwrap()).collect();
        let interfaces = || interfaces.iter().map(|text| text.parse().unwrap()).collect();
        reachable(&bound, interfaces).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_wildcard_is_reached_at_every_interface() {
        let interfaces = ["192.0.2.1", "2001:db8::1"];
        assert_eq!(addresses(&["[::]:443"], &interfaces), ["192.0.2.1:443", "[2001:db8::1]:443"]);
        assert_eq!(addresses(&["0.0.0.0:443"], &interfaces), ["192.0.2.1:443"]);
        assert_eq!(addresses(&["192.0.2.9:443"], &interfaces), ["192.0.2.9:443"]);
        assert_eq!(addresses(&["0.0.0.0:443", "[::]:444"], &[]), ["127.0.0.1:443", "[::1]:444"]);
        assert!(addresses(&[], &interfaces).is_empty());
    }

    #[test]
    fn addresses_that_name_no_single_host_are_refused() {
        for useless in [
            "192.0.2.1:0",
            "0.0.0.0:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "[::]:1",
            "[ff02::1]:1",
            "[fe80::1]:1",
        ] {
            assert!(!is_usable(useless.parse().unwrap()), "{useless}");
        }
        for usable in ["192.0.2.1:443", "127.0.0.1:443", "[2001:db8::1]:443", "[fe80::1%2]:443"] {
            assert!(is_usable(usable.parse().unwrap()), "{usable}");
        }
    }
}
