//! A private mesh network as a library: encrypted links between endpoints that trust each other, over whatever network path
//! works, with channels for streams and messages on top.
//!
//! An endpoint is known by its **hashname**, the fingerprint of its public keys. It answers nobody whom it does not trust:
//! a stranger who scans it gets no packet back, whatever they send.
//!
//! ```
//! use telemesh::{Invite, StreamExt as _, StreamAcceptor as _, StreamOpener as _};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // One endpoint waits for streams and hands out an invite …
//! # let loopback = "127.0.0.1:0".parse()?;
//! let alice = telemesh::builder(telemesh::generate_keys()?).listen(loopback).create().await?;
//! let mut streams = alice.on_stream()?;
//! let invite = alice.invite(Invite::once())?.to_secret_string();
//!
//! // … and the bearer of the invite links to it, wherever it is.
//! let bob = telemesh::create(telemesh::generate_keys()?).await?;
//! let link = bob.link(invite.as_str()).await?;
//! link.stream().await?.write_all(b"hello").await?;
//!
//! let (peer, mut stream) = streams.next().await.ok_or("the endpoint ended")?;
//! # Ok(())
//! # }
//! ```
//!
//! # Parts
//!
//! This crate plugs together what can also be used alone: `telemesh-hashname`, `telemesh-keys`, `telemesh-link` (the sans-IO
//! protocol), `telemesh-engine` (reliable streams, sans-IO), `telemesh-channel` (the traits), `telemesh-mesh` (the runtime),
//! `telemesh-udp`, `telemesh-stream`. Its features choose channels and transports; all are on by default.

mod builder;

pub use builder::{Builder, CreateError};

pub use telemesh_channel as channel;
pub use telemesh_channel::{
    Acceptor, Channel, ChannelError, Datagrams, Handler, Incoming, LinkEvent, LinkEvents, Network, Open, OpenError,
    Opener, Refusal, RefusalCode,
};
pub use telemesh_engine::Config as EngineConfig;
pub use telemesh_hashname::Hashname;
pub use telemesh_keys as keys;
pub use telemesh_keys::KeySet;
pub use telemesh_mesh::{
    Closed, Explain, IntoTarget, Invite, Link, LinkError, LinkInfo, LinkState, LinkUri, MemoryStore, Mesh, Metrics,
    PathAddress, PathStatus, PeerStore, PingError, Pong, State,
};
pub use telemesh_transport as transport;
#[cfg(feature = "udp")]
pub use telemesh_udp as udp;

/// New keys, from the operating system's randomness.
///
/// # Errors
/// When the operating system gives none.
pub fn generate_keys() -> Result<KeySet, rand::rngs::SysError> {
    use rand::SeedableRng;
    let mut rng = rand::rngs::StdRng::try_from_rng(&mut rand::rngs::SysRng)?;
    Ok(KeySet::generate(&mut rng))
}

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
