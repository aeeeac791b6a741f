//! What a link's owner can see of it: its state, and why a dial failed.

use telemesh_channel::{ChannelError, Fault};
use telemesh_link::{DownReason, Explain, State};

/// The state of a link, as its watchers see it. Only the latest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkState {
    /// Whether it is up, or why not.
    pub state: State,
    /// How many times it has come up. A change shows that it was down in between.
    pub ups: u64,
}

impl LinkState {
    /// Whether channels can be opened.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }
}

/// Why a link did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// What was given is no URI, link JSON or hashname.
    #[error("not a link: {0}")]
    Target(String),
    /// It names this endpoint itself.
    #[error("that is this endpoint itself")]
    Ourselves,
    /// The keys differ from those known for the hashname.
    #[error("the keys do not belong to {0}")]
    Keys(telemesh_hashname::Hashname),
    /// More links than configured, see [`MeshBuilder::max_links`](crate::MeshBuilder::max_links).
    #[error("too many links: the limit is {0}")]
    TooMany(usize),
    /// The peer did not answer in time. The explanation says what was tried.
    #[error("no answer in time: {0}")]
    TimedOut(Box<Explain>),
    /// The link was closed or revoked while it was waited for.
    #[error("the link is closed: {0}")]
    Closed(DownReason),
    /// There is nobody who could introduce us: the peer's keys or addresses are not known, and no router serves.
    #[error("no keys or no address are known for {0}, and nobody can introduce us")]
    NoIntroducer(telemesh_hashname::Hashname),
    /// The store could not be read.
    #[error("what is known about the peer could not be read: {0}")]
    Store(#[from] std::io::Error),
}

impl LinkError {
    /// Whose fault it is; `None` if the link was closed here.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Target(_)
            | Self::Ourselves
            | Self::Keys(_)
            | Self::TooMany(_)
            | Self::NoIntroducer(_)
            | Self::Store(_) => Some(Fault::Ours),
            Self::TimedOut(_) => Some(Fault::Network),
            Self::Closed(DownReason::Closed(_)) => None,
            Self::Closed(DownReason::ClosedByPeer(_) | DownReason::NoSharedCipherSet) => Some(Fault::Peer),
            Self::Closed(_) => Some(Fault::Network),
        }
    }
}

/// What channels fail with when a link goes down for this reason.
pub(crate) fn channel_error(reason: DownReason) -> ChannelError {
    match reason {
        DownReason::Closed(reason) | DownReason::ClosedByPeer(reason) => ChannelError::LinkClosed(reason),
        _ => ChannelError::LinkDown,
    }
}

/// Whether a link that went down for this reason may come back with its channels.
pub(crate) fn may_come_back(reason: DownReason) -> bool {
    !matches!(reason, DownReason::Closed(_) | DownReason::ClosedByPeer(_))
}
