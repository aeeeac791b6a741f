//! The `peer` channel: asking a router to pass something on to an endpoint that there is no path to.
//!
//! One message, and never an answer: whether the target exists, is there, or refuses looks the same from here. As a router, the
//! service asks its endpoint whether to join the two, and states the need for the `connect` channel that goes with it.
//!
//! Install [`PeerService`] in an endpoint; the facade does. The message is [`telemesh_wire::Introduction`].

use std::sync::{Arc, OnceLock};

use telemesh_channel::{
    ChannelKind, Connection, Endpoint, HandleError, Incoming, Introduction, Need, Open, Service, limited,
};

/// The type of the channel.
pub const PEER: &str = "peer";

/// Introductions of one peer that are worked on at a time. Each takes microseconds; how many there may be in a second is the
/// router's to say.
const MAX_OPEN: usize = 256;

/// Asks routers, and answers as one: see the crate's page.
#[derive(Default)]
pub struct PeerService {
    endpoint: OnceLock<Arc<dyn Endpoint>>,
}

impl PeerService {
    /// A service for one endpoint.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As a router.
    fn received(&self, incoming: &Incoming) {
        if incoming.kind() != ChannelKind::Unreliable {
            return;
        }
        let (Some(endpoint), Ok(introduction)) =
            (self.endpoint.get(), Introduction::decode(&incoming.open().body))
        else {
            return;
        };
        if let Some(joined) = endpoint.join(&incoming.peer(), &introduction) {
            let connection = Connection { circuit: joined.circuit, body: introduction.body };
            endpoint.state(&Need::Connection { target: joined.target, connection });
        }
    }
}

impl Service for PeerService {
    fn install(self: Arc<Self>, endpoint: Arc<dyn Endpoint>) -> Result<(), HandleError> {
        let service = self.clone();
        let handler = move |incoming: Incoming| {
            service.received(&incoming);
            std::future::ready(())
        };
        endpoint.handle(PEER, Arc::new(limited(MAX_OPEN, handler)))?;
        // A service that is installed twice stays with its first endpoint.
        let _ = self.endpoint.set(endpoint);
        Ok(())
    }

    fn serve(&self, need: &Need) -> bool {
        let Need::Introduction { router, introduction } = need else { return false };
        if let Ok(body) = introduction.encode() {
            // What is lost is asked for again.
            let _ = router.notify(Open::unreliable(PEER).with_body(body));
        }
        true
    }
}

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
