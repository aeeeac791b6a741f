//! One encrypted link between two endpoints, without I/O: admission of strangers, handshake, sessions, packets, paths.
//!
//! This crate holds no socket, spawns no task, reads no clock and no ambient randomness. Time comes in as `now`, the wall
//! clock as microseconds since 1970, randomness as a seed. So a thousand endpoints can be simulated in one thread, and
//! the crate serves under any runtime.
//!
//! # Driving it
//!
//! An endpoint has one [`Identity`], one [`Gate`] and a [`Link`] per peer; gate and links share one [`TagTable`]. For
//! every datagram from the network:
//!
//! 1. [`classify`] it. An initiation goes to [`Gate::handle_initiation`]; if the [`Request`] that comes back is from
//!    somebody you trust, [`Request::accept`] it on that peer's link, else drop it. Nothing has been sent. (From a gate
//!    that was made public there may come a cookie instead: send it.)
//! 2. A response, cookie or data packet names a [`receiver_index`]; its [`slot_of`] is the slot that you gave the link. Hand the
//!    packet to [`Link::handle_packet`], which decrypts it in place and says what it held.
//!
//! After every call on a link that takes `now`: take all of [`Link::poll_transmit`] and send it, all of
//! [`Link::poll_event`] and act on it, and arm a timer for [`Link::poll_timeout`], on which you call
//! [`Link::handle_timeout`]. Two rules: store what [`Event::Persist`] says and report it with [`Link::persisted`]; what
//! comes back from a `handle` call as a [`DropReason`] is counted and never answered.
//!
//! # What it promises
//!
//! - **Silence**: no byte goes out because of anything that somebody unknown or not accepted sent.
//!   The one exception has to be asked for: [`Gate::set_public`].
//! - **No panic, bounded memory, bounded work**, whatever comes from the network: an initiation of a stranger costs a hash
//!   or two unless it is within the budgets of [`GateConfig`], and a known peer does not stand in that line.
//! - **No replay, no downgrade, no lock-out**: initiations carry a number that only grows, both ends check that they use
//!   the strongest cipher set that both have, and a lost response, a clock that jumped or a restored backup heal.
//! - **Data takes only paths that have proven themselves**, and moves to a new one within a second.
//!
//! # What is not here
//!
//! Who is trusted, where records are stored and which candidates exist is the caller's; so is where a router is, whose circuits
//! are paths here. Reliable streams are the engine's.
//!
//! # In reading order
//!
//! `packet`, `mac`, `aead`, `replay` (bytes) · `identity`, `payload`, `noise` (handshake) · `tags`, `tag_table`,
//! `admission`, `cookie`, `gate`, `invite`, `ticket` (admission) · `session`, `lineage`, `sessions`, `record`, `fragment` · `path`,
//! `paths`, `birthday`, `budget` · `link` · `bridge` · `state`, `counters`, `timers`, `rate`, `random`.
//!
//! # Features
//!
//! `danger-no-replay-window`, `danger-no-at-check` and `danger-no-probe-check` each take one protection out, so that CI can
//! show that the tests notice. Never turn them on for anything else.

#![forbid(unsafe_code)]

mod admission;
mod aead;
mod birthday;
mod bridge;
mod budget;
mod cookie;
mod counters;
mod fragment;
mod gate;
mod identity;
mod invite;
mod lineage;
mod link;
mod mac;
mod noise;
mod packet;
mod path;
mod paths;
mod payload;
mod random;
mod rate;
mod record;
mod replay;
mod session;
mod sessions;
mod state;
mod tag_table;
mod tags;
mod ticket;
mod timers;

#[cfg(test)]
mod tests;

pub use admission::{MAX_ADDRESSES, STRANGERS, STRANGERS_PER_ADDRESS, STRANGERS_PER_ROUTER};
pub use birthday::{BirthdayOutcome, BirthdayRefusal, BirthdayStatus};
pub use bridge::{
    Bridge, BridgeConfig, BridgeError, BridgeStats, CIRCUIT_IDLE, CIRCUIT_RATE, INTRODUCTIONS, MAX_CIRCUITS,
    MAX_CIRCUITS_PER_LINK, MAX_CIRCUITS_PER_PAIR, MAX_GUEST_CIRCUITS_PER_TARGET,
};
pub use budget::{MAX_PREFIXES, PROBE_BURST, PROBE_INTERVAL, ProbeBudget, QUIC_PROBE_COST};
pub use cookie::{COOKIE_SECRET_LIFE, COOKIES};
pub use counters::{DropCounters, DropReason};
pub use gate::{Admission, Claim, Gate, GateConfig, PER_TAG, Request};
pub use identity::{Identity, NoUsableKey};
pub use invite::{INVITE_PROOF_SIZE, check_invite, prove_invite};
pub use link::{Batch, DEFAULT_MAX_DATAGRAM, Link, LinkConfig, LinkError, MessageError, Peer, Received};
pub use packet::{
    CIRCUIT_HEADER_SIZE, COOKIE_SIZE, DATA_HEADER_SIZE, DATA_MAX_SIZE, DATA_MIN_SIZE, DATA_OVERHEAD,
    GENERATION_BITS, HANDSHAKE_SIZE, MAX_SLOTS, PacketError, PacketKind, TAG_SIZE, circuit_id, classify,
    receiver_index, set_circuit_id, slot_of,
};
pub use path::{PathOrigin, PathState, PathStatus};
pub use rate::{Rate, TokenBucket};
pub use record::{PeerRecord, RecordError};
pub use replay::REPLAY_WINDOW;
pub use session::About;
pub use state::{DownReason, Event, Explain, Missing, PingId, State};
pub use tag_table::TagTable;
pub use tags::ReturnTags;
pub use ticket::{TICKET_SIZE, TicketKey, open_introduction, seal_introduction};
pub use timers::{BIRTHDAY_PAUSE, BIRTHDAY_PORTS, BIRTHDAY_SOCKETS, MAX_CANDIDATES};
