//! One path: an address, what is known of it, and the probes on the way.

use std::time::{Duration, Instant};

use telemesh_wire::PathAddress;

use crate::timers::{
    DEAD_AFTER_PROBES, DEAD_PROBE_FIRST, DEAD_PROBE_MAX, SUSPECT_MAX, SUSPECT_MIN, SUSPECT_ROUND_TRIPS,
    WIDTH_PROBES,
};

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathState {
    /// Never tried.
    Candidate,
    /// A first probe is on its way.
    Proving,
    /// An authenticated answer came back on it.
    Proven,
    /// It was proven, but something was sent and nothing heard for too long.
    Suspect,
    /// Two probes in a row had no answer.
    Dead,
}

/// How a candidate became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathOrigin {
    /// The caller named it: handshakes go there.
    Given,
    /// The caller has it from somebody who may have made it up: handshakes go there within the budget of probes.
    Hinted,
    /// The peer has told it: it gets probes only.
    Told,
    /// An authentic packet came from it: it gets probes only.
    Learned,
}

impl PathOrigin {
    /// The higher, the more reason there is to keep the candidate.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Learned => 0,
            Self::Told | Self::Hinted => 1,
            Self::Given => 2,
        }
    }
}

/// Whether the engine's smallest packets pass on a path as they are, or go in two halves.
#[derive(Clone, Copy)]
pub(crate) enum Width {
    /// They pass.
    Whole,
    /// Nobody knows: a circuit adds to them, and may lead through a network that carries 1,280 bytes. Probes of their size ask.
    Unknown {
        /// Of the last probe.
        token: Option<[u8; 8]>,
        /// Probes so far.
        asked: u8,
        /// When the next one is due.
        due: Option<Instant>,
    },
}

impl Width {
    fn of(address: &PathAddress) -> Self {
        if address.is_direct() { Self::Whole } else { Self::Unknown { token: None, asked: 0, due: None } }
    }
}

/// What a path looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathStatus {
    /// Where its packets go.
    pub address: PathAddress,
    /// What is known of it.
    pub state: PathState,
    /// How it became known.
    pub origin: PathOrigin,
    /// Smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// Shortest round-trip time.
    pub min_rtt: Option<Duration>,
    /// When something authentic last came from it.
    pub heard: Option<Instant>,
    /// Probes in a row that had no answer.
    pub unanswered: u8,
    /// Whether data goes there.
    pub in_use: bool,
}

/// A probe on its way.
#[derive(Clone, Copy)]
struct Probe {
    token: [u8; 8],
    sent: Instant,
}

pub(crate) struct Path {
    pub(crate) address: PathAddress,
    pub(crate) state: PathState,
    pub(crate) origin: PathOrigin,
    srtt: Option<Duration>,
    min_rtt: Option<Duration>,
    /// Last authentic packet from this address, replayed ones included: even those show that the path is not silent.
    pub(crate) heard: Option<Instant>,
    /// Start of the current run of packets from this address, for a path that is not in use.
    pub(crate) heard_since: Option<Instant>,
    pub(crate) sent: Option<Instant>,
    /// When the first packet was sent that asks for an answer and after which nothing was heard.
    pub(crate) unheard_since: Option<Instant>,
    /// The newest two: an answer to the last but one still counts.
    probes: [Option<Probe>; 2],
    pub(crate) unanswered: u8,
    answers: u32,
    /// When the probe on its way counts as unanswered, or when a dead path is tried again.
    pub(crate) probe_due: Option<Instant>,
    /// Until then packets from it are no reason for another probe.
    pub(crate) rests_until: Option<Instant>,
    pub(crate) width: Width,
}

impl Path {
    pub(crate) fn new(address: PathAddress, origin: PathOrigin) -> Self {
        Self {
            address,
            state: PathState::Candidate,
            origin,
            srtt: None,
            min_rtt: None,
            heard: None,
            heard_since: None,
            sent: None,
            unheard_since: None,
            probes: [None; 2],
            unanswered: 0,
            answers: 0,
            probe_due: None,
            rests_until: None,
            width: Width::of(&address),
        }
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.srtt
    }

    /// Whether something authentic came back on it, ever.
    pub(crate) fn was_proven(&self) -> bool {
        self.answers > 0
    }

    /// Answers that came back on it.
    pub(crate) fn answers(&self) -> u32 {
        self.answers
    }

