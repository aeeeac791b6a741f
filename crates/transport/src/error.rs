//! Why a transport did not send.

use std::io;

/// Why a [`Transmit`](crate::Transmit) was not, or not wholly, sent.
///
/// None of these breaks the transport: the next transmit, to the same or another destination, may succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The transport takes no more just now. Keep `contents[sent..]`, poll
    /// [`poll_writable`](crate::Transport::poll_writable), and try that rest again.
    #[error("the transport cannot take more at the moment")]
    Blocked {
        /// Bytes of the contents that did go out: a whole number of segments, zero if nothing went.
        sent: usize,
    },
    /// A connection to the destination is being set up first; nothing was sent. Try again as after [`SendError::Blocked`].
    #[error("a connection to the destination is being set up")]
    Connecting,
    /// A datagram is longer than the path or the transport takes. Path MTU probes are expected to end like this.
    #[error("datagram too large for the path")]
    TooLarge,
    /// No datagram can be sent to this address through this transport: another kind of address, no socket of that address
    /// family, port zero, an address that names no single host.
    #[error("this transport cannot reach such an address")]
    UnusableAddress,
    /// The operating system refused because of the destination or the route: no network, no route, forbidden by a filter.
    #[error("destination unreachable")]
    Unreachable(#[source] io::Error),
    /// The operating system refused for another reason. The datagrams count as lost.
    #[error("sending failed")]
    Io(#[source] io::Error),
}

impl SendError {
    /// Whether the same contents can go once the transport is writable again.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Blocked { .. } | Self::Connecting)
    }
}
