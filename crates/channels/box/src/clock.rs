//! The time of day, which decides about expiry and nothing else. It may jump either way.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time of day. Replaced in simulations.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since 1970.
    fn seconds(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn seconds(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
