//! The runtime of an endpoint: its links, whom it trusts, what it tells the application.
//!
//! A [`Mesh`] is the local endpoint and its links. It joins the sans-IO parts (`telemesh-link`, `telemesh-engine`) with
//! transports and with tasks of tokio, and knows no transport and no channel by name: transports are given to the
//! [`MeshBuilder`], channels are handlers in a registry.
//!
//! # How it runs
//!
//! There is no task per link. Every link is a cell with a lock of its own:
//! - one task per transport receives batches of packets and takes each link's share to its cell,
//! - a task that uses a channel locks the cell, and sends what comes of it right there,
//! - one task waits for the earliest deadline of all links.
//!
//! # Silence
//!
//! Whoever is neither a contact nor the bearer of an invite gets no packet back, whatever they send. What they sent is
//! counted, see [`Mesh::metrics`]. Nothing about one link is ever told to another.
//!
//! # Who is nearby
//!
//! A [discovery](telemesh_transport::Discovery) hears who announces themselves on the local network. They become
//! [`Discovered`] events, and what a contact announces joins the paths of its link. An announcement makes this endpoint send
//! nothing: links look for what was heard by a clock of their own. In discover mode, see [`Mesh::discover`], the endpoint is
//! announced itself.
//!
//! # When the network changes
//!
//! A [watch](telemesh_transport::NetworkWatch) tells that this machine has other addresses, or sends by another way: peers are told
//! where the endpoint is now, and links prove their paths at once, see [`MeshBuilder::network_watch`].
//!
//! # What it says about itself
//!
//! `tracing` spans `link` and `channel` with the peer's short hashname, on level debug; [`Mesh::metrics`] for figures, with the
//! feature `metrics` also for the recorder of the crate of that name; with the feature `qlog` a trace of each link's reliable
//! channels, see [`MeshBuilder`].

mod birthday;
mod builder;
mod candidates;
mod cell;
mod clock;
mod comparison;
mod contact;
mod core;
mod datagrams;
mod deadlines;
mod discovered;
mod discovery;
mod endpoint;
mod forwarding;
mod grant;
mod guests;
mod inner;
mod invites;
mod link;
mod mapped;
mod mesh;
mod metrics;
mod numbers;
mod outcome;
mod outlet;
mod policy;
mod raw_stream;
mod receive;
mod routing;
mod saver;
mod sealing;
mod sending;
mod shared;
mod state;
mod store;
mod streams;
mod surroundings;
mod table;
mod tickets;
mod traces;
mod trust;
mod trusting;
mod unanswered;
mod wants;
mod whereabouts;

pub use builder::{CreateError, MAX_LINKS, MeshBuilder, SURVIVE_DOWN};
pub use clock::{SystemClock, WallClock};
pub use contact::{Contact, ContactName, MAX_NAME, ParseNameError};
pub use discovered::{
    DISCOVER_TIME, Discover, Discovered, DiscoveredEvents, MAX_HEARD, MAX_HELD_STRANGERS, Via,
};
pub use grant::{Grant, Grants, MAX_GRANT_BYTES, MAX_GRANTS, ParseGrantError, TooManyGrants};
pub use inner::Pong;
pub use invites::{Invite, MAX_INVITES, OpenInvite, TooManyInvites};
pub use link::{Link, PingError};
pub use mesh::{CLOSE_TIMEOUT, Closed, IntoTarget, LINK_TIMEOUT, Mesh};
pub use metrics::{Metrics, Traffic};
pub use policy::{AskAboutStrangers, Claim, ContactsOnly, Policy, Standing, Verdict};
pub use saver::StoreError;
pub use state::{LinkError, LinkState};
pub use store::{Change, MAX_REMEMBERED_PATHS, MemoryStore, PeerStore, Remembered, Stored, StoredInvite};
pub use trust::NameTaken;
pub use trusting::ContactError;

pub use telemesh_engine::Stats as EngineStats;
pub use telemesh_link::{
    BirthdayOutcome, BirthdayStatus, BridgeConfig, BridgeStats, DownReason, Explain, Missing, PathState,
    PathStatus, PeerRecord, State,
};
pub use telemesh_wire::{LinkInfo, LinkTarget, LinkUri, PathAddress};

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
