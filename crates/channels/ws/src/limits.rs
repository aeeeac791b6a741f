//! What a message may be, in numbers, each with its reason.

use std::time::Duration;

/// Bytes of one message, whatever it was sent in, unless both sides agree on something else: as for every channel with
/// messages.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Bytes of a reason to close, in UTF-8: a control frame holds 125, two of them the code (RFC 6455, section 5.5).
pub const MAX_REASON: usize = 123;

/// How long [`close`](crate::WebSocket::close) waits for the peer to close as well.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of the two buffers of a socket. Ten thousand of them are nothing special, and a channel has a window of its own.
pub(crate) const BUFFER: usize = 8 * 1024;
