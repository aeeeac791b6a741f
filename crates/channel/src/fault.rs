//! Whose fault an error is: what a program needs to know to decide what to do about it.

use crate::error::{ChannelError, DatagramError, OpenError};

/// Whose fault an error is. Something that ended in order is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// This program's, or this machine's: the same call fails again until something here changes.
    Ours,
    /// The peer's: it said no, gave up, restarted or broke the protocol.
    Peer,
    /// Nobody's but the network's in between: the same call may work later.
    Network,
}

impl ChannelError {
    /// Whose fault it is; `None` if the link was closed in order.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Refused(_)
            | Self::Reset(_)
            | Self::Stopped(_)
            | Self::PeerRestarted
            | Self::Protocol(_) => Some(Fault::Peer),
            Self::ClosedHere => Some(Fault::Ours),
            Self::LinkDown => Some(Fault::Network),
            Self::LinkClosed(_) => None,
        }
    }
}

impl OpenError {
    /// Whose fault it is; `None` if the link was closed in order.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Refused(_) => Some(Fault::Peer),
            Self::InvalidType(_)
            | Self::WrongKind(_)
            | Self::Invalid(_)
            | Self::TooLarge { .. }
            | Self::TooMany => Some(Fault::Ours),
            Self::Channel(error) => error.fault(),
        }
    }
}

impl DatagramError {
    /// Whose fault it is; `None` if the channel was closed in order.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::TooLarge { .. } => Some(Fault::Ours),
            Self::Blocked => Some(Fault::Network),
            Self::Closed => None,
            Self::Channel(error) => error.fault(),
        }
    }
}
