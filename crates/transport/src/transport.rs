//! The trait that every transport implements.

use std::{
    fmt, io,
    task::{Context, Poll},
};

use telemesh_hashname::PublicKeys;
use telemesh_wire::PathAddress;

use crate::{ReceiveBatch, SendError, Transmit};

/// Carries datagrams between path addresses.
///
/// Sending may happen on any thread and at the same time; receiving belongs to one task, waiting for writability to one
/// task as well. Dropping a transport closes it.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Whether this transport can send to `address`. The answer may change with [`rebind`](Self::rebind) only.
    fn carries(&self, address: &PathAddress) -> bool;

    /// The addresses by which other endpoints may reach this transport.
    ///
    /// A transport that listens on every interface names the interfaces' addresses, loopback only if there is nothing else.
    /// What the endpoint looks like from behind a NAT is not known here.
    fn local_addresses(&self) -> Vec<PathAddress>;

    /// Says whose keys to expect at `address`, before something is sent there. May be told again, and of several endpoints at
    /// one address: not everything that is said about addresses is true.
    ///
    /// Most transports have no use for it. A listener that answers only those who know its key has to be shown that.
    fn expect(&self, _address: &PathAddress, _keys: &PublicKeys) {}

    /// Opens up to `count` more sockets from which `to` can be reached, and names a path from each: [`PathAddress::Extra`]. To a
    /// NAT each of them is another endpoint. They stay open until [`close_extra`](Self::close_extra) or
    /// [`rebind`](Self::rebind).
    ///
    /// Fewer where the operating system or a limit of the transport gives no more, none where the transport knows no such thing.
    fn open_extra(&self, _to: &PathAddress, _count: usize) -> Vec<PathAddress> {
        Vec::new()
    }

    /// Closes the extra socket of a path. Does nothing for others.
    fn close_extra(&self, _path: &PathAddress) {}

    /// How many segments one [`try_send`](Self::try_send) hands over at once; 1 if the transport splits every run.
    ///
    /// It may change while running (a network device may turn out not to support it), so ask before each batch.
    fn max_send_segments(&self) -> usize;

    /// Sends a run of datagrams, or as much of it as the transport takes now. Never blocks.
    ///
    /// # Errors
    /// [`SendError::Blocked`] and [`SendError::Connecting`] ask to try again later; after every other error the datagrams
    /// that were not sent are lost, as if the network had dropped them.
    fn try_send(&self, transmit: &Transmit<'_>) -> Result<(), SendError>;

    /// Ready when trying again makes sense for somebody who was told to wait.
    ///
    /// At most one task may wait: a later caller's waker replaces the earlier one's. Whoever is told to wait has to see to
    /// it that this is polled *afterwards*, since a poll before covers only what was blocked by then.
    ///
    /// # Errors
    /// Only when the transport is unusable (its runtime has shut down).
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Receives into `batch`; ready as soon as it holds at least one run.
    ///
    /// At most one task may wait. Reports from the network about earlier sends (port unreachable) are not errors of
    /// receiving and never surface here.
    ///
    /// # Errors
    /// When the socket itself has failed. [`rebind`](Self::rebind) may repair it.
    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>>;

    /// Moves to a new local socket, for example after the network changed, and wakes both waiting tasks.
    ///
    /// A port that was chosen by the operating system changes; one that the application chose stays. Datagrams that wait in
    /// the old socket are lost. What was blocked counts as writable again.
    ///
    /// # Errors
    /// If no new socket can be had. Where possible the old one then stays in use.
    fn rebind(&self) -> io::Result<()>;
}
