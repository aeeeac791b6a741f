//! [`Body`]: what comes behind a head, from a channel or made here.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use futures_util::TryStreamExt as _;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::oneshot;

use crate::error::{BodyError, BoxError};
use crate::fields::read_trailers;
use crate::frame::Event;
use crate::leave::Guard;
use crate::limits::CODE_ENOUGH;
use crate::reader::MessageReader;
use crate::writer::MessageWriter;

/// The body of a request or a response: bytes as they arrive, then maybe trailers.
///
/// It is read at the pace of whoever polls it, and whoever sends it goes no faster. Dropped before its end, the other side
/// is told to stop.
pub struct Body(Inner);

enum Inner {
    Empty,
    Full(Bytes),
    Channel(Box<ChannelBody>),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

/// A body that comes in over a channel.
pub(crate) struct ChannelBody {
    /// Gone after the end or an error.
    reader: Option<MessageReader>,
    exchange: Exchange,
}

/// What the body's end means for the exchange that it belongs to.
pub(crate) enum Exchange {
    /// A response: the request may still be under way.
    Response(Upload),
    /// A request: whoever serves it reads the channel to its end.
    Request {
        /// Told when somebody wants the body, if the client waits for that.
        wanted: Option<oneshot::Sender<()>>,
        ended: Option<oneshot::Sender<MessageReader>>,
        /// Whether the peer is still served: a service may read the body in a task of its own.
        guard: Guard,
    },
}

/// The request that a response belongs to. Dropped before the response has ended, it is given up.
pub(crate) enum Upload {
    /// All is sent, and the direction ended.
    Sent,
    /// All is sent, and the direction may be wanted for something else.
    Open(MessageWriter),
    /// A task sends it. Told when the response has ended, since the server may want the rest all the same.
    Running(oneshot::Sender<()>),
}

impl Upload {
    /// The response has ended.
    pub(crate) fn finish(self) {
        if let Self::Running(done) = self {
            // The task may have sent everything.
            let _ = done.send(());
        }
    }
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self(Inner::Empty)
    }

    /// Any other body.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody + Send + 'static,
        B::Data: Buf,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::empty();
        }
        let body = body.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
        Self(Inner::Boxed(body.map_err(Into::into).boxed_unsync()))
    }

    /// Bytes as a stream gives them, at the pace at which they are read.
    pub fn from_stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::new(StreamBody::new(stream.map_ok(Frame::data)))
    }

    /// The next bytes; `None` at the end. Trailers are left out. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`BodyError`]: the body is not whole.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        while let Some(frame) = self.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    pub(crate) fn channel(reader: MessageReader, exchange: Exchange) -> Self {
        Self(Inner::Channel(Box::new(ChannelBody { reader: Some(reader), exchange })))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Inner::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Inner::Channel(body) => body.poll_frame(cx),
            Inner::Boxed(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Other),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Full(_) => false,
            Inner::Channel(body) => body.reader.is_none(),
            Inner::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Inner::Channel(body) => {
                let left = body.reader.as_ref().map_or(Some(0), MessageReader::left);
                left.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Inner::Boxed(body) => body.size_hint(),
        }
    }
}

impl ChannelBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(reader) = &mut self.reader else { return Poll::Ready(None) };
        if let Exchange::Request { wanted, guard, .. } = &mut self.exchange {
            if let Err(error) = guard.poll(cx) {
                self.reader = None;
                return Poll::Ready(Some(Err(error.into())));
            }
            if let Some(wanted) = wanted.take() {
                // Whoever serves the request may have answered it already.
                let _ = wanted.send(());
            }
        }
        let event = match ready!(reader.poll_event(cx)) {
            Ok(event) => event,
            Err(error) => {
                self.reader = None;
                return Poll::Ready(Some(Err(error)));
            }
        };
        let frame = match event {
            Event::Data(data) => {
                // Looked at now, so that `is_end_stream` is true with the last data.
                self.end_if_ended(cx);
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            Event::Trailers(block) => match read_trailers(block) {
                Ok(trailers) => Some(Ok(Frame::trailers(trailers))),
                Err(error) => {
                    self.reader = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
            },
            Event::Head { .. } | Event::End => None,
        };
        self.end();
        Poll::Ready(frame)
    }

    /// Ends with data in whose frame the message ends.
    fn end_if_ended(&mut self, cx: &mut Context<'_>) {
        if self.reader.as_ref().is_some_and(MessageReader::is_at_end)
            && let Some(Poll::Ready(Ok(Event::End))) =
                self.reader.as_mut().map(|reader| reader.poll_event(cx))
        {
            self.end();
        }
    }

    /// The message has ended in order.
    fn end(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        match &mut self.exchange {
            Exchange::Response(upload) => {
                reader.finish();
                std::mem::replace(upload, Upload::Sent).finish();
            }
            Exchange::Request { ended, .. } => {
                if let Some(ended) = ended.take() {
                    let _ = ended.send(reader);
                }
            }
        }
    }
}

impl Drop for ChannelBody {
    fn drop(&mut self) {
        // A request is answered although nobody reads it to its end; a response that nobody reads is given up.
        if let (Some(reader), Exchange::Request { .. }) = (self.reader.take(), &self.exchange) {
            reader.stop(CODE_ENOUGH);
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Inner::Empty } else { Inner::Full(bytes) })
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Infallible> for BodyError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Inner::Empty => "empty",
            Inner::Full(_) => "bytes",
            Inner::Channel(_) => "channel",
            Inner::Boxed(_) => "other",
        };
        formatter.debug_tuple("Body").field(&kind).finish()
    }
}
