//! Sockets: binding them, finding the one for a datagram, choosing the address to send from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::address::{AddressId, HostId, Place, SocketId, is_unicast};
use crate::error::{BindError, SendError};
use crate::topology::{Host, Topology, number_of};

/// The dynamic ports of RFC 6335, section 6.
const FIRST_DYNAMIC_PORT: u16 = 49_152;

const LOWEST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const HIGHEST: IpAddr = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));

#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket {
    pub(crate) host: HostId,
    /// May be a wildcard; the port is never zero.
    pub(crate) bound: SocketAddr,
}

/// From where a socket sends to some destination.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) host: HostId,
    pub(crate) place: Place,
    pub(crate) address: SocketAddr,
}

impl Topology {
    pub(crate) fn bind(&mut self, host_id: HostId, wanted: SocketAddr) -> Result<SocketId, BindError> {
        let ip = wanted.ip();
        let has = self.address_of(host_id, ip).map_err(|_| BindError::UnknownHost)?;
        if has.is_none() && !ip.is_unspecified() {
            return Err(BindError::AddressNotAvailable(ip));
        }
        let id = SocketId(number_of(self.sockets.len()));
        let host = self.hosts.get_mut(host_id.index()).ok_or(BindError::UnknownHost)?;
        let port = match wanted.port() {
            0 => host.free_port(ip).ok_or(BindError::NoFreePort)?,
            port if host.is_free(ip, port) => port,
            _ => return Err(BindError::AddressInUse(wanted)),
        };
        host.sockets.insert((port, ip), id);
        self.sockets.push(Some(Socket { host: host_id, bound: SocketAddr::new(ip, port) }));
        Ok(id)
    }

    /// Whether there was such a socket.
    pub(crate) fn unbind(&mut self, id: SocketId) -> bool {
        let Some(socket) = self.sockets.get_mut(id.index()).and_then(Option::take) else {
            return false;
        };
        if let Some(host) = self.hosts.get_mut(socket.host.index()) {
            host.sockets.remove(&(socket.bound.port(), socket.bound.ip()));
        }
        true
    }

    pub(crate) fn socket(&self, id: SocketId) -> Option<Socket> {
        self.sockets.get(id.index()).copied().flatten()
    }

    /// From where a datagram to `to` leaves. A wildcard socket takes an address in the realm in which the
    /// destination is, else the host's first address of its family, as a default route would.
    pub(crate) fn source(&self, id: SocketId, to: SocketAddr) -> Result<Source, SendError> {
        let Socket { host, bound } = self.socket(id).ok_or(SendError::UnknownSocket)?;
        if !is_unicast(to.ip()) || to.port() == 0 {
            return Err(SendError::UnusableDestination(to));
        }
        let usable = |address: &&AddressId| {
            let ip = self.addresses[address.index()].ip;
            ip.is_ipv4() == to.is_ipv4() && covers(bound.ip(), ip)
        };
        let addresses = &self.hosts[host.index()].addresses;
        let mut candidates = addresses.iter().filter(usable);
        let first = *candidates.next().ok_or(SendError::NoSourceAddress(to))?;
        // Most hosts have one address a family: then there is nothing to look up.
        let near =
            |address: &AddressId| self.owner_in(self.addresses[address.index()].realm, to.ip()).is_some();
        let address = match candidates.next() {
            Some(_) => addresses.iter().filter(usable).copied().find(near).unwrap_or(first),
            None => first,
        };
        let ip = self.addresses[address.index()].ip;
        let port = bound.port();
        Ok(Source { host, place: Place { address, port }, address: SocketAddr::new(ip, port) })
    }
}

impl Host {
    /// The socket that gets what is sent to this address: the most narrowly bound one.
    pub(crate) fn socket_for(&self, ip: IpAddr, port: u16) -> Option<SocketId> {
        let on = |ip: IpAddr| self.sockets.get(&(port, ip)).copied();
        let wildcard = || if ip.is_ipv4() { on(LOWEST) } else { None };
        on(ip).or_else(wildcard).or_else(|| on(IpAddr::V6(Ipv6Addr::UNSPECIFIED)))
    }

    fn is_free(&self, ip: IpAddr, port: u16) -> bool {
        let on_port = self.sockets.range((port, LOWEST)..=(port, HIGHEST));
        on_port.into_iter().all(|(&(_, other), _)| !covers(ip, other) && !covers(other, ip))
    }

    fn free_port(&mut self, ip: IpAddr) -> Option<u16> {
        let offset = self.random.up_to(u64::from(u16::MAX - FIRST_DYNAMIC_PORT));
        let begin = FIRST_DYNAMIC_PORT + u16::try_from(offset).unwrap_or(0);
        (begin..=u16::MAX).chain(FIRST_DYNAMIC_PORT..begin).find(|&port| self.is_free(ip, port))
    }
}

/// Whether a socket bound to `bound` gets what is sent to `ip`. The IPv6 wildcard covers both families.
fn covers(bound: IpAddr, ip: IpAddr) -> bool {
    match bound {
        IpAddr::V6(v6) if v6.is_unspecified() => true,
        IpAddr::V4(v4) if v4.is_unspecified() => ip.is_ipv4(),
        _ => bound == ip,
    }
}
