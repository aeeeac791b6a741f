//! One attempt at birthday probing: many sockets on one side, many ports on the other, until one of each meet.
//!
//! A symmetric NAT gives every destination another port, and a port-restricted one lets in only what was sent to. So neither end
//! can be told where to send. But if one end opens many sockets, each of which makes its NAT open a port, and the other end
//! tries many ports, then a pair of them soon fits, as birthdays do. Neither end knows which NAT is whose, so both do both.
//!
//! The packets are empty data packets of the session. Whatever gets through is authentic data from a new source, and from
//! there on it is a path like any other: probed, proven, chosen.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use telemesh_wire::PathAddress;

use crate::random::LinkRandom;
use crate::timers::{BIRTHDAY_ANSWERS, BIRTHDAY_PACE, BIRTHDAY_PORTS, BIRTHDAY_TICK};

/// What became of an attempt at birthday probing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BirthdayOutcome {
    /// It goes on.
    Running,
    /// Data went straight to the peer after this time.
    Direct(Duration),
    /// Nothing got through.
    Unanswered,
    /// The link went down before it was over.
    Down,
}

/// The last attempt at birthday probing, as it looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BirthdayStatus {
    /// Where the peer was said to be.
    pub to: SocketAddr,
    /// Ports of that address that were tried.
    pub ports: usize,
    /// Sockets from which something was sent there.
    pub sockets: usize,
    /// What came of it.
    pub outcome: BirthdayOutcome,
}

impl fmt::Display for BirthdayStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ports of {} tried, {} sockets opened: ", self.ports, self.to.ip(), self.sockets)?;
        match self.outcome {
            BirthdayOutcome::Running => f.write_str("going on"),
            BirthdayOutcome::Direct(took) => write!(f, "direct after {:.1} s", took.as_secs_f32()),
            BirthdayOutcome::Unanswered => f.write_str("nothing got through"),
            BirthdayOutcome::Down => f.write_str("the link went down"),
        }
    }
}

/// Why an attempt was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BirthdayRefusal {
    /// The link is down, or has a path without a router in between.
    #[error("the link has no use for it")]
    NotNeeded,
    /// Only public addresses of UDP over IPv4 are worth it: others are not translated.
    #[error("such an address is not worth it")]
    Unusable,
    /// Another attempt is too recent: of this link, towards this network, or of this endpoint.
    #[error("the last attempt is too recent")]
    TooSoon,
}

/// See the module's page.
pub(crate) struct Birthday {
    to: SocketAddr,
    pub(crate) began: Instant,
    tried: BTreeSet<u16>,
    /// Paths from extra sockets on which nothing was sent yet.
    unsent: Vec<PathAddress>,
    sent: usize,
    pub(crate) outcome: BirthdayOutcome,
    /// When there is something to do next, while it runs.
    due: Option<Instant>,
}

impl Birthday {
    pub(crate) fn new(now: Instant, to: SocketAddr) -> Self {
        Self {
            to,
            began: now,
            tried: BTreeSet::new(),
            unsent: Vec::new(),
            sent: 0,
            outcome: BirthdayOutcome::Running,
            due: Some(now),
        }
    }

    /// Sends something from these extra sockets, too.
    pub(crate) fn send_from(&mut self, extra: Vec<PathAddress>) {
        self.unsent = extra;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.outcome == BirthdayOutcome::Running
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// What to send to now; `None` when it has had its time.
    pub(crate) fn on_timeout(&mut self, now: Instant, random: &mut LinkRandom) -> Option<Vec<PathAddress>> {
        if self.due.is_none_or(|due| due > now) {
            return Some(Vec::new());
        }
        let elapsed = now.saturating_duration_since(self.began);
        let sending = BIRTHDAY_PACE * u32::try_from(BIRTHDAY_PORTS).unwrap_or(u32::MAX);
        if elapsed >= sending + BIRTHDAY_ANSWERS {
            return None;
        }
        let by_now = usize::try_from(elapsed.as_millis() / BIRTHDAY_PACE.as_millis()).unwrap_or(usize::MAX);
        let share = |done: usize| by_now.saturating_add(1).saturating_sub(done).min(MOST_AT_ONCE);
        let sockets = share(self.sent).min(self.unsent.len());
        let mut to = self.unsent.split_off(self.unsent.len() - sockets);
        self.sent += sockets;
        let ports = share(self.tried.len()).min(BIRTHDAY_PORTS - self.tried.len());
        to.extend((0..ports).map(|_| self.untried_port(random)));
        self.due = Some(now + BIRTHDAY_TICK);
        Some(to)
    }

    /// A port that was not tried, of those that NATs give out: all but the system ports (RFC 4787, section 4.2.2).
    fn untried_port(&mut self, random: &mut LinkRandom) -> PathAddress {
        loop {
            // Most of them are untried, so this ends soon.
            let port = u16::from_le_bytes(random.bytes());
            if port >= FIRST_PORT && self.tried.insert(port) {
                return PathAddress::Udp(SocketAddr::new(self.to.ip(), port));
            }
        }
    }

    /// It is over.
    pub(crate) fn end(&mut self, outcome: BirthdayOutcome) {
        self.outcome = outcome;
        self.due = None;
        self.unsent = Vec::new();
    }

    pub(crate) fn status(&self) -> BirthdayStatus {
        BirthdayStatus { to: self.to, ports: self.tried.len(), sockets: self.sent, outcome: self.outcome }
    }
}

/// The first port that is not one of the system's (RFC 6335, section 6).
const FIRST_PORT: u16 = 1_024;

/// Packets of each kind at once, when timers were late.
const MOST_AT_ONCE: usize = 20;

#[cfg(test)]
mod tests;
