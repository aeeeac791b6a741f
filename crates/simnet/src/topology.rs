//! Who has which address where: realms, hosts, NATs. Moving datagrams over this is [`crate::forwarding`]'s,
//! binding sockets [`crate::sockets`]'.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::address::{AddressId, HostId, NatId, Owner, Realm, SocketId, is_unicast};
use crate::error::TopologyError;
use crate::nat::{Nat, NatConfig};
use crate::random::Random;
use crate::sockets::Socket;

/// An interned address and who has it now.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) realm: Realm,
    pub(crate) ip: IpAddr,
    pub(crate) owner: Option<Owner>,
}

#[derive(Debug)]
pub(crate) struct Host {
    /// In the order in which they were added, which is the order of preference as source addresses.
    pub(crate) addresses: Vec<AddressId>,
    /// By port and the address bound to, which may be a wildcard.
    pub(crate) sockets: BTreeMap<(u16, IpAddr), SocketId>,
    pub(crate) random: Random,
}

#[derive(Debug)]
pub(crate) struct Topology {
    seed: u64,
    pub(crate) addresses: Vec<Address>,
    /// By [`Realm::index`], then by address.
    pub(crate) realms: Vec<BTreeMap<WideIp, AddressId>>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) nats: Vec<Nat>,
    pub(crate) sockets: Vec<Option<Socket>>,
}

