//! What a link tells its owner: states with reasons, events, and an explanation of what was tried.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use telemesh_wire::{CloseReason, Credential, PathAddress};

use crate::birthday::{BirthdayOutcome, BirthdayStatus};
use crate::path::PathStatus;
use crate::record::PeerRecord;
use crate::session::About;

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Something is missing before the peer can be reached.
    Unresolved(Missing),
    /// There is no session.
    Down(DownReason),
    /// There is a session, and the peer was heard under it in the last 75 seconds.
    Up,
}

/// What an unresolved link lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Missing {
    /// The peer's public key for the strongest cipher set that both ends have.
    Key,
    /// A path on which to try.
    Path,
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DownReason {
    /// Nobody asked for it yet.
    #[error("not connected yet")]
    New,
    /// Initiations had no answer, or nothing was heard for too long.
    #[error("the peer does not answer")]
    TimedOut,
    /// This end closed it.
    #[error("closed here: {0}")]
    Closed(CloseReason),
    /// The peer closed it.
    #[error("closed by the peer: {0}")]
    ClosedByPeer(CloseReason),
    /// The session reached its limit and could not be renewed.
    #[error("the session expired")]
    SessionExpired,
    /// The peer has no cipher set that we have.
    #[error("no cipher set in common")]
    NoSharedCipherSet,
}

/// Something the owner of a link has to know or do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// There is a session now. Not repeated when the session is renewed.
    Up(About),
    /// There is no session any more, or an attempt to make one was given up.
    Down(DownReason),
    /// The peer's process is another one than at the last [`Event::Up`]: everything shared with the old one is gone.
    /// Comes right before the new [`Event::Up`].
    PeerRestarted,
    /// Data takes another path.
    PathChanged {
        /// The new one.
        path: PathAddress,
        /// Its round-trip time, if known.
        rtt: Option<Duration>,
        /// It is of the same kind as the old one and about as fast: what was learned about the old path holds.
        similar: bool,
    },
    /// Store this, then call [`Link::persisted`](crate::Link::persisted) with it: an answer may be waiting.
    Persist(PeerRecord),
    /// The peer has proven, by its first data packet, that it owns what it claimed with this credential: an invite is
    /// spent now.
    Confirmed {
        /// What its hello carried. Only present when it was not empty.
        credential: Credential,
    },
    /// The peer's engines up to this number are gone.
    EngineGone {
        /// The highest number that is gone.
        number: u64,
    },
    /// The answer to [`Link::ping`](crate::Link::ping).
    Pong {
        /// Which ping.
        id: PingId,
        /// Round-trip time.
        rtt: Duration,
        /// The path on which it went.
        path: PathAddress,
    },
    /// A path has shown that it works, for the first time or again.
    PathProven {
        /// Which.
        path: PathAddress,
    },
    /// Nobody answers on the paths that are known, or none is known: whoever can may ask a router. Repeated while it is so.
    NeedsPath,
    /// An attempt at birthday probing is over. Extra sockets that [are not needed](crate::Link::needs_extra_socket) may be closed.
    BirthdayOver(BirthdayOutcome),
    /// Where the peer sees our packets come from: our address outside a NAT. Only when it is another than before.
    Observed {
        /// Our address as the peer sees it.
        address: SocketAddr,
        /// The path on which we sent.
        path: PathAddress,
    },
}

/// Names one ping of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PingId(pub(crate) u64);

/// Which paths were tried, what came of each, and which one is in use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explain {
    /// The state of the link.
    pub state: State,
    /// Every candidate.
    pub paths: Vec<PathStatus>,
    /// Initiations sent in the attempt that is going on.
    pub initiations_sent: u32,
    /// Attempts in a row that were given up.
    pub attempts_failed: u32,
    /// Time until the next attempt, while none is going on and the link is wanted.
    pub retry_in: Option<Duration>,
    /// The last time that many ports were tried, if ever.
    pub birthday: Option<BirthdayStatus>,
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            State::Up => write!(f, "up")?,
            State::Down(reason) => write!(f, "down: {reason}")?,
            State::Unresolved(Missing::Key) => write!(f, "unresolved: the peer's key is missing")?,
            State::Unresolved(Missing::Path) => write!(f, "unresolved: no path is known")?,
        }
        if self.initiations_sent > 0 {
            write!(f, "; {} initiations sent", self.initiations_sent)?;
        }
        if let Some(wait) = self.retry_in {
            write!(f, "; next attempt in {:.1} s", wait.as_secs_f32())?;
        }
        for path in &self.paths {
            write!(f, "\n{} {:?}", path.address, path.state)?;
            if let Some(rtt) = path.rtt {
                write!(f, ", round trip {:.1} ms", rtt.as_secs_f32() * 1_000.0)?;
            }
            if path.unanswered > 0 {
                write!(f, ", {} probes unanswered", path.unanswered)?;
            }
            if path.in_use {
                write!(f, ", in use")?;
            }
        }
        match self.birthday {
            Some(birthday) => write!(f, "\n{birthday}"),
            None => Ok(()),
        }
    }
}
