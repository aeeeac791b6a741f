//! Who is who: the ids of hosts, NATs, sockets and realms, and the internal ids of addresses.

use std::net::IpAddr;

/// One simulated machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(crate) u32);

/// One NAT (or firewall).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NatId(pub(crate) u32);

/// One bound socket. Ids are never used twice, so a late delivery cannot reach a successor by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub(crate) u32);

/// An address realm (RFC 2663, section 2.1): where an address means one thing. Either the internet or the
/// inside of a NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Realm(pub(crate) u32);

impl HostId {
    /// The host's number: hosts are numbered from zero in the order in which they were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl NatId {
    /// The realm behind this NAT, where its private hosts have their addresses.
    pub fn inside(self) -> Realm {
        Realm(self.0 + 1)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl SocketId {
    /// The socket's number: sockets are numbered from zero in the order in which they were bound, over all hosts.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Realm {
    /// The outermost realm, which is behind no NAT.
    pub const INTERNET: Realm = Realm(0);

    /// The NAT through which this realm reaches the next outer one.
    pub(crate) fn gateway(self) -> Option<NatId> {
        self.0.checked_sub(1).map(NatId)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An address in a realm, interned: the same address in the same realm keeps its id for ever, even while nobody
/// owns it, so that datagrams on their way and NAT mappings can refer to it in four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AddressId(pub(crate) u32);

impl AddressId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An interned address and a port: what a socket address is within its realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) address: AddressId,
    pub(crate) port: u16,
}

/// Who answers for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Host(HostId),
    Nat(NatId),
}

/// Whether a single machine can have this address: neither unspecified nor multicast nor broadcast.
pub(crate) fn is_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || broadcast)
}
