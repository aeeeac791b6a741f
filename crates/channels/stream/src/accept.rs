//! Taking the streams that peers open: [`StreamAcceptor`] and what it gives.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use telemesh_channel::{AcceptError, Acceptor, Channel, HandleError, Messages};
use telemesh_hashname::Hashname;
use telemesh_wire::Refusal;

use crate::STREAM;
use crate::encoding::{Encoding, WrongEncoding};
use crate::queue::{StreamLimits, Taker, Waiting, queue};
use crate::typed::{Codec, JsonMessages, ProtobufMessages, Typed};

/// Adds `on_stream()` to the mesh, and to everything else that takes handlers.
pub trait StreamAcceptor: Acceptor {
    /// The streams that peers open from now on, of all links. One at a time: when the returned value is dropped, waiting
    /// streams are refused, and `on_stream` may be called again.
    ///
    /// # Errors
    /// [`HandleError::Taken`] while streams have another taker.
    fn on_stream(&self) -> Result<IncomingStreams, HandleError> {
        self.on_stream_with(StreamLimits::default())
    }

    /// As [`on_stream`](Self::on_stream), with other limits for the streams that wait to be taken.
    ///
    /// # Errors
    /// As [`on_stream`](Self::on_stream).
    fn on_stream_with(&self, limits: StreamLimits) -> Result<IncomingStreams, HandleError> {
        let (listener, taker) = queue(limits);
        self.handle(STREAM, Arc::new(listener))?;
        Ok(IncomingStreams(StreamRequests(taker)))
    }
}

impl<A: Acceptor + ?Sized> StreamAcceptor for A {}

/// The streams that peers open, as a `Stream` of [`IncomingStream`]. A stream is accepted when it is taken from here.
///
/// It ends when the acceptor is gone.
pub struct IncomingStreams(StreamRequests);

impl IncomingStreams {
    /// Waits for the next stream; `None` when the acceptor is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<IncomingStream> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The same streams, each to be accepted or refused by the caller.
    pub fn requests(self) -> StreamRequests {
        self.0
    }
}

impl Stream for IncomingStreams {
    type Item = IncomingStream;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<IncomingStream>> {
        while let Some(request) = ready!(Pin::new(&mut self.0).poll_next(cx)) {
            // The queue holds reliable channels only, so this is the first one.
            if let Ok(stream) = request.accept() {
                return Poll::Ready(Some(stream));
            }
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for IncomingStreams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IncomingStreams").field("waiting", &self.0.0.len()).finish()
    }
}

/// The streams that peers open, before they are accepted; see [`IncomingStreams::requests`].
pub struct StreamRequests(Taker);

impl StreamRequests {
    /// Waits for the next request; `None` when the acceptor is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<StreamRequest> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for StreamRequests {
    type Item = StreamRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<StreamRequest>> {
        self.0.poll_take(cx).map(|waiting| waiting.map(StreamRequest))
    }
}

impl fmt::Debug for StreamRequests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StreamRequests").field("waiting", &self.0.len()).finish()
    }
}

/// A stream that a peer opened and that waits for a decision. Dropped undecided, it is refused.
#[derive(Debug)]
pub struct StreamRequest(Waiting);

impl StreamRequest {
    /// Who opened it. The link has authenticated this.
    pub fn peer(&self) -> Hashname {
        self.0.incoming.peer()
    }

    /// What the opener says it is for; empty if it says nothing.
    pub fn body(&self) -> &Bytes {
        &self.0.incoming.open().body
    }

    /// The encoding of its messages; `None` for plain bytes.
    pub fn encoding(&self) -> Option<Encoding> {
        self.0.encoding
    }

    /// Accepts; the opener is told at once.
    ///
    /// # Errors
    /// [`AcceptError`], which does not happen: the other kind of channel was refused before.
    pub fn accept(self) -> Result<IncomingStream, AcceptError> {
        let Waiting { incoming, encoding } = self.0;
        let (peer, body) = (incoming.peer(), incoming.open().body.clone());
        Ok(IncomingStream { peer, body, encoding, channel: incoming.accept()? })
    }

    /// Refuses with a reason that the opener reads.
    pub fn refuse(self, refusal: Refusal) {
        self.0.incoming.refuse(refusal);
    }
}

/// A stream that a peer opened and that was accepted here.
#[derive(Debug)]
pub struct IncomingStream {
    /// Who opened it.
    pub peer: Hashname,
    /// What the opener says it is for; empty if it says nothing.
    pub body: Bytes,
    /// The encoding of its messages; `None` for plain bytes.
    pub encoding: Option<Encoding>,
    /// The bytes.
    pub channel: Channel,
}

impl IncomingStream {
    /// Its messages, as bytes in that encoding, up to 16 MiB each; see [`Messages::with_max_size`].
    ///
    /// # Errors
    /// [`WrongEncoding`] if the opener chose another one, or plain bytes; the stream is reset then.
    pub fn messages(self, wanted: Encoding) -> Result<Messages<Channel>, WrongEncoding> {
        if self.encoding != Some(wanted) {
            return Err(WrongEncoding { found: self.encoding, wanted });
        }
        Ok(Messages::new(self.channel))
    }

    /// Its messages as values, from JSON.
    ///
    /// # Errors
    /// As [`messages`](Self::messages).
    pub fn json<T>(self) -> Result<JsonMessages<T>, WrongEncoding>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        self.typed()
    }

    /// Its protobuf messages.
    ///
    /// # Errors
    /// As [`messages`](Self::messages).
    pub fn protobuf<T: prost::Message + Default>(self) -> Result<ProtobufMessages<T>, WrongEncoding> {
        self.typed()
    }

    /// Its messages as values, in the codec's encoding.
    ///
    /// # Errors
    /// As [`messages`](Self::messages).
    pub fn typed<T, C: Codec<T>>(self) -> Result<Typed<T, C>, WrongEncoding> {
        self.messages(C::ENCODING).map(Typed::new)
    }
}
