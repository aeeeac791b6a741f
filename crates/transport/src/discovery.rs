//! The trait that a discovery implements: finding endpoints of the same network without being told where they are.

use std::{
    fmt, io,
    task::{Context, Poll},
};

use telemesh_hashname::{Hashname, PublicKeys};
use telemesh_wire::PathAddress;

/// What an endpoint in discover mode tells its network about itself.
///
/// Heard from the network it is only a claim: the keys have been checked against the hashname, but anybody may announce
/// anybody, and the paths may lead anywhere. A handshake proves the rest.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Who announces itself.
    pub hashname: Hashname,
    /// Its keys, so that a handshake can start without asking for them.
    pub keys: PublicKeys,
    /// Where it says it listens.
    pub paths: Vec<PathAddress>,
}

/// Something that a discovery noticed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DiscoveryEvent {
    /// An endpoint announced itself, for the first time or with other keys or paths than before.
    Found(Announcement),
    /// An endpoint said goodbye, or its announcement ran out.
    Gone(Hashname),
}

/// Why an endpoint could not be announced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The announcement is too long for the discovery's message format.
    #[error("announcement too long: {length} bytes, at most {limit} fit")]
    TooLong {
        /// Bytes that it would take.
        length: usize,
        /// Bytes that fit.
        limit: usize,
    },
    /// The announcement names no path that this discovery can announce.
    #[error("the announcement names no path that can be announced")]
    NoPath,
    /// The operating system refused.
    #[error("announcing failed")]
    Io(#[from] io::Error),
}

/// Announces the local endpoint to its network and hears the announcements of others.
///
/// Hearing is passive and always on: an implementation sends nothing at all before [`announce`](Self::announce) and nothing
/// after [`withdraw`](Self::withdraw) but its goodbye. It holds a bounded number of endpoints (1,024 by default, oldest out).
pub trait Discovery: fmt::Debug + Send + Sync + 'static {
    /// Starts announcing, or replaces what is being announced. Discover mode calls this.
    ///
    /// # Errors
    /// If the announcement does not fit or the network is not usable; nothing is announced then.
    fn announce(&self, announcement: &Announcement) -> Result<(), DiscoveryError>;

    /// Says goodbye and stops announcing. Does nothing if nothing is announced.
    fn withdraw(&self);

    /// The next thing noticed. One task may wait.
    ///
    /// # Errors
    /// When hearing has failed for good.
    fn poll_discovered(&self, cx: &mut Context<'_>) -> Poll<io::Result<DiscoveryEvent>>;
}
