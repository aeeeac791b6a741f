//! A directed route between two hosts over two addresses, and what its conditions do to datagrams.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::address::{AddressId, HostId, NatId};
use crate::conditions::{Conditions, Rate, Scope};
use crate::counts::{DropReason, FaultCounts};
use crate::random::Random;
use crate::time::{NANOS_PER_SECOND, Nanos, saturate};

/// What makes a route. The receiver is unknown while a NAT has no mapping for the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteKey {
    pub(crate) from: HostId,
    pub(crate) to: Option<HostId>,
    pub(crate) source: AddressId,
    pub(crate) destination: AddressId,
}

impl RouteKey {
    /// All of it in one number, which compares in two instructions: every datagram looks its route up.
    fn packed(self) -> u128 {
        let to = self.to.map_or(u32::MAX, |host| host.0);
        let words = [self.from.0, to, self.source.0, self.destination.0];
        words.into_iter().fold(0, |packed, word| packed << 32 | u128::from(word))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteId(u32);

/// What decides which conditions hold on a route, besides its hosts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// The NAT inside which both are.
    pub(crate) inside: Option<NatId>,
}

#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) key: RouteKey,
    pub(crate) counts: FaultCounts,
    pub(crate) conditions: Conditions,
    /// The [`Routes::revision`] at which `conditions` were looked up.
    revision: u64,
    random: Random,
    backlog: Backlog,
    jitter: Jitter,
    /// When the latest copy that keeps the order arrives.
    last_arrival: Nanos,
}

/// When one copy arrives, and which faults made it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) at: Nanos,
    pub(crate) jittered: bool,
    pub(crate) reordered: bool,
}

/// When a datagram has passed the bottleneck, and whether others had to pass first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Departure {
    pub(crate) at: Nanos,
    pub(crate) queued: bool,
}

impl Route {
    /// Whether a datagram gets onto the route and when its last byte has left.
    pub(crate) fn enter(&mut self, now: Nanos, packet_size: usize) -> Result<Departure, DropReason> {
        if self.conditions.mtu.is_some_and(|mtu| packet_size > mtu) {
            return Err(DropReason::TooBig);
        }
        let departure = match self.conditions.rate {
            Some(rate) => self.backlog.push(now, rate, packet_size).ok_or(DropReason::QueueFull)?,
            None => {
                self.backlog = Backlog::default();
                Departure { at: now, queued: false }
            }
        };
        // Lost beyond the bottleneck: what is lost has taken its share of the rate.
        if self.random.chance(self.conditions.loss) {
            return Err(DropReason::Loss);
        }
        Ok(departure)
    }

    pub(crate) fn duplicates(&mut self) -> bool {
        self.random.chance(self.conditions.duplicate)
    }

    /// Which bit of a payload gets flipped, if any.
    pub(crate) fn flipped_bit(&mut self, payload_size: usize) -> Option<u64> {
        let bits = u64::try_from(payload_size).unwrap_or(u64::MAX).saturating_mul(8);
        let last = bits.checked_sub(1)?;
        self.random.chance(self.conditions.corrupt).then(|| self.random.up_to(last))
    }

    /// When a copy arrives that has left at `departure`. Copies arrive in the order of these calls, unless
    /// reordering holds one back.
    pub(crate) fn arrival(&mut self, departure: Nanos) -> Arrival {
        let jitter = self.jitter(departure);
        let drawn = departure.saturating_add(self.conditions.delay).saturating_add(jitter);
        let in_order = drawn.max(self.last_arrival);
        let reordered = self.random.chance(self.conditions.reorder);
        if reordered {
            // It keeps nobody waiting, else nobody could overtake it.
            let at = in_order.saturating_add(self.conditions.reorder_by);
            return Arrival { at, jittered: jitter > 0, reordered };
        }
        self.last_arrival = in_order;
        Arrival { at: in_order, jittered: jitter > 0, reordered }
    }

    /// A dense flow that drew anew for every datagram would always wait for the unluckiest of the last many,
    /// which is a constant delay and no jitter. So a drawn value holds for as long as it can be at most.
    fn jitter(&mut self, now: Nanos) -> Nanos {
        let most = self.conditions.jitter;
        if most == 0 {
            return 0;
        }
        let Jitter { current, until } = self.jitter;
        if now >= until || current > most {
            self.jitter = Jitter { current: self.random.up_to(most), until: now.saturating_add(most) };
        }
        self.jitter.current
    }
}

/// The jitter that holds for a while.
#[derive(Debug, Clone, Copy, Default)]
struct Jitter {
    current: Nanos,
    until: Nanos,
}

/// What waits for a bottleneck, kept as an amount and not as a time, so that the rate may change meanwhile.
#[derive(Debug, Default)]
struct Backlog {
    /// In billionths of a byte, which is what makes the arithmetic exact: one nanosecond at one byte a second.
    nano_bytes: u128,
    at: Nanos,
}

