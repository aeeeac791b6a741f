//! The two clocks of an endpoint: tokio's for what happens now, and the wall's for what outlives a restart.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time of day, which may jump either way. Replaced in simulations.
pub trait WallClock: Send + Sync + 'static {
    /// Microseconds since 1970.
    fn micros(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    fn micros(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for dyn WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

/// The two clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) monotonic: Instant,
    /// Microseconds since 1970.
    pub(crate) wall: u64,
}

impl Now {
    /// By the wall clock `time` from now; `None` if it cannot say that.
    pub(crate) fn wall_in(self, time: Duration) -> Option<u64> {
        self.wall.checked_add(u64::try_from(time.as_micros()).ok()?)
    }

    /// When something is over that was to end at `end`, and by the wall clock at `wall`; `None` for never.
    ///
    /// The clock that leaves less time is believed: the monotonic one stands still while a machine sleeps, and the wall clock
    /// may be set back. What comes out is to be remembered as the new `end`, so that nothing that is over is ever valid again.
    pub(crate) fn end(self, end: Option<Instant>, wall: Option<u64>) -> Option<Instant> {
        let left = wall.map(|at| Duration::from_micros(at.saturating_sub(self.wall)));
        let by_wall = left.and_then(|left| self.monotonic.checked_add(left));
        end.into_iter().chain(by_wall).min()
    }
}

/// More than clocks drift apart between two looks, and less than peers wait before they give a link up.
const PARTED: Duration = Duration::from_secs(5);

/// Notices that the two clocks have gone different ways: the machine has slept, or the wall clock was set.
#[derive(Debug)]
pub(crate) struct Parting {
    last: Now,
}

impl Parting {
    pub(crate) fn new(now: Now) -> Self {
        Self { last: now }
    }

    /// Whether they have since the last look.
    pub(crate) fn have_parted(&mut self, now: Now) -> bool {
        let elapsed = now.monotonic.saturating_duration_since(self.last.monotonic);
        let expected = self.last.wall.saturating_add(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        self.last = now;
        Duration::from_micros(now.wall.abs_diff(expected)) > PARTED
    }
}

/// The monotonic time. It is tokio's, so that a paused runtime makes the whole mesh run on virtual time.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);
    const TODAY: u64 = 1_767_225_600_000_000;

    fn later(now: Now, monotonic: Duration, wall: Duration) -> Now {
        Now { monotonic: now.monotonic + monotonic, wall: now.wall_in(wall).unwrap() }
    }

    #[test]
    fn what_has_an_end_on_both_clocks_ends_with_the_first_and_stays_so() {
        let start = Now { monotonic: now(), wall: TODAY };
        let (end, wall) = (Some(start.monotonic + 600 * SECOND), start.wall_in(600 * SECOND));
        assert_eq!(start.end(end, wall), end);
        let slept = later(start, SECOND, 400 * SECOND);
        let sooner = slept.end(end, wall);
        assert_eq!(sooner, Some(slept.monotonic + 200 * SECOND));
        let set_back = Now { wall: TODAY - 1_000_000_000, ..slept };
        assert_eq!(set_back.end(end, wall), end);
        assert_eq!(set_back.end(sooner, wall), sooner);
        assert_eq!(later(start, SECOND, DAY).end(end, wall), Some(start.monotonic + SECOND));
        // What only one clock can say, and what none can.
        assert_eq!(start.end(None, wall), end);
        assert_eq!(start.end(end, None), end);
        assert_eq!(start.end(None, None), None);
        assert_eq!(start.wall_in(Duration::MAX), None);
    }

    #[test]
    fn clocks_part_in_sleep_and_when_they_are_set_and_are_looked_at_afresh_then() {
        let mut now = Now { monotonic: now(), wall: TODAY };
        let mut clocks = Parting::new(now);
        // They drift, and a look may come late.
        for time in [5, 5, 3_600u32] {
            now = later(now, time * SECOND, time * SECOND + SECOND / 10);
            assert!(!clocks.have_parted(now));
        }
        now = later(now, 5 * SECOND, 12 * SECOND);
        assert!(clocks.have_parted(now), "slept");
        now = later(now, 5 * SECOND, 5 * SECOND);
        assert!(!clocks.have_parted(now));
        now.wall -= 6_000_000;
        assert!(clocks.have_parted(now), "set back");
        now = Now { wall: 0, ..now };
        assert!(clocks.have_parted(now));
        now = Now { wall: u64::MAX, ..now };
        assert!(clocks.have_parted(now));
        assert!(!clocks.have_parted(now));
    }
}
