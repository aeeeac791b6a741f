//! The table in which the gate finds the return tags that an endpoint's links accept.
//!
//! It is a leaf: whoever holds its lock takes no other. A link's tags go in and out through its [`Registration`].

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use telemesh_hashname::Hashname;

use crate::mac;
use crate::packet::{Initiation, MAC_SIZE};
use crate::rate::{Rate, TokenBucket};
use crate::tags::ReturnTag;
use crate::timers::COPIES_PER_ROUND;

/// Initiations per tag that are remembered, so that copies of them cost nothing more than a look.
const REMEMBERED: usize = 2 * COPIES_PER_ROUND;

/// The return tags that the links of an endpoint accept. Clones share it: give one to the gate and to every link.
///
/// It holds at most 17 tags per link, each gone with its link.
#[derive(Clone, Default)]
pub struct TagTable {
    shared: Arc<Mutex<Tags>>,
}

#[derive(Default)]
struct Tags {
    by_id: BTreeMap<NonZeroU64, Entry>,
    /// Number of the registration that was made last.
    last_owner: u64,
}

struct Entry {
    tag: ReturnTag,
    peer: Hashname,
    /// The registration that has put it in.
    owner: u64,
    bucket: TokenBucket,
    /// mac2 of the initiations that were let through last; the oldest goes first.
    seen: Vec<[u8; MAC_SIZE]>,
}

/// What the table says about an initiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recognition {
    /// It names no tag, or none that is accepted: a stranger as far as can be told.
    Unknown,
    /// It is from this peer, or from whoever has its tag.
    Peer(Hashname),
    /// The tag is right, but was shown too often: no better than a stranger.
    TooOften,
    /// A copy of one that was let through.
    Copy,
    /// It names a tag and does not have its key.
    Wrong,
}

impl TagTable {
    /// A table of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of tags in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().by_id.len()
    }

    /// Whether there is no tag in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks whether an initiation shows a tag: at most one hash.
    pub(crate) fn recognize(&self, now: Instant, rate: Rate, initiation: &Initiation<'_>) -> Recognition {
        let Some(id) = NonZeroU64::new(initiation.return_id) else { return Recognition::Unknown };
        let mut tags = self.lock();
        let Some(entry) = tags.by_id.get_mut(&id) else { return Recognition::Unknown };
        // Two packets that differ in any bit have different ones, unless whoever made them has the key.
        if entry.seen.contains(initiation.mac2) {
            return Recognition::Copy;
        }
        if !mac::verify_mac2(entry.tag.key(), initiation.covered_by_mac2, initiation.mac2) {
            return Recognition::Wrong;
        }
        if !entry.bucket.take(now, rate.burst, rate.interval()) {
            return Recognition::TooOften;
        }
        if entry.seen.len() >= REMEMBERED {
            entry.seen.remove(0);
        }
        entry.seen.push(*initiation.mac2);
        Recognition::Peer(entry.peer)
    }

    /// A place for the tags of one link.
    pub(crate) fn register(&self, peer: Hashname) -> Registration {
        let mut tags = self.lock();
        tags.last_owner += 1;
        Registration { table: self.clone(), peer, owner: tags.last_owner, ids: Vec::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Tags> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TagTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagTable").field("tags", &self.len()).finish()
    }
}

/// The tags that one link has put into the table. They leave it with the registration.
pub(crate) struct Registration {
    table: TagTable,
    peer: Hashname,
    owner: u64,
    ids: Vec<NonZeroU64>,
}

impl Registration {
    /// Makes these the link's tags.
    pub(crate) fn set(&mut self, accepted: &[ReturnTag]) {
        let mut tags = self.table.lock();
        let gone = self.ids.iter().filter(|&&id| accepted.iter().all(|tag| tag.id() != id));
        gone.for_each(|id| tags.remove(id, self.owner));
        for tag in accepted {
            tags.insert(tag, self.peer, self.owner);
        }
        drop(tags);
        self.ids.clear();
        self.ids.extend(accepted.iter().map(ReturnTag::id));
    }
}

impl Tags {
    fn insert(&mut self, tag: &ReturnTag, peer: Hashname, owner: u64) {
        let fresh =
            || Entry { tag: tag.clone(), peer, owner, bucket: TokenBucket::default(), seen: Vec::new() };
        let entry = self.by_id.entry(tag.id()).or_insert_with(fresh);
        // A newer link with the same peer takes over. That two peers have the same id does not happen by chance; if one of
        // them has brought it about, it gains nothing by it.
        if entry.peer == peer && entry.tag == *tag {
            entry.owner = entry.owner.max(owner);
        }
    }

    fn remove(&mut self, id: &NonZeroU64, owner: u64) {
        if self.by_id.get(id).is_some_and(|entry| entry.owner == owner) {
            self.by_id.remove(id);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.set(&[]);
    }
}

#[cfg(test)]
mod tests;
