//! A wall clock that follows virtual time and jumps when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use telemesh_mesh::WallClock;
use tokio::time::Instant;

/// The time of day when a simulation starts: the first of January 2026, in microseconds since 1970.
const START: i64 = 1_767_225_600_000_000;

/// See the module's page. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct SkewedClock {
    started: Instant,
    skew: Arc<AtomicI64>,
}

impl SkewedClock {
    pub(crate) fn new(started: Instant) -> Self {
        Self { started, skew: Arc::default() }
    }

    /// Jumps ahead.
    pub fn jump_ahead(&self, by: Duration) {
        self.skew.fetch_add(micros(by), Ordering::Relaxed);
    }

    /// Jumps back.
    pub fn jump_back(&self, by: Duration) {
        self.skew.fetch_sub(micros(by), Ordering::Relaxed);
    }
}

impl WallClock for SkewedClock {
    fn micros(&self) -> u64 {
        let time = START + micros(self.started.elapsed()) + self.skew.load(Ordering::Relaxed);
        u64::try_from(time).unwrap_or(0)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}
