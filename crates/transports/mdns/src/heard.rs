//! Who has been heard: a bounded memory of endpoints, and what is to be told about them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use telemesh_hashname::Hashname;
use telemesh_transport::{Announcement, DiscoveryEvent};

use crate::message::{Claim, MAX_CLAIM_PATHS};

/// Endpoints that are remembered. The one that was heard longest ago goes first.
pub const MAX_ENDPOINTS: usize = 1_024;

/// An announcement is forgotten after this time, whatever it says itself: the longest that RFC 6762 section 10 recommends.
pub const MAX_TTL: Duration = Duration::from_secs(75 * 60);

/// Interfaces on which one endpoint is heard. The one on which it was heard longest ago goes first.
const MAX_SIGHTINGS: usize = 4;

/// Endpoints of which something is to be told. If nobody asks, the oldest news go first.
const MAX_NEWS: usize = 2 * MAX_ENDPOINTS;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// On each interface, the one where it was heard last at the end.
    endpoints: HashMap<Hashname, Vec<Sighting>>,
    /// Counts what was heard, so that the oldest can be told.
    clock: u64,
    news: VecDeque<Hashname>,
    /// The same as in `news`.
    in_news: HashSet<Hashname>,
    /// Who has been told to be there, and not yet to be gone.
    told: HashSet<Hashname>,
}

/// What an endpoint has announced on one interface.
#[derive(Debug)]
struct Sighting {
    interface: u32,
    announcement: Announcement,
    expires: Instant,
    /// When it was heard last, in the order of hearing.
    last: u64,
}

impl Heard {
    /// Takes in what was heard on an interface.
    pub(crate) fn take(&mut self, claim: Claim, interface: u32, now: Instant) {
        match claim {
            Claim::Present { announcement, ttl } => self.present(announcement, ttl, interface, now),
            Claim::Gone(hashname) => self.forget(&hashname, |sighting| sighting.interface == interface),
        }
    }

    fn present(&mut self, announcement: Announcement, ttl: u32, interface: u32, now: Instant) {
        let hashname = announcement.hashname;
        if !self.endpoints.contains_key(&hashname) && self.endpoints.len() >= MAX_ENDPOINTS {
            self.drop_oldest();
        }
        self.clock += 1;
        let expires = now + Duration::from_secs(ttl.into()).min(MAX_TTL);
        let sightings = self.endpoints.entry(hashname).or_default();
        let before = sightings.iter().position(|known| known.interface == interface);
        let before = before.map(|place| sightings.remove(place).announcement);
        let is_news = before
            .is_none_or(|before| (&before.keys, &before.paths) != (&announcement.keys, &announcement.paths));
        if sightings.len() >= MAX_SIGHTINGS {
            sightings.remove(0);
        }
        sightings.push(Sighting { interface, announcement, expires, last: self.clock });
        if is_news {
            self.tell(hashname);
        }
    }

    /// Forgets what has run out.
    pub(crate) fn expire(&mut self, now: Instant) {
        let is_due = |sightings: &Vec<Sighting>| sightings.iter().any(|sighting| sighting.expires <= now);
        let due: Vec<_> = self
            .endpoints
            .iter()
            .filter(|(_, sightings)| is_due(sightings))
            .map(|(hashname, _)| *hashname)
            .collect();
        for hashname in due {
            self.forget(&hashname, |sighting| sighting.expires <= now);
        }
    }

    /// Forgets what was heard on interfaces that are no more.
    pub(crate) fn keep_interfaces(&mut self, is_there: impl Fn(u32) -> bool) {
        let all: Vec<_> = self.endpoints.keys().copied().collect();
        for hashname in all {
            self.forget(&hashname, |sighting| !is_there(sighting.interface));
        }
    }

    /// When something runs out next.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.endpoints.values().flatten().map(|sighting| sighting.expires).min()
    }

    /// The next thing to tell.
    pub(crate) fn poll_event(&mut self) -> Option<DiscoveryEvent> {
        loop {
            let hashname = self.news.pop_front()?;
            self.in_news.remove(&hashname);
            if let Some(sightings) = self.endpoints.get(&hashname) {
                self.told.insert(hashname);
                return merged(sightings).map(DiscoveryEvent::Found);
            }
            // Nobody need hear of the end of what they have not heard of.
            if self.told.remove(&hashname) {
                return Some(DiscoveryEvent::Gone(hashname));
            }
        }
    }

    /// Some of those that are there.
    pub(crate) fn known(&self) -> impl Iterator<Item = Hashname> {
        self.endpoints.keys().copied()
    }

    fn forget(&mut self, hashname: &Hashname, what: impl Fn(&Sighting) -> bool) {
        let Some(sightings) = self.endpoints.get_mut(hashname) else { return };
        let before = sightings.len();
        sightings.retain(|sighting| !what(sighting));
        if sightings.len() == before {
            return;
        }
        if sightings.is_empty() {
            self.endpoints.remove(hashname);
        }
        self.tell(*hashname);
    }

    fn drop_oldest(&mut self) {
        let last = |sightings: &[Sighting]| sightings.last().map(|sighting| sighting.last);
        let oldest = self.endpoints.iter().min_by_key(|(_, sightings)| last(sightings));
        let oldest = oldest.map(|(hashname, _)| *hashname);
        if let Some(oldest) = oldest {
            self.forget(&oldest, |_| true);
        }
    }

    fn tell(&mut self, hashname: Hashname) {
        if !self.in_news.insert(hashname) {
            return;
        }
        self.news.push_back(hashname);
        if self.news.len() > MAX_NEWS
            && let Some(oldest) = self.news.pop_front()
        {
            self.in_news.remove(&oldest);
            self.told.remove(&oldest);
        }
    }
}

/// What an endpoint has announced on all interfaces together: the newest keys, and the paths of each.
fn merged(sightings: &[Sighting]) -> Option<Announcement> {
    let mut merged = sightings.last()?.announcement.clone();
    for path in sightings.iter().rev().skip(1).flat_map(|sighting| &sighting.announcement.paths) {
        if merged.paths.len() < MAX_CLAIM_PATHS && !merged.paths.contains(path) {
            merged.paths.push(*path);
        }
    }
    Some(merged)
}

#[cfg(test)]
mod tests;
