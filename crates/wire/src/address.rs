//! Addresses of paths: where a packet can be sent so that it reaches another endpoint.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use telemesh_hashname::{Hashname, ParseHashnameError};

use crate::error::InvalidValue;

/// The address of one path to another endpoint.
///
/// The text form is `udp:192.0.2.1:42424`, `quic:[2001:db8::1]:443` or `peer:` and a hashname. Parsing refuses what no
/// packet can be sent to: port 0, an unspecified or a multicast address. IPv4 addresses in IPv6 clothing
/// (`::ffff:192.0.2.1`) come out as IPv4, so that one place has one address; see [`canonical`](Self::canonical).
///
/// ```
/// use telemesh_wire::PathAddress;
///
/// let address: PathAddress = "udp:[::ffff:192.0.2.1]:42424".parse()?;
/// assert_eq!(address.to_string(), "udp:192.0.2.1:42424");
/// # Ok::<(), telemesh_wire::ParsePathAddressError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PathAddress {
    /// A UDP socket.
    Udp(SocketAddr),
    /// A QUIC listener.
    Quic(SocketAddr),
    /// Some circuit through the router with this hashname: it has to be asked for one first.
    Peer(Hashname),
    /// A circuit that the router knows by this number. It means something only between the router and this endpoint, so no
    /// text and no message carries it: written down it is a [`Peer`](Self::Peer).
    Circuit(Circuit),
    /// A UDP socket, reached from a socket that this endpoint has opened beside its usual one, see [`ExtraSocket`]. Written
    /// down it is a [`Udp`](Self::Udp).
    Extra(ExtraSocket),
}

/// A UDP path that leaves from a socket of its own: to a NAT that is another endpoint than the usual socket, with a mapping of
/// its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtraSocket {
    /// Where the packets go.
    pub to: SocketAddr,
    /// Which of the transport's sockets. It means something only in this process, so no text and no message carries it.
    pub number: u32,
}

/// One circuit, as the endpoint at one end of it sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Circuit {
    /// Whose circuit it is: packets go there.
    pub router: Hashname,
    /// What the router knows it by, on the link with this endpoint.
    pub id: CircuitId,
}

/// The number of a circuit on the link between its router and one of its ends. The top bit says who has chosen it, so that
/// the two never choose the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CircuitId(u64);

impl CircuitId {
    /// A number that an endpoint has chosen for a circuit that it asks for; the top bit of `random` is not used.
    #[must_use]
    pub const fn asked(random: u64) -> Self {
        Self(random & !ROUTERS)
    }

    /// A number that a router has chosen for the end that was asked for; the top bit of `number` is not used.
    #[must_use]
    pub const fn routed(number: u64) -> Self {
        Self(number | ROUTERS)
    }

    /// Whether the router has chosen it.
    #[must_use]
    pub const fn is_routed(self) -> bool {
        self.0 & ROUTERS != 0
    }

    /// Its eight bytes in a packet, little-endian.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote: every eight bytes are a number.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }
}

impl fmt::Debug for CircuitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PEER}:{}#{:?}", self.router.short(), self.id)
    }
}

impl fmt::Debug for ExtraSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{UDP}:{}#{}", self.to, self.number)
    }
}

impl PathAddress {
    /// The IP address and port, unless the path leads through a router.
    #[must_use]
    pub const fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp(address) | Self::Quic(address) => Some(*address),
            Self::Extra(extra) => Some(extra.to),
            Self::Peer(_) | Self::Circuit(_) => None,
        }
    }

    /// The router, if the path leads through one.
    #[must_use]
    pub const fn router(&self) -> Option<&Hashname> {
        match self {
            Self::Udp(_) | Self::Quic(_) | Self::Extra(_) => None,
            Self::Peer(router) | Self::Circuit(Circuit { router, .. }) => Some(router),
        }
    }

    /// Whether packets go straight to the other endpoint.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        self.router().is_none()
    }

    /// The word before the first colon of the text form.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Udp(_) | Self::Extra(_) => UDP,
            Self::Quic(_) => QUIC,
            Self::Peer(_) | Self::Circuit(_) => PEER,
        }
    }

    /// The one spelling of this address: IPv4 as IPv4, and no flow label.
    ///
    /// Parsing and decoding give only these. A transport applies this to the source addresses that it reports, because
    /// a socket for both families shows IPv4 senders as IPv6.
    #[must_use]
    pub fn canonical(self) -> Self {
        match self {
            Self::Udp(address) => Self::Udp(canonical(address)),
            Self::Quic(address) => Self::Quic(canonical(address)),
            Self::Extra(extra) => Self::Extra(ExtraSocket { to: canonical(extra.to), ..extra }),
            Self::Peer(_) | Self::Circuit(_) => self,
        }
    }

    /// The address of this kind, if packets can be sent to it.
    pub(crate) fn usable(self) -> Result<Self, ParsePathAddressError> {
        let address = self.canonical();
        match address.socket_address() {
            Some(socket) if !is_usable(&socket) => Err(ParsePathAddressError::Unusable),
            _ => Ok(address),
        }
    }
}

