//! The trait of what has a gateway lead packets for one of its ports to a socket of this machine.

use std::{
    fmt,
    net::SocketAddr,
    num::NonZeroU16,
    task::{Context, Poll},
};

/// Asks gateways for a way in.
///
/// It sends nothing before [`map`](Self::map), and what a gateway says is a claim: an address that could be nobody's on the internet
/// is not told on, any other one may be, also when it is not ours. Whoever gets it has to prove that it leads here.
pub trait PortMapping: fmt::Debug + Send + Sync + 'static {
    /// Wants datagrams for this local port of UDP over IPv4 from now on, and nothing else any more. Asked again it begins anew, since
    /// the gateway may be another one.
    fn map(&self, port: NonZeroU16);

    /// The gateway's address and port that lead here, whenever they are others than what was told before; `None` when there are
    /// none. One task may wait.
    fn poll_mapped(&self, cx: &mut Context<'_>) -> Poll<Option<SocketAddr>>;

    /// Gives back what there is. Ready when the gateway has been told, or there is nothing to tell. One task may wait.
    fn poll_released(&self, cx: &mut Context<'_>) -> Poll<()>;
}
