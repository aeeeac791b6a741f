//! From a request on this machine to the peer's response.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream as _;
use http::header::{CONNECTION, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use telemesh_channel::{LinkEvent, Network, Opener};
use telemesh_hashname::Hashname;
use tokio::io::copy_bidirectional;

use super::guard::{Target, confine, strip_secrets};
use super::names::Kind;
use super::{Place, Shared, pages};
use crate::body::Body;
use crate::client::HttpOpener as _;
use crate::rules;
use crate::upgrade::upgraded;

/// Passes a request on, and the response back.
pub(super) async fn pass_on(
    gateway: &Shared,
    request: Request<Incoming>,
    target: Target,
    place: Place,
) -> Response<Body> {
    let Some(link) = link_up(&*gateway.network, &target.peer).await else {
        return *pages::text(StatusCode::GATEWAY_TIMEOUT, "The endpoint cannot be reached.");
    };
    let protocol = rules::upgrade_of(request.headers());
    // Only HTTP/1.1 has upgrades in headers.
    let protocol = protocol.filter(|_| request.version() == Version::HTTP_11);
    let (request, ours) = rewrite(request, &target, gateway.port, protocol.as_ref());
    let mut response = match link.http(request).await {
        Ok(response) => response,
        Err(error) => return *pages::failure(&error),
    };
    confine(response.headers_mut());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let theirs = upgraded(&mut response);
        // Ends with either connection.
        tokio::spawn(async move {
            if let (Some(mut theirs), Ok(ours)) = (theirs, ours.await) {
                let _ = copy_bidirectional(&mut TokioIo::new(ours), &mut theirs).await;
            }
            drop(place);
        });
    }
    response
}

/// The request as it travels: without what is for the gateway, with the host that was asked for.
fn rewrite(
    mut request: Request<Incoming>,
    target: &Target,
    port: u16,
    protocol: Option<&HeaderValue>,
) -> (Request<Incoming>, hyper::upgrade::OnUpgrade) {
    let ours = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    strip_secrets(&mut parts.headers);
    rules::strip_hop_by_hop(&mut parts.headers);
    if let Some(protocol) = protocol {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, protocol.clone());
    }
    let origin = target.name.origin(port);
    let host = match target.name.kind {
        // As the browser has it, so that `Origin` and what a service makes of its own address agree.
        Kind::Localhost => origin.trim_start_matches("http://").to_owned(),
        Kind::Mesh => format!("{}.mesh", target.name.label),
    };
    if let Ok(host) = HeaderValue::try_from(host) {
        parts.headers.insert(http::header::HOST, host);
    }
    (Request::from_parts(parts, body), ours)
}

/// The link to a contact, once it is up.
async fn link_up(network: &dyn Network, peer: &Hashname) -> Option<Arc<dyn Opener>> {
    // Before looking, so that nothing is missed in between.
    let mut events = network.link_events();
    if !network.peers().contains(peer) {
        network.connect(peer);
        let up = async {
            while let Some(event) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
                match event {
                    LinkEvent::Up { peer: up } if up == *peer => return true,
                    LinkEvent::Lagged { .. } if network.peers().contains(peer) => return true,
                    _ => {}
                }
            }
            false
        };
        if !tokio::time::timeout(LINK_TIMEOUT, up).await.unwrap_or(false) {
            return None;
        }
    }
    network.link(peer)
}

/// How long a browser waits for an endpoint that is not linked yet.
const LINK_TIMEOUT: Duration = Duration::from_secs(20);
