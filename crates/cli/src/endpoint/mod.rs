//! The endpoint that carries out requests: the mesh, the [`hub`] that answers its channels, and what the commands share.

pub(crate) mod boxes;
pub(crate) mod dial;
pub(crate) mod hub;
pub(crate) mod pipes;
pub(crate) mod serve;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use telemesh::boxes::Boxes;
use telemesh::chat::{self, BoxMailbox, Chats};
use telemesh::{FileStore, Hashname, KeySet, Link, Mesh, MeshChats as _};

use crate::actions::chat::fallback;
use crate::failure::Failure;
use crate::listen::{self, ListenAddress};
use crate::lock::HomeLock;
use crate::running::Running;
use boxes::Cache;
use dial::Guests;
use hub::Hub;
use pipes::Pipes;
pub(crate) use trust::ForNow;

/// How long an endpoint that ends waits for somebody to keep what was said in chats; it is in the store by then. A recipient whose
/// link is up in name only has two seconds to answer before a cache is asked.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(5);

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
    boxes: Boxes,
    guests: Arc<Guests>,
    pipes: Pipes,
    chats: Option<Chats>,
    inviting: Mutex<()>,
    /// Who keeps our messages besides our routers.
    box_via: Mutex<Vec<Hashname>>,
    /// Whether the gateway is asked for a way in.
    maps_port: bool,
    started: Instant,
    /// What only an endpoint that stays up has.
    running: Option<Running>,
    /// Where it keeps what is its own; a throw-away endpoint keeps nothing.
    home: Option<PathBuf>,
    /// The home is ours for as long as the endpoint uses its key.
    _lock: Option<HomeLock>,
}

/// How an endpoint starts.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) keys: KeySet,
    pub(crate) lock: Option<HomeLock>,
    /// Where what is not in the store is kept; in memory if there is none.
    pub(crate) home: Option<PathBuf>,
    pub(crate) listen: &'a [ListenAddress],
    /// Where to listen if nothing else is said and nobody else does.
    pub(crate) port: Option<u16>,
    /// Where contacts and invites are kept; in memory if there is none.
    pub(crate) store: Option<FileStore>,
    pub(crate) survive_down: Option<Duration>,
    /// Whether strangers may learn that somebody is here.
    pub(crate) public: bool,
    /// Whether to lead others to each other.
    pub(crate) router: bool,
    pub(crate) max_links: Option<usize>,
    /// Whether to hear who is on the local network; if nothing is said, where that makes sense.
    pub(crate) mdns: Option<bool>,
    /// Whether to ask the gateway for a way in.
    pub(crate) map_port: bool,
    pub(crate) running: Option<Running>,
    /// What its boxes do for others.
    pub(crate) boxes: Cache,
    /// Where chats are kept, if there are to be any.
    pub(crate) chats: Option<Arc<dyn chat::Store>>,
}

