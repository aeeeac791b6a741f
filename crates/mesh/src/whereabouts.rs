//! Where the peers are whose links are up: a packet for a circuit goes to its router's address, and one that comes in a circuit
//! is believed only from the address of a link.

use std::collections::HashMap;
use std::net::SocketAddr;

use parking_lot::RwLock;
use telemesh_hashname::Hashname;
use telemesh_wire::PathAddress;

use crate::candidates::is_public;

/// See the module's page. Circuits never lead into circuits, so only direct paths are listed.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts(RwLock<Maps>);

#[derive(Debug, Default)]
struct Maps {
    peers: HashMap<Hashname, Here>,
    addresses: HashMap<PathAddress, Hashname>,
}

#[derive(Debug, Default)]
struct Here {
    /// The path that data takes, if it is a direct one.
    in_use: Option<PathAddress>,
    /// All paths that have proven themselves.
    proven: Vec<PathAddress>,
}

impl Whereabouts {
    /// The peer is at these addresses now, and at no others; none means that its link is down.
    pub(crate) fn update(&self, peer: Hashname, in_use: Option<PathAddress>, proven: Vec<PathAddress>) {
        let mut maps = self.0.write();
        let maps = &mut *maps;
        let before = maps.peers.remove(&peer).unwrap_or_default();
        for address in before.proven.iter().filter(|address| !proven.contains(address)) {
            if maps.addresses.get(address) == Some(&peer) {
                maps.addresses.remove(address);
            }
        }
        if proven.is_empty() {
            return;
        }
        for address in &proven {
            // Two peers behind one address are told apart by whoever was proven there last.
            maps.addresses.insert(*address, peer);
        }
        maps.peers.insert(peer, Here { in_use: in_use.filter(PathAddress::is_direct), proven });
    }

    /// The address that packets to this peer go to, if they go straight there.
    pub(crate) fn of(&self, peer: &Hashname) -> Option<PathAddress> {
        self.0.read().peers.get(peer)?.in_use
    }

    /// Where others may be told that this peer is seen: at an address of the internet, over IPv4, which is the family that NATs
    /// translate.
    pub(crate) fn seen_at(&self, peer: &Hashname) -> Option<SocketAddr> {
        let maps = self.0.read();
        let mut addresses = maps.peers.get(peer)?.proven.iter().filter_map(PathAddress::socket_address);
        addresses.find(|at| at.is_ipv4() && is_public(&at.ip()))
    }

    /// Whose address it is.
    pub(crate) fn at(&self, address: &PathAddress) -> Option<Hashname> {
        self.0.read().addresses.get(address).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> PathAddress {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_that_moved_is_not_where_it_was() {
        let (peer, other) = (Hashname::from_bytes([1; 32]), Hashname::from_bytes([2; 32]));
        let (first, second) = (address("udp:192.0.2.1:1"), address("udp:192.0.2.2:2"));
        let whereabouts = Whereabouts::default();
        whereabouts.update(peer, Some(first), vec![first, second]);
        assert_eq!((whereabouts.of(&peer), whereabouts.at(&second)), (Some(first), Some(peer)));
        whereabouts.update(peer, Some(second), vec![second]);
        assert_eq!((whereabouts.of(&peer), whereabouts.at(&first)), (Some(second), None));
        // Somebody else has taken over the address: what the first one leaves behind is not its own any more.
        whereabouts.update(other, Some(second), vec![second]);
        whereabouts.update(peer, None, Vec::new());
        assert_eq!((whereabouts.of(&peer), whereabouts.at(&second)), (None, Some(other)));
    }

    #[test]
    fn others_are_told_of_a_public_address_only() {
        let peer = Hashname::from_bytes([1; 32]);
        let (home, six, public) =
            (address("udp:192.168.1.7:1"), address("udp:[2001:db8::7]:1"), address("udp:192.0.2.1:1"));
        let whereabouts = Whereabouts::default();
        for (proven, seen) in
            [(vec![home], None), (vec![home, six], None), (vec![home, six, public], public.socket_address())]
        {
            whereabouts.update(peer, Some(home), proven);
            assert_eq!(whereabouts.seen_at(&peer), seen);
        }
    }

    #[test]
    fn a_peer_behind_a_router_is_no_router() {
        let (peer, router) = (Hashname::from_bytes([1; 32]), Hashname::from_bytes([2; 32]));
        let spare = address("udp:192.0.2.1:1");
        let whereabouts = Whereabouts::default();
        whereabouts.update(peer, Some(PathAddress::Peer(router)), vec![spare]);
        assert_eq!((whereabouts.of(&peer), whereabouts.at(&spare)), (None, Some(peer)));
    }
}
