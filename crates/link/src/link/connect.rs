//! Reaching the peer: attempts, the initiations of each, and the responses to them.

use std::fmt;
use std::time::{Duration, Instant};

use telemesh_hashname::CipherSetId;
use telemesh_wire::{Credential, HelloReply, PathAddress, ResponseMacKey};
use zeroize::Zeroizing;

use super::Link;
use super::inspect::Obstacle;
use super::returning::{Cookies, Prefer};
use super::transmit::Outgoing;
use crate::counters::DropReason;
use crate::lineage::Lineage;
use crate::mac::Mac1Key;
use crate::noise::{Handshake, NoiseError, Prologue};
use crate::packet::{Initiation, MAC_SIZE, NOISE_1_SIZE, PAYLOAD_1_SIZE, PAYLOAD_2_SIZE, Response};
use crate::payload;
use crate::rate::TokenBucket;
use crate::session::{About, Session, SessionIds};
use crate::sessions::Installed;
use crate::state::{DownReason, Event};
use crate::timers::{
    AT_LEAP_DOUBLINGS, AT_LEAPS, ATTEMPT_LIMIT, COPIES_PER_ROUND, INITIATION_RESEND, LATE_BURST,
    LATE_INTERVAL, MAX_CANDIDATES, MAX_PENDING, RENEW_JITTER, RETRY_FIRST, RETRY_MAX, STALE_ANSWER_INTERVAL,
    SUSPECT_MAX,
};

/// An initiation that waits for its response.
pub(super) struct Pending {
    pub(super) index: u32,
    csid: CipherSetId,
    pub(super) to: PathAddress,
    sent: Instant,
    /// Of the initiation. A cookie that answers it is sealed with it.
    pub(super) mac1: [u8; MAC_SIZE],
    mac1_key: Mac1Key,
    noise: Box<Handshake>,
}

/// One attempt: up to six rounds of initiations within 30 seconds.
#[derive(Clone, Copy)]
struct Attempt {
    started: Instant,
    /// Rounds sent so far.
    rounds: usize,
    /// When the next round is due; `None` after the last.
    next: Option<Instant>,
    /// It was started because nothing was heard in the session, and is over when something is.
    for_silence: bool,
    /// A cookie was answered with an initiation at once; what follows waits for its round.
    cookie_answered: bool,
}

/// Everything about getting a session by initiations of our own.
pub(super) struct Connecting {
    wanted: bool,
    /// The application has ended the link, and neither end has made a session since.
    closed: bool,
    pub(super) credential: Credential,
    attempt: Option<Attempt>,
    pub(super) pending: Vec<Pending>,
    pub(super) cookies: Cookies,
    /// Candidates that were added during the attempt and have had no initiation yet.
    late: Vec<PathAddress>,
    /// Those that may still have one at once; further ones wait for their round.
    late_allowed: TokenBucket,
    /// When the next attempt starts.
    retry_at: Option<Instant>,
    failures: u32,
    sent: u32,
    /// When a stale initiation may make us initiate again.
    stale_answer_at: Instant,
}

impl Connecting {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            wanted: false,
            closed: false,
            credential: Credential::none(),
            attempt: None,
            pending: Vec::new(),
            cookies: Cookies::default(),
            late: Vec::new(),
            late_allowed: TokenBucket::default(),
            retry_at: None,
            failures: 0,
            sent: 0,
            stale_answer_at: now,
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    pub(super) fn initiations_sent(&self) -> u32 {
        self.sent
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn retry_in(&self, now: Instant) -> Option<Duration> {
        if !self.wanted || self.attempt.is_some() {
            return None;
        }
        self.retry_at.map(|at| at.saturating_duration_since(now))
    }

    pub(super) fn has_index(&self, index: u32) -> bool {
        self.pending.iter().any(|pending| pending.index == index)
    }

    /// The network has changed: no reason to wait any longer.
    pub(super) fn retry_now(&mut self, now: Instant) {
        self.failures = 0;
        if self.retry_at.is_some() {
            self.retry_at = Some(now);
        }
        if let Some(attempt) = &mut self.attempt {
            *attempt = Attempt { started: now, rounds: 0, next: Some(now), ..*attempt };
        }
    }

    /// What was missing for an attempt may be there now.
    pub(super) fn something_came(&mut self, now: Instant) {
        if let Some(attempt) = self.attempt.as_mut().filter(|_| self.pending.is_empty()) {
            attempt.next = Some(now);
        }
    }

    pub(super) fn late_candidate(&mut self, now: Instant, address: PathAddress) {
        let room = self.attempt.is_some() && self.late.len() < MAX_CANDIDATES;
        if room && self.late_allowed.take(now, LATE_BURST, LATE_INTERVAL) {
            self.late.push(address);
        }
    }

    /// A cookie came in for this address; returns whether an initiation with it goes out at once.
    pub(super) fn answer_cookie(&mut self, to: PathAddress) -> bool {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| !attempt.cookie_answered) else {
            return false;
        };
        attempt.cookie_answered = true;
        self.late.push(to);
        true
    }

