//! Counters that an endpoint shows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use telemesh_link::DropCounters;

/// Packets that reached no link.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    not_a_packet: AtomicU64,
    no_link: AtomicU64,
    not_trusted: AtomicU64,
    no_room: AtomicU64,
    blocked: AtomicU64,
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

    pub(crate) fn blocked(&self, packets: u64) {
        self.blocked.fetch_add(packets, Ordering::Relaxed);
    }

    pub(crate) fn add_to(&self, dropped: &mut BTreeMap<String, u64>) {
        for (reason, count) in [
            ("not a packet", &self.not_a_packet),
            ("no link", &self.no_link),
            ("not trusted", &self.not_trusted),
            ("no room for a link", &self.no_room),
            ("no room to forward", &self.blocked),
        ] {
            *dropped.entry(reason.to_owned()).or_default() += count.load(Ordering::Relaxed);
        }
    }
}

/// What went over one link, packet headers included, retransmissions too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Packets sent.
    pub packets_sent: u64,
    /// Bytes in them, from the link's header to its tag.
    pub bytes_sent: u64,
    /// Authentic packets received.
    pub packets_received: u64,
    /// Bytes in them.
    pub bytes_received: u64,
}

impl Traffic {
    fn add(&mut self, other: Self) {
        self.packets_sent += other.packets_sent;
        self.bytes_sent += other.bytes_sent;
        self.packets_received += other.packets_received;
        self.bytes_received += other.bytes_received;
    }
}

/// The traffic of one link. Written under the link's lock only, so that plain additions do; read without it.
#[derive(Debug, Default)]
pub(crate) struct TrafficCounters {
    packets_sent: AtomicU64,
    bytes_sent: AtomicU64,
    packets_received: AtomicU64,
    bytes_received: AtomicU64,
}

impl TrafficCounters {
    /// A batch of packets of this size, the last one perhaps shorter.
    pub(crate) fn sent(&self, bytes: usize, segment: usize) {
        add(&self.packets_sent, bytes.div_ceil(segment.max(1)));
        add(&self.bytes_sent, bytes);
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&self.packets_received, 1);
        add(&self.bytes_received, bytes);
    }

    pub(crate) fn read(&self) -> Traffic {
        Traffic {
            packets_sent: self.packets_sent.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            packets_received: self.packets_received.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
        }
    }
}

fn add(counter: &AtomicU64, count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}

/// What an endpoint has counted since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Links, up or not.
    pub links: usize,
    /// Links that are up.
    pub links_up: usize,
    /// What went over the links that there are.
    pub traffic: Traffic,
    /// Initiations that showed a return tag: by peers who had a session with this endpoint before.
    pub known_initiations: u64,
    /// Strangers who were asked to prove their address. Only an endpoint that is public by choice does that.
    pub cookies: u64,
    /// Packets that were received and dropped without an answer, by reason.
    pub dropped: BTreeMap<String, u64>,
}

impl Metrics {
    /// All dropped packets together.
    #[must_use]
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.values().sum()
    }

    pub(crate) fn add_dropped(&mut self, counters: &DropCounters) {
        for (reason, count) in counters.iter().filter(|(_, count)| *count > 0) {
            *self.dropped.entry(reason.to_string()).or_default() += count;
        }
    }

    pub(crate) fn add_link(&mut self, up: bool, traffic: Traffic) {
        self.links += 1;
        self.links_up += usize::from(up);
        self.traffic.add(traffic);
    }

    /// Gives these figures to the recorder of the `metrics` crate that the program has installed, under names that start with
    /// `telemesh_` and the endpoint's short hashname as a label. Call it before each scrape: nothing is recorded in between, so
    /// that no packet pays for it.
    #[cfg(feature = "metrics")]
    pub fn record(&self, endpoint: &telemesh_hashname::Hashname) {
        let label = || [("endpoint", endpoint.short().to_string())];
        let gauge = |value: usize| u32::try_from(value).map_or(f64::MAX, f64::from);
        metrics::gauge!("telemesh_links", &label()).set(gauge(self.links));
        metrics::gauge!("telemesh_links_up", &label()).set(gauge(self.links_up));
        let Traffic { packets_sent, bytes_sent, packets_received, bytes_received } = self.traffic;
        // The counts of a link go with the link, so these are gauges.
        for (name, value) in [
            ("telemesh_link_packets_sent", packets_sent),
            ("telemesh_link_bytes_sent", bytes_sent),
            ("telemesh_link_packets_received", packets_received),
            ("telemesh_link_bytes_received", bytes_received),
        ] {
            #[allow(
                clippy::cast_precision_loss,
                reason = "a gauge is a float; nobody misses the byte in 2^53"
            )]
            metrics::gauge!(name, &label()).set(value as f64);
        }
        for (reason, count) in &self.dropped {
            let labels = [("endpoint", endpoint.short().to_string()), ("reason", reason.clone())];
            metrics::counter!("telemesh_packets_dropped_total", &labels).absolute(*count);
        }
    }
}
