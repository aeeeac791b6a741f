//! The `connect` channel: what a router passes on to the endpoint that somebody has asked for.
//!
//! One message, and never an answer. Whatever it holds is treated as if it came from the network: a router is trusted to deliver, and
//! with nothing else.
//!
//! Install [`ConnectService`] in an endpoint; the facade does. The message is [`telemesh_wire::Connection`].

use std::sync::Arc;

use telemesh_channel::{
    Body, ChannelKind, Connection, Endpoint, HandleError, Incoming, Need, Open, Service, limited,
};

/// The type of the channel.
pub const CONNECT: &str = "connect";

/// Messages of one router that are worked on at a time: each costs a handshake at most, and the gate has budgets for those.
const MAX_OPEN: usize = 256;

/// Delivers as a router, and takes what routers deliver: see the crate's page.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ConnectService;

impl ConnectService {
    /// A service for any endpoint.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Service for ConnectService {
    fn install(self: Arc<Self>, endpoint: Arc<dyn Endpoint>) -> Result<(), HandleError> {
        let own = endpoint.clone();
        let handler = move |incoming: Incoming| {
            received(&*own, &incoming);
            std::future::ready(())
        };
        endpoint.handle(CONNECT, Arc::new(limited(MAX_OPEN, handler)))
    }

    fn serve(&self, need: &Need) -> bool {
        let Need::Connection { target, connection } = need else { return false };
        if let Ok(body) = connection.encode() {
            // What is lost is asked for again, by whoever has asked.
            let _ = target.notify(Open::unreliable(CONNECT).with_body(body));
        }
        true
    }
}

/// As the one who was asked for.
fn received(endpoint: &dyn Endpoint, incoming: &Incoming) {
    if incoming.kind() != ChannelKind::Unreliable {
        return;
    }
    let Ok(Connection { circuit, body }) = Connection::decode(&incoming.open().body) else { return };
    // Routers choose numbers of their own kind, and say something about a circuit that was asked for here only by its own.
    if circuit.is_routed() || matches!(body, Body::Seen { .. }) {
        endpoint.arrived(&incoming.peer(), circuit, body);
    }
}

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
