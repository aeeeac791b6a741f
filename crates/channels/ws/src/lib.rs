//! WebSockets over a link, as an upgrade of `thtp`.
//!
//! [`connect`] opens one to a path of what a peer serves, [`route`] answers at a path; [`WsOpener`] adds `ws()` to every link and
//! [`WsServer`] adds `on_ws()` to the mesh. A [`WebSocket`] is a `Stream` and `Sink` of whole [`Message`]s.
//!
//! The peer may just as well serve WebSockets with axum, or pass requests on to a server behind it: it is the same request
//! (RFC 6455). A browser's own `WebSocket` comes through the gateway of `telemesh-thtp`.
//!
//! # What is kept
//! Boundaries of messages, in however many frames they come; text that is no UTF-8 is never text; messages up to
//! [`limits::MAX_MESSAGE`]; sub-protocols; pings, answered by themselves; the closing handshake with code and reason. What
//! RFC 6455 does not allow ends the socket, with the code that it names. There are no extensions, and so no compression.
//!
//! # On the wire
//! A `thtp` request with `:protocol` `websocket` and the headers of RFC 6455; after the answer its frames, masked by the client.

pub mod limits;

mod client;
mod error;
mod message;
mod server;
mod socket;

pub use client::{Connect, WsOpener, connect};
pub use error::{ConnectError, SocketError};
pub use message::{Close, Message};
pub use server::{Route, WsServer, route};
pub use socket::WebSocket;

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
