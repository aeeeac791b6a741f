//! Messages, limits and addresses that endpoints exchange.
//!
//! Everything here is bytes or text in, checked values out, and back. Nothing opens a socket, reads a clock or keeps a
//! state.
//!
//! # Messages
//!
//! - [`Hello`] and [`HelloReply`] travel inside the handshake.
//! - [`Open`] opens a channel and [`Answer`] answers it, with a [`Refusal`] if need be. On a reliable channel both stand at
//!   the beginning of the stream with their length in front; on an unreliable one a [`Frame`] carries them.
//! - [`Control`] messages are about the link itself.
//!
//! They are protobuf (`proto/` in this crate) except for the frames. What one build adds the other skips: unknown fields
//! are ignored, and unknown kinds are an error of their own. Beyond that decoding is strict. The size of a message is
//! checked before it is looked at, and its fields are counted before anything is allocated for them: a field that is
//! there twice, a list that is too long and a value outside its limits are errors. What was decoded can be encoded.
//!
//! # Addresses
//!
//! - [`PathAddress`]: one place where an endpoint can be reached, like `udp:192.0.2.1:42424`.
//! - [`LinkInfo`]: hashname, keys and paths of an endpoint; written as link JSON.
//! - [`LinkUri`]: the same in one line, and maybe an [`Invite`].
//! - [`LinkTarget`]: whatever somebody hands over as "link to this".
//!
//! ```
//! use telemesh_wire::{Authority, InviteSecret, LinkInfo, LinkTarget, LinkUri};
//! # let mut keys = telemesh_hashname::PublicKeys::new();
//! # keys.insert_key(telemesh_hashname::CipherSetId::CS11, &[1; 32])?;
//! # keys.insert_key(telemesh_hashname::CipherSetId::CS21, &[2; 32])?;
//!
//! // One endpoint writes an invite ...
//! let uri = LinkUri::new(LinkInfo::new(keys)?)
//!     .with_authority("192.0.2.1".parse::<Authority>()?)
//!     .with_invite(InviteSecret::from_bytes([7; 32])); // random in real life
//! let text = uri.to_secret_string();
//!
//! // ... and another one reads it.
//! let LinkTarget::Uri(read) = text.parse()? else { panic!("a uri") };
//! assert_eq!(read.link().hashname(), uri.link().hashname());
//! assert!(read.invite().is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits and secrets
//!
//! All limits are constants in [`limits`]. Secrets ([`Credential`], [`ResponseMacKey`], [`InviteSecret`]) are wiped when
//! dropped, compared in constant time, and left out of `Debug` and `Display`; errors never repeat what was not understood.
//!
//! # What is not here
//!
//! Packets and their encryption are `telemesh-link`'s, the messages of each built-in channel its own crate's. Whether a key
//! is good, a path works or a credential opens anything is for others to find out.

#![forbid(unsafe_code)]

mod address;
mod answer;
mod control;
mod credential;
mod delimited;
mod error;
mod frame;
#[allow(unreachable_pub, missing_docs, reason = "prost writes this code as if it were public")]
mod generated;
mod hello;
mod introduction;
mod invite;
mod key_digests;
pub mod limits;
mod link_info;
mod link_json;
mod open;
mod shape;
mod strict_json;
mod target;
mod uri;

pub use address::{
    Circuit, CircuitId, ExtraSocket, ParsePathAddressError, PathAddress, socket_address_from_bytes,
    socket_address_to_bytes,
};
pub use answer::{Answer, Refusal, RefusalCode};
pub use control::{CloseReason, Control, NoiseMessage};
pub use credential::{Credential, ResponseMacKey};
pub use error::{DecodeError, InvalidValue};
pub use frame::Frame;
pub use hello::{Hello, HelloReply};
pub use introduction::{Body, Connection, Introduction, Target};
pub use invite::{Invite, InviteSecret};
pub use key_digests::KeyDigests;
pub use link_info::{LinkInfo, LinkInfoError, PathHint, RouterHint, UnknownPath};
pub use open::{ChannelKind, Open};
pub use target::{LinkTarget, ParseLinkTargetError};
pub use uri::{Authority, Host, LinkUri, ParseLinkUriError};

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
