//! How many probes may go to addresses that have not proven anything, all links of an endpoint together.
//!
//! A peer can make us believe in any address. Without a common budget a set of peers could aim one endpoint at a victim.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use telemesh_wire::PathAddress;

use crate::rate::TokenBucket;
use crate::timers::{BIRTHDAY_AGAIN, BIRTHDAY_PAUSE};

/// Probes to unproven candidates of one destination prefix that may go out at once.
pub const PROBE_BURST: u32 = 30;
/// One more is allowed after this: ten a second.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// What a probe to a new QUIC address costs of the budget: where nobody answers, a dial is so many datagrams
/// (`DIAL_DATAGRAMS` of `telemesh-quic`).
pub const QUIC_PROBE_COST: u32 = 6;
/// Prefixes that are remembered. When all of them are busy at once, further ones have to wait.
pub const MAX_PREFIXES: usize = 4_096;

/// The budget of an endpoint for probes to unproven candidates. Clones share it: give one to every link.
#[derive(Clone, Default)]
pub struct ProbeBudget {
    buckets: Arc<Mutex<BTreeMap<Prefix, TokenBucket>>>,
    birthdays: Arc<Mutex<Birthdays>>,
}

/// Attempts at birthday probing, all links of an endpoint together.
#[derive(Default)]
struct Birthdays {
    /// When there may be another.
    next: Option<Instant>,
    /// And towards these prefixes: no more than can begin until the first may be forgotten.
    prefixes: BTreeMap<Prefix, Instant>,
}

impl ProbeBudget {
    /// A budget of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one probe out of the budget of the destination's prefix, if there is one left.
    pub(crate) fn take(&self, now: Instant, destination: &PathAddress) -> bool {
        let Some(prefix) = Prefix::of(destination) else {
            // A peer is reached through a router that has its own limits.
            return true;
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_PREFIXES && !buckets.contains_key(&prefix) {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= MAX_PREFIXES {
                return false;
            }
        }
        let cost = if matches!(destination, PathAddress::Quic(_)) { QUIC_PROBE_COST } else { 1 };
        buckets.entry(prefix).or_default().take_many(now, cost, PROBE_BURST, PROBE_INTERVAL)
    }

    /// Takes one attempt at birthday probing out of the budget: one at a time, and towards each prefix one in
    /// [`BIRTHDAY_AGAIN`].
    pub(crate) fn take_birthday(&self, now: Instant, destination: &PathAddress) -> bool {
        let Some(prefix) = Prefix::of(destination) else { return false };
        let mut birthdays = self.birthdays.lock().unwrap_or_else(PoisonError::into_inner);
        birthdays.prefixes.retain(|_, again| *again > now);
        if birthdays.next.is_some_and(|next| next > now) || birthdays.prefixes.contains_key(&prefix) {
            return false;
        }
        birthdays.next = Some(now + BIRTHDAY_PAUSE);
        birthdays.prefixes.insert(prefix, now + BIRTHDAY_AGAIN);
        true
    }
}

impl fmt::Debug for ProbeBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefixes = self.buckets.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("ProbeBudget").field("prefixes", &prefixes).finish_non_exhaustive()
    }
}

/// What probably belongs to one owner: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Prefix {
    V4([u8; 3]),
    V6([u8; 6]),
}

impl Prefix {
    fn of(address: &PathAddress) -> Option<Self> {
        let ip = address.socket_address()?.ip();
        Some(match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f])
            }
        })
    }
}

#[cfg(test)]
mod tests;
