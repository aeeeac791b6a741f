//! A NAT's state: which place inside has which place outside, and who may send to it.
//!
//! Times are compared when an entry is used, so nothing needs a timer. What has timed out is swept when the
//! table has doubled since the last sweep, which keeps its size within twice what is alive.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::address::{AddressId, Place, Realm};
use crate::counts::DropReason;
use crate::nat::{Dependence, NatConfig, PortChoice};
use crate::random::Random;
use crate::time::Nanos;

/// Below this many entries a sweep is not worth its while.
const SWEEP_AT_LEAST: usize = 64;

/// The part of a remote endpoint on which a behaviour depends.
type Remote = Option<(IpAddr, Option<u16>)>;

#[derive(Debug)]
pub(crate) struct Nat {
    pub(crate) config: NatConfig,
    pub(crate) outside: Realm,
    /// External addresses, of either family.
    pub(crate) external: Vec<AddressId>,
    by_inside: BTreeMap<(Place, Remote), Place>,
    by_outside: BTreeMap<Place, Mapping>,
    sweep_at: usize,
    random: Random,
    next_port: u16,
}

#[derive(Debug)]
struct Mapping {
    inside: Place,
    /// With `inside` the key in `by_inside`.
    mapped_for: Remote,
    last_used: Nanos,
    /// When each remote was last sent to. Empty where filtering does not depend on the remote.
    permits: BTreeMap<Remote, Nanos>,
    sweep_permits_at: usize,
}

/// What a NAT does with a datagram's source on the way out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Translation {
    /// Map it to some port of this external address.
    To(AddressId),
    /// Leave the address, which outside has this id, and the port: only the filter applies.
    Keep(AddressId),
}

impl Dependence {
    fn part_of(self, remote: SocketAddr) -> Remote {
        match self {
            Dependence::EndpointIndependent => None,
            Dependence::AddressDependent => Some((remote.ip(), None)),
            Dependence::AddressAndPortDependent => Some((remote.ip(), Some(remote.port()))),
        }
    }
}

impl Nat {
    pub(crate) fn new(config: NatConfig, outside: Realm, random: Random) -> Self {
        let next_port = *config.ports.start();
        Self {
            config,
            outside,
            external: Vec::new(),
            by_inside: BTreeMap::new(),
            by_outside: BTreeMap::new(),
            sweep_at: SWEEP_AT_LEAST,
            random,
            next_port,
        }
    }

    /// Takes a datagram from inside to `remote` and says from where it goes on outside.
    pub(crate) fn outbound(
        &mut self,
        now: Nanos,
        inside: Place,
        translation: Translation,
        remote: SocketAddr,
    ) -> Result<Place, DropReason> {
        if !self.config.egress_ports.is_empty() && !self.config.egress_ports.contains(&remote.port()) {
            return Err(DropReason::NatEgress);
        }
        let mapped_for = match translation {
            Translation::To(_) => self.config.mapping.part_of(remote),
            Translation::Keep(_) => None,
        };
        let known = self.by_inside.get(&(inside, mapped_for)).copied();
        let outside = match known {
            Some(outside) if self.is_alive(now, outside) => outside,
            _ => self.map(now, inside, translation, mapped_for)?,
        };
        let permit = self.config.filtering.part_of(remote);
        let timeout = self.config.mapping_timeout;
        if let Some(mapping) = self.by_outside.get_mut(&outside) {
            mapping.last_used = now;
            if permit.is_some() {
                mapping.permit(now, timeout, permit);
            }
        }
        Ok(outside)
    }

    /// Takes a datagram from `remote` to one of the external places and says to whom it goes inside.
    pub(crate) fn inbound(
        &mut self,
        now: Nanos,
        outside: Place,
        remote: SocketAddr,
    ) -> Result<Place, DropReason> {
        if !self.is_alive(now, outside) {
            self.forget(outside);
            return Err(DropReason::NatUnsolicited);
        }
        let permit = self.config.filtering.part_of(remote);
        let config = &self.config;
        let Some(mapping) = self.by_outside.get_mut(&outside) else {
            return Err(DropReason::NatUnsolicited);
        };
        if permit.is_some() {
            match mapping.permits.get_mut(&permit) {
                Some(last_used) if is_fresh(now, *last_used, config.mapping_timeout) => {
                    if config.refresh_inbound {
                        *last_used = now;
                    }
                }
                _ => return Err(DropReason::NatFiltered),
            }
        }
        if config.refresh_inbound {
            mapping.last_used = now;
        }
        Ok(mapping.inside)
    }

