//! Channels of a peer that has had its refusals: nobody reads them, they get no answer, and they end slowly.
//!
//! A stream that has ended gives its peer the right to open another. If they all ended at once, a peer that opens channels which
//! nobody takes would be served as fast as it can send, and everybody else by what is left. So each keeps its place among
//! the peer's streams for a while.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use telemesh_engine::StreamId;

/// Time between two that end: five hundred a second, which costs a hundredth of a processor. One at a time, because those that
/// end together are opened again together, and requests of others would wait behind them.
const INTERVAL: Duration = Duration::from_millis(2);

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

    /// The one that ends now, if one does.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<StreamId> {
        self.next.take_if(|next| *next <= now)?;
        let first = self.line.pop_first();
        self.next = (!self.line.is_empty()).then_some(now + INTERVAL);
        first
    }
}

#[cfg(test)]
mod tests {
    use telemesh_engine::{Config, Engine, Seed};
    use telemesh_hashname::Hashname;

    use super::*;

    #[test]
    fn they_end_one_by_one_and_in_order() {
        let now = crate::clock::now();
        let ends = [1, 2].map(|number| (Hashname::from_bytes([number; 32]), u64::from(number)));
        let mut engine = Engine::start(&Seed::new(ends[0], ends[1], 0), &Config::default(), now).unwrap();
        let ids: Vec<_> = std::iter::from_fn(|| engine.open()).take(3).collect();
        let mut unanswered = Unanswered::default();
        assert_eq!((unanswered.poll_timeout(), unanswered.take_due(now)), (None, None));
        ids.iter().rev().for_each(|id| unanswered.add(*id, now));
        assert_eq!((unanswered.len(), unanswered.poll_timeout()), (3, Some(now + INTERVAL)));
        assert_eq!(unanswered.take_due(now), None);
        for (number, id) in (1..).zip(&ids) {
            let due = now + INTERVAL * number;
            assert!(unanswered.contains(*id));
            assert_eq!(unanswered.take_due(due), Some(*id));
            assert_eq!(unanswered.take_due(due), None, "not two at once");
        }
        assert_eq!((unanswered.len(), unanswered.poll_timeout()), (0, None));
    }
}
