//! [`Gateway`]: HTTP on this machine for browsers and programs that know nothing of links.
//!
//! `http://<hashname>.localhost:<port>/` is what that endpoint serves; each hashname is a web origin of its own, so that pages of
//! one endpoint cannot read or change what another one's have stored. A contact's name in place of the hashname leads there. Used
//! as a forward proxy it does the same for `http://<hashname>.mesh/`.
//!
//! `CONNECT` to such a name opens a tunnel in which HTTP is served for that name and no other, since browsers want one for
//! WebSockets. There is none to port 443: nothing there speaks TLS, and the link encrypts what is `http://` here.
//!
//! # Who may use it
//! A loopback port belongs to all users of a machine and to every web page that they open, so every request needs one of:
//! - the session cookie of its origin, which a browser gets by opening [`Gateway::open_url`], a URL with the [`Token`], once;
//! - the token in the header [`TOKEN_HEADER`], for scripts;
//! - the token as the password of `Proxy-Authorization: Basic`, for the forward proxy.
//!
//! None of them travels to an endpoint. The cookie is made from the token and the origin, so an endpoint's page that got hold of it
//! could do nothing with it but visit itself. It has two weak points, which are those of cookies: browsers do not keep them
//! apart by port, so a server of another user at the same name and another port sees it if the browser is lured there; and a user
//! who gets at the browser's files has it.
//!
//! # Which requests are passed on
//! `Host` must be a name under `.localhost` with this port, or under `.mesh`; everything else is a mistake or DNS rebinding. `Origin`
//! and `Sec-Fetch-Site` must say that a request comes from a page of the same origin or from nowhere, for WebSockets too, which
//! browsers do not guard. Only a link that somebody follows may lead here from another page. So a service's CORS headers open
//! nothing to other origins. And only contacts are reached.

mod guard;
mod names;
mod pages;
mod pass;
mod token;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use telemesh_channel::Network;
use telemesh_hashname::Hashname;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

pub use self::guard::TOKEN_HEADER;
use self::names::Name;
pub use self::token::{ParseTokenError, Token};
use crate::body::Body;
use crate::limits::{MAX_HEADER_LIST, MAX_HEADERS};

/// Whom the gateway leads to.
pub trait Contacts: Send + Sync + 'static {
    /// The contact of this name, in whatever case.
    fn named(&self, name: &str) -> Option<Hashname>;

    /// Whether this is a contact.
    fn contains(&self, hashname: &Hashname) -> bool;
}

/// See the module's page. Clones are the same.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    network: Arc<dyn Network>,
    contacts: Box<dyn Contacts>,
    token: Token,
    /// The port in URLs.
    port: u16,
}

impl Gateway {
    /// A gateway into this network, at this address.
    pub fn new(
        network: Arc<dyn Network>,
        contacts: impl Contacts,
        token: Token,
        address: SocketAddr,
    ) -> Self {
        Self(Arc::new(Shared { network, contacts: Box::new(contacts), token, port: address.port() }))
    }

    /// The URL that opens a session for a name (a contact's or a hashname) in the browser that visits it, and then shows the
    /// name's first page. It contains the token.
    #[must_use]
    pub fn open_url(&self, name: &str) -> String {
        let Shared { token, port, .. } = &*self.0;
        format!("http://{name}.localhost:{port}{}?token={}", guard::OPEN_PATH, *token.to_secret_string())
    }

    /// Serves whoever connects, until it is dropped.
    ///
    /// # Errors
    /// When the listener fails for good; out of file descriptors it waits and goes on.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        self.serve_at_once(listener, MAX_CONNECTIONS).await
    }

    async fn serve_at_once(&self, listener: TcpListener, count: usize) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(count));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            // Whoever comes next waits in the system's queue.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, "the gateway could not take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            // Answers are written in whole already; waiting for more only delays them.
            let _ = stream.set_nodelay(true);
            let shared = Arc::clone(&self.0);
            let place = Place(Arc::new(place));
            connections.spawn(async move {
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (shared, place) = (Arc::clone(&shared), place.clone());
                    async move { Ok::<_, Infallible>(shared.answer(request, place).await) }
                });
                let served = server().serve_connection_with_upgrades(TokioIo::new(stream), answer).await;
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection of the gateway has ended");
                }
            });
        }
    }
}

/// What hyper is to be strict about.
fn server() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_LIST * 2)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEADER_LIST).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

/// Whether a listener that fails like this works again later (accept(2)).
fn is_passing(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS and ENOMEM have no kind of their own everywhere.
    !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected)
}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gateway").field("port", &self.0.port).finish_non_exhaustive()
    }
}

/// One of the connections that there may be, kept until whatever a connection has become has ended.
#[derive(Clone)]
struct Place(#[allow(dead_code, reason = "kept for its drop")] Arc<OwnedSemaphorePermit>);

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, place: Place) -> Response<Body> {
        match guard::check(&self, &request) {
            Ok(target) if request.method() == Method::CONNECT => {
                tokio::spawn(self.tunnel(request, target.name, place));
                Response::new(Body::empty())
            }
            Ok(target) => pass::pass_on(&self, request, target, place).await,
            Err(response) => *response,
        }
    }

    /// Serves HTTP for one name in a tunnel.
    async fn tunnel(self: Arc<Self>, request: Request<Incoming>, name: Name, place: Place) {
        let Ok(tunnel) = hyper::upgrade::on(request).await else { return };
        let answer = service_fn(move |request: Request<Incoming>| {
            let (shared, name, place) = (Arc::clone(&self), name.clone(), place.clone());
            async move {
                Ok::<_, Infallible>(match guard::check_inside(&shared, &request, &name) {
                    Ok(target) => pass::pass_on(&shared, request, target, place).await,
                    Err(response) => *response,
                })
            }
        });
        if let Err(error) = server().serve_connection_with_upgrades(tunnel, answer).await {
            tracing::debug!(%error, "a tunnel of the gateway has ended");
        }
    }
}

/// Connections at once: browsers open six per origin.
const MAX_CONNECTIONS: usize = 1_024;

/// Requests at once on one connection of HTTP/2.
const MAX_STREAMS: u32 = 256;

/// How long a client may take for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
