//! The `peer` channel: asking a router to pass something on to an endpoint that there is no path to.
//!
//! An introduction is one message, and never an answer: whether the target exists, is there, or refuses looks the same from here. As a router, the
//! service asks its endpoint whether to join the two, and states the need for the `connect` channel that goes with it.
//!
//! A reliable channel of this type asks a router for a ticket, which others can show to it so that it leads them here.
//!
//! Install [`PeerService`] in an endpoint; the facade does. The message is [`telemesh_wire::Introduction`].

use std::sync::{Arc, OnceLock};

use telemesh_channel::{
    Body, ChannelKind, Connection, Endpoint, HandleError, Incoming, Introduction, Need, Open, Opener,
    Refusal, RefusalCode, Service, limited,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;

/// The type of the channel.
pub const PEER: &str = "peer";

/// Introductions of one peer that are worked on at a time. Each takes microseconds; how many there may be in a second is the
/// router's to say.
const MAX_OPEN: usize = 256;

/// Longest ticket that is read, in bytes: that of a credential.
const MAX_TICKET: u64 = 512;

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

    /// As a router: whoever opens a reliable channel wants a ticket.
    async fn give_ticket(&self, incoming: Incoming) {
        let ticket = self.endpoint.get().and_then(|endpoint| endpoint.ticket_for(&incoming.peer()));
        let Some(ticket) = ticket else {
            return incoming
                .refuse(Refusal::new(RefusalCode::NotAllowed, "this endpoint is no router for you"));
        };
        if let Ok(mut channel) = incoming.accept()
            && channel.write_all(&ticket).await.is_ok()
        {
            // Whoever goes before it has its ticket asks again.
            let _ = channel.shutdown().await;
        }
    }

    /// As a router.
    fn received(&self, incoming: &Incoming) {
        let (Some(endpoint), Ok(introduction)) =
            (self.endpoint.get(), Introduction::decode(&incoming.open().body))
        else {
            return;
        };
        if let Some(joined) = endpoint.join(&incoming.peer(), &introduction) {
            let body = match introduction.body {
                // What the asker says about that is not asked for.
                Body::Seen { who, .. } => Body::Seen { who, at: joined.seen },
                body => body,
            };
            let connection = Connection { circuit: joined.circuit, body };
            endpoint.state(&Need::Connection { target: joined.target, connection });
        }
    }
}

impl Service for PeerService {
    fn install(self: Arc<Self>, endpoint: Arc<dyn Endpoint>) -> Result<(), HandleError> {
        let service = self.clone();
        let handler = move |incoming: Incoming| {
            let service = service.clone();
            async move {
                match incoming.kind() {
                    ChannelKind::Unreliable => service.received(&incoming),
                    ChannelKind::Reliable => service.give_ticket(incoming).await,
                }
            }
        };
        endpoint.handle(PEER, Arc::new(limited(MAX_OPEN, handler)))?;
        // A service that is installed twice stays with its first endpoint.
        let _ = self.endpoint.set(endpoint);
        Ok(())
    }

    fn serve(&self, need: &Need) -> bool {
        match need {
            Need::Introduction { router, introduction } => {
                if let Ok(body) = introduction.encode() {
                    // What is lost is asked for again.
                    let _ = router.notify(Open::unreliable(PEER).with_body(body));
                }
                true
            }
            Need::Ticket { router } => {
                let (endpoint, router) = (self.endpoint.get().cloned(), router.clone());
                if let (Some(endpoint), Ok(runtime)) = (endpoint, Handle::try_current()) {
                    runtime.spawn(take_ticket(endpoint, router));
                }
                true
            }
            _ => false,
        }
    }
}

/// Asks a router for a ticket, and hands it to the endpoint.
async fn take_ticket(endpoint: Arc<dyn Endpoint>, router: Arc<dyn Opener>) {
    let Ok(channel) = router.open(Open::reliable(PEER)).await else { return };
    let mut ticket = Vec::new();
    let read = channel.take(MAX_TICKET).read_to_end(&mut ticket).await;
    if read.is_ok() && !ticket.is_empty() {
        endpoint.got_ticket(&router.peer(), &ticket);
    }
}

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
