//! What link services (`path`, `peer`, `connect`) and the local endpoint do for each other.
//!
//! The endpoint knows no channel by name. When it needs something that takes a message to a peer it states a [`Need`], and
//! the [`Service`] that can carry it does; what comes in from peers a service hands to the [`Endpoint`].

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use telemesh_hashname::Hashname;
use telemesh_wire::{Body, CircuitId, Connection, Introduction, LinkInfo};

use crate::error::HandleError;
use crate::network::{Acceptor, Opener};

/// Carries needs of the endpoint to its peers, and what peers send to the endpoint.
pub trait Service: Send + Sync + 'static {
    /// Registers handlers, before the first packet. The endpoint holds its services; what a service is given here does not hold
    /// the endpoint.
    ///
    /// # Errors
    /// [`HandleError`]: a type has a handler already.
    fn install(self: Arc<Self>, endpoint: Arc<dyn Endpoint>) -> Result<(), HandleError>;

    /// Does something about the need if it is of its kind; whether it is. Never waits: what is sent may get lost, and the
    /// endpoint states the need again for as long as it has it.
    fn serve(&self, need: &Need) -> bool;
}

/// Something that the endpoint needs a peer for.
#[non_exhaustive]
pub enum Need {
    /// A router has to pass something on to an endpoint that this one has no path to.
    Introduction {
        /// The link with the router.
        router: Arc<dyn Opener>,
        /// What to pass on, and to whom.
        introduction: Introduction,
    },
    /// A router of ours should give us a ticket, which others can show to it so that it leads them to us.
    Ticket {
        /// The link with the router.
        router: Arc<dyn Opener>,
    },
    /// As a router: something has to reach the endpoint at the other end of a circuit.
    Connection {
        /// The link with that endpoint.
        target: Arc<dyn Opener>,
        /// What to pass on.
        connection: Connection,
    },
    /// A peer has to know where this endpoint can be reached, so that both try each other's addresses at the same time.
    Comparison {
        /// The link with the peer.
        peer: Arc<dyn Opener>,
        /// This endpoint's hashname and paths, as far as the peer may know them.
        info: LinkInfo,
        /// The peer is asked for the same.
        ask: bool,
        /// This endpoint has begun to try many ports where the peer is, and the peer should do the same.
        birthday: bool,
    },
}

/// The local endpoint, as link services see it. None of its functions waits.
pub trait Endpoint: Acceptor {
    /// As a router: a peer asks to be led to somebody. `None`, whatever the reason, is silence.
    fn join(&self, asker: &Hashname, introduction: &Introduction) -> Option<Joined>;

    /// As a router: a ticket for a peer, if this endpoint is a router for it.
    fn ticket_for(&self, peer: &Hashname) -> Option<Bytes>;

    /// A router has given this endpoint a ticket.
    fn got_ticket(&self, router: &Hashname, ticket: &[u8]);

    /// As the one who was asked for: something came through a router's hands.
    fn arrived(&self, router: &Hashname, circuit: CircuitId, body: Body);

    /// A peer has told where it can be reached; `asks` whether it wants to know the same of this endpoint, `birthday` whether it
    /// has begun to try many ports where this endpoint is.
    fn compared(&self, peer: &Hashname, info: &LinkInfo, asks: bool, birthday: bool);

    /// States a need to all services; whether one of them serves it.
    fn state(&self, need: &Need) -> bool;
}

/// The other end of a circuit that a router has made.
pub struct Joined {
    /// The link with the endpoint that was asked for.
    pub target: Arc<dyn Opener>,
    /// The circuit's number on that link.
    pub circuit: CircuitId,
    /// Where the asker is seen, if it wants that to be told.
    pub seen: Option<SocketAddr>,
}
