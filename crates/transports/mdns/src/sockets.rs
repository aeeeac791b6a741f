//! The sockets: one per interface and address family, in the multicast group of its interface only.
//!
//! A socket per interface tells where a packet came from, and sends there without a system call before. They are bound to the
//! group's address where that is possible, so that packets that others on this machine wait for on the same port go to them.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::task::{Context, Poll};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket as RawSocket, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::interfaces::Interface;
use crate::message::MAX_PACKET;
use crate::names::{GROUP_V4, GROUP_V6};

/// Hops a packet may make (RFC 6762 section 11). Routers do not pass on these groups, whatever it says.
const HOPS: u32 = 255;

/// A socket of one interface and family.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) interface: u32,
    pub(crate) is_v4: bool,
    udp: UdpSocket,
    group: SocketAddr,
    /// What it was made for: the address by which the system was told the interface.
    v4: Option<std::net::Ipv4Addr>,
}

/// A packet that came in.
#[derive(Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) packet: &'a [u8],
    pub(crate) source: IpAddr,
}

/// Room for the longest packet, and one byte that tells whether a packet was longer.
pub(crate) type Buffer = Box<[u8; MAX_PACKET + 1]>;

impl Socket {
    /// Opens a socket in the group of an interface. Sends nothing; the kernel tells that the host has joined.
    ///
    /// # Errors
    /// When somebody has the port for themselves, or the interface knows no multicast.
    pub(crate) fn open(interface: &Interface, is_v4: bool, port: u16) -> io::Result<Self> {
        let domain = if is_v4 { Domain::IPV4 } else { Domain::IPV6 };
        let raw = RawSocket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        // Every program on this machine that speaks multicast DNS shares the port.
        raw.set_reuse_address(true)?;
        #[cfg(unix)]
        raw.set_reuse_port(true)?;
        raw.set_nonblocking(true)?;
        let v4 = interface.v4().filter(|_| is_v4);
        let group = match v4 {
            Some(address) => {
                raw.set_multicast_ttl_v4(HOPS)?;
                raw.set_multicast_loop_v4(true)?;
                raw.set_multicast_if_v4(&address)?;
                SocketAddr::V4(SocketAddrV4::new(GROUP_V4, port))
            }
            None => {
                raw.set_only_v6(true)?;
                raw.set_multicast_hops_v6(HOPS)?;
                raw.set_multicast_loop_v6(true)?;
                raw.set_multicast_if_v6(interface.index)?;
                SocketAddr::V6(SocketAddrV6::new(GROUP_V6, port, 0, interface.index))
            }
        };
        hear_own_interface_only(&raw, is_v4);
        raw.bind(&bind_address(group).into())?;
        if is_v4 {
            raw.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(interface.index))?;
        } else {
            raw.join_multicast_v6(&GROUP_V6, interface.index)?;
        }
        Ok(Self { interface: interface.index, is_v4, udp: UdpSocket::from_std(raw.into())?, group, v4 })
    }

    /// Whether it still fits the interface.
    pub(crate) fn fits(&self, interface: &Interface) -> bool {
        let v4 = interface.v4().filter(|_| self.is_v4);
        self.interface == interface.index && interface.speaks(self.is_v4) && self.v4 == v4
    }

    /// Sends a packet to the group.
    ///
    /// # Errors
    /// When the interface is down, or its queue is full.
    pub(crate) fn send(&self, packet: &[u8]) -> io::Result<()> {
        // Past tokio, which permits nothing before it was first asked whether the socket is writable.
        SockRef::from(&self.udp).send_to(packet, &self.group.into()).map(|_| ())
    }

    /// The next packet.
    ///
    /// # Errors
    /// When the interface is down, for example.
    pub(crate) fn poll_receive<'a>(
        &self,
        cx: &mut Context<'_>,
        buffer: &'a mut Buffer,
    ) -> Poll<io::Result<Arrived<'a>>> {
        let mut room = ReadBuf::new(buffer.as_mut_slice());
        match self.udp.poll_recv_from(cx, &mut room) {
            Poll::Ready(Ok(source)) => {
                let length = room.filled().len();
                let packet = buffer.get(..length).unwrap_or_default();
                Poll::Ready(Ok(Arrived { packet, source: source.ip() }))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Linux gives every socket the packets of all groups that anybody on the machine is in, unless it is told not to; elsewhere a
/// socket hears those that it has joined. An old kernel that cannot be told makes us read some packets twice.
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    allow(unused_variables, reason = "other systems need no telling")
)]
fn hear_own_interface_only(raw: &RawSocket, is_v4: bool) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let told = if is_v4 { raw.set_multicast_all_v4(false) } else { raw.set_multicast_all_v6(false) };
        if let Err(error) = told {
            tracing::debug!(%error, "packets of other interfaces are heard as well");
        }
    }
}

/// Windows cannot bind a group's address.
fn bind_address(group: SocketAddr) -> SocketAddr {
    match group {
        _ if cfg!(unix) => group,
        SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), group.port()),
        SocketAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), group.port()),
    }
}
