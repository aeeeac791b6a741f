//! Where a session comes from, and which of two sessions both ends prefer.
//!
//! Both ends may make sessions at the same time, and packets overtake each other, so "the one that came last" is not the
//! same session at both ends. What is the same: which handshake a session descends from, how often it was renewed since,
//! and who started each. Both ends have to come to the same result, or each sends under what the other has just left.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

use crate::tags::SessionTags;
use crate::timers::CROSSED_WITHIN;

/// The descent of one session.
#[derive(Clone)]
pub(crate) struct Lineage {
    /// The session that came out of an initiation.
    root: Root,
    /// Renewals between that one and this one.
    renewals: u32,
    /// Whether this one was started by us: its initiation or its renewal.
    started_by_us: bool,
    /// What the initiation left. Renewals leave nothing of their own.
    tags: Arc<SessionTags>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Root {
    /// Its receiver index at this end, to tell two from each other.
    index: u32,
    created: Instant,
    started_by_us: bool,
}

impl Lineage {
    /// Of a session that comes out of an initiation.
    pub(crate) fn of_initiation(
        index: u32,
        created: Instant,
        started_by_us: bool,
        tags: SessionTags,
    ) -> Self {
        let root = Root { index, created, started_by_us };
        Self { root, renewals: 0, started_by_us, tags: Arc::new(tags) }
    }

    /// Of a session that renews the one with this descent.
    pub(crate) fn renewed(&self, started_by_us: bool) -> Self {
        Self { renewals: self.renewals.saturating_add(1), started_by_us, ..self.clone() }
    }

    /// The return tags that come with it.
    pub(crate) fn tags(&self) -> &SessionTags {
        &self.tags
    }

    /// Whether the initiation that it descends from is older than that of the other one.
    pub(crate) fn is_older(&self, other: &Self) -> bool {
        self.root.created < other.root.created
    }

    /// Whether a session of this descent takes the place of the current one.
    ///
    /// - Of two with the same root, the one that was renewed oftener. If both ends renewed the same session at the same
    ///   time, that of the higher hashname: a rule that looked at the time would also undo a renewal that follows quickly,
    ///   as it does at the packet limit, and leave nothing but the session that is used up.
    /// - Of two roots that crossed, that of the higher hashname. Otherwise the younger root: a late packet does not bring
    ///   back what was replaced, and a renewal of the old does not undo the new.
    pub(crate) fn replaces(&self, current: &Self, we_are_higher: bool) -> bool {
        let (new, old) = (&self.root, &current.root);
        if new == old {
            return match self.renewals.cmp(&current.renewals) {
                Ordering::Greater => true,
                Ordering::Less => false,
                Ordering::Equal => {
                    self.started_by_us == current.started_by_us || self.started_by_us == we_are_higher
                }
            };
        }
        let apart = new.created.max(old.created).saturating_duration_since(new.created.min(old.created));
        if new.started_by_us != old.started_by_us && apart < CROSSED_WITHIN {
            return new.started_by_us == we_are_higher;
        }
        new.created >= old.created
    }
}

#[cfg(test)]
mod tests;
