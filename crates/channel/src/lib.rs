//! Channels as people use them: streams and datagrams over a link, and the traits between those who open, those who
//! answer, and the mesh that carries.
//!
//! A **channel** is one conversation of a given type over a link. It starts with an [`Open`] message that names the type
//! and may carry headers and a body. A *reliable* channel is an ordered byte stream each way, [`Channel`]; an *unreliable*
//! one carries single messages that may be lost or overtake each other, [`Datagrams`].
//!
//! | who | works with |
//! |---|---|
//! | opens a channel | [`Opener`] (a link is one), [`Channel`], [`Datagrams`], [`Messages`] |
//! | answers channels | [`Acceptor`], [`Handler`], [`Incoming`] |
//! | needs many links | [`Network`] |
//! | helps the endpoint to reach others | [`Service`], [`Need`], [`Endpoint`] |
//! | carries channels (the mesh) | [`RawStream`], [`RawDatagrams`], [`Pending`], [`Registry`], [`Dispatcher`], [`LinkEventSource`] |
//! | tests a channel without a mesh | [`memory::pair`] |
//!
//! # Who guarantees what
//! - **An open is visible soon.** The carrier sends the open message with the first bytes that are written, when something is waited
//!   for, or after a few milliseconds. [`Channel::accepted`] resolves when the peer has accepted or refused.
//! - **The tail is not lost.** [`Channel`]'s `shutdown` ends the stream and dropping it afterwards still delivers; dropping
//!   it before resets it, so that the peer never takes a cut stream for a whole one.
//! - **One handler harms no other channel.** [`Dispatcher`] does not call a handler: it returns a [`HandlerTask`], and the
//!   carrier (the mesh, the memory pair) spawns each as a task of its own. A handler that never returns holds that task,
//!   its own channel's window and one place in its type's limit, nothing else. A panic is caught in the task: the channel
//!   is reset, or refused with `Internal` if it was not accepted yet.
//! - **Memory is bounded.** Writes wait when the peer does not read; open channels are limited per link and type
//!   ([`Handler::max_open`]); refusals are limited per link ([`REFUSALS_PER_SECOND`]).
//!
//! Out of scope: reliability and flow control (the engine), encryption (the link), spawning and sockets (the mesh).

pub mod memory;

mod channel;
mod datagrams;
mod dispatch;
mod error;
mod events;
mod fault;
mod for_each;
mod grants;
mod handler;
mod incoming;
mod messages;
mod network;
mod raw;
mod registry;
mod services;
mod split;

pub use channel::Channel;
pub use datagrams::{DatagramSender, Datagrams};
pub use dispatch::{Dispatch, Dispatcher, HandlerTask, MAX_OPEN_PER_TYPE, REFUSALS_PER_SECOND};
pub use error::{AcceptError, ChannelError, DatagramError, HandleError, MessageError, OpenError};
pub use events::{LinkEventSource, MAX_UNREAD_LINK_EVENTS};
pub use fault::Fault;
pub use for_each::ForEachSpawned;
pub use grants::{GrantChanges, GrantWatch};
pub use handler::{Handler, Limited, limited};
pub use incoming::Incoming;
pub use messages::{MAX_MESSAGE_SIZE, Messages};
pub use network::{Acceptor, LinkEvent, LinkEvents, Network, Opener, WeakNetwork};
pub use raw::{CANCELLED, Pending, RawDatagrams, RawStream};
pub use registry::{Registry, check_channel_type, check_open};
pub use services::{Endpoint, Joined, Need, Service};
pub use split::{ReadHalf, WriteHalf};

pub use futures_core::future::BoxFuture;
pub use telemesh_hashname::Hashname;
pub use telemesh_wire::{
    Body, ChannelKind, CircuitId, CloseReason, Connection, Introduction, LinkInfo, Open, Refusal,
    RefusalCode, Target,
};

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
