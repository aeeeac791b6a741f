//! Upgrades for services that were written for hyper, axum's `WebSocketUpgrade` for example: they want hyper's own type for
//! the connection behind a request, and only hyper can make one. So hyper's client and server talk here in memory.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::HttpService;
use super::exchange::{refuse_switch, status, switched};
use crate::body::Body;
use crate::error::BoxError;
use crate::reader::MessageReader;
use crate::upgrade::Upgraded;
use crate::writer::MessageWriter;

/// Bytes that may wait between the two, each way.
const BUFFER: usize = 64 * 1024;

/// Has the service answer a request to switch, and carries the bytes if it does.
pub(super) async fn serve(
    service: Arc<dyn HttpService>,
    request: Request<()>,
    protocol: &HeaderValue,
    reader: MessageReader,
    mut writer: MessageWriter,
) {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let peer = request.extensions().get::<super::Peer>().copied();
    let answer = service_fn(move |mut request: Request<Incoming>| {
        let service = Arc::clone(&service);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        async move {
            Ok::<_, Infallible>(service.call(request.map(Body::new)).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the service has failed");
                status(StatusCode::INTERNAL_SERVER_ERROR)
            }))
        }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), answer);
    let talk = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(ours)).await?;
        let connection = connection.with_upgrades();
        let send = async {
            let response = sender.send_request(request.map(|()| Empty::<bytes::Bytes>::new())).await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                refuse_switch(response.map(Body::new), reader, writer).await;
                return Ok(());
            }
            let (parts, body) = response.into_parts();
            let block = switched(http::Response::from_parts(parts.clone(), ()), protocol)?;
            let response = http::Response::from_parts(parts, body);
            writer.frames().head(&block, false);
            let mut io = TokioIo::new(hyper::upgrade::on(response).await?);
            writer.flush().await?;
            let (early, read) = reader.into_raw();
            let mut channel = Upgraded::new(early, read, writer.into_raw());
            copy_bidirectional(&mut io, &mut channel).await?;
            Ok::<_, BoxError>(())
        };
        let mut send = std::pin::pin!(send);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            result = &mut send => result,
            result = &mut connection => {
                result?;
                send.await
            }
        }
    };
    // The server's half ends with an upgrade or the response; what it has handed out lives on.
    let both = async { tokio::join!(talk, connection.with_upgrades()) };
    if let (Err(error), _) = both.await {
        tracing::debug!(%error, "an upgrade has failed");
    }
}