    /// The application does not want the link any more; returns whether it did.
    pub(super) fn stop(&mut self) -> bool {
        self.succeeded();
        self.closed = true;
        std::mem::take(&mut self.wanted)
    }

    /// There is a session now.
    pub(super) fn succeeded(&mut self) {
        self.closed = false;
        self.attempt = None;
        self.pending.clear();
        self.late.clear();
        self.retry_at = None;
        self.failures = 0;
        self.sent = 0;
    }

    /// Whether an attempt is going on.
    pub(super) fn is_trying(&self) -> bool {
        self.attempt.is_some()
    }

    /// The peer does not want the link now; if we do, the next attempt waits as after several failures.
    pub(super) fn closed_by_peer(&mut self, now: Instant) {
        self.succeeded();
        self.retry_at = Some(now + RETRY_MAX);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let attempt = self.attempt.map(|attempt| {
            let end = attempt.started + ATTEMPT_LIMIT;
            attempt.next.map_or(end, |next| next.min(end))
        });
        let retry = self.retry_at.filter(|_| self.wanted && self.attempt.is_none());
        [attempt, retry].into_iter().flatten().min()
    }
}

impl Link {
    /// The application wants the link: initiate on all candidates, and again and again until [`Link::close`].
    ///
    /// `wall` is the wall clock in microseconds since 1970. It may jump either way.
    pub fn connect(&mut self, now: Instant, wall: u64) {
        self.connecting.wanted = true;
        self.connecting.closed = false;
        if !self.status.up && self.connecting.attempt.is_none() {
            self.connecting.retry_at = Some(now);
        }
        self.handle_timeout(now, wall);
    }

    /// The peer's clock or store went back, or this is a replay: no answer, but we initiate ourselves.
    pub(super) fn answer_stale(&mut self, now: Instant, wall: u64) {
        // A peer that is heard in its session has no reason to be helped: then it is a replay.
        let heard = self.paths.last_heard().is_some_and(|heard| now < heard + SUSPECT_MAX);
        if !(self.status.up && heard) {
            self.call_back(now, wall);
        }
    }

    /// The peer seems to want the link, and cannot make it itself: initiates once, and seldom, because whoever replays
    /// something could make it look so.
    pub fn call_back(&mut self, now: Instant, wall: u64) {
        let busy = self.connecting.attempt.is_some() || now < self.connecting.stale_answer_at;
        // Not when the application wants no link: whoever recorded an initiation would make us send.
        if self.connecting.closed || busy {
            return;
        }
        self.connecting.stale_answer_at = now + STALE_ANSWER_INTERVAL;
        self.start_attempt(now, false);
        self.run_attempt(now, wall);
        self.wake_at(now);
    }

    /// Starts an attempt unless one is going on, or something is missing.
    pub(super) fn start_attempt(&mut self, now: Instant, for_silence: bool) {
        if self.connecting.attempt.is_some() {
            return;
        }
        self.connecting.retry_at = None;
        if matches!(self.missing(), Some(Obstacle::NoSharedCipherSet)) {
            return;
        }
        self.connecting.sent = 0;
        self.connecting.attempt =
            Some(Attempt { started: now, rounds: 0, next: Some(now), for_silence, cookie_answered: false });
    }