    /// To whom a datagram to this external place would go if no filter held it back.
    pub(crate) fn mapped(&self, outside: Place) -> Option<Place> {
        self.by_outside.get(&outside).map(|mapping| mapping.inside)
    }

    /// Forgets everything, as a reboot does.
    pub(crate) fn forget_all(&mut self) {
        self.by_inside.clear();
        self.by_outside.clear();
        self.sweep_at = SWEEP_AT_LEAST;
        self.next_port = *self.config.ports.start();
    }

    pub(crate) fn mapping_count(&self, now: Nanos) -> usize {
        self.by_outside.keys().filter(|&&outside| self.is_alive(now, outside)).count()
    }

    fn is_alive(&self, now: Nanos, outside: Place) -> bool {
        self.by_outside
            .get(&outside)
            .is_some_and(|mapping| is_fresh(now, mapping.last_used, self.config.mapping_timeout))
    }

    fn forget(&mut self, outside: Place) {
        if let Some(mapping) = self.by_outside.remove(&outside) {
            self.by_inside.remove(&(mapping.inside, mapping.mapped_for));
        }
    }

    fn map(
        &mut self,
        now: Nanos,
        inside: Place,
        translation: Translation,
        mapped_for: Remote,
    ) -> Result<Place, DropReason> {
        if let Some(stale) = self.by_inside.get(&(inside, mapped_for)).copied() {
            self.forget(stale);
        }
        if self.by_outside.len() >= self.sweep_at {
            self.sweep(now);
        }
        let outside = match translation {
            Translation::Keep(address) => Place { address, port: inside.port },
            Translation::To(address) => self.free_place(now, address, inside.port)?,
        };
        self.by_inside.insert((inside, mapped_for), outside);
        self.by_outside.insert(
            outside,
            Mapping {
                inside,
                mapped_for,
                last_used: now,
                permits: BTreeMap::new(),
                sweep_permits_at: SWEEP_AT_LEAST,
            },
        );
        Ok(outside)
    }

    /// The first free port from where the port choice says to begin, and around the range.
    fn free_place(&mut self, now: Nanos, address: AddressId, inside_port: u16) -> Result<Place, DropReason> {
        let ports = self.config.ports.clone();
        let choice = self.config.port_choice;
        let preserved = Place { address, port: inside_port };
        if choice == PortChoice::Preserve && ports.contains(&inside_port) && self.is_free(now, preserved) {
            return Ok(preserved);
        }
        let begin = match choice {
            // The range may have changed since the last choice.
            PortChoice::Sequential if ports.contains(&self.next_port) => self.next_port,
            PortChoice::Sequential => *ports.start(),
            PortChoice::Preserve | PortChoice::Random => {
                let offset = self.random.up_to(u64::from(ports.end() - ports.start()));
                ports.start() + u16::try_from(offset).unwrap_or(0)
            }
        };
        let port = (begin..=*ports.end())
            .chain(*ports.start()..begin)
            .find(|&port| self.is_free(now, Place { address, port }))
            .ok_or(DropReason::NatPortsExhausted)?;
        self.next_port = if port == *ports.end() { *ports.start() } else { port + 1 };
        Ok(Place { address, port })
    }

    /// Whether the place can be given to a new mapping. One that has timed out makes room.
    fn is_free(&mut self, now: Nanos, outside: Place) -> bool {
        let free = !self.is_alive(now, outside);
        if free {
            self.forget(outside);
        }
        free
    }

