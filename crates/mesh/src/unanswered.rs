//! Channels of a peer that has had its refusals: nobody reads them, they get no answer, and they end slowly.
//!
//! A stream that has ended gives its peer the right to open another. If they all ended at once, a peer that opens channels which
//! nobody takes would be served as fast as it can send, and everybody else by what is left. So each keeps its place among
//! the peer's streams for a while.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use telemesh_engine::StreamId;

/// Time between two groups that end. Short, so that a peer which made one mistake in a loop has its streams again soon.
const INTERVAL: Duration = Duration::from_millis(10);

/// Streams in a group: a thousand a second, which costs a few hundredths of a processor.
const GROUP: usize = 10;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Unanswered {
    /// The longest waiting has the lowest number. Never more than the peer may have streams.
    line: BTreeSet<StreamId>,
    next: Option<Instant>,
}

impl Unanswered {
    pub(crate) fn add(&mut self, id: StreamId, now: Instant) {
        self.line.insert(id);
        self.next.get_or_insert(now + INTERVAL);
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether this one waits for its end, whatever the peer says.
    pub(crate) fn contains(&self, id: StreamId) -> bool {
        self.line.contains(&id)
    }

    /// When to ask [`Unanswered::take_due`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Those that end now.
    pub(crate) fn take_due(&mut self, now: Instant) -> impl Iterator<Item = StreamId> + '_ {
        let due = self.next.is_some_and(|next| next <= now);
        let count = if due { self.line.len().min(GROUP) } else { 0 };
        if due {
            self.next = (self.line.len() > count).then_some(now + INTERVAL);
        }
        (0..count).filter_map(|_| self.line.pop_first())
    }
}

#[cfg(test)]
mod tests {
    use telemesh_engine::{Config, Engine, Seed};
    use telemesh_hashname::Hashname;

    use super::*;

    #[test]
    fn they_end_in_groups_and_in_order() {
        let now = crate::clock::now();
        let ends = [1, 2].map(|number| (Hashname::from_bytes([number; 32]), u64::from(number)));
        let mut engine = Engine::start(&Seed::new(ends[0], ends[1], 0), &Config::default(), now).unwrap();
        let ids: Vec<_> = std::iter::from_fn(|| engine.open()).take(GROUP + 3).collect();
        let mut unanswered = Unanswered::default();
        assert_eq!(unanswered.poll_timeout(), None);
        ids.iter().rev().for_each(|id| unanswered.add(*id, now));
        assert_eq!((unanswered.len(), unanswered.poll_timeout()), (ids.len(), Some(now + INTERVAL)));
        assert_eq!(unanswered.take_due(now).count(), 0);
        assert_eq!(unanswered.take_due(now + INTERVAL).collect::<Vec<_>>(), ids[..GROUP]);
        assert!(!unanswered.contains(ids[0]) && unanswered.contains(ids[GROUP]));
        assert_eq!(unanswered.take_due(now + INTERVAL).count(), 0, "not all at once");
        assert_eq!(unanswered.take_due(now + 2 * INTERVAL).count(), 3);
        assert_eq!(unanswered.poll_timeout(), None);
    }
}
