//! [`Server`]: the one handler of this channel type at an endpoint. Whom it serves, and with what.

mod bridge;
mod exchange;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Buf;
use futures_core::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use http_body::Body as HttpBody;
use telemesh_channel::{GrantChanges, HandleError, Handler, Incoming, Network, WeakNetwork};
use telemesh_hashname::Hashname;
use telemesh_wire::{Refusal, RefusalCode};
use tower_service::Service;

pub(crate) use self::exchange::status;
use crate::THTP;
use crate::body::Body;
use crate::error::BoxError;
use crate::leave::Leave;
use crate::limits::MAX_REQUESTS;
use crate::upgrade::UpgradeHandler;

/// The grant that a peer needs to be served. When it is taken away, whatever is open for the peer ends at once.
pub const SERVE: &str = "serve";

/// In the extensions of every request that is served: who asks. The link has authenticated this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub Hashname);

/// Adds `serve_http()` to the mesh.
pub trait HttpServer: Network {
    /// Serves HTTP to the peers that have the grant [`SERVE`] from now on: any tower service, an axum `Router` for example.
    ///
    /// # Errors
    /// [`HandleError::Taken`] if something is served already.
    fn serve_http<S, B>(&self, service: S) -> Result<(), HandleError>
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: HttpBody + Send + 'static,
        B::Data: Buf,
        B::Error: Into<BoxError>,
        Self: Sized,
    {
        Server::of(self)?.serve(service)
    }
}

impl<N: Network> HttpServer for N {}

/// What an endpoint serves: one service, and upgrades at certain paths beside it. Clones are the same.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    network: Arc<dyn WeakNetwork>,
    changes: GrantChanges,
    service: RwLock<Option<Arc<dyn HttpService>>>,
    /// By protocol (lower case) and path.
    upgrades: RwLock<BTreeMap<(String, String), Arc<dyn UpgradeHandler>>>,
}

impl Server {
    /// The server of this endpoint, which is registered if it was not.
    ///
    /// # Errors
    /// [`HandleError::Taken`] if this channel type has a handler that is no such server.
    pub fn of<N: Network + ?Sized>(network: &N) -> Result<Self, HandleError> {
        if let Some(handler) = network.handler(THTP) {
            let handler: &dyn std::any::Any = &*handler;
            return handler.downcast_ref().cloned().ok_or_else(|| HandleError::Taken(THTP.to_owned()));
        }
        let inner = Inner {
            network: network.downgrade(),
            changes: GrantChanges::of(network.downgrade()),
            service: RwLock::default(),
            upgrades: RwLock::default(),
        };
        let server = Self(Arc::new(inner));
        network.handle(THTP, Arc::new(server.clone()))?;
        Ok(server)
    }

    /// Serves with this service from now on.
    ///
    /// # Errors
    /// [`HandleError::Taken`] if there is one already.
    pub fn serve<S, B>(&self, service: S) -> Result<(), HandleError>
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: HttpBody + Send + 'static,
        B::Data: Buf,
        B::Error: Into<BoxError>,
    {
        let mut place = self.0.service.write().unwrap_or_else(PoisonError::into_inner);
        if place.is_some() {
            return Err(HandleError::Taken(THTP.to_owned()));
        }
        *place = Some(Arc::new(Tower(Mutex::new(service))));
        Ok(())
    }

    /// Serves nothing from now on but upgrades. Requests that are being answered go on.
    pub fn stop_serving(&self) {
        *self.0.service.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Answers requests to switch to `protocol` at `path`, before the service hears of them.
    ///
    /// # Errors
    /// [`HandleError::Taken`] if somebody answers there already.
    pub fn upgrade(
        &self,
        protocol: &str,
        path: &str,
        handler: impl UpgradeHandler,
    ) -> Result<(), HandleError> {
        let mut upgrades = self.0.upgrades.write().unwrap_or_else(PoisonError::into_inner);
        let key = (protocol.to_ascii_lowercase(), path.to_owned());
        if upgrades.contains_key(&key) {
            return Err(HandleError::Taken(format!("{THTP}{path}")));
        }
        upgrades.insert(key, Arc::new(handler));
        Ok(())
    }

    fn service(&self) -> Option<Arc<dyn HttpService>> {
        self.0.service.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn upgrade_handler(&self, protocol: &HeaderValue, path: &str) -> Option<Arc<dyn UpgradeHandler>> {
        let protocol = protocol.to_str().ok()?.to_ascii_lowercase();
        let upgrades = self.0.upgrades.read().unwrap_or_else(PoisonError::into_inner);
        upgrades.get(&(protocol, path.to_owned())).cloned()
    }

    /// Why a peer is not served.
    fn refusal(&self, peer: &Hashname) -> Option<Refusal> {
        let granted = self.0.network.upgrade().is_some_and(|network| network.has_grant(peer, SERVE));
        if !granted {
            return Some(Refusal::new(RefusalCode::NotAllowed, "the grant `serve` is needed"));
        }
        let upgrades = self.0.upgrades.read().unwrap_or_else(PoisonError::into_inner);
        let serves = !upgrades.is_empty() || self.service().is_some();
        (!serves).then(|| Refusal::new(RefusalCode::UnknownType, "no HTTP is served here"))
    }
}

impl Handler for Server {
    fn handle(&self, incoming: Incoming) -> BoxFuture<'static, ()> {
        let server = self.clone();
        Box::pin(async move {
            let (peer, changes) = (incoming.peer(), server.0.changes.subscribe());
            if let Some(refusal) = server.refusal(&peer) {
                return incoming.refuse(refusal);
            }
            let leave = Leave::new(server.0.network.clone(), changes, peer);
            exchange::serve(server, incoming, leave).await;
        })
    }

    fn max_open(&self) -> usize {
        MAX_REQUESTS
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Server").field("serves", &self.service().is_some()).finish_non_exhaustive()
    }
}

/// A service whose type nobody needs to know.
trait HttpService: Send + Sync {
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>>;
}

/// Each request gets a clone, as with every server of tower services.
struct Tower<S>(Mutex<S>);

impl<S, B> HttpService for Tower<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: HttpBody + Send + 'static,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        let mut service = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
            let response = service.call(request).await.map_err(Into::into)?;
            Ok(response.map(Body::new))
        })
    }
}