impl Topology {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            addresses: Vec::new(),
            realms: vec![BTreeMap::new()],
            hosts: Vec::new(),
            nats: Vec::new(),
            sockets: Vec::new(),
        }
    }

    pub(crate) fn add_host(
        &mut self,
        realm: Realm,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<HostId, TopologyError> {
        let id = HostId(number_of(self.hosts.len()));
        let addresses = self.claim_all(realm, addresses, Owner::Host(id))?;
        let random = Random::for_purpose(self.seed, [1, id.0, 0, 0, 0]);
        self.hosts.push(Host { addresses, sockets: BTreeMap::new(), random });
        Ok(id)
    }

    pub(crate) fn add_nat(
        &mut self,
        outside: Realm,
        external: impl IntoIterator<Item = IpAddr>,
        config: NatConfig,
    ) -> Result<NatId, TopologyError> {
        let id = NatId(number_of(self.nats.len()));
        let external = self.claim_all(outside, external, Owner::Nat(id))?;
        let random = Random::for_purpose(self.seed, [2, id.0, 0, 0, 0]);
        let mut nat = Nat::new(config, outside, random);
        nat.external = external;
        self.nats.push(nat);
        self.realms.push(BTreeMap::new());
        Ok(id)
    }

    pub(crate) fn add_address(
        &mut self,
        host: HostId,
        realm: Realm,
        ip: IpAddr,
    ) -> Result<(), TopologyError> {
        if self.address_of(host, ip)?.is_some() {
            return Err(TopologyError::AddressTaken(ip));
        }
        let address = self.claim(realm, ip, Owner::Host(host))?;
        self.host(host)?.addresses.push(address);
        Ok(())
    }

    pub(crate) fn remove_address(&mut self, host: HostId, ip: IpAddr) -> Result<(), TopologyError> {
        let address = self.address_of(host, ip)?.ok_or(TopologyError::NoSuchAddress(ip))?;
        self.host(host)?.addresses.retain(|&other| other != address);
        self.release(address);
        Ok(())
    }

    /// The new address takes the old one's realm and its place in the order of preference.
    pub(crate) fn change_address(
        &mut self,
        host: HostId,
        old: IpAddr,
        new: IpAddr,
    ) -> Result<(), TopologyError> {
        let before = self.address_of(host, old)?.ok_or(TopologyError::NoSuchAddress(old))?;
        if self.address_of(host, new)?.is_some() {
            return Err(TopologyError::AddressTaken(new));
        }
        let after = self.claim(self.addresses[before.index()].realm, new, Owner::Host(host))?;
        for address in &mut self.host(host)?.addresses {
            if *address == before {
                *address = after;
            }
        }
        self.release(before);
        Ok(())
    }

    pub(crate) fn change_nat_address(
        &mut self,
        nat: NatId,
        old: IpAddr,
        new: IpAddr,
    ) -> Result<(), TopologyError> {
        if old.is_ipv4() != new.is_ipv4() {
            return Err(TopologyError::UnusableAddress(new));
        }
        let known = self.nats.get(nat.index()).ok_or(TopologyError::UnknownNat)?;
        let is_old = |address: &AddressId| self.addresses[address.index()].ip == old;
        let slot = known.external.iter().position(is_old).ok_or(TopologyError::NoSuchAddress(old))?;
        let after = self.claim(known.outside, new, Owner::Nat(nat))?;
        let nat = &mut self.nats[nat.index()];
        let before = std::mem::replace(&mut nat.external[slot], after);
        nat.forget_all();
        self.release(before);
        Ok(())
    }

    pub(crate) fn host(&mut self, host: HostId) -> Result<&mut Host, TopologyError> {
        self.hosts.get_mut(host.index()).ok_or(TopologyError::UnknownHost)
    }

    pub(crate) fn nat(&mut self, nat: NatId) -> Result<&mut Nat, TopologyError> {
        self.nats.get_mut(nat.index()).ok_or(TopologyError::UnknownNat)
    }

    pub(crate) fn host_addresses(&self, host: HostId) -> impl Iterator<Item = IpAddr> + '_ {
        let host = self.hosts.get(host.index());
        host.into_iter().flat_map(|host| &host.addresses).map(|address| self.addresses[address.index()].ip)
    }

    /// Whether the host has the address, and its id.
    pub(crate) fn address_of(&self, host: HostId, ip: IpAddr) -> Result<Option<AddressId>, TopologyError> {
        let host = self.hosts.get(host.index()).ok_or(TopologyError::UnknownHost)?;
        Ok(host.addresses.iter().copied().find(|address| self.addresses[address.index()].ip == ip))
    }

    /// The address's id and owner in this realm, if somebody has it.
    pub(crate) fn owner_in(&self, realm: Realm, ip: IpAddr) -> Option<(AddressId, Owner)> {
        let id = *self.realms[realm.index()].get(&wide(ip))?;
        Some((id, self.addresses[id.index()].owner?))
    }

    /// Whether the NAT translates addresses of `ip`'s family, or only filters what goes there.
    pub(crate) fn translates(&self, nat: NatId, ip: IpAddr) -> bool {
        let same_family = |id: &AddressId| self.addresses[id.index()].ip.is_ipv4() == ip.is_ipv4();
        self.nats[nat.index()].external.iter().any(same_family)
    }

    pub(crate) fn mapping_count(&self, nat: NatId, now: u64) -> Result<usize, TopologyError> {
        let nat = self.nats.get(nat.index()).ok_or(TopologyError::UnknownNat)?;
        Ok(nat.mapping_count(now))
    }

    fn claim_all(
        &mut self,
        realm: Realm,
        ips: impl IntoIterator<Item = IpAddr>,
        owner: Owner,
    ) -> Result<Vec<AddressId>, TopologyError> {
        let mut claimed = Vec::new();
        for ip in ips {
            match self.claim(realm, ip, owner) {
                Ok(address) => claimed.push(address),
                Err(error) => {
                    claimed.into_iter().for_each(|address| self.release(address));
                    return Err(error);
                }
            }
        }
        // Without any address the realm would go unchecked otherwise.
        self.realms.get(realm.index()).ok_or(TopologyError::UnknownRealm)?;
        Ok(claimed)
    }

    /// Gives the address to its owner, and to the NATs around the realm as far as they do not translate it.
    fn claim(&mut self, realm: Realm, ip: IpAddr, owner: Owner) -> Result<AddressId, TopologyError> {
        if !is_unicast(ip) || ip != ip.to_canonical() {
            return Err(TopologyError::UnusableAddress(ip));
        }
        let known =
            self.realms.get(realm.index()).ok_or(TopologyError::UnknownRealm)?.get(&wide(ip)).copied();
        if known.is_some_and(|id| self.addresses[id.index()].owner.is_some()) {
            return Err(TopologyError::AddressTaken(ip));
        }
        if let Some(nat) = realm.gateway().filter(|&nat| !self.translates(nat, ip)) {
            self.claim(self.nats[nat.index()].outside, ip, Owner::Nat(nat))?;
        }
        let id = known.unwrap_or_else(|| self.intern(realm, ip));
        self.addresses[id.index()].owner = Some(owner);
        Ok(id)
    }

    fn intern(&mut self, realm: Realm, ip: IpAddr) -> AddressId {
        let id = AddressId(number_of(self.addresses.len()));
        self.addresses.push(Address { realm, ip, owner: None });
        self.realms[realm.index()].insert(wide(ip), id);
        id
    }

    fn release(&mut self, id: AddressId) {
        let Address { realm, ip, ref mut owner } = self.addresses[id.index()];
        *owner = None;
        if let Some(nat) = realm.gateway().filter(|&nat| !self.translates(nat, ip)) {
            let outside = self.nats[nat.index()].outside;
            if let Some(&outer) = self.realms[outside.index()].get(&wide(ip)) {
                self.release(outer);
            }
        }
    }
}

/// An address of either family as one number, which compares in two instructions: every datagram looks one up.
type WideIp = u128;

/// IPv4 as IPv4-mapped IPv6, which as such cannot be an address here.
fn wide(ip: IpAddr) -> WideIp {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The next number of something. Memory ends long before 32 bits do.
pub(crate) fn number_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
