//! [`Client`]: requests to one peer.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Buf;
use futures_core::future::BoxFuture;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use telemesh_channel::Opener;
use telemesh_hashname::Hashname;
use telemesh_wire::Open;
use tokio::sync::oneshot;
use tower_service::Service;

use crate::THTP;
use crate::body::{Body, Exchange, Upload};
use crate::error::{BoxError, HeadError, RequestError};
use crate::head::{ResponseHead, read_response, write_request};
use crate::limits::{CODE_FAILED, CONTINUE_TIMEOUT, MAX_EARLY, MAX_INTERIM};
use crate::reader::MessageReader;
use crate::rules::is_bodiless;
use crate::upgrade::{Upgraded, Waiting};
use crate::writer::{Frames, MessageWriter, SendError, queue};

/// Sends requests to one peer: a `tower::Service`. Clones are the same.
///
/// Each request has a channel of its own, so none waits for another. A request's body is sent by a task of the Tokio runtime
/// that the call is made in. Dropping the response, or the future before it, gives the request up.
///
/// There is no time limit; `tower` has one to wrap around it.
#[derive(Clone)]
pub struct Client {
    opener: Arc<dyn Opener>,
}

impl Client {
    /// Requests over this link.
    pub fn new(opener: impl Opener) -> Self {
        Self { opener: Arc::new(opener) }
    }

    /// Requests over this link.
    pub fn from_arc(opener: Arc<dyn Opener>) -> Self {
        Self { opener }
    }

    /// The endpoint that answers.
    #[must_use]
    pub fn peer(&self) -> Hashname {
        self.opener.peer()
    }

    /// Sends one request, and resolves with the response's head.
    ///
    /// # Errors
    /// [`RequestError`]. A response of any status is none.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<Body>, RequestError>
    where
        B: HttpBody + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<BoxError>,
    {
        send(&*self.opener, request).await
    }
}

impl<B> Service<Request<B>> for Client
where
    B: HttpBody + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = RequestError;
    type Future = BoxFuture<'static, Result<Response<Body>, RequestError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), RequestError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let opener = Arc::clone(&self.opener);
        Box::pin(async move { send(&*opener, request).await })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

/// Adds `http()` to every link, and to every other [`Opener`].
pub trait HttpOpener: Opener {
    /// Sends one request to the peer; as [`Client::send`].
    ///
    /// # Errors
    /// As [`Client::send`].
    fn http<B>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Body>, RequestError>> + Send
    where
        B: HttpBody + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<BoxError>,
    {
        send(self, request)
    }
}

impl<O: Opener + ?Sized> HttpOpener for O {}

async fn send<O, B>(opener: &O, request: Request<B>) -> Result<Response<Body>, RequestError>
where
    O: Opener + ?Sized,
    B: HttpBody + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = request.into_parts();
    let method = parts.method.clone();
    announce_length(&mut parts.headers, &body, &method);
    let waits = expects_continue(&parts.headers) && !body.is_end_stream();
    let default_authority = format!("{}.mesh", opener.peer());
    let (block, protocol) = write_request(parts, &default_authority).map_err(RequestError::Request)?;

    let mut body = Box::pin(body);
    let mut frames = Frames::default();
    let mut all_queued = body.is_end_stream();
    if protocol.is_some() && !all_queued {
        return Err(RequestError::Request(HeadError::Upgrade));
    }
    frames.head(&block, all_queued);
    if !all_queued && !waits {
        all_queued = queue_what_is_there(body.as_mut(), &mut frames).await?;
    }
    let open = Open::reliable(THTP).with_body(frames.take_front(MAX_EARLY));
    let channel = opener.open(open).await.map_err(RequestError::opening)?;
    let (read, write) = channel.into_split();
    let mut writer = MessageWriter::new(write, frames);
    let mut reader = MessageReader::new(bytes::Bytes::new(), read);

    if protocol.is_some() {
        writer.flush().await.map_err(|error| RequestError::Response(error.into()))?;
    }
    if all_queued && writer.is_flushed() {
        let upload = if protocol.is_some() {
            Upload::Open(writer)
        } else {
            // In the packet of the open message.
            writer.finish();
            Upload::Sent
        };
        let response = final_response(&mut reader, None).await?;
        return finish(reader, upload, &method, response, protocol.as_ref());
    }
    let (opens, gate) = oneshot::channel();
    let (done, is_done) = oneshot::channel();
    let (failed, failure) = oneshot::channel();
    let upload = Upload::Running(done);
    let task = Task { writer, all_queued, gate: waits.then_some(gate), is_done, failed };
    tokio::spawn(task.run(body));
    let response = tokio::select! {
        biased;
        Ok(error) = failure => return Err(RequestError::Body(error)),
        response = final_response(&mut reader, Some(opens)) => response?,
    };
    finish(reader, upload, &method, response, protocol.as_ref())
}

