//! Opening a WebSocket: [`connect`], and the builder that it is.

use std::fmt;
use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use telemesh_channel::Opener;
use telemesh_thtp::{Body, HttpOpener as _, upgraded};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::error::ConnectError;
use crate::limits::MAX_MESSAGE;
use crate::server::is_token;
use crate::socket::WebSocket;

/// Opens a WebSocket at a path of what the peer serves; await what it gives.
pub fn connect<O: Opener + ?Sized>(opener: &O, path: impl Into<String>) -> Connect<'_, O> {
    Connect {
        opener,
        path: path.into(),
        protocols: Vec::new(),
        headers: Vec::new(),
        max_message: MAX_MESSAGE,
    }
}

/// Adds `ws()` to every link, and to every other [`Opener`].
pub trait WsOpener: Opener {
    /// As [`connect`].
    fn ws(&self, path: impl Into<String>) -> Connect<'_, Self> {
        connect(self, path)
    }
}

impl<O: Opener + ?Sized> WsOpener for O {}

/// A WebSocket that is about to be opened; see [`connect`].
pub struct Connect<'a, O: ?Sized> {
    opener: &'a O,
    path: String,
    protocols: Vec<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    max_message: usize,
}

impl<O: Opener + ?Sized> Connect<'_, O> {
    /// Offers these sub-protocols, the best first; [`WebSocket::protocol`] says which one the peer has taken.
    #[must_use]
    pub fn protocols<S: Into<String>>(mut self, protocols: impl IntoIterator<Item = S>) -> Self {
        self.protocols.extend(protocols.into_iter().map(Into::into));
        self
    }

    /// Adds a header to the request.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The largest message in either direction, in bytes; [`MAX_MESSAGE`] if nothing is said.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    async fn connect(self) -> Result<WebSocket, ConnectError> {
        let key = generate_key();
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Some(self.path.as_str())
            .filter(|path| path.starts_with('/'))
            .and_then(|path| path.parse::<Uri>().ok())
            .ok_or(ConnectError::Usage("path"))?;
        let headers = request.headers_mut();
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let key_value = HeaderValue::from_str(&key).map_err(|_| ConnectError::Usage("key"))?;
        headers.insert(SEC_WEBSOCKET_KEY, key_value);
        if !self.protocols.is_empty() {
            let all_tokens = self.protocols.iter().all(|protocol| is_token(protocol));
            let offer = HeaderValue::try_from(self.protocols.join(", ")).ok().filter(|_| all_tokens);
            headers.insert(SEC_WEBSOCKET_PROTOCOL, offer.ok_or(ConnectError::Usage("sub-protocol"))?);
        }
        let mut response = self.opener.http(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ConnectError::Status(response.status()));
        }
        let protocol = check(response.headers(), &key, &self.protocols)?;
        let io = upgraded(&mut response).ok_or(ConnectError::Handshake("there is no connection"))?;
        Ok(WebSocket::new(io, Role::Client, protocol, self.max_message).await)
    }
}

impl<'a, O: Opener + ?Sized> IntoFuture for Connect<'a, O> {
    type Output = Result<WebSocket, ConnectError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connect())
    }
}

/// What a server must answer (RFC 6455, section 4.1). The sub-protocol that it has taken.
fn check(headers: &HeaderMap, key: &str, offered: &[String]) -> Result<Option<String>, ConnectError> {
    if headers
        .get(SEC_WEBSOCKET_ACCEPT)
        .is_none_or(|accept| accept != derive_accept_key(key.as_bytes()).as_str())
    {
        return Err(ConnectError::Handshake("a wrong sec-websocket-accept"));
    }
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(ConnectError::Handshake("extensions that were not offered"));
    }
    let mut taken = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    let Some(protocol) = taken.next() else { return Ok(None) };
    let offered = offered.iter().find(|offered| protocol == offered.as_str());
    match (offered, taken.next()) {
        (Some(protocol), None) => Ok(Some(protocol.clone())),
        _ => Err(ConnectError::Handshake("a sub-protocol that was not offered")),
    }
}

impl<O: Opener + ?Sized> fmt::Debug for Connect<'_, O> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connect").field("path", &self.path).finish_non_exhaustive()
    }
}