    /// Starts, continues or gives up the attempt to get a session.
    pub(super) fn run_attempt(&mut self, now: Instant, wall: u64) {
        // A busy link has nearly always sent something since it last heard anything.
        let silent = self.paths.unheard_since().is_some_and(|since| now >= since + SUSPECT_MAX);
        if self.status.up && !silent && self.connecting.attempt.is_some_and(|attempt| attempt.for_silence) {
            self.connecting.succeeded();
        }
        if self.connecting.wanted && !self.status.up && self.connecting.retry_at.is_none_or(|at| at <= now) {
            self.start_attempt(now, false);
        }
        let Some(attempt) = self.connecting.attempt else { return };
        if now >= attempt.started + ATTEMPT_LIMIT {
            if self.status.up && !silent {
                self.connecting.succeeded();
            } else {
                self.give_up(now);
            }
            return;
        }
        for address in std::mem::take(&mut self.connecting.late) {
            self.initiate(now, wall, address, 0, Prefer::Cookie);
        }
        if attempt.next.is_some_and(|next| next <= now) {
            self.send_round(now, wall, attempt);
        }
    }

    fn send_round(&mut self, now: Instant, wall: u64, attempt: Attempt) {
        let mut addresses: Vec<_> = self.paths.for_handshake().collect();
        let direct = self.missing().is_none() && addresses.iter().any(PathAddress::is_direct);
        // Addresses that are known get the time of one round to answer before anybody else is asked.
        if attempt.rounds > 0 || !direct {
            self.need_path();
        }
        if addresses.len() > COPIES_PER_ROUND {
            let turn = attempt.rounds * COPIES_PER_ROUND % addresses.len();
            addresses.rotate_left(turn);
            addresses.truncate(COPIES_PER_ROUND);
        }
        // The last rounds leap, one after the other, and further after every attempt in vain: whoever has been away for long has
        // leapt as often, and whoever lost its store has to come up to it.
        let before_leaps = INITIATION_RESEND.len() + 1 - AT_LEAPS.len();
        let leap = attempt.rounds.checked_sub(before_leaps).and_then(|round| AT_LEAPS.get(round)).copied();
        let mut leap = leap.unwrap_or(0) << self.connecting.failures.min(AT_LEAP_DOUBLINGS);
        // Whoever saw an initiation can answer it with a cookie that is worth nothing, so the tag keeps its turn.
        let prefer = if attempt.rounds.is_multiple_of(2) { Prefer::Tag } else { Prefer::Cookie };
        for address in addresses {
            self.initiate(now, wall, address, std::mem::take(&mut leap), prefer);
        }
        let wait = INITIATION_RESEND.get(attempt.rounds).copied();
        let next = wait.map(|wait| now + self.random.jittered(wait));
        self.connecting.attempt = Some(Attempt { rounds: attempt.rounds + 1, next, ..attempt });
    }

    fn give_up(&mut self, now: Instant) {
        self.connecting.attempt = None;
        self.connecting.pending.clear();
        self.connecting.late.clear();
        let wait = (RETRY_FIRST * (1 << self.connecting.failures.min(6))).min(RETRY_MAX);
        self.connecting.failures = self.connecting.failures.saturating_add(1);
        self.connecting.retry_at = Some(now + self.random.jittered(wait));
        self.go_down(now, DownReason::TimedOut);
    }

    /// Queues one initiation: a fresh `at`, a fresh ephemeral key and an index of its own.
    fn initiate(&mut self, now: Instant, wall: u64, to: PathAddress, leap: u64, prefer: Prefer) {
        if !self.may_initiate(now, &to) {
            return;
        }
        if let Ok((pending, packet)) = self.make_initiation(now, wall, to, leap, prefer) {
            if self.connecting.pending.len() >= MAX_PENDING {
                self.connecting.pending.remove(0);
            }
            self.connecting.pending.push(pending);
            self.connecting.sent = self.connecting.sent.saturating_add(1);
            self.queue(Outgoing::Ready { to, packet });
        }
    }