    fn sweep(&mut self, now: Nanos) {
        let timeout = self.config.mapping_timeout;
        let by_inside = &mut self.by_inside;
        self.by_outside.retain(|_, mapping| {
            let keep = is_fresh(now, mapping.last_used, timeout);
            if !keep {
                by_inside.remove(&(mapping.inside, mapping.mapped_for));
            }
            keep
        });
        self.sweep_at = SWEEP_AT_LEAST.max(2 * self.by_outside.len());
    }
}

impl Mapping {
    fn permit(&mut self, now: Nanos, timeout: Nanos, remote: Remote) {
        self.permits.insert(remote, now);
        if self.permits.len() >= self.sweep_permits_at {
            self.permits.retain(|_, last_used| is_fresh(now, *last_used, timeout));
            self.sweep_permits_at = SWEEP_AT_LEAST.max(2 * self.permits.len());
        }
    }
}

fn is_fresh(now: Nanos, last_used: Nanos, timeout: Nanos) -> bool {
    now.saturating_sub(last_used) < timeout
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTERNAL: AddressId = AddressId(100);

    fn nat(config: NatConfig) -> Nat {
        Nat::new(config, Realm::INTERNET, Random::for_purpose(1, [0; 5]))
    }

    fn inside(port: u16) -> Place {
        Place { address: AddressId(1), port }
    }

    fn remote(number: u32) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::from(number)), 9)
    }

    #[test]
    fn mappings_that_time_out_are_swept_without_being_touched() {
        let mut nat = nat(NatConfig::symmetric());
        for number in 1..=20_000u32 {
            // A mapping a second, each alive for 120 seconds.
            let now = u64::from(number) * 1_000_000_000;
            nat.outbound(now, inside(4000), Translation::To(EXTERNAL), remote(number)).unwrap();
        }
        assert!(nat.by_outside.len() <= 2 * 121, "{} mappings", nat.by_outside.len());
        assert_eq!(nat.by_inside.len(), nat.by_outside.len());
        assert_eq!(nat.mapping_count(20_000 * 1_000_000_000), 120);
    }

    #[test]
    fn permissions_that_time_out_are_swept_too() {
        let mut nat = nat(NatConfig::port_restricted());
        for number in 1..=20_000u32 {
            let now = u64::from(number) * 1_000_000_000;
            nat.outbound(now, inside(4000), Translation::To(EXTERNAL), remote(number)).unwrap();
        }
        let mapping = nat.by_outside.values().next().unwrap();
        assert!(mapping.permits.len() <= 2 * 121, "{} permits", mapping.permits.len());
        assert_eq!(nat.by_outside.len(), 1);
    }

    #[test]
    fn after_a_reboot_an_old_mapping_does_not_evict_who_has_its_port_now() {
        let mut nat = nat(NatConfig::full_cone().port_choice(PortChoice::Sequential));
        let to = Translation::To(EXTERNAL);
        let first = nat.outbound(0, inside(1), to, remote(1)).unwrap();
        nat.forget_all();
        assert_eq!(nat.outbound(0, inside(2), to, remote(1)), Ok(first));
        assert_ne!(nat.outbound(0, inside(1), to, remote(1)), Ok(first));
        assert_eq!(nat.inbound(0, first, remote(1)), Ok(inside(2)));
    }

    #[test]
    fn sequential_ports_go_around_the_range_and_skip_what_is_taken() {
        let mut nat = nat(NatConfig::full_cone().port_choice(PortChoice::Sequential).ports(10..=12));
        let mut port = |now, from| {
            nat.outbound(now, inside(from), Translation::To(EXTERNAL), remote(1)).map(|place| place.port)
        };
        assert_eq!(port(0, 1), Ok(10));
        assert_eq!(port(0, 2), Ok(11));
        assert_eq!(port(119_000_000_000, 1), Ok(10));
        assert_eq!(port(120_000_000_000, 3), Ok(12));
        assert_eq!(port(120_000_000_000, 4), Ok(11), "10 was refreshed, 11 has timed out");
        assert_eq!(port(120_000_000_000, 5), Err(DropReason::NatPortsExhausted));
    }
}