impl fmt::Display for PathAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) | Self::Quic(address) | Self::Extra(ExtraSocket { to: address, .. }) => {
                write!(f, "{}:{address}", self.kind())
            }
            Self::Peer(router) | Self::Circuit(Circuit { router, .. }) => write!(f, "{PEER}:{router}"),
        }
    }
}

/// As the text form, with a short hashname and the number of an extra socket.
impl fmt::Debug for PathAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) | Self::Quic(address) => write!(f, "{}:{address}", self.kind()),
            Self::Extra(extra) => extra.fmt(f),
            Self::Peer(router) => write!(f, "{PEER}:{}", router.short()),
            Self::Circuit(circuit) => circuit.fmt(f),
        }
    }
}

/// Why a text is not the address of a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePathAddressError {
    /// It does not begin with `udp:`, `quic:` or `peer:`. A newer build may know more kinds.
    #[error("unknown kind of path, expected udp:, quic: or peer:")]
    UnknownKind,
    /// What follows is not an IP address and a port.
    #[error("expected an IP address and a port, like 192.0.2.1:42424 or [2001:db8::1]:42424")]
    SocketAddress,
    /// Nothing can be sent there.
    #[error("port 0, an unspecified or a multicast address leads nowhere")]
    Unusable,
    /// What follows is not a hashname.
    #[error("bad router in path: {0}")]
    Router(#[from] ParseHashnameError),
}

impl FromStr for PathAddress {
    type Err = ParsePathAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, rest) = text.split_once(':').ok_or(ParsePathAddressError::UnknownKind)?;
        let socket = || rest.parse().map_err(|_| ParsePathAddressError::SocketAddress);
        match kind {
            UDP => Self::Udp(socket()?).usable(),
            QUIC => Self::Quic(socket()?).usable(),
            PEER => Ok(Self::Peer(rest.parse()?)),
            _ => Err(ParsePathAddressError::UnknownKind),
        }
    }
}

impl Serialize for PathAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PathAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An IP address and port in 6 or 18 bytes: 4 or 16 of address, then 2 of port, in network byte order.
///
/// Empty for an address that no packet can come from: port 0, an unspecified or a multicast address. A scope id is left
/// out, since it means something on this machine only.
#[must_use]
pub fn socket_address_to_bytes(address: SocketAddr) -> Vec<u8> {
    let address = canonical(address);
    let mut bytes = Vec::with_capacity(18);
    if is_usable(&address) {
        match address.ip() {
            IpAddr::V4(ip) => bytes.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
        }
        bytes.extend_from_slice(&address.port().to_be_bytes());
    }
    bytes
}

/// Reads what [`socket_address_to_bytes`] wrote.
///
/// # Errors
/// [`InvalidValue`] when there are not 6 or 18 bytes, or when no packet can come from there.
pub fn socket_address_from_bytes(bytes: &[u8]) -> Result<SocketAddr, InvalidValue> {
    let wrong_length = || InvalidValue::WrongLength { what: SOCKET_ADDRESS, length: bytes.len() };
    let (ip, port) = bytes.split_last_chunk::<2>().ok_or_else(wrong_length)?;
    let ip = if let Ok(octets) = <[u8; 4]>::try_from(ip) {
        IpAddr::V4(Ipv4Addr::from(octets))
    } else {
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).map_err(|_| wrong_length())?))
    };
    let address = canonical(SocketAddr::new(ip, u16::from_be_bytes(*port)));
    if is_usable(&address) { Ok(address) } else { Err(InvalidValue::Form { what: SOCKET_ADDRESS }) }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), v6.port()),
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id())),
        },
    }
}

/// Whether one endpoint could be there. The broadcast address counts as multicast.
fn is_usable(address: &SocketAddr) -> bool {
    let ip = address.ip();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

pub(crate) const UDP: &str = "udp";
pub(crate) const QUIC: &str = "quic";
pub(crate) const PEER: &str = "peer";
/// The bit that is set in numbers that a router has chosen.
const ROUTERS: u64 = 1 << 63;
const SOCKET_ADDRESS: &str = "socket address";
