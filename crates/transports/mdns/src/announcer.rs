//! When to announce, to ask and to answer, while discover mode lasts.

use std::time::{Duration, Instant};

use telemesh_hashname::Hashname;

/// Pauses between the first announcements: each twice the one before, as RFC 6762 section 8.3 wants it.
const FIRST_PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// Pause between all others. Whoever only listens cannot ask, so announcements do not cease as those of section 8.3 do; who comes
/// within hearing waits no longer than this.
const PAUSE: Duration = Duration::from_secs(16);

/// When questions are asked, after the first announcement (RFC 6762 section 5.2). Everybody who could answer announces
/// themselves anyway, so a few will do.
const QUESTIONS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3)];

/// An answer waits at least this long, and up to [`SPREAD`] more, so that those of many endpoints do not collide (RFC 6762
/// section 6).
const DELAY: Duration = Duration::from_millis(20);
const SPREAD: Duration = Duration::from_millis(100);

/// A record is not told twice within this time, however often somebody asks (RFC 6762 section 6).
const QUIET: Duration = Duration::from_secs(1);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Announce,
    Ask,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Announcer {
    started: Instant,
    /// Announcements so far that nobody has asked for.
    announced: usize,
    announce_at: Instant,
    questions: usize,
    ask_at: Option<Instant>,
    answer_at: Option<Instant>,
    last: Option<Instant>,
    spread: Duration,
}

impl Announcer {
    /// Begins: an announcement is due at once.
    pub(crate) fn new(hashname: &Hashname, now: Instant) -> Self {
        // Hashnames are as good as random, so endpoints spread over the time without drawing anything.
        let byte = hashname.as_bytes().first().copied().unwrap_or_default();
        let spread = SPREAD * u32::from(byte) / u32::from(u8::MAX);
        let ask_at = Some(now + DELAY + spread);
        Self {
            started: now,
            announced: 0,
            announce_at: now,
            questions: 0,
            ask_at,
            answer_at: None,
            last: None,
            spread,
        }
    }

    /// Somebody has asked for us.
    pub(crate) fn asked(&mut self, now: Instant) {
        let quiet = self.last.map_or(now, |last| last + QUIET);
        self.answer_at.get_or_insert((now + DELAY + self.spread).max(quiet));
    }

    /// The network has changed: as at the beginning.
    pub(crate) fn restart(&mut self, now: Instant) {
        (self.started, self.announced, self.announce_at) = (now, 0, now);
        (self.questions, self.ask_at) = (0, Some(now + DELAY + self.spread));
    }

    /// What is due now; it counts as done.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Due> {
        if self.announce_at <= now {
            self.announce_at = now + FIRST_PAUSES.get(self.announced).copied().unwrap_or(PAUSE);
            self.announced += 1;
        } else if self.answer_at.is_none_or(|at| now < at) {
            return self.poll_question(now);
        }
        // Every announcement is an answer too.
        (self.answer_at, self.last) = (None, Some(now));
        Some(Due::Announce)
    }

    fn poll_question(&mut self, now: Instant) -> Option<Due> {
        if self.ask_at.is_none_or(|at| now < at) {
            return None;
        }
        self.questions += 1;
        let next = QUESTIONS.get(self.questions).copied();
        self.ask_at = next.map(|after| self.started + DELAY + self.spread + after);
        Some(Due::Ask)
    }

    /// When something is due next.
    pub(crate) fn next_timeout(&self) -> Instant {
        [self.answer_at, self.ask_at].into_iter().flatten().fold(self.announce_at, Instant::min)
    }
}

#[cfg(test)]
mod tests;
