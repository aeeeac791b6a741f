//! The `stream` channel: bytes or messages between two endpoints.
//!
//! The simplest channel there is, and the one most applications need. [`StreamOpener`] adds `stream()` to every link (every
//! [`Opener`](telemesh_channel::Opener)), [`StreamAcceptor`] adds `on_stream()` to the mesh (to every
//! [`Acceptor`](telemesh_channel::Acceptor)).
//!
//! A stream carries either plain bytes or whole messages in one [`Encoding`]: `binary`, `json` or `protobuf`, each message
//! up to 16 MiB unless both sides agree on something else. The opener may attach a **body** that says what the stream is
//! for; the other side reads it before it accepts.
//!
//! # What is where
//! - [`OpenStream`]: opening, as a builder that one awaits.
//! - [`IncomingStreams`]: streams that peers open, taken one by one; [`StreamRequests`] to decide on each first.
//! - [`Typed`]: messages that are Rust values, [`JsonMessages`] and [`ProtobufMessages`].
//!
//! # On the wire
//! An open message of type `stream`, kind reliable, with the body and, for messages, a header `encoding` that holds its
//! name. Then bytes, or messages framed as [`Messages`](telemesh_channel::Messages) describes.
//!
//! # Who guarantees what
//! Streams that wait to be taken are bounded, in all and for each peer ([`StreamLimits`]), so a peer that opens many takes
//! nobody else's place. What is beyond the bound is refused as busy, and the opener reads so.

mod accept;
mod encoding;
mod open;
mod queue;
mod typed;

pub use accept::{IncomingStream, IncomingStreams, StreamAcceptor, StreamRequest, StreamRequests};
pub use encoding::{ENCODING_HEADER, Encoding, UnknownEncoding, WrongEncoding};
pub use open::{OpenStream, StreamOpener};
pub use queue::StreamLimits;
pub use typed::{Codec, Json, JsonMessages, Protobuf, ProtobufMessages, Typed, TypedError};

/// The channel's type.
pub const STREAM: &str = "stream";

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
