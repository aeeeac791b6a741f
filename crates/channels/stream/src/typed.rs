//! Messages that are Rust values: [`Typed`] over a codec.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use telemesh_channel::{Channel, MessageError, Messages};

use crate::encoding::Encoding;

/// Turns values into messages and back.
pub trait Codec<T> {
    /// What the stream is marked with.
    const ENCODING: Encoding;

    /// Why a value has no message, or a message is no such value.
    type Error: Error + Send + Sync + 'static;

    /// The message of a value.
    ///
    /// # Errors
    /// The codec's.
    fn encode(value: &T) -> Result<Bytes, Self::Error>;

    /// The value of a message.
    ///
    /// # Errors
    /// The codec's.
    fn decode(message: &Bytes) -> Result<T, Self::Error>;
}

/// JSON, through serde.
#[derive(Clone, Copy, Debug)]
pub enum Json {}

impl<T: serde::Serialize + serde::de::DeserializeOwned> Codec<T> for Json {
    const ENCODING: Encoding = Encoding::Json;
    type Error = serde_json::Error;

    fn encode(value: &T) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(value).map(Bytes::from)
    }

    fn decode(message: &Bytes) -> Result<T, serde_json::Error> {
        serde_json::from_slice(message)
    }
}

/// Protobuf, through prost.
#[derive(Clone, Copy, Debug)]
pub enum Protobuf {}

impl<T: prost::Message + Default> Codec<T> for Protobuf {
    const ENCODING: Encoding = Encoding::Protobuf;
    type Error = prost::DecodeError;

    fn encode(value: &T) -> Result<Bytes, prost::DecodeError> {
        Ok(Bytes::from(value.encode_to_vec()))
    }

    fn decode(message: &Bytes) -> Result<T, prost::DecodeError> {
        // From `Bytes` rather than a slice: fields of type `Bytes` then share the message's memory.
        T::decode(message.clone())
    }
}

/// A stream of JSON values.
pub type JsonMessages<T> = Typed<T, Json>;

/// A stream of protobuf messages.
pub type ProtobufMessages<T> = Typed<T, Protobuf>;

/// A stream of values in both directions: `Stream` and `Sink` of `T`.
///
/// [`receive`](Self::receive), [`send`](Self::send) and [`finish`](Self::finish) do for those who do not use the traits.
pub struct Typed<T, C> {
    messages: Messages<Channel>,
    /// Neither is stored here.
    codec: PhantomData<fn(T) -> (T, C)>,
}

impl<T, C: Codec<T>> Typed<T, C> {
    /// Values over messages that are known to be in this encoding.
    pub fn new(messages: Messages<Channel>) -> Self {
        Self { messages, codec: PhantomData }
    }

    /// The channel below.
    pub fn channel(&self) -> &Channel {
        self.messages.io()
    }

    /// The messages, without the codec.
    pub fn into_messages(self) -> Messages<Channel> {
        self.messages
    }

    /// Waits for the next value; `None` is the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`TypedError`]. After [`TypedError::Decode`] the next value may be fine; everything else ends the stream.
    pub async fn receive(&mut self) -> Result<Option<T>, TypedError> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()
    }

    /// Sends one value and waits until it is with the channel. If the future is dropped before it resolves, the value is
    /// sent with the next one, or not at all.
    ///
    /// # Errors
    /// [`TypedError`]. [`TypedError::Encode`] and [`MessageError::TooLarge`] concern this value only.
    pub async fn send(&mut self, value: &T) -> Result<(), TypedError> {
        Ok(self.messages.send(encode::<T, C>(value)?).await?)
    }

    /// Sends what is left and ends the writing direction.
    ///
    /// # Errors
    /// [`TypedError::Message`].
    pub async fn finish(&mut self) -> Result<(), TypedError> {
        Ok(self.messages.finish().await?)
    }
}

fn encode<T, C: Codec<T>>(value: &T) -> Result<Bytes, TypedError> {
    C::encode(value).map_err(|error| TypedError::Encode(error.into()))
}

impl<T, C: Codec<T>> Stream for Typed<T, C> {
    type Item = Result<T, TypedError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.messages).poll_next(cx).map(|message| {
            Some(match message? {
                Ok(message) => C::decode(&message).map_err(|error| TypedError::Decode(error.into())),
                Err(error) => Err(error.into()),
            })
        })
    }
}

impl<T, C: Codec<T>> Sink<T> for Typed<T, C> {
    type Error = TypedError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TypedError>> {
        Pin::new(&mut self.messages).poll_ready(cx).map_err(Into::into)
    }

    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<(), TypedError> {
        let message = encode::<T, C>(&value)?;
        Pin::new(&mut self.messages).start_send(message).map_err(Into::into)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TypedError>> {
        Pin::new(&mut self.messages).poll_flush(cx).map_err(Into::into)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TypedError>> {
        Pin::new(&mut self.messages).poll_close(cx).map_err(Into::into)
    }
}

impl<T, C> fmt::Debug for Typed<T, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Typed").field("channel", self.messages.io()).finish_non_exhaustive()
    }
}

/// Why a value was not sent or not received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedError {
    /// The value has no message; it concerns this value only.
    #[error("value not encoded: {0}")]
    Encode(#[source] Box<dyn Error + Send + Sync>),
    /// The peer's message is no such value; the messages after it are not affected.
    #[error("message not understood: {0}")]
    Decode(#[source] Box<dyn Error + Send + Sync>),
    /// The stream of messages failed.
    #[error(transparent)]
    Message(#[from] MessageError),
}
