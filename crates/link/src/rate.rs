//! How often something may happen: a rate, and the bucket that keeps to it.

use std::time::{Duration, Instant};

/// Something may happen `burst` times at once, and then `per_second` times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How often at once. Zero means never.
    pub burst: u32,
    /// How often per second after that, between one and a thousand million times.
    pub per_second: u32,
}

impl Rate {
    /// The time after which one more is allowed.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_secs(1) / self.per_second.clamp(1, 1_000_000_000)
    }
}

/// Allows a burst, and then one per interval. Holds one instant: when the bucket will be full again.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenBucket {
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// Takes one, if there is one.
    pub fn take(&mut self, now: Instant, burst: u32, interval: Duration) -> bool {
        self.take_many(now, 1, burst, interval)
    }

    /// Takes so many at once, or none.
    pub(crate) fn take_many(&mut self, now: Instant, many: u32, burst: u32, interval: Duration) -> bool {
        let filled_by = self.until_full(now) + interval * many;
        let there = filled_by <= interval * burst;
        if there {
            self.full_at = Some(now + filled_by);
        }
        there
    }

    /// Whether there is one to take.
    pub(crate) fn has(&self, now: Instant, burst: u32, interval: Duration) -> bool {
        self.until_full(now) + interval <= interval * burst
    }

    /// The time until it is full: an interval for each one that was taken.
    pub(crate) fn until_full(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now))
    }

    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.until_full(now).is_zero()
    }
}

#[cfg(test)]
mod tests;
