//! The `chat` channel: private group chat without a server.
//!
//! A chat has a **leader**, and its id is the hash of the leader's key for it. Every **participant** has an Ed25519 key for
//! the chat, and the leader signs each join. What somebody says is an [`Entry`]: signed, numbered, with the hash of the
//! sender's previous entry and of those it comes after. So whoever comes late learns keys and messages from anybody and
//! can check all of it: gaps, other orders, forgeries and two versions of one message show, whoever relays.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use telemesh_chat::{Chats, Config, Event};
//! # async fn example(network: Arc<dyn telemesh_channel::Network>, bob: telemesh_hashname::Hashname)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let chats = Chats::start(network, Config::new("alice".parse()?)).await?;
//! let room = chats.create("room".parse()?).await?;
//! room.invite(bob).await?;
//! let mut events = room.events().await?;
//! room.say("hello").await?;
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event {
//!         println!("{}", telemesh_chat::escaped(&message.text.text));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//! - [`Chats`], [`Chat`], [`Event`]: chats over a [`Network`](telemesh_channel::Network), as applications use them.
//! - [`Room`]: one chat without I/O, for other runtimes and for simulation. [`Log`]: its history alone.
//! - [`Entry`], [`Content`], [`Frame`]: what is signed, what it says, what goes over a channel.
//! - [`Store`]: where histories are kept, [`MemoryStore`] or `FileStore`. [`Mailbox`]: for those who are away.
//!
//! # On the wire
//! A channel of type `chat`, reliable, from each participant to each other one: only its opener writes, frames in
//! [`Messages`](telemesh_channel::Messages). The open message's body is the chat's id, followed, to those who are invited, by
//! the leader's first entry.
//!
//! # Who guarantees what
//! Our entries are stored before they are sent, others' before they are acknowledged. Memory for a peer is bounded: frames
//! are made when the channel has room, what comes too early waits within limits. Whoever is no participant learns nothing,
//! not even whether the chat is known. Out of scope: trust (who may link is the mesh's business), removing participants.

mod ack;
mod codec;
mod content;
mod entry;
mod error;
mod event;
mod frame;
mod id;
mod key;
mod limits;
mod log;
mod mailbox;
mod name;
mod room;
mod service;
mod store;

pub use ack::Ack;
pub use content::{Alternate, Content, Profile, Text};
pub use entry::{Entry, Fields, Unverified};
pub use error::{ChatError, DecodeError, Refused};
pub use event::{Event, Invitation};
pub use frame::{Accept, Frame, Head, Hello};
pub use id::{ChatId, EntryId, ParseIdError, ParticipantKey};
pub use key::ChatKey;
pub use limits::*;
pub use log::{Log, Message, Order, Participant};
pub use mailbox::{Mail, Mailbox, MailboxError, MemoryMailbox, MemoryMailboxes};
pub use name::{Escaped, Name, NameError, escaped};
pub use room::{Counters, Delivery, Letter, Room};
pub use service::{Chat, ChatInfo, Chats, Config, Events, Invitations, Member, StartError, Subscription};
#[cfg(feature = "redb")]
pub use store::FileStore;
pub use store::{MemoryStore, Store, StoredChat, Write};
#[cfg(feature = "redb")]
pub use telemesh_database::OpenError;

/// The channel's type.
pub const CHAT: &str = "chat";

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
