//! The way of a datagram through realms and NATs: out to where its destination is known, and in to a socket.

use std::net::{IpAddr, SocketAddr};

use crate::address::{AddressId, HostId, NatId, Owner, Place, Realm, SocketId};
use crate::counts::DropReason;
use crate::nat::Translation;
use crate::sockets::Source;
use crate::time::Nanos;
use crate::topology::Topology;

/// Where a datagram travels after it has left the realms that do not know its destination.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crossing {
    pub(crate) source: AddressId,
    /// The sender as seen there.
    pub(crate) from: SocketAddr,
    pub(crate) destination: AddressId,
    /// The NAT inside which it stays, if it does.
    pub(crate) inside: Option<NatId>,
    /// The host that would get it if it arrived now.
    pub(crate) receiver: Option<HostId>,
}

/// Where a datagram ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Landing {
    pub(crate) host: HostId,
    pub(crate) socket: SocketId,
    /// The receiver's own view of the address it was sent to.
    pub(crate) to: SocketAddr,
}

impl Topology {
    /// Takes a datagram out through as many NATs as it needs. Their mappings are made and refreshed now.
    pub(crate) fn leave(
        &mut self,
        now: Nanos,
        source: Source,
        to: SocketAddr,
    ) -> Result<Crossing, DropReason> {
        let mut place = source.place;
        let mut left = None;
        loop {
            let realm = self.addresses[place.address.index()].realm;
            if let Some((destination, owner)) = self.owner_in(realm, to.ip()) {
                let hairpin = left.filter(|&nat| owner == Owner::Nat(nat));
                if hairpin.is_some_and(|nat| !self.nats[nat.index()].config.hairpin) {
                    return Err(DropReason::NatHairpin);
                }
                return Ok(Crossing {
                    source: place.address,
                    from: SocketAddr::new(self.addresses[place.address.index()].ip, place.port),
                    destination,
                    inside: hairpin.or(realm.gateway()),
                    receiver: self.receiver(Place { address: destination, port: to.port() }, owner),
                });
            }
            let nat = realm.gateway().ok_or(DropReason::NoRoute)?;
            place = self.pass_out(now, nat, place, to)?;
            left = Some(nat);
        }
    }

    /// Takes a datagram that has arrived at an address in through NATs, to a socket.
    pub(crate) fn arrive(
        &mut self,
        now: Nanos,
        destination: AddressId,
        from: SocketAddr,
        port: u16,
    ) -> Result<Landing, DropReason> {
        let mut place = Place { address: destination, port };
        loop {
            let address = &self.addresses[place.address.index()];
            match address.owner.ok_or(DropReason::AddressGone)? {
                Owner::Nat(nat) => place = self.nats[nat.index()].inbound(now, place, from)?,
                Owner::Host(host) => {
                    let socket = self.hosts[host.index()].socket_for(address.ip, place.port);
                    let to = SocketAddr::new(address.ip, place.port);
                    return Ok(Landing { host, socket: socket.ok_or(DropReason::PortClosed)?, to });
                }
            }
        }
    }

    fn pass_out(
        &mut self,
        now: Nanos,
        nat: NatId,
        inside: Place,
        to: SocketAddr,
    ) -> Result<Place, DropReason> {
        let ip = self.addresses[inside.address.index()].ip;
        let translation = match self.external_address(nat, inside.address, ip) {
            Some(external) => Translation::To(external),
            None => {
                let outside = self.nats[nat.index()].outside;
                let (same, _) = self.owner_in(outside, ip).ok_or(DropReason::NoRoute)?;
                Translation::Keep(same)
            }
        };
        self.nats[nat.index()].outbound(now, inside, translation, to)
    }

    /// The external address for everything from one internal address ("paired" pooling: RFC 4787, REQ-2).
    fn external_address(&self, nat: NatId, inside: AddressId, ip: IpAddr) -> Option<AddressId> {
        let same_family = |id: &&AddressId| self.addresses[id.index()].ip.is_ipv4() == ip.is_ipv4();
        let external = &self.nats[nat.index()].external;
        let count = external.iter().filter(same_family).count();
        let nth = inside.index().checked_rem(count)?;
        external.iter().filter(same_family).nth(nth).copied()
    }

    /// Who would get a datagram to this place, filters aside. Where a NAT has no mapping, its only host.
    fn receiver(&self, mut place: Place, mut owner: Owner) -> Option<HostId> {
        loop {
            let nat = match owner {
                Owner::Host(host) => return Some(host),
                Owner::Nat(nat) => nat,
            };
            match self.nats[nat.index()].mapped(place) {
                Some(inside) => {
                    place = inside;
                    owner = self.addresses[inside.address.index()].owner?;
                }
                None => return self.only_host(nat.inside()),
            }
        }
    }

    fn only_host(&self, realm: Realm) -> Option<HostId> {
        let ids = self.realms[realm.index()].values();
        let mut owners = ids.filter_map(|id| self.addresses[id.index()].owner);
        let first = owners.next()?;
        // Stops at the second one, so that a full house costs no more than two.
        if owners.any(|owner| owner != first) {
            return None;
        }
        match first {
            Owner::Host(host) => Some(host),
            Owner::Nat(nat) => self.only_host(nat.inside()),
        }
    }
}
