//! When the two ends of a link tell each other where they are, again: while nothing better than a circuit works.

use std::time::{Duration, Instant};

use telemesh_wire::PathAddress;

/// Waits before each try for a direct path while data goes through a router. The first ones are for messages that got lost and
/// NATs that need a second packet; later ones cost next to nothing, and networks change unnoticed.
const WAITS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(600),
];

/// Tries that send to known addresses only. The third is made a quarter of a minute after data went through a router, when
/// whoever can meet simply has met.
const SIMPLE_TRIES: usize = 2;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    due: Option<Instant>,
    /// Tries since data began to go through a router.
    tries: usize,
}

impl Comparison {
    /// Data takes this path from now on.
    pub(crate) fn path_changed(&mut self, now: Instant, path: &PathAddress) {
        if path.is_direct() {
            *self = Self::default();
        } else if self.due.is_none() {
            self.again(now);
        }
    }

    /// The network is another one, and so may be what works.
    pub(crate) fn restart(&mut self, now: Instant) {
        if self.due.is_some() {
            self.tries = 0;
            self.again(now);
        }
    }

    /// Whether to try now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.due.is_some_and(|at| at <= now);
        if due {
            self.again(now);
        }
        due
    }

    /// Whether what is simple has been tried often enough.
    pub(crate) fn is_hard(&self) -> bool {
        // One more than were made: the next one counts already.
        self.tries > SIMPLE_TRIES + 1
    }

    /// It is not this link's turn yet to try what only one link may at a time.
    pub(crate) fn postpone(&mut self, at: Instant) {
        self.due = self.due.map(|due| due.min(at));
    }

    /// When to ask.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn again(&mut self, now: Instant) {
        let [.., longest] = WAITS;
        self.due = Some(now + WAITS.get(self.tries).copied().unwrap_or(longest));
        self.tries = self.tries.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_data_goes_through_a_router_it_is_tried_less_and_less_often() {
        let start = crate::clock::now();
        let router = PathAddress::Peer(telemesh_hashname::Hashname::from_bytes([1; 32]));
        let mut comparison = Comparison::default();
        assert!(comparison.poll_timeout().is_none());
        comparison.path_changed(start, &router);
        let mut at = start;
        for wait in WAITS.into_iter().chain([WAITS[5]]) {
            let due = comparison.poll_timeout().unwrap();
            assert_eq!(due - at, wait);
            assert!(!comparison.is_due(due - Duration::from_millis(1)) && comparison.is_due(due));
            assert_eq!(comparison.is_hard(), due >= start + Duration::from_secs(14), "from the third on");
            at = due;
        }
        comparison.postpone(at + Duration::from_secs(20));
        assert_eq!(comparison.poll_timeout(), Some(at + Duration::from_secs(20)));
        comparison.restart(at);
        assert!(!comparison.is_hard());
        assert_eq!(comparison.poll_timeout(), Some(at + WAITS[0]));
        comparison.path_changed(at, &"udp:192.0.2.1:1".parse().unwrap());
        assert!(comparison.poll_timeout().is_none());
    }
}
