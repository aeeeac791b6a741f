//! The control socket of an endpoint that is up: `docs/CONTROL.md` says what it speaks.
//!
//! [`server`] accepts connections, [`connection`] serves one, [`client`] is the program's own end. [`wire`] is what both use:
//! lines, and then maybe bytes; [`lines`] says what is in them.

pub(crate) mod client;
mod connection;
mod lines;
pub(crate) mod server;
pub(crate) mod wire;

use std::time::Duration;

/// The socket's name in the home folder.
const NAME: &str = "control.sock";

/// Bytes of a request, without the end of its line: as much as an open message, and far more than any link URI has.
const MAX_REQUEST: usize = 64 * 1024;

/// How long a request may take to arrive: whoever connects has something to ask.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Connections at once. Each is a command of one user, and costs a task and some buffers.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may leave its events unread before its command is cancelled.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// How often a connection that has said its last word is checked for somebody at its other end.
const GONE_INTERVAL: Duration = Duration::from_secs(1);
