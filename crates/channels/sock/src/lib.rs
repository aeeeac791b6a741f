//! The `sock` channel: TCP and UDP tunnels to what a peer was granted, and nothing else.
//!
//! [`SockOpener`] adds `sock()` to every link: [`connect`](Tunnels::connect) has the peer connect somewhere,
//! [`bind`](Tunnels::bind) has it listen, [`udp`](Tunnels::udp) and [`udp_bind`](Tunnels::udp_bind) do so for datagrams.
//! [`SockNetwork`] adds `on_sock` to the mesh: it serves what peers ask for, as a [`Policy`] decides. [`forward`] joins local
//! sockets to all of these, and [`socks`] is a SOCKS5 server in front of them.
//!
//! # Grants
//! Without a grant nothing is served. [`Granted`] reads them from the contact, one text each:
//!
//! | grant | allows the contact |
//! |---|---|
//! | `sock:10.0.0.1:22` | TCP to this address and port |
//! | `sock:10.0.0.0/8:*` | TCP to every address of the network, on every port |
//! | `sock:[fd00::]/8:8000-8010` | the same over IPv6, on eleven ports |
//! | `sock:host.name:443` | TCP to whatever the name resolves to, if it asks by that name |
//! | `sock:localhost:80` | TCP to `127.0.0.1` and `::1` |
//! | `sock-udp:10.0.0.1:53` | UDP to it, and its answers |
//! | `sock-bind:127.0.0.1:8080` | to listen for TCP at this address |
//! | `sock-udp-bind:127.0.0.1:5353` | to listen for UDP at it |
//!
//! A network, a name or a `*` never stands for an address of the endpoint's own machine or link: loopback, link-local, metadata
//! services, unspecified, multicast and broadcast addresses must each be named by a grant of their own ([`Ask::is_special`]).
//!
//! # Who guarantees what
//! - **What was checked is what is used.** A target is made plain (`127.1`, `::ffff:127.0.0.1`, `0x7f000001` are `127.0.0.1`),
//!   resolved once, each address found is checked, and the connection goes to that very address. A name server that answers
//!   otherwise the next time changes nothing.
//! - **Ends arrive as what they are.** FIN, RST and refused at one socket are FIN, RST and refused at the other. Only a client
//!   behind a local listener is connected before its target is: for it, refused is a reset.
//! - **Bounded.** 16,384 tunnels per link ([`MAX_TUNNELS`]); an idle one holds no buffer, a blocked one at most 256 KiB each way, and
//!   whoever does not read makes the other end wait.
//! - **Datagrams** travel on an unreliable channel, those longer than the path's packets in fragments: nothing waits for what
//!   was lost. Answers come only from where datagrams went to.
//!
//! # On the wire
//! Open messages of type `sock` with headers: `do` (`connect`, `bind`, `accept` over reliable channels, `udp`, `udp-bind` over
//! unreliable ones), `to` (`host:port`), `number` and `from`. Reliable channels then carry the connection's bytes and nothing
//! else; `bind` carries nothing. Datagrams are [`datagram::Message`]s. A refusal's reason begins with a word for programs:
//! `refused`, `unreachable`, `timeout`, `no-address`, `in-use`, `not-there` or `failed`.

pub mod datagram;
pub mod forward;
pub mod socks;

mod address;
mod bindings;
mod buffer;
mod failure;
mod grant;
mod leave;
mod open;
mod policy;
mod pump;
mod request;
mod resolve;
mod route;
mod serve;
mod service;
mod sockets;
mod targets;
mod tunnel;

pub use failure::SockError;
pub use grant::{Action, ParseSockGrantError, SockGrant, is_sock_grant};
pub use open::{IntoTarget, RemoteConnection, RemoteListener, SockOpener, Tunnels};
pub use policy::{Ask, Granted, Nothing, Policy};
pub use pump::{SOCKET_RESET, Traffic, join};
pub use resolve::{Resolve, SystemResolver};
pub use route::{Over, Route, Way};
pub use service::{MAX_TUNNELS, Sock, SockNetwork};
pub use targets::{Host, Name, ParseTargetError, Target};
pub use tunnel::UdpTunnel;

/// The channel's type.
pub const SOCK: &str = "sock";

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