impl Endpoint {
    /// Starts an endpoint.
    ///
    /// # Errors
    /// [`Failure`]: an address that is taken, for example.
    pub(crate) async fn start(start: Start<'_>) -> Result<Self, Failure> {
        listen::check(start.listen, start.public || start.router)?;
        let mut builder = telemesh::builder(start.keys).public(start.public);
        if start.router {
            builder = builder.router(telemesh::BridgeConfig::default());
        }
        if let Some(port) = start.port {
            builder = builder.prefer_port(port);
        }
        for address in start.listen {
            builder = match address {
                ListenAddress::Udp(address) => builder.listen(*address),
                ListenAddress::Quic(address) => builder.listen_quic(*address),
            };
        }
        if let Some(time) = start.survive_down {
            builder = builder.survive_down(time);
        }
        if let Some(links) = start.max_links {
            builder = builder.max_links(links);
        }
        if let Some(mdns) = start.mdns {
            builder = builder.mdns(mdns);
        }
        builder = builder.map_port(start.map_port);
        if let Some(store) = start.store {
            builder = builder.store(Arc::new(store));
        }
        let mesh = builder.create().await?;
        let hub = Hub::start(&mesh)?;
        let boxes = boxes::start(&mesh, start.home.as_deref(), &start.boxes).await?;
        let chats = match start.chats {
            Some(store) => {
                let mailbox = BoxMailbox::new(&boxes).map_err(|error| Failure::Failed(error.to_string()))?;
                let config = chat::Config::new(fallback()).store(store).mailbox(Arc::new(mailbox));
                Some(mesh.chats(config).await.map_err(no_chats)?)
            }
            None => None,
        };
        let inner = Inner {
            mesh,
            hub,
            boxes,
            guests: Arc::default(),
            pipes: Pipes::default(),
            chats,
            inviting: Mutex::default(),
            box_via: Mutex::default(),
            maps_port: start.map_port,
            started: Instant::now(),
            running: start.running,
            home: start.home,
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

    pub(crate) fn boxes(&self) -> &Boxes {
        &self.inner.boxes
    }

    /// Who keeps our messages, besides our routers, from now on.
    pub(crate) fn set_box_via(&self, caches: Vec<Hashname>) {
        *self.inner.box_via.lock().unwrap_or_else(PoisonError::into_inner) = caches;
        self.choose_caches();
    }

    /// Contacts have changed: their messages, and ours, are left with those who keep them now.
    pub(crate) fn choose_caches(&self) {
        let mut all = boxes::routers(self.mesh());
        let via = self.inner.box_via.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.extend(via.into_iter().filter(|cache| self.mesh().contact(cache).is_some()));
        let now = self.boxes().caches();
        if now.all() != all {
            self.boxes().set_caches(now.with_all(all));
        }
    }

    pub(crate) fn pipes(&self) -> &Pipes {
        &self.inner.pipes
    }

    /// Its home folder; `None` for a throw-away endpoint.
    pub(crate) fn home(&self) -> Option<&Path> {
        self.inner.home.as_deref()
    }

    /// The chats.
    ///
    /// # Errors
    /// An endpoint that was started for something else has none.
    pub(crate) fn chats(&self) -> Result<&Chats, Failure> {
        self.inner.chats.as_ref().ok_or_else(|| Failure::Failed("this endpoint has no chats".into()))
    }

    /// Whether the gateway is asked for a way in.
    pub(crate) fn maps_port(&self) -> bool {
        self.inner.maps_port
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

    /// Held while an invite is made.
    fn inviting(&self) -> MutexGuard<'_, ()> {
        self.inner.inviting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that all that was sent over a link has arrived.
    ///
    /// # Errors
    /// When the other end has not confirmed it.
    pub(crate) async fn delivered(&self, link: &Link) -> Result<(), Failure> {
        if link.drained(DELIVERY_LIMIT).await { Ok(()) } else { Err(undelivered()) }
    }

    /// What was said in chats and those who are away have not got gets away: to somebody who keeps it until they come, or at least
    /// into the store, from where it is offered again.
    async fn mail(&self) {
        let Some(chats) = &self.inner.chats else { return };
        let stored = async { chats.mail().await.is_ok() };
        if !tokio::time::timeout(DELIVERY_LIMIT, stored).await.unwrap_or(false) {
            tracing::warn!(
                "what was said last is in no box; those who are away get it when we are there too"
            );
        }
        self.boxes().handed_over(&BoxMailbox::label(), HAND_OVER_LIMIT).await;
    }

    /// Ends the endpoint in order. Whether everything that was sent has arrived.
    pub(crate) async fn close(&self) -> bool {
        self.mail().await;
        let guests_have_all = self.guests().dismiss(self.mesh(), DELIVERY_LIMIT).await;
        if let Err(error) = self.mesh().saved().await {
            tracing::error!(%error, "what has changed last was not saved");
        }
        self.mesh().close().await.delivered && guests_have_all
    }
}

/// The chats do not start.
#[allow(clippy::needless_pass_by_value, reason = "errors are mapped by value")]
fn no_chats(error: chat::StartError) -> Failure {
    Failure::Failed(error.to_string())
}

/// What was sent may not have arrived.
pub(crate) fn undelivered() -> Failure {
    Failure::Failed("the other end has not confirmed everything that was sent".into())
}
