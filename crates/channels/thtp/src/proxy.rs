//! [`Proxy`]: requests of peers, passed on to an HTTP server on this machine.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use http::header::{CONNECTION, FORWARDED, HOST, UPGRADE};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::copy_bidirectional;
use tower_service::Service;

use crate::body::Body;
use crate::rules;
use crate::server::{Peer, status};

/// The header in which a server behind a [`Proxy`] reads who asks: a hashname, which the link has authenticated. What peers
/// send under that name is left out.
pub const PEER_HEADER: HeaderName = HeaderName::from_static("telemesh-peer");

/// Headers by which proxies tell servers about clients. A peer is no such proxy.
const OF_PROXIES: [&str; 5] =
    ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-real-ip"];

/// Passes requests on to an HTTP server: a tower service for [`serve_http`](crate::HttpServer::serve_http).
///
/// The server is named by a URL: `http://127.0.0.1:3000` for HTTP/1.1, `h2c://127.0.0.1:3000` for HTTP/2 without TLS; a path
/// is put in front of every request's. It sees the host that the client has asked for, in the header `host` (with HTTP/2 in
/// `x-forwarded-host`), and who asks in [`PEER_HEADER`]. Bodies are passed on as they come, and over HTTP/1.1 upgrades too, for
/// WebSockets for example.
#[derive(Clone)]
pub struct Proxy {
    target: Target,
    client: HyperClient<HttpConnector, Body>,
}

#[derive(Clone, Debug)]
struct Target {
    authority: Authority,
    /// Without a slash at its end.
    path: String,
    http2: bool,
}

/// Why a text names no server to pass requests on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Not a URL.
    #[error("not a URL like http://127.0.0.1:3000")]
    Url,
    /// Another scheme than `http` or `h2c`.
    #[error("a server is reached through http:// or h2c:// (HTTP/2)")]
    Scheme,
    /// A query, or a name and password.
    #[error("the URL of a server has no query and no user")]
    Extra,
}

impl FromStr for Target {
    type Err = ProxyError;

    fn from_str(url: &str) -> Result<Self, ProxyError> {
        let url: Uri = url.parse().map_err(|_| ProxyError::Url)?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(ProxyError::Url);
        };
        let http2 = match scheme {
            "http" => false,
            "h2c" => true,
            _ => return Err(ProxyError::Scheme),
        };
        if url.query().is_some() || authority.as_str().contains('@') {
            return Err(ProxyError::Extra);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { authority: authority.clone(), path, http2 })
    }
}

impl Proxy {
    /// Passes requests on to the server with this URL. It is not contacted before the first one.
    ///
    /// # Errors
    /// [`ProxyError`].
    pub fn to(url: &str) -> Result<Self, ProxyError> {
        let target: Target = url.parse()?;
        let mut builder = HyperClient::builder(TokioExecutor::new());
        builder.http2_only(target.http2);
        Ok(Self { target, client: builder.build_http() })
    }
}

impl Service<Request<Body>> for Proxy {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move { Ok(proxy.pass_on(request).await) })
    }
}

impl Proxy {
    async fn pass_on(&self, mut request: Request<Body>) -> Response<Body> {
        let protocol = rules::upgrade_of(request.headers());
        if protocol.is_some() && self.target.http2 {
            return status(StatusCode::NOT_IMPLEMENTED);
        }
        // Only there if somebody wants to switch.
        let theirs = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
        let peer = request.extensions().get::<Peer>().copied();
        let Some(request) = self.target.address(request, protocol.as_ref(), peer) else {
            return status(StatusCode::BAD_REQUEST);
        };
        let mut response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(%error, server = %self.target.authority, "a server does not answer");
                return status(StatusCode::BAD_GATEWAY);
            }
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let ours = hyper::upgrade::on(&mut response);
            // Ends with either connection.
            tokio::spawn(async move {
                if let (Some(theirs), Ok(ours)) = (theirs, ours.await)
                    && let Ok(theirs) = theirs.await
                {
                    let _ = copy_bidirectional(&mut TokioIo::new(theirs), &mut TokioIo::new(ours)).await;
                }
            });
            return response.map(|_| Body::empty());
        }
        rules::strip_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        response.map(Body::new)
    }
}

impl Target {
    /// The request as the server gets it; `None` if it has no address there.
    fn address(
        &self,
        request: Request<Body>,
        protocol: Option<&HeaderValue>,
        peer: Option<Peer>,
    ) -> Option<Request<Body>> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        // `*` is about the server, not about a path.
        let path = if path == "*" { "*".to_owned() } else { format!("{}{path}", self.path) };
        let uri = Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone()).path_and_query(path);
        parts.uri = uri.build().ok()?;
        parts.version = if self.http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        parts.extensions.clear();
        self.rewrite(&mut parts.headers, protocol, peer);
        Some(Request::from_parts(parts, body))
    }

    fn rewrite(&self, headers: &mut HeaderMap, protocol: Option<&HeaderValue>, peer: Option<Peer>) {
        rules::strip_hop_by_hop(headers);
        for name in OF_PROXIES {
            headers.remove(name);
        }
        headers.remove(FORWARDED);
        headers.remove(PEER_HEADER);
        if let Some(Peer(peer)) = peer
            && let Ok(peer) = HeaderValue::try_from(peer.to_string())
        {
            headers.insert(PEER_HEADER, peer);
        }
        if let Some(host) = headers.get(HOST).cloned() {
            headers.insert("x-forwarded-host", host);
        }
        if self.http2 {
            // There the address says it, which is the server's own.
            headers.remove(HOST);
        }
        if let Some(protocol) = protocol {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol.clone());
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Proxy").field("target", &self.target).finish_non_exhaustive()
    }
}
