//! One request and its response, from the channel that comes in to its end.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use telemesh_channel::Incoming;
use tokio::sync::oneshot;

use super::{HttpService, Peer, Server, bridge};
use crate::body::{Body, Exchange};
use crate::error::{BodyError, BoxError};
use crate::head::{RequestHead, read_request, write_response};
use crate::leave::{Guard, Leave};
use crate::limits::{CODE_ENOUGH, CODE_FAILED, CODE_MALFORMED, HEAD_TIMEOUT, LINGER};
use crate::reader::MessageReader;
use crate::rules::is_bodiless;
use crate::upgrade::{Decision, Upgraded};
use crate::writer::{Frames, MessageWriter, SendError, queue};

/// Serves one channel to its end, or until the peer is served no more: then what is done for it is dropped, and the channel
/// with it is reset.
pub(super) async fn serve(server: Server, incoming: Incoming, mut leave: Leave) {
    let peer = incoming.peer();
    let guarded = leave.clone();
    tokio::select! {
        biased;
        () = exchange(server, incoming, guarded) => {}
        () = leave.withdrawn() => tracing::debug!(%peer, "a request of a peer that is served no more"),
    }
}

async fn exchange(server: Server, incoming: Incoming, leave: Leave) {
    let peer = incoming.peer();
    let early = incoming.open().body.clone();
    // Refused if it is of the other kind.
    let Ok(channel) = incoming.accept() else { return };
    let (read, write) = channel.into_split();
    let mut reader = MessageReader::new(early, read);
    let writer = MessageWriter::new(write, Frames::default());
    let (mut head, end) = match read_head(&mut reader).await {
        Ok(read) => read,
        Err(error) => {
            tracing::debug!(%peer, %error, "a request that cannot be read");
            writer.reset(CODE_MALFORMED);
            return reader.stop(CODE_MALFORMED);
        }
    };
    head.request.extensions_mut().insert(Peer(peer));
    match head.protocol.take() {
        Some(protocol) if end => switch(&server, head.request, &protocol, (reader, writer), leave).await,
        Some(_) => writer.reset(CODE_MALFORMED),
        None => answer(&server, head, reader, writer, leave).await,
    }
}

async fn read_head(reader: &mut MessageReader) -> Result<(RequestHead, bool), BodyError> {
    let (block, end) =
        tokio::time::timeout(HEAD_TIMEOUT, reader.head()).await.map_err(|_| BodyError::Cut)??;
    let head = read_request(block)?;
    if head.protocol.is_none() {
        reader.begin_body(head.length)?;
    }
    Ok((head, end))
}

/// An ordinary request.
async fn answer(
    server: &Server,
    head: RequestHead,
    reader: MessageReader,
    mut writer: MessageWriter,
    leave: Leave,
) {
    let RequestHead { request, .. } = head;
    let method = request.method().clone();
    let (ended, is_ended) = oneshot::channel();
    let mut wanted = None;
    let request = if reader.has_ended() {
        let _ = ended.send(reader);
        request.map(|()| Body::empty())
    } else {
        let (wants, is_wanted) = oneshot::channel();
        if request
            .headers()
            .get(EXPECT)
            .is_some_and(|expects| expects.as_bytes().eq_ignore_ascii_case(b"100-continue"))
        {
            wanted = Some(is_wanted);
        }
        let exchange = Exchange::Request {
            wanted: wanted.is_some().then_some(wants),
            ended: Some(ended),
            guard: Guard::new(leave),
        };
        request.map(|()| Body::channel(reader, exchange))
    };
    let gone = writer.stopped();
    let result = {
        let work = pin!(async {
            let response = respond(server.service(), request, wanted, &mut writer).await;
            write(&mut writer, &method, response).await
        });
        tokio::select! {
            biased;
            result = work => Some(result),
            _ = gone => None,
        }
    };
    match result {
        Some(Ok(())) => writer.finish(),
        Some(Err(_)) => return writer.reset(CODE_FAILED),
        // Whatever was done for a client that has gone was dropped.
        None => return,
    }
    // To drop the request's direction before its end is here would tell the client to stop.
    let ended = async { is_ended.await.ok()?.closed().await.ok() };
    let _ = tokio::time::timeout(LINGER, ended).await;
}

