//! Counters that an endpoint shows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Packets that reached no link.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    not_a_packet: AtomicU64,
    no_link: AtomicU64,
    not_trusted: AtomicU64,
    no_room: AtomicU64,
}

impl Dropped {
    pub(crate) fn not_a_packet(&self) {
        self.not_a_packet.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn no_link(&self) {
        self.no_link.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn not_trusted(&self) {
        self.not_trusted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn no_room(&self) {
        self.no_room.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_to(&self, dropped: &mut BTreeMap<String, u64>) {
        for (reason, count) in [
            ("not a packet", &self.not_a_packet),
            ("no link", &self.no_link),
            ("not trusted", &self.not_trusted),
            ("no room for a link", &self.no_room),
        ] {
            *dropped.entry(reason.to_owned()).or_default() += count.load(Ordering::Relaxed);
        }
    }
}

/// What an endpoint has counted since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Links, up or not.
    pub links: usize,
    /// Links that are up.
    pub links_up: usize,
    /// Packets that were received and dropped without an answer, by reason.
    pub dropped: BTreeMap<String, u64>,
}

impl Metrics {
    /// All dropped packets together.
    #[must_use]
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.values().sum()
    }
}
