//! Virtual time inside the crate: nanoseconds since the start, which order and add faster than [`Duration`].

use std::time::Duration;

/// Nanoseconds since the start of the simulation. 64 bits hold 584 years.
pub(crate) type Nanos = u64;

pub(crate) const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The latest representable time stands for everything after it.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    saturate(duration.as_nanos())
}

pub(crate) fn saturate(wide: u128) -> Nanos {
    Nanos::try_from(wide).unwrap_or(Nanos::MAX)
}
