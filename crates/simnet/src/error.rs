//! What a caller can do wrong. What the network does to datagrams is never an error but a
//! [`DropReason`](crate::DropReason), of which the sender learns nothing.

use std::net::{IpAddr, SocketAddr};

/// Why the network could not be built or changed that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// The host is not one of this network's.
    #[error("this network has no such host")]
    UnknownHost,
    /// The NAT is not one of this network's.
    #[error("this network has no such nat")]
    UnknownNat,
    /// The realm is not one of this network's.
    #[error("this network has no such realm")]
    UnknownRealm,
    /// Somebody in that realm has the address already, or the host has it in another realm.
    #[error("the address {0} is taken")]
    AddressTaken(IpAddr),
    /// The host or NAT does not have the address.
    #[error("nobody here has the address {0}")]
    NoSuchAddress(IpAddr),
    /// No single machine can have the address, or the new address is of another family than the old one.
    #[error("the address {0} cannot be used here")]
    UnusableAddress(IpAddr),
}

/// Why a socket could not be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The host is not one of this network's.
    #[error("this network has no such host")]
    UnknownHost,
    /// The host does not have the address.
    #[error("the host does not have the address {0}")]
    AddressNotAvailable(IpAddr),
    /// Another socket of the host has the port on an address that this one would cover.
    #[error("the address {0} is in use")]
    AddressInUse(SocketAddr),
    /// Port 0 was asked for and every dynamic port is in use.
    #[error("the host has no free dynamic port")]
    NoFreePort,
}

/// Why a datagram did not even leave its socket. Nothing was sent or counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The socket was never bound here, or it was unbound.
    #[error("this network has no such socket")]
    UnknownSocket,
    /// The payload is longer than [`MAX_PAYLOAD`](crate::MAX_PAYLOAD).
    #[error("a payload of {0} bytes is too large for a datagram")]
    TooLarge(usize),
    /// The host has no address of the destination's family that this socket may use; also when the one address
    /// to which the socket is bound has gone.
    #[error("the host has no address from which {0} could be reached")]
    NoSourceAddress(SocketAddr),
    /// The destination is no unicast address, or its port is zero.
    #[error("nothing can be sent to {0}")]
    UnusableDestination(SocketAddr),
}
