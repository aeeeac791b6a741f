//! Where a transport listens: what the application asked for, and the sockets that came of it.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use telemesh_transport::{ExtraSocket, PathAddress};

use crate::socket::Socket;

/// How often both families are tried for one common port before they get a port each.
const COMMON_PORT_ATTEMPTS: usize = 8;

/// What the application asked for; rebinding asks for the same again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Binding {
    /// Every interface, over IPv4 and IPv6; port 0 lets the operating system choose one for both.
    Wildcard { port: u16 },
    /// This address, and only its family.
    Address(SocketAddr),
    /// One address of each family.
    Both { v4: SocketAddr, v6: SocketAddr },
}

/// At most one socket of each address family, and the extra ones.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    v4: Option<Socket>,
    v6: Option<Socket>,
    /// By their numbers.
    pub(crate) extra: BTreeMap<u32, Socket>,
}

impl Binding {
    /// Whether the application chose a port, so that the new socket can only have it once the old one is closed.
    pub(crate) fn has_chosen_port(&self) -> bool {
        match self {
            Self::Wildcard { port } => *port != 0,
            Self::Address(address) => address.port() != 0,
            Self::Both { v4, v6 } => v4.port() != 0 || v6.port() != 0,
        }
    }

    /// The same with ports that the operating system chooses.
    pub(crate) fn with_any_port(mut self) -> Self {
        match &mut self {
            Self::Wildcard { port } => *port = 0,
            Self::Address(address) => address.set_port(0),
            Self::Both { v4, v6 } => {
                v4.set_port(0);
                v6.set_port(0);
            }
        }
        self
    }

    /// Opens the sockets. Has to be called within a tokio runtime.
    pub(crate) fn open(&self) -> io::Result<Sockets> {
        match *self {
            Self::Address(address) => Socket::bind(address).map(Sockets::single),
            Self::Both { v4, v6 } => {
                Socket::bind(v4).and_then(|v4| Ok(Sockets::new(Some(v4), Some(Socket::bind(v6)?))))
            }
            Self::Wildcard { port } => open_wildcard(port),
        }
    }
}

/// Both families on one port: people forward one port in their router, and a peer that knows one address guesses the other.
fn open_wildcard(port: u16) -> io::Result<Sockets> {
    for _ in 0..COMMON_PORT_ATTEMPTS {
        let v4 = match Socket::bind((Ipv4Addr::UNSPECIFIED, port).into()) {
            Ok(v4) => v4,
            // No IPv4 here; IPv6 alone will do. With a taken port the other family is no substitute.
            Err(error) if is_about_the_port(&error) => return Err(error),
            Err(_) => return Socket::bind((Ipv6Addr::UNSPECIFIED, port).into()).map(Sockets::single),
        };
        match Socket::bind((Ipv6Addr::UNSPECIFIED, v4.local().port()).into()) {
            Ok(v6) => return Ok(Sockets::new(Some(v4), Some(v6))),
            Err(error) if !is_about_the_port(&error) => {
                tracing::debug!(%error, "no IPv6 here, listening on IPv4 only");
                return Ok(Sockets::single(v4));
            }
            Err(error) if port != 0 => return Err(error),
            // Somebody else has this port for IPv6: let the system choose another.
            Err(_) => {}
        }
    }
    let v4 = Socket::bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let v6 = Socket::bind((Ipv6Addr::UNSPECIFIED, 0).into())?;
    Ok(Sockets::new(Some(v4), Some(v6)))
}

fn is_about_the_port(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

impl Sockets {
    fn new(v4: Option<Socket>, v6: Option<Socket>) -> Self {
        Self { v4, v6, extra: BTreeMap::new() }
    }

    fn single(socket: Socket) -> Self {
        match socket.local() {
            SocketAddr::V4(_) => Self::new(Some(socket), None),
            SocketAddr::V6(_) => Self::new(None, Some(socket)),
        }
    }

    /// The socket from which a path begins: the one of the destination's family, or an extra one. And the destination.
    pub(crate) fn of_path(&self, path: &PathAddress) -> Option<(&Socket, SocketAddr)> {
        let socket = match *path {
            PathAddress::Udp(SocketAddr::V4(_)) => self.v4.as_ref(),
            PathAddress::Udp(SocketAddr::V6(_)) => self.v6.as_ref(),
            PathAddress::Extra(ExtraSocket { number, .. }) => self.extra.get(&number),
            _ => None,
        };
        Some((socket?, path.socket_address()?))
    }

    /// The same, to be changed.
    pub(crate) fn of_path_mut(&mut self, path: &PathAddress) -> Option<&mut Socket> {
        match *path {
            PathAddress::Udp(SocketAddr::V4(_)) => self.v4.as_mut(),
            PathAddress::Udp(SocketAddr::V6(_)) => self.v6.as_mut(),
            PathAddress::Extra(ExtraSocket { number, .. }) => self.extra.get_mut(&number),
            _ => None,
        }
    }

    /// Both sockets without the extra ones, IPv4 first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.v4.iter().chain(&self.v6)
    }

    /// All sockets, the usual ones first and in the order asked for.
    pub(crate) fn in_turn(&self, v6_first: bool) -> impl Iterator<Item = &Socket> {
        let both = if v6_first {
            [self.v6.as_ref(), self.v4.as_ref()]
        } else {
            [self.v4.as_ref(), self.v6.as_ref()]
        };
        both.into_iter().flatten().chain(self.extra.values())
    }

    /// The addresses by which `addresses` of this machine's interfaces, or the bound ones, can be reached.
    pub(crate) fn reachable(&self, interfaces: impl FnOnce() -> Vec<IpAddr>) -> Vec<SocketAddr> {
        let wildcards: Vec<SocketAddr> =
            self.iter().map(Socket::local).filter(|local| local.ip().is_unspecified()).collect();
        let mut reachable: Vec<SocketAddr> =
            self.iter().map(Socket::local).filter(|local| !local.ip().is_unspecified()).collect();
        if wildcards.is_empty() {
            return reachable;
        }
        let interfaces = interfaces();
        for local in &wildcards {
            let same_family = interfaces.iter().filter(|ip| ip.is_ipv4() == local.is_ipv4());
            reachable.extend(same_family.map(|ip| SocketAddr::new(*ip, local.port())));
        }
        if reachable.is_empty() {
            reachable
                .extend(wildcards.iter().map(|local| SocketAddr::new(loopback_like(local), local.port())));
        }
        reachable
    }
}

fn loopback_like(local: &SocketAddr) -> IpAddr {
    match local {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}
