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

/// The monotonic time. It is tokio's, so that a paused runtime makes the whole mesh run on virtual time.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
