//! The two clocks of an endpoint: tokio's for what happens now, and the wall's for what outlives a restart.

use std::fmt;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

/// The monotonic time. It is tokio's, so that a paused runtime makes the whole mesh run on virtual time.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
