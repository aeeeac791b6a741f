//! Where a peer is told that this endpoint can be reached, and what it tells us.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use telemesh_channel::{Need, Opener};
use telemesh_hashname::Hashname;
use telemesh_wire::{LinkInfo, PathAddress};

use crate::cell::LinkCell;
use crate::clock;
use crate::link::Link;
use crate::shared::Shared;

/// Addresses under which peers see us that others are told: a few networks with two address families each.
const MAX_OBSERVED: usize = 8;

/// Peers of whom it is remembered as what they see us: far more than one who lies, and few enough to look through.
const MAX_OBSERVERS: usize = 64;

/// Grants that keep addresses from a contact. They take away, so that what is not said is the useful default.
pub(crate) const PUBLIC_PATHS: &str = "paths:public";
/// See [`PUBLIC_PATHS`].
pub(crate) const ROUTER_PATHS: &str = "paths:routers";

/// Which addresses of ours a peer may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tell {
    /// All of them.
    All,
    /// Those that everybody on the internet can send to.
    Public,
    /// None: only that routers lead to us.
    Routers,
}

/// Addresses under which peers see us from outside, and who has said so last; the newest last. What one peer says takes the place
/// of what it said before (per family), so one that lies does not make us forget what others see.
#[derive(Debug, Default)]
pub(crate) struct Observed(Vec<(Hashname, PathAddress)>);

impl Observed {
    /// This peer sees us at this address, on a path of this kind.
    pub(crate) fn add(&mut self, peer: Hashname, address: SocketAddr, path: &PathAddress) {
        let seen = match path {
            PathAddress::Udp(_) => PathAddress::Udp(address),
            // Of QUIC connections the port is our own, and nobody listens there.
            _ => return,
        };
        let family = |address: SocketAddr| address.ip().to_canonical().is_ipv4();
        let same_family = |other: &PathAddress| {
            other.socket_address().is_some_and(|other| family(other) == family(address))
        };
        self.0.retain(|(by, other)| !(*by == peer && same_family(other)));
        if self.0.len() >= MAX_OBSERVERS {
            self.0.remove(0);
        }
        self.0.push((peer, seen));
    }

