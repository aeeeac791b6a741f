//! Answering WebSockets: [`route`], a path with a handler.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use data_encoding::BASE64;
use futures_core::future::BoxFuture;
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use telemesh_channel::{HandleError, Network};
use telemesh_thtp::{Body, Decision, Server, UpgradeHandler};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::limits::MAX_MESSAGE;
use crate::socket::WebSocket;

/// Adds `on_ws()` to the mesh.
pub trait WsServer: Network {
    /// Answers WebSockets at this path from now on, of peers with the grant [`SERVE`](telemesh_thtp::SERVE). Beside it,
    /// `serve_http` serves everything else.
    ///
    /// # Errors
    /// [`HandleError::Taken`] if somebody answers there already.
    fn on_ws<F, Task>(&self, path: &str, handler: F) -> Result<(), HandleError>
    where
        F: Fn(WebSocket) -> Task + Send + Sync + 'static,
        Task: Future<Output = ()> + Send + 'static,
    {
        route(path, handler).serve(self)
    }
}

impl<N: Network + ?Sized> WsServer for N {}

/// A path at which WebSockets are answered: `handler` serves each in a task of its own.
pub fn route<F, Task>(path: impl Into<String>, handler: F) -> Route
where
    F: Fn(WebSocket) -> Task + Send + Sync + 'static,
    Task: Future<Output = ()> + Send + 'static,
{
    let handler = move |socket| -> BoxFuture<'static, ()> { Box::pin(handler(socket)) };
    Route { path: path.into(), protocols: Vec::new(), max_message: MAX_MESSAGE, handler: Arc::new(handler) }
}

/// See [`route`].
#[derive(Clone)]
pub struct Route {
    path: String,
    protocols: Vec<String>,
    max_message: usize,
    handler: Arc<dyn Fn(WebSocket) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Route {
    /// Sub-protocols that are spoken here. Of those that a client offers the first one is taken; a client that offers none of
    /// them gets a socket without one.
    #[must_use]
    pub fn protocols<S: Into<String>>(mut self, protocols: impl IntoIterator<Item = S>) -> Self {
        self.protocols.extend(protocols.into_iter().map(Into::into));
        self
    }

    /// The largest message in either direction, in bytes; [`MAX_MESSAGE`] if nothing is said.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Answers there from now on.
    ///
    /// # Errors
    /// [`HandleError::Taken`] if somebody answers there already.
    pub fn serve<N: Network + ?Sized>(self, network: &N) -> Result<(), HandleError> {
        let path = self.path.clone();
        Server::of(network)?.upgrade("websocket", &path, self)
    }

    /// Of what a client offers, what is spoken here.
    fn choose(&self, headers: &HeaderMap) -> Option<String> {
        let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|line| line.to_str().ok());
        let mut offered = lines.flat_map(|line| line.split(',')).map(str::trim);
        offered.find(|offered| self.protocols.iter().any(|spoken| spoken == offered)).map(ToOwned::to_owned)
    }
}

impl UpgradeHandler for Route {
    fn decide(&self, request: Request<()>) -> Decision {
        let headers = request.headers();
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
            return Decision::Refuse(other_version());
        }
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).into_iter();
        let (Some(key), None) = (keys.next().filter(|key| is_key(key.as_bytes())), keys.next()) else {
            return Decision::Refuse(refused(StatusCode::BAD_REQUEST));
        };
        let mut response = Response::new(());
        if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
            response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        let protocol = self.choose(headers);
        if let Some(protocol) = protocol.as_deref().and_then(|protocol| HeaderValue::try_from(protocol).ok())
        {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let (handler, max_message) = (Arc::clone(&self.handler), self.max_message);
        let serve = move |io| -> BoxFuture<'static, ()> {
            Box::pin(
                async move { handler(WebSocket::new(io, Role::Server, protocol, max_message).await).await },
            )
        };
        Decision::Switch { response, serve: Box::new(serve) }
    }
}

/// 16 bytes in base64 (RFC 6455, section 4.2.1).
fn is_key(key: &[u8]) -> bool {
    BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// The name of a sub-protocol (RFC 6455, section 4.1).
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !br#"()<>@,;:\"/[]?={}"#.contains(&byte))
}

fn refused(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Says which version is spoken (RFC 6455, section 4.4).
fn other_version() -> Response<Body> {
    let mut response = refused(StatusCode::UPGRADE_REQUIRED);
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    response
}

/// The version of RFC 6455, and the only one.
const VERSION: &str = "13";

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Route").field("path", &self.path).finish_non_exhaustive()
    }
}
