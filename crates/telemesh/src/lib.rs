//! A private mesh network as a library: encrypted links between endpoints that trust each other, over whatever network path
//! works, with channels for streams and messages on top.
//!
//! An endpoint is known by its **hashname**, the fingerprint of its public keys. It answers nobody whom it does not trust:
//! a stranger who scans it gets no packet back, whatever they send.
//!
//! ```
//! use telemesh::{Invite, StreamAcceptor as _, StreamOpener as _};
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // One endpoint waits for streams and hands out an invite …
//! let alice = telemesh::create(telemesh::generate_keys()?).await?;
//! let mut streams = alice.on_stream()?;
//! let invite = alice.invite(Invite::once())?.to_secret_string();
//!
//! // … and the bearer of the invite links to it, wherever it is.
//! let bob = telemesh::create(telemesh::generate_keys()?).await?;
//! let link = bob.link(invite.as_str()).await?;
//! let mut stream = link.stream().await?;
//! stream.write_all(b"hello").await?;
//! stream.shutdown().await?; // what was written arrives
//!
//! let mut incoming = streams.next().await.ok_or("the endpoint has ended")?;
//! let mut text = String::new();
//! incoming.channel.read_to_string(&mut text).await?;
//! assert_eq!((incoming.peer, text.as_str()), (bob.hashname(), "hello"));
//! assert!(bob.close().await.delivered);
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! - [`create`], [`builder`]: starting an endpoint; [`generate_keys`], [`load_or_create_keys`] for who it is.
//! - [`Mesh`]: the endpoint. [`Mesh::link`] dials, [`Mesh::invite`] lets somebody dial, [`Mesh::contacts`] says whom it trusts and with what [`Grant`]s, [`Acceptor::handle`] answers
//!   channels.
//! - [`Link`]: one other endpoint. [`Opener::open`] opens channels; [`Link::explain`] says which paths were tried.
//! - [`StreamOpener`], [`StreamAcceptor`]: the stream channel, for most of what programs want to say to each other.
//! - [`MeshBoxes`], `boxes`: messages for endpoints that are away.
//! - `MeshChats`, `chat`: group chat without a server; with a `BoxMailbox` what is said to those who are away waits in their boxes.
//! - `files`: files and folders, resumable and checked.
//! - `SockOpener`, `SockNetwork`, `sock`: TCP and UDP tunnels to what was granted.
//! - [`Mesh::discovered`]: who asks for a link, and who announces themselves on the local network; [`Mesh::discover`] to be found.
//! - `HttpServer`, `HttpOpener`, `thtp`: HTTP, with the types of hyper, tower and axum.
//! - `WsServer`, `WsOpener`, `ws`: WebSockets.
//!
//! Everything runs in the tokio runtime that the endpoint was created in. Dropping a link's handle changes nothing about the
//! link; dropping the last handle of the mesh ends it abruptly, [`Mesh::close`] in order.
//! Events come as streams; [`ForEachSpawned`] calls a function for each.
//!
//! # When something fails
//!
//! Every operation has an error of its own, and its `fault` says whose it is: [`Fault::Ours`], the peer's, or the network's.
//!
//! # Parts
//!
//! This crate plugs together what can also be used alone: `telemesh-hashname`, `telemesh-keys`, `telemesh-link` (the sans-IO
//! protocol), `telemesh-engine` (reliable streams, sans-IO), `telemesh-channel` (the traits), `telemesh-mesh` (the runtime),
//! `telemesh-box`, `telemesh-store`, `telemesh-udp`, `telemesh-quic`, `telemesh-mdns`, `telemesh-watch`, `telemesh-portmap`, `telemesh-stream`, `telemesh-files`,
//! `telemesh-sock`, `telemesh-thtp`, `telemesh-ws`. Its features choose channels and transports.

mod builder;
#[cfg(feature = "chat")]
pub mod chat;
mod identity;
#[cfg(all(feature = "box", feature = "chat"))]
mod mailbox;
#[cfg(feature = "box")]
mod mesh_boxes;
#[cfg(feature = "quic")]
mod quic_plan;

pub use builder::{Builder, CreateError};
pub use identity::{KeysError, generate_keys, load_or_create_keys};
#[cfg(feature = "box")]
pub use mesh_boxes::MeshBoxes;

#[cfg(feature = "chat")]
pub use chat::MeshChats;
#[cfg(feature = "box")]
pub use telemesh_box as boxes;
pub use telemesh_channel as channel;
pub use telemesh_channel::{
    Acceptor, Channel, ChannelError, Datagrams, Fault, ForEachSpawned, HandleError, Handler, Incoming,
    LinkEvent, LinkEvents, Network, Open, OpenError, Opener, Refusal, RefusalCode,
};
pub use telemesh_engine::Config as EngineConfig;
#[cfg(feature = "files")]
pub use telemesh_files as files;
pub use telemesh_hashname::Hashname;
pub use telemesh_keys as keys;
pub use telemesh_keys::{KeyFileError, KeySet};
#[cfg(feature = "mdns")]
pub use telemesh_mdns as mdns;
pub use telemesh_mesh as mesh;
pub use telemesh_mesh::{
    AskAboutStrangers, BridgeConfig, BridgeStats, Claim, Closed, Contact, ContactError, ContactName,
    ContactsOnly, Discover, Discovered, DiscoveredEvents, DownReason, EngineStats, Explain, Grant, Grants,
    IntoTarget, Invite, LINK_TIMEOUT, Link, LinkError, LinkInfo, LinkState, LinkTarget, LinkUri, MemoryStore,
    Mesh, Metrics, Missing, OpenInvite, PathAddress, PathState, PathStatus, PeerStore, PingError, Policy,
    Pong, Standing, State, StoreError, TooManyInvites, Verdict, Via,
};
#[cfg(feature = "portmap")]
pub use telemesh_portmap as portmap;
#[cfg(feature = "quic")]
pub use telemesh_quic as quic;
#[cfg(feature = "sock")]
pub use telemesh_sock as sock;
#[cfg(feature = "sock")]
pub use telemesh_sock::{SockNetwork, SockOpener};
#[cfg(feature = "store")]
pub use telemesh_store as store;
#[cfg(feature = "store")]
pub use telemesh_store::FileStore;
#[cfg(feature = "stream")]
pub use telemesh_stream as stream;
#[cfg(feature = "stream")]
pub use telemesh_stream::{IncomingStream, IncomingStreams, StreamAcceptor, StreamOpener};
#[cfg(feature = "thtp")]
pub use telemesh_thtp as thtp;
#[cfg(feature = "thtp")]
pub use telemesh_thtp::{HttpOpener, HttpServer};
pub use telemesh_transport as transport;
#[cfg(feature = "udp")]
pub use telemesh_udp as udp;
#[cfg(feature = "watch")]
pub use telemesh_watch as watch;
pub use telemesh_wire as wire;
#[cfg(feature = "ws")]
pub use telemesh_ws as ws;
#[cfg(feature = "ws")]
pub use telemesh_ws::{WsOpener, WsServer};

/// Starts an endpoint with these keys and everything at its default.
///
/// # Errors
/// [`CreateError`].
pub async fn create(keys: KeySet) -> Result<Mesh, CreateError> {
    builder(keys).create().await
}

/// Starts building an endpoint with these keys.
#[must_use]
pub fn builder(keys: KeySet) -> Builder {
    Builder::new(keys)
}

/// The README's program is compiled and run with the other documentation tests.
#[cfg(all(doctest, feature = "stream", feature = "udp"))]
#[doc = include_str!("../README.md")]
struct Readme;