    fn newest_first(&self) -> Vec<PathAddress> {
        let mut addresses = Vec::new();
        for (_, address) in self.0.iter().rev() {
            if !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        addresses.truncate(MAX_OBSERVED);
        addresses
    }

    /// The network is another one.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Shared {
    /// What this peer may know of our addresses.
    fn tell(&self, peer: &Hashname) -> Tell {
        match self.core.trust.contact(peer) {
            None => Tell::Public,
            Some(contact) if contact.grants().contains(ROUTER_PATHS) => Tell::Routers,
            Some(contact) if contact.grants().contains(PUBLIC_PATHS) => Tell::Public,
            Some(_) => Tell::All,
        }
    }

    /// What this peer may know of where we are: addresses of our own, and those that others have seen.
    fn info_for(&self, cell: &LinkCell) -> LinkInfo {
        let tell = self.tell(&cell.peer);
        let same_machine = self.is_same_machine(cell);
        let local = self
            .core
            .outlets()
            .iter()
            .flat_map(|outlet| outlet.transport.local_addresses())
            .collect::<Vec<_>>();
        // The outside ones first: there is room for so many, and an interface more or less matters less.
        let mapped = self.core.ways.mapped.address().map(PathAddress::Udp);
        let seen = self.core.ways.observed.lock().newest_first();
        let mut info = LinkInfo::unresolved(self.core.hashname());
        for address in mapped.into_iter().chain(seen).chain(local) {
            let may = address.socket_address().is_some_and(|at| match tell {
                Tell::All => !at.ip().is_loopback() || same_machine,
                Tell::Public => is_public(&at.ip()),
                Tell::Routers => false,
            });
            let new = may && !is_link_local(&address) && !info.addresses().any(|path| path == address);
            if new && let Ok(longer) = info.clone().with_path(address) {
                info = longer;
            }
        }
        for router in self.router_hints() {
            if let Ok(longer) = info.clone().with_path(router) {
                info = longer;
            }
        }
        info
    }

    /// Whether the peer, or the router that leads to it, is reached at a loopback address.
    fn is_same_machine(&self, cell: &LinkCell) -> bool {
        let path = cell.look(|inner| inner.link.path().map(|path| path.address));
        let next = path.and_then(|path| match path.router() {
            Some(router) => self.core.ways.whereabouts.of(router),
            None => Some(path),
        });
        next.and_then(|next| next.socket_address()).is_some_and(|at| at.ip().is_loopback())
    }

    /// Tells the peer where we are, and tries once more where it may be: both ends do so at the same time.
    /// `birthday` says that this end has begun to try many ports where the peer is.
    pub(crate) fn compare_paths(self: &Arc<Self>, cell: &Arc<LinkCell>, ask: bool, birthday: bool) {
        if !cell.state().is_up() {
            return;
        }
        let info = self.info_for(cell);
        if self.tell(&cell.peer) != Tell::Routers {
            self.show_ourselves(cell);
        }
        let peer: Arc<dyn Opener> = Arc::new(Link { cell: cell.clone() });
        if self.serve(&Need::Comparison { peer, info, ask, birthday }) {
            cell.drive(|inner, now, _| inner.link.retry_direct(now));
        }
    }

    /// A peer has told where it is.
    pub(crate) fn compared(self: &Arc<Self>, peer: &Hashname, info: &LinkInfo, asks: bool, birthday: bool) {
        let Some(cell) = self.table.read().find(peer).cloned() else { return };
        if info.hashname() != *peer {
            return;
        }
        self.core.trust.told_routers(info, || cell.takes_news(clock::now()));
        let same_machine = self.is_same_machine(&cell);
        cell.drive(|inner, now, _| {
            for address in info.addresses() {
                let loopback = address.socket_address().is_some_and(|at| at.ip().is_loopback());
                // Whoever names our own loopback addresses from elsewhere would have us knock at our own doors.
                if !loopback || same_machine {
                    inner.link.add_told_candidate(now, address);
                }
            }
            inner.link.retry_direct(now);
            inner.birthday.told(info);
            if birthday {
                inner.begin_birthday(&cell, now);
            }
        });
        if asks {
            self.compare_paths(&cell, false, false);
        }
    }
}

/// Whether an address means something only on one cable.
fn is_link_local(address: &PathAddress) -> bool {
    match address.socket_address().map(|at| at.ip()) {
        Some(IpAddr::V6(ip)) => ip.is_unicast_link_local(),
        Some(IpAddr::V4(ip)) => ip.is_link_local(),
        None => false,
    }
}

/// Whether an address is one of the internet's: not of a private network (RFC 1918, RFC 6598, RFC 4193), of this machine, of many or
/// of nobody.
pub(crate) fn is_public(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let nobody = a == 0 || a >= 224;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared || nobody)
        }
        IpAddr::V6(ip) => {
            let local = ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local();
            !(local || ip.is_unspecified() || ip.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_private_networks_are_not_public() {
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "fd00::1",
            "fe80::1",
            "::1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "ff02::1",
        ] {
            assert!(!is_public(&private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2001:db8::1"] {
            assert!(is_public(&public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn what_others_see_is_remembered_as_long_as_there_is_room() {
        let path = |port| PathAddress::Udp(([192, 0, 2, 1], port).into());
        let peer = |number: u16| {
            let [high, low] = number.to_be_bytes();
            let mut bytes = [high; 32];
            bytes[31] = low;
            Hashname::from_bytes(bytes)
        };
        let mut observed = Observed::default();
        for port in 1..=100 {
            observed.add(peer(port), ([192, 0, 2, 1], port).into(), &path(9));
        }
        observed.add(peer(50), ([192, 0, 2, 1], 50).into(), &path(9));
        observed.add(peer(51), ([192, 0, 2, 1], 50).into(), &path(9));
        observed.add(peer(1), ([192, 0, 2, 7], 4).into(), &PathAddress::Quic(([192, 0, 2, 7], 443).into()));
        assert_eq!(observed.0.len(), MAX_OBSERVERS);
        let told = observed.newest_first();
        assert_eq!(told, [50, 100, 99, 98, 97, 96, 95, 94].map(path));
    }

    #[test]
    fn one_that_lies_takes_nothing_from_what_others_see() {
        let (honest, liar) = (Hashname::from_bytes([1; 32]), Hashname::from_bytes([2; 32]));
        let path = PathAddress::Udp(([192, 0, 2, 1], 9).into());
        let mut observed = Observed::default();
        observed.add(honest, ([192, 0, 2, 1], 9).into(), &path);
        // It agrees first, so that it may take back what was said.
        observed.add(liar, ([192, 0, 2, 1], 9).into(), &path);
        for port in 1..=1_000 {
            observed.add(liar, ([203, 0, 113, 1], port).into(), &path);
        }
        let lie = PathAddress::Udp(([203, 0, 113, 1], 1_000).into());
        assert_eq!(observed.newest_first(), [lie, path]);
        observed.add(liar, "[2001:db8::1]:9".parse().unwrap(), &path);
        assert_eq!(observed.newest_first().len(), 3, "one of each family");
    }
}
