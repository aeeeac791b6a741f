//! The `thtp` channel: HTTP over a link, with the types that everybody uses.
//!
//! A [`Client`] is a `tower::Service` of requests to one peer; [`HttpOpener`] adds `http()` to every link (every
//! [`Opener`](telemesh_channel::Opener)). [`HttpServer`] adds `serve_http()` to the mesh (to every
//! [`Network`](telemesh_channel::Network)): it takes any tower service, so that an axum `Router` is served over a link
//! unchanged. [`Folder`] serves files, [`Proxy`] a server on this machine.
//!
//! # What passes
//! - Requests and responses with bodies of any length in both directions, at the pace of whoever reads; a body that was cut
//!   is an error and never looks whole.
//! - Trailers, interim responses (`100 Continue` is waited for where it was asked for), any method but `CONNECT`.
//! - Upgrades: [`upgraded`] on the client's side, [`Server::upgrade`] or hyper's own `upgrade::on` on the other.
//! - Not what concerns a single connection only (`connection`, `transfer-encoding`, …), and nothing of which two readers
//!   could have two opinions: two lengths, two hosts, line ends in values, whole URLs as targets. Such a request never
//!   reaches a service. See [`HeadError`], [`FrameError`] and [`limits`].
//!
//! # Who is served
//! Peers with the grant [`SERVE`]. Services find out who asks: [`Peer`] is in the extensions of every request.
//!
//! # What is where
//! `frame` and `fields`: bytes, without I/O. `head` and `rules`: what a head may say. `reader` and `writer`: messages over a
//! channel. `client`, `server`: exchanges. `folder`, `proxy`: services. [`gateway`]: for
//! browsers and programs of this machine.
//!
//! # On the wire
//! Each request has a channel of its own, reliable, of type `thtp`. The body of its open message is the beginning of the
//! opener's bytes, so that a request usually takes one packet. Then both directions have frames as `frame` describes: a head
//! (the answering side may have interim ones before it), data, trailers. The frame that ends the message says so. Each side
//! ends its direction behind its message. An opener that reads no more of the response, whether it has come or not, gives the
//! request up.
//!
//! A head is a list as `fields` describes. A request has `:method`, `:path` and usually `:authority`; with `:protocol` it asks
//! to switch. The answer with status 101 and the same `:protocol` does, and after it both directions carry plain bytes.

pub mod gateway;
pub mod limits;

mod body;
mod client;
mod error;
mod fields;
mod folder;
mod frame;
mod head;
mod leave;
mod proxy;
mod reader;
mod rules;
mod server;
mod upgrade;
mod writer;

pub use body::Body;
pub use client::{Client, HttpOpener};
pub use error::{BodyError, BoxError, FrameError, HeadError, RequestError};
pub use folder::Folder;
pub use http;
pub use proxy::{PEER_HEADER, Proxy, ProxyError};
pub use server::{HttpServer, Peer, SERVE, Server};
pub use upgrade::{Decision, UpgradeHandler, Upgraded, upgraded};

/// The channel's type.
pub const THTP: &str = "thtp";

/// For the fuzzer: reads a message as a peer sends it, frames and heads. Whatever it is, nothing must go wrong.
#[doc(hidden)]
pub mod fuzz {
    use bytes::Bytes;

    use crate::frame::{Decoder, Event};
    use crate::{fields, head};

    /// Reads `bytes` in pieces of `piece` bytes, as a request or as a response. Says how many bytes of a body there were.
    ///
    /// # Panics
    /// When what was read as a request cannot be written again.
    pub fn read_message(bytes: &[u8], piece: usize, request: bool) -> usize {
        let (mut decoder, mut body) = (Decoder::new(), 0);
        for chunk in bytes.chunks(piece.max(1)) {
            let mut input = Bytes::copy_from_slice(chunk);
            loop {
                match decoder.next(&mut input) {
                    Ok(Some(Event::Head { block, .. })) => {
                        decoder.begin_body();
                        read_head(block, request);
                    }
                    Ok(Some(Event::Data(data))) => body += data.len(),
                    Ok(Some(Event::Trailers(block))) => drop(fields::read_trailers(block)),
                    Ok(Some(Event::End)) => {}
                    Ok(None) => break,
                    Err(_) => return body,
                }
            }
        }
        body
    }

    fn read_head(block: Bytes, request: bool) {
        if !request {
            return drop(head::read_response(block));
        }
        let Ok(read) = head::read_request(block) else { return };
        let (parts, ()) = read.request.into_parts();
        let again = head::write_request(parts.clone(), "default.example").map(|(block, _)| block);
        let again = again.and_then(head::read_request);
        assert!(
            again.is_ok_and(|again| again.request.headers() == &with_host(parts)),
            "a request is not the same when it is passed on"
        );
    }

    fn with_host(parts: http::request::Parts) -> http::HeaderMap {
        let mut headers = parts.headers;
        let default = http::HeaderValue::from_static("default.example");
        headers.entry(http::header::HOST).or_insert(default);
        headers
    }
}

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
