//! Looking at a link: state, paths, peer, counters. Nothing here changes anything.

use std::time::{Duration, Instant};

use telemesh_hashname::{Hashname, PublicKeys};

use super::Link;
use crate::counters::DropCounters;
use crate::path::PathStatus;
use crate::record::PeerRecord;
use crate::session::About;
use crate::state::{DownReason, Explain, Missing, State};

impl Link {
    /// The path that data takes.
    #[must_use]
    pub fn path(&self) -> Option<PathStatus> {
        self.paths.status().find(|path| path.in_use)
    }

    /// Every candidate and what is known of it.
    pub fn paths(&self) -> impl Iterator<Item = PathStatus> + '_ {
        self.paths.status()
    }

    /// Smoothed round-trip time of the path in use.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.paths.active()?.rtt()
    }

    /// When the peer was last heard, by an authentic packet on any path.
    #[must_use]
    pub fn last_heard(&self) -> Option<Instant> {
        self.paths.last_heard()
    }

    /// Whether the link is up, and if not, why.
    #[must_use]
    pub fn state(&self) -> State {
        if self.status.up {
            return State::Up;
        }
        match self.missing() {
            Some(Obstacle::Missing(missing)) => State::Unresolved(missing),
            Some(Obstacle::NoSharedCipherSet) => State::Down(DownReason::NoSharedCipherSet),
            None => State::Down(self.status.down),
        }
    }

    /// Whether the application wants the link to be up.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.connecting.is_wanted()
    }

    /// What the peer last said about itself.
    #[must_use]
    pub fn about(&self) -> Option<About> {
        self.status.about
    }

    /// Whether the peer's key is not known, so that only it can initiate.
    #[must_use]
    pub fn is_key_missing(&self) -> bool {
        matches!(self.missing(), Some(Obstacle::Missing(Missing::Key)))
    }

    /// Who the peer is.
    #[must_use]
    pub fn hashname(&self) -> Hashname {
        self.peer.hashname
    }

    /// What is known of the peer's keys.
    #[must_use]
    pub fn keys(&self) -> Option<&PublicKeys> {
        self.peer.keys.as_ref()
    }

    /// What has to survive a restart, as it is now.
    #[must_use]
    pub fn record(&self) -> PeerRecord {
        self.peer.record.clone()
    }

    /// The slot that the link was made with.
    #[must_use]
    pub fn slot(&self) -> u32 {
        crate::packet::slot_of(self.last_index)
    }

    /// What was tried, and what came of it.
    #[must_use]
    pub fn explain(&self, now: Instant) -> Explain {
        Explain {
            state: self.state(),
            paths: self.paths.status().collect(),
            initiations_sent: self.connecting.initiations_sent(),
            attempts_failed: self.connecting.failures(),
            retry_in: self.connecting.retry_in(now),
            birthday: self.paths.birthday.as_ref().map(|birthday| birthday.status()),
        }
    }

    /// How many packets this link dropped, and why.
    #[must_use]
    pub fn dropped(&self) -> &DropCounters {
        &self.dropped
    }

    /// What keeps us from initiating.
    pub(super) fn missing(&self) -> Option<Obstacle> {
        let Some(keys) = &self.peer.keys else { return Some(Obstacle::Missing(Missing::Key)) };
        let Some(csid) = self.identity.highest_shared(keys.cipher_sets()) else {
            return Some(Obstacle::NoSharedCipherSet);
        };
        if keys.key(csid).is_none() {
            return Some(Obstacle::Missing(Missing::Key));
        }
        let no_path = self.paths.for_handshake().next().is_none();
        no_path.then_some(Obstacle::Missing(Missing::Path))
    }
}

/// Why no attempt can be made.
pub(super) enum Obstacle {
    Missing(Missing),
    NoSharedCipherSet,
}
