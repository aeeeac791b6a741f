//! Everything but sockets and clocks: what comes of a packet, of time, and of the wish to be found.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use telemesh_transport::{Announcement, DiscoveryEvent};

use crate::announcer::{Announcer, Due};
use crate::heard::Heard;
use crate::interfaces::Interface;
use crate::message::{Claim, Message, names_service};

/// Packets about our service that are read per second, and at once. A network with a thousand endpoints that all announce stays
/// below; who floods it makes us miss some that come again.
const PACKETS_PER_SECOND: u32 = 200;
const PACKETS_AT_ONCE: u32 = 400;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Machine {
    heard: Heard,
    announcing: Option<Announcing>,
    budget: Budget,
}

#[derive(Debug)]
struct Announcing {
    announcement: Announcement,
    announcer: Announcer,
}

impl Machine {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            heard: Heard::default(),
            announcing: None,
            budget: Budget { left: PACKETS_AT_ONCE, since: now },
        }
    }

    /// A packet came in on an interface. Nothing is sent because of it unless something is being announced.
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        packet: &[u8],
        source: IpAddr,
        interface: &Interface,
    ) {
        // RFC 6762 section 11: what comes from elsewhere is none of this network's business.
        let is_near = match source {
            IpAddr::V6(source) if source.is_unicast_link_local() => true,
            source => interface.is_local(source),
        };
        if !is_near || !names_service(packet) || !self.budget.take(now) {
            return;
        }
        match Message::read(packet, |ip| interface.is_local(ip)) {
            Ok(Message::Response(claims)) => {
                for claim in claims {
                    if !self.is_ours(&claim) {
                        self.heard.take(claim, interface.index, now);
                    }
                }
            }
            Ok(query @ Message::Query { .. }) => {
                if let Some(Announcing { announcement, announcer }) = &mut self.announcing
                    && query.asks_for(&announcement.hashname)
                {
                    announcer.asked(now);
                }
            }
            Err(error) => tracing::trace!(%error, %source, "a packet was left aside"),
        }
    }

    /// Whether a claim is about ourselves: our own words come back, or somebody pretends to be us.
    fn is_ours(&self, claim: &Claim) -> bool {
        let about = match claim {
            Claim::Present { announcement, .. } => announcement.hashname,
            Claim::Gone(hashname) => *hashname,
        };
        self.announcing.as_ref().is_some_and(|announcing| announcing.announcement.hashname == about)
    }

    /// Begins to announce; the first announcement is due at once.
    pub(crate) fn announce(&mut self, announcement: Announcement, now: Instant) {
        let announcer = Announcer::new(&announcement.hashname, now);
        self.announcing = Some(Announcing { announcement, announcer });
    }

    /// Ends that, and gives what was announced.
    pub(crate) fn withdraw(&mut self) -> Option<Announcement> {
        self.announcing.take().map(|announcing| announcing.announcement)
    }

    /// What is being announced.
    pub(crate) fn announcement(&self) -> Option<&Announcement> {
        self.announcing.as_ref().map(|announcing| &announcing.announcement)
    }

    /// There are other interfaces than before.
    pub(crate) fn interfaces_changed(&mut self, now: Instant, is_there: impl Fn(u32) -> bool) {
        self.heard.keep_interfaces(is_there);
        if let Some(announcing) = &mut self.announcing {
            announcing.announcer.restart(now);
        }
    }

    /// What is to be sent now on all interfaces, with the announcement; it counts as sent.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<(Due, &Announcement)> {
        let announcing = self.announcing.as_mut()?;
        let due = announcing.announcer.poll(now)?;
        Some((due, &announcing.announcement))
    }

    /// Some of those that are there.
    pub(crate) fn known(&self) -> impl Iterator<Item = telemesh_hashname::Hashname> {
        self.heard.known()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.heard.expire(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let announcer = self.announcing.as_ref().map(|announcing| announcing.announcer.next_timeout());
        [self.heard.next_timeout(), announcer].into_iter().flatten().min()
    }

    pub(crate) fn poll_event(&mut self) -> Option<DiscoveryEvent> {
        self.heard.poll_event()
    }
}

/// A token bucket.
#[derive(Debug)]
struct Budget {
    left: u32,
    since: Instant,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / PACKETS_PER_SECOND;
        let earned = now.saturating_duration_since(self.since).as_nanos() / each.as_nanos();
        match u32::try_from(earned) {
            Ok(earned) if earned < PACKETS_AT_ONCE => {
                self.left = self.left.saturating_add(earned).min(PACKETS_AT_ONCE);
                self.since += each * earned;
            }
            _ => (self.left, self.since) = (PACKETS_AT_ONCE, now),
        }
        let has = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has
    }
}

#[cfg(test)]
mod tests;