    /// How long after something was sent silence makes the path suspect.
    pub(crate) fn suspect_after(&self) -> Duration {
        self.srtt.map_or(SUSPECT_MIN, |rtt| (rtt * SUSPECT_ROUND_TRIPS).clamp(SUSPECT_MIN, SUSPECT_MAX))
    }

    /// A packet goes out on it that the peer will answer in some way.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.sent = Some(now);
        self.unheard_since.get_or_insert(now);
    }

    /// Something authentic came from it.
    pub(crate) fn on_heard(&mut self, now: Instant) {
        self.heard = Some(now);
        self.unheard_since = None;
    }

    /// A probe with this token goes out now.
    pub(crate) fn probing(&mut self, now: Instant, token: [u8; 8]) {
        let [newest, _] = self.probes;
        self.probes = [Some(Probe { token, sent: now }), newest];
        self.asked(now);
        if self.state == PathState::Candidate {
            self.state = PathState::Proving;
        }
        let wait =
            if self.state == PathState::Dead { dead_wait(self.unanswered) } else { self.suspect_after() };
        self.probe_due = Some(now + wait);
        self.rests_until = self.probe_due;
    }

    /// Whether a probe is on its way and not overdue.
    pub(crate) fn is_probing(&self, now: Instant) -> bool {
        self.state != PathState::Dead && self.probe_due.is_some_and(|due| due > now)
    }

    /// An answer with this token came in; returns the round trip if we wait for it.
    pub(crate) fn answered(&mut self, now: Instant, token: &[u8]) -> Option<Duration> {
        let matches = |probe: &&mut Option<Probe>| probe.is_some_and(|probe| probe.token == *token);
        let probe = self.probes.iter_mut().find(matches)?.take()?;
        let rtt = now.saturating_duration_since(probe.sent);
        self.proven(now, Some(rtt));
        Some(rtt)
    }

    /// Something came back that only who received our packet on this path can have sent.
    pub(crate) fn proven(&mut self, now: Instant, rtt: Option<Duration>) {
        self.state = PathState::Proven;
        self.unanswered = 0;
        self.answers = self.answers.saturating_add(1);
        self.probe_due = None;
        self.on_heard(now);
        if let Width::Unknown { asked: 0, due, .. } = &mut self.width {
            due.get_or_insert(now);
        }
        let Some(rtt) = rtt else { return };
        // The usual smoothing of RFC 6298.
        self.srtt = Some(self.srtt.map_or(rtt, |srtt| (srtt * 7 + rtt) / 8));
        self.min_rtt = Some(self.min_rtt.map_or(rtt, |min| min.min(rtt)));
    }

    /// The network below has changed: earlier answers say nothing about the path any more.
    pub(crate) fn forget_probes(&mut self) {
        self.probes = [None; 2];
        self.probe_due = None;
        self.rests_until = None;
        self.unanswered = 0;
        self.width = Width::of(&self.address);
    }

    /// When the next probe for its width is due.
    pub(crate) fn width_due(&self) -> Option<Instant> {
        match self.width {
            Width::Unknown { due, .. } if self.state == PathState::Proven => due,
            _ => None,
        }
    }

    /// A probe for its width goes out with this token.
    pub(crate) fn probing_width(&mut self, now: Instant, token: [u8; 8]) {
        let wait = self.suspect_after();
        if let Width::Unknown { token: last, asked, due } = &mut self.width {
            *last = Some(token);
            *asked = asked.saturating_add(1);
            *due = (*asked < WIDTH_PROBES).then(|| now + wait * (1 << *asked));
        }
    }

    /// An answer with this token came in; whether it was the probe for its width.
    pub(crate) fn answered_width(&mut self, answer: &[u8]) -> bool {
        let answered = matches!(self.width, Width::Unknown { token: Some(token), .. } if token == *answer);
        if answered {
            self.width = Width::Whole;
        }
        answered
    }

    pub(crate) fn status(&self, in_use: bool) -> PathStatus {
        PathStatus {
            address: self.address,
            state: self.state,
            origin: self.origin,
            rtt: self.srtt,
            min_rtt: self.min_rtt,
            heard: self.heard,
            unanswered: self.unanswered,
            in_use,
        }
    }
}

/// How long a dead path rests before its next probe.
pub(crate) fn dead_wait(unanswered: u8) -> Duration {
    let doublings = u32::from(unanswered.saturating_sub(DEAD_AFTER_PROBES)).min(8);
    (DEAD_PROBE_FIRST * (1 << doublings)).min(DEAD_PROBE_MAX)
}
