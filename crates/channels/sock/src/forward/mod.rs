//! Local sockets joined to what is at a peer (`forward`), and the other way round (`forward -R`).

mod remote;
mod tcp;
mod udp;

pub use remote::{remote_tcp, remote_udp};
pub use tcp::tcp;
pub use udp::udp;

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, UdpSocket};

use crate::sockets;

/// Listens for TCP connections at a local address: over IPv6 not over IPv4 as well, and with room for thousands that come at
/// once.
///
/// # Errors
/// The system's: the address is in use, for example.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    sockets::listen(address)
}

/// A socket for datagrams at a local address.
///
/// # Errors
/// As [`listen`].
pub fn listen_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    sockets::datagrams(address)
}
