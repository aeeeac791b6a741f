//! [`Datagrams`]: an unreliable channel in its user's hands.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use telemesh_hashname::Hashname;

use crate::dispatch::Permit;
use crate::error::{ChannelError, DatagramError};
use crate::raw::RawDatagrams;

/// An unreliable channel: single messages in both directions that may be lost, doubled or overtake each other.
///
/// Dropping it closes the channel for both ends.
pub struct Datagrams {
    peer: Hashname,
    channel_type: Box<str>,
    raw: Arc<dyn RawDatagrams>,
    /// Kept for its drop: gives this channel's place in the type's limit back.
    _permit: Option<Permit>,
}

impl Datagrams {
    /// Wraps what the carrier gives.
    pub fn new(peer: Hashname, channel_type: impl Into<Box<str>>, raw: Arc<dyn RawDatagrams>) -> Self {
        Self { peer, channel_type: channel_type.into(), raw, _permit: None }
    }

    pub(crate) fn with_permit(mut self, permit: Option<Permit>) -> Self {
        self._permit = permit;
        self
    }

    /// The endpoint at the other end.
    pub fn peer(&self) -> Hashname {
        self.peer
    }

    /// The type the channel was opened with.
    pub fn channel_type(&self) -> &str {
        &self.channel_type
    }

    /// Bytes that fit in one message now; it changes with the link's path, and is 0 while nothing can be sent.
    pub fn max_size(&self) -> usize {
        self.raw.max_size()
    }

    /// Sends one message, now or not at all.
    ///
    /// # Errors
    /// [`DatagramError`]; `Blocked` and `TooLarge` concern this message only.
    pub fn send(&self, message: Bytes) -> Result<(), DatagramError> {
        self.raw.try_send(message)
    }

    /// Another handle for sending, for another task. It does not keep the channel open.
    pub fn sender(&self) -> DatagramSender {
        DatagramSender { raw: Arc::clone(&self.raw) }
    }

    /// Waits for the next message; `None` when the peer has closed in order. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`ChannelError`]: refused by the peer, or lost with the link.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, ChannelError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv`](Self::recv) as a poll function.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ChannelError>> {
        self.raw.poll_recv(cx)
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.raw.close();
    }
}

impl fmt::Debug for Datagrams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Datagrams")
            .field("peer", &self.peer)
            .field("type", &self.channel_type)
            .finish_non_exhaustive()
    }
}

/// Sends on an unreliable channel from another task; see [`Datagrams::sender`].
#[derive(Clone)]
pub struct DatagramSender {
    raw: Arc<dyn RawDatagrams>,
}

impl DatagramSender {
    /// As [`Datagrams::max_size`].
    pub fn max_size(&self) -> usize {
        self.raw.max_size()
    }

    /// As [`Datagrams::send`].
    ///
    /// # Errors
    /// As [`Datagrams::send`]; `Closed` after the [`Datagrams`] is gone.
    pub fn send(&self, message: Bytes) -> Result<(), DatagramError> {
        self.raw.try_send(message)
    }
}

impl fmt::Debug for DatagramSender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DatagramSender").finish_non_exhaustive()
    }
}
