//! What a forwarder has done, and how exact it was.

use std::fmt;
use std::time::Duration;

use telemesh_simnet::{DropReason, FaultCounts};

/// What has happened on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Towards the target.
    pub there: FaultCounts,
    /// From the target.
    pub back: FaultCounts,
    /// Senders that were dropped because there were [`MAX_FLOWS`](crate::MAX_FLOWS) that had sent lately.
    pub refused: u64,
    /// Datagrams that a socket did not take when they should have left.
    pub unsent: u64,
    /// How late datagrams left.
    pub late: Late,
}

/// How late datagrams left, against what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Late {
    /// How many left.
    pub count: u64,
    /// All lateness together.
    pub sum: Duration,
    /// The most.
    pub most: Duration,
    /// How many were more than half a millisecond late.
    pub over_half_ms: u64,
}

impl Late {
    /// Adds one datagram.
    pub(crate) fn add(&mut self, late: Duration) {
        self.count += 1;
        self.sum += late;
        self.most = self.most.max(late);
        self.over_half_ms += u64::from(late > Duration::from_micros(500));
    }

    /// The average.
    pub fn mean(&self) -> Duration {
        u32::try_from(self.count).ok().and_then(|count| self.sum.checked_div(count)).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, counts) in [("there", &self.there), ("back", &self.back)] {
            let dropped = |reason| counts.dropped(reason);
            write!(
                f,
                "{name}: {} in, {} out, {} lost, {} over the queue, {} too big; ",
                counts.sent,
                counts.delivered,
                dropped(DropReason::Loss),
                dropped(DropReason::QueueFull),
                dropped(DropReason::TooBig),
            )?;
        }
        let (mean, most) = (self.late.mean().as_micros(), self.late.most.as_micros());
        let over = self.late.over_half_ms;
        write!(f, "late by {mean} µs, at most {most} µs, {over} over 500 µs")?;
        if self.refused + self.unsent > 0 {
            write!(f, "; {} refused, {} unsent", self.refused, self.unsent)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_averaged_and_the_worst_is_kept() {
        let mut late = Late::default();
        assert_eq!(late.mean(), Duration::ZERO);
        for micros in [100, 200, 900] {
            late.add(Duration::from_micros(micros));
        }
        assert_eq!((late.mean(), late.most), (Duration::from_micros(400), Duration::from_micros(900)));
        assert_eq!(late.over_half_ms, 1);
    }
}