impl Backlog {
    /// `None` if the queue is full.
    fn push(&mut self, now: Nanos, rate: Rate, packet_size: usize) -> Option<Departure> {
        let drained = u128::from(now.saturating_sub(self.at)) * u128::from(rate.bytes_per_second);
        let waiting = self.nano_bytes.saturating_sub(drained);
        let size = (packet_size as u128) * NANOS_PER_SECOND;
        let after = waiting + size;
        if waiting > 0 && after > u128::from(rate.queue_bytes) * NANOS_PER_SECOND {
            return None;
        }
        self.nano_bytes = after;
        self.at = now;
        let takes = saturate(after.div_ceil(u128::from(rate.bytes_per_second)));
        Some(Departure { at: now.saturating_add(takes), queued: waiting > 0 })
    }
}

/// All routes that were ever used, and the conditions set for them.
#[derive(Debug)]
pub(crate) struct Routes {
    seed: u64,
    /// By [`RouteKey::packed`].
    ids: BTreeMap<u128, RouteId>,
    routes: Vec<Route>,
    conditions: BTreeMap<Scope, Conditions>,
    /// Counts changes of `conditions`, so that routes notice without being visited.
    revision: u64,
}

impl Routes {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ids: BTreeMap::new(), routes: Vec::new(), conditions: BTreeMap::new(), revision: 0 }
    }

    pub(crate) fn set_conditions(&mut self, scope: Scope, conditions: Option<Conditions>) {
        match conditions {
            Some(conditions) => self.conditions.insert(scope, conditions),
            None => self.conditions.remove(&scope),
        };
        self.revision += 1;
    }

    /// The route, new if it was never used, with the conditions that hold now.
    pub(crate) fn entry(&mut self, key: RouteKey, setting: Setting) -> RouteId {
        let next = RouteId(u32::try_from(self.routes.len()).unwrap_or(u32::MAX));
        let id = *self.ids.entry(key.packed()).or_insert(next);
        if id == next {
            self.routes.push(self.new_route(key, setting));
        } else if self.route(id).revision != self.revision {
            let conditions = self.conditions_for(key, setting);
            let revision = self.revision;
            let route = self.route(id);
            route.conditions = conditions;
            route.revision = revision;
        }
        id
    }

    pub(crate) fn route(&mut self, id: RouteId) -> &mut Route {
        &mut self.routes[id.0 as usize]
    }

    pub(crate) fn counts_between(&self, from: HostId, to: HostId) -> FaultCounts {
        let mut total = FaultCounts::default();
        let between = |route: &&Route| route.key.from == from && route.key.to == Some(to);
        for route in self.routes.iter().filter(between) {
            total += &route.counts;
        }
        total
    }

    fn new_route(&self, key: RouteKey, setting: Setting) -> Route {
        let to = key.to.map_or(u32::MAX, |host| host.0);
        let purpose = [0, key.from.0, to, key.source.0, key.destination.0];
        Route {
            key,
            counts: FaultCounts::default(),
            conditions: self.conditions_for(key, setting),
            revision: self.revision,
            random: Random::for_purpose(self.seed, purpose),
            backlog: Backlog::default(),
            jitter: Jitter::default(),
            last_arrival: 0,
        }
    }

    fn conditions_for(&self, key: RouteKey, setting: Setting) -> Conditions {
        let Setting { source, destination, inside } = setting;
        let scopes = [
            Some(Scope::Addresses { from: source, to: destination }),
            key.to.map(|to| Scope::Hosts { from: key.from, to }),
            inside.map(Scope::Inside),
            Some(Scope::Everywhere),
        ];
        let narrowest = scopes.into_iter().flatten().find_map(|scope| self.conditions.get(&scope));
        narrowest.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn a_bottleneck_serves_one_packet_after_the_other() {
        let mut backlog = Backlog::default();
        let rate = Rate { bytes_per_second: 1_000, queue_bytes: 2_500 };
        let departure = |at, queued| Some(Departure { at, queued });
        assert_eq!(backlog.push(0, rate, 1_000), departure(SECOND, false));
        assert_eq!(backlog.push(0, rate, 1_000), departure(2 * SECOND, true));
        assert_eq!(backlog.push(0, rate, 1_000), None);
        assert_eq!(backlog.push(SECOND / 2, rate, 1_000), departure(3 * SECOND, true));
        assert_eq!(backlog.push(10 * SECOND, rate, 1_000), departure(11 * SECOND, false));
    }

    #[test]
    fn a_backlog_drains_at_the_rate_that_holds_now() {
        let mut backlog = Backlog::default();
        let slow = Rate { bytes_per_second: 10, queue_bytes: 10_000 };
        let fast = Rate { bytes_per_second: 1_000_000, queue_bytes: 10_000 };
        backlog.push(0, slow, 10_000);
        assert_eq!(backlog.push(0, slow, 1), None);
        let at = SECOND / 100;
        assert_eq!(backlog.push(at, fast, 1_000), Some(Departure { at: at + SECOND / 1_000, queued: false }));
    }

    #[test]
    fn one_packet_fits_an_empty_queue_of_any_size() {
        let rate = Rate { bytes_per_second: 1_000, queue_bytes: 0 };
        assert!(Backlog::default().push(0, rate, 65_000).is_some());
    }
}
