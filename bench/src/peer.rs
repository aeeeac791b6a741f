//! What an implementation offers to the workloads: a server, and a client that dials it and opens streams.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

use anyhow::{Result, anyhow};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::sample::Settings;

/// One implementation under measurement. All of its methods run on a current-thread runtime.
pub(crate) trait Peer: 'static {
    /// A client endpoint with an identity of its own.
    type Dialer;
    /// A connection from a dialer to the server.
    type Connection;
    /// A stream of that connection, both directions.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Listens on loopback, tells `host` the address, and from then on hands every stream to
    /// [`crate::service::serve`]. Ends only with an error.
    async fn serve(host: Host) -> Result<()>;

    /// Makes a client endpoint for the server at `address`, but does not dial yet.
    async fn dialer(address: &str) -> Result<Self::Dialer>;

    /// Makes a new connection. The first one of a dialer meets the server for the first time; later ones may use what
    /// the library remembers of the earlier ones.
    async fn connect(dialer: &mut Self::Dialer) -> Result<Self::Connection>;

    /// Opens a stream. The server may not see it before something was written to it.
    async fn open(connection: &mut Self::Connection) -> Result<Self::Stream>;

    /// The settings in force on `connection`, read back where the library allows that.
    fn settings(connection: &Self::Connection) -> Settings;

    /// Closes the connection, so that the next [`Peer::connect`] makes a new one.
    async fn close(dialer: &mut Self::Dialer, connection: Self::Connection) -> Result<()>;
}

/// What a server tells about itself while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    listening: mpsc::Sender<String>,
    connections: Arc<AtomicUsize>,
}

impl Host {
    /// A host, and the receiver of the address on which its server listens.
    pub(crate) fn new() -> (Self, mpsc::Receiver<String>) {
        let (listening, address) = mpsc::channel();
        (Self { listening, connections: Arc::default() }, address)
    }

    /// Says that the server takes connections at `address`; what that looks like is the peer's own business.
    ///
    /// # Errors
    /// When nobody waits for the server any more.
    pub(crate) fn listening(&self, address: String) -> Result<()> {
        self.listening.send(address).map_err(|_| anyhow!("nobody waits for the server"))
    }

    /// Counts an inbound connection until the returned value is dropped.
    pub(crate) fn connected(&self) -> Connected {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(&self.connections))
    }

    /// Inbound connections that are open now.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// One open inbound connection.
#[derive(Debug)]
pub(crate) struct Connected(Arc<AtomicUsize>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
