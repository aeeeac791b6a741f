//! Which of a link's engines comes next, and what the peer has to hear about those that are over.
//!
//! Both ends count their engines alike, because the number is part of an engine's seed. An end whose engine is over tells the
//! other. That may get lost, and control messages are not acknowledged: it is repeated for a while, whenever the link comes
//! up, and when packets of another engine show that the two ends differ.

use std::time::{Duration, Instant};

/// First wait before it is said again; it doubles.
const REPEAT_AFTER: Duration = Duration::from_millis(500);

/// How often it is said in all, which takes fifteen seconds: a link that loses every one of them is about to go down.
const TIMES: u32 = 6;

/// Packets of other engines are answered at most this often: late ones of the last engine are among them.
const ANSWER_INTERVAL: Duration = Duration::from_millis(200);

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    next: u64,
    /// The last engine that is over here; unless the peer knows.
    untold: Option<u64>,
    /// When to say so, and how often it was said since the link came up.
    say_at: Option<Instant>,
    said: u32,
    /// When the next packet of another engine may be answered.
    answer_at: Option<Instant>,
}

impl Numbers {
    /// The number of the next engine.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// An engine is over here.
    pub(crate) fn ended(&mut self, number: u64, now: Instant) {
        self.next = self.next.max(number.saturating_add(1));
        self.untold = self.untold.max(Some(number));
        self.came_up(now);
    }

    /// The link is up again: the peer may have missed what was said.
    pub(crate) fn came_up(&mut self, now: Instant) {
        self.said = 0;
        self.say_at = self.untold.map(|_| now);
    }

    /// The peer has said that its engines up to this number are over.
    pub(crate) fn gone_at_peer(&mut self, number: u64) {
        self.next = self.next.max(number.saturating_add(1));
        if self.untold <= Some(number) {
            self.known();
        }
    }

    /// The peer uses the engine that we have, so it knows that those before are over.
    pub(crate) fn known(&mut self) {
        self.untold = None;
        self.say_at = None;
    }

    /// What to tell the peer now.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<u64> {
        self.say_at.take_if(|at| *at <= now)?;
        self.said += 1;
        if self.said < TIMES {
            self.say_at = Some(now + REPEAT_AFTER * (1 << (self.said - 1)));
        }
        self.untold
    }

    /// When [`Numbers::poll`] has something to say.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.say_at
    }

    /// A packet of another engine came in: whether the peer should hear of it now.
    pub(crate) fn is_answer_due(&mut self, now: Instant) -> bool {
        let due = self.answer_at.is_none_or(|at| at <= now);
        if due {
            self.answer_at = Some(now + ANSWER_INTERVAL);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "a test starts from some instant")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn what_is_over_is_said_six_times_and_then_again_when_the_link_comes_up() {
        let (mut numbers, start) = (Numbers::default(), start());
        numbers.ended(3, start);
        for _ in 0..2 {
            let mut said = Vec::new();
            let mut now = numbers.poll_timeout().unwrap();
            while let Some(at) = numbers.poll_timeout() {
                assert!(at >= now);
                now = at;
                assert_eq!(numbers.poll(now), Some(3));
                assert_eq!(numbers.poll(now), None);
                said.push(now);
            }
            assert_eq!(said.len(), 6);
            assert_eq!(now - said[0], Duration::from_millis(15_500));
            numbers.came_up(now);
        }
    }

    #[test]
    fn nothing_is_said_once_the_peer_knows() {
        let start = start();
        for known in [Numbers::known, |numbers: &mut Numbers| numbers.gone_at_peer(3)] {
            let mut numbers = Numbers::default();
            numbers.ended(3, start);
            known(&mut numbers);
            assert_eq!((numbers.poll(start), numbers.poll_timeout()), (None, None));
            numbers.came_up(start);
            assert_eq!((numbers.poll(start), numbers.next()), (None, 4));
        }
        let mut numbers = Numbers::default();
        numbers.ended(3, start);
        numbers.gone_at_peer(2);
        assert_eq!(numbers.poll(start), Some(3));
    }

    #[test]
    fn the_last_number_has_none_after_it() {
        let (mut numbers, start) = (Numbers::default(), start());
        numbers.gone_at_peer(u64::MAX);
        assert_eq!(numbers.next(), u64::MAX);
        numbers.ended(u64::MAX, start);
        assert_eq!((numbers.next(), numbers.poll(start)), (u64::MAX, Some(u64::MAX)));
    }
}