/// What the service answers. Says on the way that the body is wanted.
async fn respond(
    service: Option<std::sync::Arc<dyn HttpService>>,
    request: Request<Body>,
    wanted: Option<oneshot::Receiver<()>>,
    writer: &mut MessageWriter,
) -> Response<Body> {
    let Some(service) = service else { return status(StatusCode::NOT_FOUND) };
    let mut call = service.call(request);
    let result = match wanted {
        None => call.await,
        Some(mut wanted) => tokio::select! {
            biased;
            result = &mut call => result,
            Ok(()) = &mut wanted => {
                say_continue(writer).await;
                call.await
            }
        },
    };
    result.unwrap_or_else(|error| {
        tracing::warn!(%error, "the service has failed");
        status(StatusCode::INTERNAL_SERVER_ERROR)
    })
}

async fn say_continue(writer: &mut MessageWriter) {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = StatusCode::CONTINUE;
    if let Ok(block) = write_response(parts, None, None) {
        writer.frames().head(&block, false);
        // Who has gone does not read the response either.
        let _ = writer.flush().await;
    }
}

/// A response of a status and nothing else.
pub(crate) fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Writes a response to its end.
pub(super) async fn write(
    writer: &mut MessageWriter,
    method: &Method,
    response: Response<Body>,
) -> Result<(), SendError> {
    let (mut parts, body) = response.into_parts();
    // It would be taken for an interim one, or for a switch that did not happen.
    if parts.status.is_informational() {
        parts.status = StatusCode::INTERNAL_SERVER_ERROR;
    }
    let bodiless = is_bodiless(method, parts.status);
    let body = if bodiless { Body::empty() } else { body };
    let length = if bodiless { None } else { body.size_hint().exact() };
    let mut body = pin!(body);
    let (block, is_whole) = match write_response(parts, length, None) {
        Ok(block) => (block, body.is_end_stream()),
        Err(error) => {
            tracing::warn!(%error, "a response that cannot be sent");
            (failed_head()?, true)
        }
    };
    writer.frames().head(&block, is_whole);
    if is_whole || queue_what_is_there(body.as_mut(), writer.frames()).await? {
        writer.cork();
        return Ok(writer.flush().await?);
    }
    writer.send_body(body).await
}

fn failed_head() -> Result<Bytes, SendError> {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = StatusCode::INTERNAL_SERVER_ERROR;
    Ok(write_response(parts, Some(0), None)?)
}

/// The first piece of a body travels with the head, if it is there. Whether that was all.
async fn queue_what_is_there(mut body: Pin<&mut Body>, frames: &mut Frames) -> Result<bool, SendError> {
    match poll_fn(|cx| Poll::Ready(body.as_mut().poll_frame(cx))).await {
        Poll::Pending => Ok(false),
        Poll::Ready(frame) => {
            let frame = frame.transpose().map_err(|error| SendError::Body(BoxError::from(error)))?;
            queue(frames, frame, || body.is_end_stream())
        }
    }
}

/// A request to switch protocols.
async fn switch(
    server: &Server,
    request: Request<()>,
    protocol: &HeaderValue,
    (reader, mut writer): (MessageReader, MessageWriter),
    leave: Leave,
) {
    let response = match server.upgrade_handler(protocol, request.uri().path()) {
        None => match server.service() {
            Some(service) => return bridge::serve(service, request, protocol, reader, writer).await,
            None => status(StatusCode::NOT_FOUND),
        },
        Some(handler) => match handler.decide(request) {
            Decision::Refuse(response) => response,
            Decision::Switch { response, serve } => match switched(response, protocol) {
                Ok(block) => {
                    writer.frames().head(&block, false);
                    if writer.flush().await.is_err() {
                        return;
                    }
                    let (early, read) = reader.into_raw();
                    let io = Upgraded::new(early, read, writer.into_raw()).guarded(Guard::new(leave));
                    return serve(io).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "a response that cannot be sent");
                    status(StatusCode::INTERNAL_SERVER_ERROR)
                }
            },
        },
    };
    refuse_switch(response, reader, writer).await;
}

/// The head of a response that switches.
pub(super) fn switched(
    response: Response<()>,
    protocol: &HeaderValue,
) -> Result<Bytes, crate::error::HeadError> {
    let (mut parts, ()) = response.into_parts();
    parts.status = StatusCode::SWITCHING_PROTOCOLS;
    write_response(parts, None, Some(protocol))
}

/// An ordinary response to somebody who wanted to switch.
pub(super) async fn refuse_switch(
    response: Response<Body>,
    mut reader: MessageReader,
    mut writer: MessageWriter,
) {
    if write(&mut writer, &Method::GET, response).await.is_err() {
        return writer.reset(CODE_FAILED);
    }
    writer.finish();
    if !matches!(tokio::time::timeout(LINGER, reader.closed()).await, Ok(Ok(()))) {
        reader.stop(CODE_ENOUGH);
    }
}
