//! Building a network and changing who is where: hosts, addresses, NATs, sockets.

use std::net::{IpAddr, SocketAddr};

use crate::address::{HostId, NatId, Realm, SocketId};
use crate::error::{BindError, TopologyError};
use crate::nat::NatConfig;
use crate::network::Network;
use crate::trace::EventKind;

impl Network {
    /// Adds a host with these addresses in one realm. It may have none yet, and get more in other realms later.
    ///
    /// # Errors
    /// If the realm is unknown, or an address is taken or unusable; nothing has changed then.
    pub fn add_host(
        &mut self,
        realm: Realm,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<HostId, TopologyError> {
        let host = self.topology.add_host(realm, addresses)?;
        let addresses: Vec<_> = self.topology.host_addresses(host).collect();
        for ip in addresses {
            self.trace.record(self.clock, EventKind::AddressAdded(host, ip));
        }
        Ok(host)
    }

    /// Adds a NAT with these external addresses. What is inside goes into [`NatId::inside`].
    ///
    /// Several external addresses of a family are shared among the hosts inside, each of which always gets
    /// the same one. A family without any is not translated, only filtered.
    ///
    /// # Errors
    /// If the realm is unknown, or an address is taken or unusable; nothing has changed then.
    pub fn add_nat(
        &mut self,
        outside: Realm,
        external: impl IntoIterator<Item = IpAddr>,
        config: NatConfig,
    ) -> Result<NatId, TopologyError> {
        self.topology.add_nat(outside, external, config)
    }

    /// Gives a host one more address. The order in which a host got its addresses is the order in which
    /// a wildcard socket prefers them to send from, after those in the very realm of the destination.
    ///
    /// # Errors
    /// If host or realm are unknown, or the address is taken or unusable.
    pub fn add_address(&mut self, host: HostId, realm: Realm, address: IpAddr) -> Result<(), TopologyError> {
        self.topology.add_address(host, realm, address)?;
        self.trace.record(self.clock, EventKind::AddressAdded(host, address));
        Ok(())
    }

    /// Takes an address from a host. What is on its way there is dropped, unless somebody takes the address
    /// meanwhile. Sockets stay bound.
    ///
    /// # Errors
    /// If the host is unknown or does not have the address.
    pub fn remove_address(&mut self, host: HostId, address: IpAddr) -> Result<(), TopologyError> {
        self.topology.remove_address(host, address)?;
        self.counts.address_changes += 1;
        self.trace.record(self.clock, EventKind::AddressRemoved(host, address));
        Ok(())
    }

    /// Gives a host another address for one it has, in the same realm. Wildcard sockets go on with the new
    /// one at once; a socket bound to the old one can neither send nor receive until the address comes back.
    ///
    /// # Errors
    /// If the host is unknown or lacks the old address, or the new one is taken or unusable.
    pub fn change_address(&mut self, host: HostId, old: IpAddr, new: IpAddr) -> Result<(), TopologyError> {
        self.topology.change_address(host, old, new)?;
        self.counts.address_changes += 1;
        self.trace.record(self.clock, EventKind::AddressRemoved(host, old));
        self.trace.record(self.clock, EventKind::AddressAdded(host, new));
        Ok(())
    }

    /// The host's addresses in the order of preference. None for an unknown host.
    pub fn addresses(&self, host: HostId) -> impl Iterator<Item = IpAddr> + '_ {
        self.topology.host_addresses(host)
    }

    /// Binds a socket to an address of the host, to `0.0.0.0` (every IPv4 address, also later ones) or to `[::]`
    /// (every address of both families; IPv4 addresses stay IPv4 addresses, they are not mapped). Port 0
    /// picks a free dynamic port.
    ///
    /// # Errors
    /// If host or address are not there, or the port is in use on an address that this socket would cover.
    pub fn bind(&mut self, host: HostId, address: SocketAddr) -> Result<SocketId, BindError> {
        self.topology.bind(host, address)
    }

    /// Closes a socket. What is on its way to it is dropped on arrival. Returns whether it was open.
    pub fn unbind(&mut self, socket: SocketId) -> bool {
        self.topology.unbind(socket)
    }

    /// The address to which a socket is bound, with its real port. `None` if it is not open.
    pub fn local_address(&self, socket: SocketId) -> Option<SocketAddr> {
        self.topology.socket(socket).map(|socket| socket.bound)
    }

    /// The host of an open socket.
    pub fn host_of(&self, socket: SocketId) -> Option<HostId> {
        self.topology.socket(socket).map(|socket| socket.host)
    }

    /// How many mappings of a NAT are alive at the network's time.
    ///
    /// # Errors
    /// If the NAT is unknown.
    pub fn mapping_count(&self, nat: NatId) -> Result<usize, TopologyError> {
        self.topology.mapping_count(nat, self.clock)
    }
}
