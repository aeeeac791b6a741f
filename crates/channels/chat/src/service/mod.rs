//! Chats over a network: tasks, channels, clocks and stores around [`Room`](crate::Room)s.
//!
//! One task, the [`driver`], owns all rooms. Channels have a task each, [`links`], which only move frames. What a room wants
//! stored is stored before its next frame is made.

mod bus;
mod driver;
mod handles;
mod inbound;
mod links;

pub use bus::Subscription;
pub use handles::{Chat, ChatInfo, Chats, Config, Member, StartError};

/// The events of a chat, as a `Stream`.
pub type Events = Subscription<crate::event::Event>;

/// Invitations to chats, as a `Stream`.
pub type Invitations = Subscription<crate::event::Invitation>;
