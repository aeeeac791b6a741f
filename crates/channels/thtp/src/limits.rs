//! What a request or a response may be, in numbers, each with its reason.

use std::time::Duration;

/// Bytes of a head or of trailers as they are on the wire, names and values with two lengths of two bytes each. Eight times
/// what most servers take, and still nothing beside a channel's window.
pub const MAX_HEADER_LIST: usize = 64 * 1024;

/// Bytes of one header, name and value together: a large cookie or token fits.
pub const MAX_HEADER: usize = 16 * 1024;

/// Headers of one message, those that begin with a colon not counted. Browsers send about twenty.
pub const MAX_HEADERS: usize = 128;

/// Bytes of a method's name; the longest registered one has 17.
pub const MAX_METHOD: usize = 32;

/// Interim responses (status 1xx) before the final one: more is a server that only keeps us busy.
pub const MAX_INTERIM: usize = 16;

/// Requests that one link may have open at once, those of upgraded connections included: a busy page of a few hundred
/// parts for each of dozens of readers. What they hold unread stays bounded by the link's window.
pub const MAX_REQUESTS: usize = 16_384;

/// How long a peer may take from opening a channel to the end of the request's head. It is usually in the first packet.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client waits for `100 Continue` before it sends the body all the same (RFC 9110, section 10.1.1: it must not
/// wait for ever).
pub const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a server keeps a channel whose response is written, until the end of the request's direction has come.
pub const LINGER: Duration = Duration::from_secs(10);

/// What of a request goes along with the channel's open message, in bytes: that message has at most 64 KiB, type and
/// lengths included.
pub(crate) const MAX_EARLY: usize = 60 * 1024;

/// Pieces of a body up to this many bytes are copied behind their frame's header, larger ones only this much of them, so
/// that a header does not travel in a packet of its own.
pub(crate) const COPY: usize = 4 * 1024;

/// Bytes of one data frame as we write them. Readers do not care: they pass on what has arrived.
pub(crate) const MAX_DATA_FRAME: usize = 256 * 1024;

/// Code of a reset: the peer broke the rules of this channel type.
pub const CODE_MALFORMED: u32 = 1;

/// Code of a stop: the message was not needed to its end, which is no error.
pub const CODE_ENOUGH: u32 = 2;

/// Code of a reset: who made the message failed in the middle of it.
pub const CODE_FAILED: u32 = 3;