/// Says how long the body is, if it knows and nobody has said it: a server behind the peer may need it.
fn announce_length<B: HttpBody>(headers: &mut HeaderMap, body: &B, method: &Method) {
    let has_meaning = !body.is_end_stream() || matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    if let (Some(length), true, false) =
        (body.size_hint().exact(), has_meaning, headers.contains_key(CONTENT_LENGTH))
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Queues the first piece of a body if it is there already, so that it travels with the head. Whether that was all.
async fn queue_what_is_there<B>(mut body: Pin<&mut B>, frames: &mut Frames) -> Result<bool, RequestError>
where
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    let polled = poll_fn(|cx| Poll::Ready(body.as_mut().poll_frame(cx))).await;
    let Poll::Ready(frame) = polled else { return Ok(false) };
    let frame = frame.transpose().map_err(|error| RequestError::Body(error.into()))?;
    queue(frames, frame, || body.is_end_stream()).map_err(|error| match error {
        SendError::Body(error) => RequestError::Body(error),
        SendError::Channel(error) => RequestError::Response(error.into()),
    })
}

/// Sends a request's body beside everything else.
struct Task {
    writer: MessageWriter,
    /// Nothing is left of the body.
    all_queued: bool,
    /// Opens when the server wants the body.
    gate: Option<oneshot::Receiver<Wanted>>,
    /// Told when the response has been read; dropped when nobody wants it any more.
    is_done: oneshot::Receiver<()>,
    failed: oneshot::Sender<BoxError>,
}

impl Task {
    async fn run<B>(self, mut body: Pin<Box<B>>)
    where
        B: HttpBody + Send,
        B::Error: Into<BoxError>,
    {
        let Self { mut writer, all_queued, gate, mut is_done, failed } = self;
        let mut has_read = false;
        let result = {
            let mut sending = pin!(send_behind_gate(&mut writer, body.as_mut(), all_queued, gate));
            loop {
                tokio::select! {
                    biased;
                    done = &mut is_done, if !has_read => match done {
                        // The server may want the rest although it has answered; if not, it says so.
                        Ok(()) => has_read = true,
                        Err(_) => return,
                    },
                    result = &mut sending => break result,
                }
            }
        };
        match result {
            Ok(()) => writer.finish(),
            // The server has enough: what it thinks of the request is in the response.
            Err(SendError::Channel(_)) => {}
            Err(SendError::Body(error)) => {
                let _ = failed.send(error);
                writer.reset(CODE_FAILED);
            }
        }
    }
}

async fn send_behind_gate<B>(
    writer: &mut MessageWriter,
    body: Pin<&mut B>,
    all_queued: bool,
    gate: Option<oneshot::Receiver<Wanted>>,
) -> Result<(), SendError>
where
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    if let Some(gate) = gate {
        writer.flush().await?;
        // A server that does not know what it is asked gets the body after a while.
        if let Ok(Ok(Wanted::No)) = tokio::time::timeout(CONTINUE_TIMEOUT, gate).await {
            return Err(SendError::Channel(std::io::ErrorKind::Interrupted.into()));
        }
    }
    if !all_queued {
        return writer.send_body(body).await;
    }
    writer.cork();
    Ok(writer.flush().await?)
}

/// Whether a server wants a body that waits for that.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Yes,
    /// It has refused the request without it.
    No,
}

/// Reads heads until the final one.
async fn final_response(
    reader: &mut MessageReader,
    mut gate: Option<oneshot::Sender<Wanted>>,
) -> Result<ResponseHead, RequestError> {
    for _ in 0..=MAX_INTERIM {
        let (block, end) = reader.head().await.map_err(RequestError::reading)?;
        let head = read_response(block).map_err(|error| RequestError::Response(error.into()))?;
        let status = head.response.status();
        let is_final = !status.is_informational() || head.protocol.is_some();
        if (is_final || status == StatusCode::CONTINUE)
            && let Some(gate) = gate.take()
        {
            // Nobody waits any more if it took long.
            let _ = gate.send(if status.as_u16() < 400 { Wanted::Yes } else { Wanted::No });
        }
        if is_final {
            return Ok(head);
        }
        if end {
            return Err(RequestError::Protocol("an interim response was the last one"));
        }
    }
    Err(RequestError::Protocol("too many interim responses"))
}

/// The response, with what comes behind its head.
fn finish(
    mut reader: MessageReader,
    upload: Upload,
    method: &Method,
    head: ResponseHead,
    asked: Option<&HeaderValue>,
) -> Result<Response<Body>, RequestError> {
    let ResponseHead { response, length, protocol } = head;
    if let Some(protocol) = protocol {
        if !asked.is_some_and(|asked| asked.as_bytes().eq_ignore_ascii_case(protocol.as_bytes())) {
            return Err(RequestError::Protocol("switched to a protocol that was not asked for"));
        }
        let Upload::Open(writer) = upload else {
            return Err(RequestError::Protocol("switched protocols in the middle of a request"));
        };
        let (early, read) = reader.into_raw();
        let mut response = response.map(|()| Body::empty());
        response.extensions_mut().insert(Waiting::new(Upgraded::new(early, read, writer.into_raw())));
        return Ok(response);
    }
    let upload = match upload {
        Upload::Open(mut writer) => {
            writer.finish();
            Upload::Sent
        }
        upload => upload,
    };
    let length = if is_bodiless(method, response.status()) { Some(0) } else { length };
    reader.begin_body(length).map_err(RequestError::Response)?;
    if reader.has_ended() {
        reader.finish();
        upload.finish();
        return Ok(response.map(|()| Body::empty()));
    }
    Ok(response.map(|()| Body::channel(reader, Exchange::Response(upload))))
}
