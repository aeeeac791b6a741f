//! The `box` channel: sealed messages for endpoints that are away.
//!
//! A sender seals a message for its recipient and keeps it until the recipient's receipt is back. Meanwhile it hands the
//! message over, directly when both are up, else to any endpoint that caches for it. A cache knows from whom and for whom a
//! message is while it takes it, and neither what it says nor, at rest, whose it is.
//!
//! [`Boxes`] are what an endpoint has: an [`Outbox`], an [`Inbox`] for each application's [`Label`], and, if it wants, a cache.
//! They work over any [`Network`](telemesh_channel::Network), seal with a [`Sealer`], and keep everything in a [`Store`].
//!
//! # What it promises
//! - **What was sent is not lost.** [`Outbox::send`] resolves when the message is in the sender's store. It is offered again,
//!   with the same id, until there is a receipt or it expires, whatever caches evict and whoever dies meanwhile.
//! - **What was acknowledged does not come again.** [`Message::ack`] resolves when that is stored. Before, the message comes
//!   again after every restart, with the same id.
//! - **In order.** Each sender's messages of one label are delivered as they were sent. One that is missing holds those behind
//!   it back until it comes or expires.
//! - **A cache's "stored" is stored and synced**, and no promise for ever: it has limits, see [`CacheLimits`]. When they are
//!   reached the oldest go first, and the last small message of each sender stays.
//! - **No answer says whether a recipient exists.** Who may leave messages (the grant [`GRANT`]) depends on the giver alone.
//! - **Found by itself**: endpoints tell those they have links with which caches are theirs; see [`Caches`] for whose are used.
//! - **Any length** up to 16 MiB, in parts of 64 KiB; a transfer that was cut goes on where it was.
//!
//! # How it works
//! One channel type. Whoever has something to give opens it: a sender its messages, a recipient its receipts (which are
//! sealed messages too, from recipient to sender), a cache what it keeps for the peer that has come up. The giver offers
//! ids; the taker answers each with *want*, *stored*, *done* or *refused* (`wire::frames`). A recipient that is done with a
//! message tells the cache it came from, which lets go of it.
//!
//! Inside the seal (`wire::letter`) stand the stream and number of a message, when it expires, its label and its content;
//! and what the recipient need not wait for: everything below a number, and everything after a time.
//!
//! # What it is not
//! Forward secrecy ends where a seal begins: who gets the recipient's secret key later can read what was kept. The length of
//! a message is seen by the cache. A recipient whose clock is wrong takes messages for expired that are not.
//!
//! # What is where
//! `outbox`, `inbox`, `shelf`: the three indexes, without I/O. `give`, `take`, `bring`: sessions. `store`: rows and group
//! commit. `peers`, `receipts`: who is to be told what. `told`: who has told which caches to be theirs. `boxes`: starting, links, time.

pub mod limits;

mod boxes;
mod bring;
mod cache;
mod caches;
mod clock;
mod core;
mod error;
mod give;
mod id;
mod inbox;
mod outbox;
mod peers;
mod receipts;
mod runs;
mod seal;
mod shelf;
mod store;
mod take;
mod told;
mod wire;

pub use boxes::{Boxes, Builder, CacheUse};
pub use cache::GRANT;
pub use caches::Caches;
pub use clock::{Clock, SystemClock};
pub use error::{InboxTaken, SendError, StartError};
pub use id::{CacheSecret, MessageId};
pub use inbox::{Inbox, Message, Waiting};
pub use limits::{CacheLimits, Limits};
pub use outbox::{Outbox, Pending, Stage};
pub use seal::{KeySealer, SealFailure, Sealer};
#[cfg(feature = "redb")]
pub use store::FileStore;
pub use store::{Change, EachRow, MemoryStore, Store, StoreError};
#[cfg(feature = "redb")]
pub use telemesh_database::OpenError;
pub use wire::label::{Label, ParseLabelError};

/// The channel's type.
pub const BOX: &str = "box";

/// The body of the open message: the version of everything behind it.
pub(crate) const VERSION: u8 = 2;

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