    fn make_initiation(
        &mut self,
        now: Instant,
        wall: u64,
        to: PathAddress,
        leap: u64,
        prefer: Prefer,
    ) -> Result<(Pending, Box<[u8]>), NoiseError> {
        let shared = self.static_shared().ok_or(NoiseError)?;
        let index = self.next_index();
        let at = self.peer.record.next_at(wall, leap);
        self.queues.persist = true;
        let named: [u8; 16] = self.random.bytes();
        let credential = self.connecting.credential.clone();
        let hello = self.identity.hello(at, credential, ResponseMacKey::from_bytes(named)).encode();
        let body = payload::pad::<PAYLOAD_1_SIZE>(&hello).ok_or(NoiseError)?;

        let mut noise = Handshake::initiator(&self.identity, &shared, self.peer.hashname, &Prologue::Link)?;
        let mut message = [0; NOISE_1_SIZE];
        noise.write(self.random.draw(), body.as_ref(), &mut message)?;
        let mut packet = Initiation::write(shared.csid, index, &message);
        let mac1 = Mac1Key::for_initiations_to(&shared.peer).write(&mut packet);
        self.show_proof(now, &to, prefer, &mut packet);
        let mac1_key = Mac1Key::for_response(&named);
        let noise = Box::new(noise);
        Ok((Pending { index, csid: shared.csid, to, sent: now, mac1, mac1_key, noise }, packet))
    }

    /// A response came in: when it is right, there is a session.
    pub(super) fn receive_response(
        &mut self,
        now: Instant,
        from: PathAddress,
        packet: &[u8],
    ) -> Result<(), DropReason> {
        let response = Response::parse(packet)?;
        let matches =
            |pending: &Pending| pending.index == response.receiver_index && pending.csid == response.csid;
        let place = self.connecting.pending.iter().position(matches).ok_or(DropReason::UnknownIndex)?;
        let pending = self.connecting.pending.get_mut(place).ok_or(DropReason::UnknownIndex)?;
        if !pending.mac1_key.verify(response.covered, response.mac1) {
            return Err(DropReason::Mac1);
        }
        let mut buffer = Zeroizing::new([0; PAYLOAD_2_SIZE]);
        let read = pending.noise.read(response.noise, buffer.as_mut());
        let length = read.map_err(|_| DropReason::Authentication)?;

        // From here on it is the peer's one answer to this initiation, so a second one cannot be better.
        let pending = self.connecting.pending.remove(place);
        let message = buffer.get(..length).and_then(payload::unpad).ok_or(DropReason::Malformed)?;
        let reply = HelloReply::decode(message).map_err(|_| DropReason::Malformed)?;
        if reply.hello.keys.hashname() != self.peer.hashname {
            return Err(DropReason::Hashname);
        }
        let static_key = pending.noise.remote_static().ok_or(DropReason::Authentication)?;
        payload::check_identity(&self.identity, pending.csid, &static_key, &reply.hello.keys)?;
        let (keys, tags) = pending.noise.into_keys_and_tags().map_err(|_| DropReason::Authentication)?;

        let about = About {
            incarnation: reply.hello.incarnation,
            engine_version: reply.hello.engine_version,
            features: reply.hello.features,
        };
        let ids = SessionIds {
            local_index: pending.index,
            remote_index: response.sender_index,
            csid: pending.csid,
            started_by_us: true,
        };
        self.offer_tag(&tags);
        let lineage = Lineage::of_initiation(pending.index, now, true, tags);
        let session = Session::new(ids, about, lineage, keys, now, self.renew_jitter());
        match self.sessions.install(now, session, self.we_are_higher()) {
            Installed::Current => self.follow_tags(),
            Installed::Beside => {}
            Installed::Outdated => return Err(DropReason::SessionExpired),
        }
        self.status.confirm_due = true;
        let rtt = now.saturating_duration_since(pending.sent);
        let change = self.paths.proven(now, &pending.to, Some(rtt));
        self.emit_change(now, change);
        self.established(now, about);
        if let Some(address) = reply.observed_address {
            self.observed(pending.to, address);
        }
        if from != pending.to {
            self.heard_from(now, from, false);
        }
        Ok(())
    }

    /// The peer told from where it sees us.
    pub(super) fn observed(&mut self, path: PathAddress, address: std::net::SocketAddr) {
        if self.status.observed != Some((path, address)) {
            self.status.observed = Some((path, address));
            self.emit(Event::Observed { address, path });
        }
    }

    pub(super) fn renew_jitter(&mut self) -> Duration {
        // A quarter of four times the span is the span.
        self.random.jittered(RENEW_JITTER * 4).saturating_sub(RENEW_JITTER * 4)
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}
