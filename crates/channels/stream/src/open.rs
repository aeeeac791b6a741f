//! Opening a stream: [`StreamOpener`] and the builder it gives.

use std::fmt;
use std::future::IntoFuture;

use bytes::Bytes;
use telemesh_channel::{BoxFuture, Channel, MAX_MESSAGE_SIZE, Messages, OpenError, Opener};
use telemesh_wire::Open;

use crate::STREAM;
use crate::encoding::{ENCODING_HEADER, Encoding};
use crate::typed::{Codec, JsonMessages, ProtobufMessages, Typed};

/// Adds `stream()` to links, and to everything else that opens channels.
pub trait StreamOpener: Opener {
    /// Opens a stream of bytes when awaited, or what the builder's functions make of it:
    ///
    /// ```no_run
    /// # use telemesh_stream::{Encoding, StreamOpener};
    /// # async fn example(link: &dyn telemesh_channel::Opener) -> Result<(), telemesh_channel::OpenError> {
    /// let bytes = link.stream().await?;
    /// let messages = link.stream().body("logs").messages(Encoding::Binary).await?;
    /// let numbers = link.stream().json::<Vec<u64>>().await?;
    /// # Ok(())
    /// # }
    /// ```
    fn stream(&self) -> OpenStream<'_, Self> {
        OpenStream {
            opener: self,
            open: Open::reliable(STREAM),
            priority: 0,
            max_message_size: MAX_MESSAGE_SIZE,
            wrap: |channel, _| channel,
        }
    }
}

impl<O: Opener + ?Sized> StreamOpener for O {}

/// A stream about to be opened; await it. `S` is what comes out: [`Channel`] for bytes, [`Messages`], or [`Typed`].
///
/// It resolves when the open message is under way, not when the peer has taken the stream: data may be written at once,
/// and [`Channel::accepted`] tells the answer to those who want it. A refusal fails reads and writes.
#[must_use = "a stream is opened when this is awaited"]
pub struct OpenStream<'a, O: ?Sized, S = Channel> {
    opener: &'a O,
    open: Open,
    priority: i32,
    max_message_size: usize,
    wrap: fn(Channel, usize) -> S,
}

impl<'a, O: Opener + ?Sized, S> OpenStream<'a, O, S> {
    /// Says what the stream is for. The other side reads it before it accepts. It shares the open message's 64 KiB.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.open.body = body.into();
        self
    }

    /// Among the channels of a link those of a higher priority send first; 0 unless it is set.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the largest message in both directions, in bytes; 16 MiB unless it is set. The other side has its own limit.
    /// Plain bytes have none.
    pub fn max_message_size(mut self, max_message_size: usize) -> Self {
        self.max_message_size = max_message_size;
        self
    }

    /// Carries messages in this encoding, as bytes that the caller encodes and decodes.
    pub fn messages(self, encoding: Encoding) -> OpenStream<'a, O, Messages<Channel>> {
        self.shaped(encoding, messages_over)
    }

    /// Carries values as JSON.
    pub fn json<T>(self) -> OpenStream<'a, O, JsonMessages<T>>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        self.typed()
    }

    /// Carries protobuf messages.
    pub fn protobuf<T: prost::Message + Default>(self) -> OpenStream<'a, O, ProtobufMessages<T>> {
        self.typed()
    }

    /// Carries values in the codec's encoding.
    pub fn typed<T, C: Codec<T>>(self) -> OpenStream<'a, O, Typed<T, C>> {
        self.shaped(C::ENCODING, |channel, max_size| Typed::new(messages_over(channel, max_size)))
    }

    fn shaped<To>(mut self, encoding: Encoding, wrap: fn(Channel, usize) -> To) -> OpenStream<'a, O, To> {
        self.open.headers.insert(ENCODING_HEADER.to_owned(), Bytes::from_static(encoding.name().as_bytes()));
        OpenStream {
            opener: self.opener,
            open: self.open,
            priority: self.priority,
            max_message_size: self.max_message_size,
            wrap,
        }
    }
}

fn messages_over(channel: Channel, max_size: usize) -> Messages<Channel> {
    Messages::new(channel).with_max_size(max_size)
}

impl<'a, O: Opener + ?Sized, S: 'a> IntoFuture for OpenStream<'a, O, S> {
    type Output = Result<S, OpenError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut channel = self.opener.open(self.open).await?;
            if self.priority != 0 {
                channel.set_priority(self.priority);
            }
            Ok((self.wrap)(channel, self.max_message_size))
        })
    }
}

impl<O: Opener + ?Sized, S> fmt::Debug for OpenStream<'_, O, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenStream")
            .field("peer", &self.opener.peer())
            .field("encoding", &Encoding::of(&self.open))
            .field("body_size", &self.open.body.len())
            .finish_non_exhaustive()
    }
}
