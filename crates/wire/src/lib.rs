//! Messages, limits and addresses that endpoints exchange.

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

pub use address::{ParsePathAddressError, PathAddress, socket_address_from_bytes, socket_address_to_bytes};
pub use answer::{Answer, Refusal, RefusalCode};
pub use control::{CloseReason, Control, NoiseMessage};
pub use credential::{Credential, ResponseMacKey};
pub use error::{DecodeError, InvalidValue};
pub use frame::Frame;
pub use hello::{Hello, HelloReply};
pub use invite::{Invite, InviteSecret};
pub use key_digests::KeyDigests;
pub use link_info::{LinkInfo, LinkInfoError, PathHint, RouterHint, UnknownPath};
pub use open::{ChannelKind, Open};
pub use target::{LinkTarget, ParseLinkTargetError};
pub use uri::{Authority, Host, LinkUri, ParseLinkUriError};
