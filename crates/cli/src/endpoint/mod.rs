//! The endpoint that carries out requests: the mesh, the [`hub`] that answers its channels, and what the commands share.

pub(crate) mod dial;
pub(crate) mod hub;
pub(crate) mod pipes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use telemesh::{Hashname, KeySet, Link, LinkTarget, Mesh};

use crate::failure::Failure;
use crate::lock::HomeLock;
use crate::running::Running;
use crate::secret::Secret;
use crate::target;
use dial::Guests;
use hub::Hub;
use pipes::Pipes;

/// How long a command waits until the other end has confirmed what it was sent.
const DELIVERY_LIMIT: Duration = Duration::from_secs(10);

/// See the module's page. Clones are the same endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mesh: Mesh,
    hub: Arc<Hub>,
    guests: Arc<Guests>,
    pipes: Pipes,
    started: Instant,
    /// What only an endpoint that stays up has.
    running: Option<Running>,
    /// The home is ours for as long as the endpoint uses its key.
    _lock: Option<HomeLock>,
}

/// How an endpoint starts.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) keys: KeySet,
    pub(crate) lock: Option<HomeLock>,
    pub(crate) listen: &'a [SocketAddr],
    pub(crate) survive_down: Option<Duration>,
    pub(crate) running: Option<Running>,
}

impl Endpoint {
    /// Starts an endpoint.
    ///
    /// # Errors
    /// [`Failure`]: an address that is taken, for example.
    pub(crate) async fn start(start: Start<'_>) -> Result<Self, Failure> {
        let mut builder = telemesh::builder(start.keys);
        for address in start.listen {
            builder = builder.listen(*address);
        }
        if let Some(time) = start.survive_down {
            builder = builder.survive_down(time);
        }
        let mesh = builder.create().await?;
        let hub = Hub::start(&mesh)?;
        let inner = Inner {
            mesh,
            hub,
            guests: Arc::default(),
            pipes: Pipes::default(),
            started: Instant::now(),
            running: start.running,
            _lock: start.lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn mesh(&self) -> &Mesh {
        &self.inner.mesh
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.inner.hub
    }

    pub(crate) fn pipes(&self) -> &Pipes {
        &self.inner.pipes
    }

    fn guests(&self) -> &Arc<Guests> {
        &self.inner.guests
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.inner.started.elapsed()
    }

    /// What only an endpoint that stays up has.
    pub(crate) fn running(&self) -> Option<&Running> {
        self.inner.running.as_ref()
    }

    /// The name of a contact.
    #[allow(clippy::unused_self, reason = "contacts have names once the store has them")]
    pub(crate) fn name_of(&self, _peer: &Hashname) -> Option<String> {
        None
    }

    /// What a `TO` means here.
    ///
    /// # Errors
    /// [`Failure::Usage`], without the text itself if it may hold a secret.
    pub(crate) fn target(&self, to: &Secret) -> Result<LinkTarget, Failure> {
        target::parse(to.expose())
    }

    /// Makes sure that all that was sent over a link has arrived.
    ///
    /// # Errors
    /// When the other end has not confirmed it.
    pub(crate) async fn delivered(&self, link: &Link) -> Result<(), Failure> {
        if link.drained(DELIVERY_LIMIT).await { Ok(()) } else { Err(undelivered()) }
    }

    /// Ends the endpoint in order. Whether everything that was sent has arrived.
    pub(crate) async fn close(&self) -> bool {
        let delivered = self.mesh().close().await.delivered;
        self.guests().forget_all(self.mesh());
        delivered
    }
}

/// What was sent may not have arrived.
pub(crate) fn undelivered() -> Failure {
    Failure::Failed("the other end has not confirmed everything that was sent".into())
}
