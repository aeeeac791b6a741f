//! The link: what one endpoint knows of another, and everything it does to reach it.
//!
//! This file has the type, its making and its small methods; what happens when is in the files beside it: `connect`
//! (initiations and responses to them), `accept` (the other end's initiations), `returning` (return tags and cookies),
//! `renew`, `receive`, `transmit`, `timeouts`; `ways` (candidates and circuits); `birthday`; `inspect` only looks.

mod accept;
mod birthday;
mod config;
mod connect;
mod inspect;
mod receive;
mod renew;
mod returning;
mod timeouts;
mod transmit;
mod ways;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use telemesh_hashname::PublicKeys;
use telemesh_wire::PathAddress;
use telemesh_wire::{CloseReason, Control, Credential};

use crate::birthday::BirthdayOutcome;
use crate::counters::{DropCounters, DropReason};
use crate::fragment::Reassembly;
use crate::identity::Identity;
use crate::noise::StaticShared;
use crate::packet::{DATA_MAX_SIZE, GENERATION_BITS, HANDSHAKE_SIZE, MAX_SLOTS};
use crate::paths::{Change, Paths};
use crate::random::LinkRandom;
use crate::rate::TokenBucket;
use crate::record::PeerRecord;
use crate::session::About;
use crate::sessions::Sessions;
use crate::state::{DownReason, Event, PingId};
use crate::tag_table::Registration;
use crate::timers::{MAX_PINGS, MAX_QUEUED};

pub use config::{DEFAULT_MAX_DATAGRAM, LinkConfig, LinkError, Peer};
use connect::Connecting;
pub use receive::Received;
use renew::Renewal;
use transmit::Outgoing;
pub use transmit::{Batch, MessageError};

/// One link: keys, paths, sessions. See the crate's documentation for how to drive it.
pub struct Link {
    identity: Arc<Identity>,
    peer: Peer,
    config: LinkConfig,
    random: LinkRandom,
    /// The receiver index that was handed out last: slot and generation.
    last_index: u32,
    sessions: Sessions,
    paths: Paths,
    connecting: Connecting,
    renewal: Option<Box<Renewal>>,
    status: Status,
    known: Known,
    queues: Queues,
    fragments: Fragments,
    dropped: DropCounters,
    /// The earliest time at which `handle_timeout` may have something to do.
    timeout: Option<Instant>,
}

/// What both ends have, sessions aside.
struct Known {
    shared: Option<Arc<StaticShared>>,
    /// The return tags of the record that the gate is told of.
    accepted_tags: Registration,
}

/// Whether the link is up, and what belongs to that.
struct Status {
    up: bool,
    down: DownReason,
    /// What the peer last said about itself, in a session that it confirmed.
    about: Option<About>,
    /// How our address looks from the other side, and of which path that was said.
    observed: Option<(PathAddress, SocketAddr)>,
    /// Initiations of the peer that we may still take on.
    accepts: TokenBucket,
    /// The peer does not know yet that we have the session: something must be sent under it at once.
    confirm_due: bool,
    /// The peer was not heard yet under the current session, so it may still show the return tag from before it.
    tag_unspent: bool,
}

/// What waits for the caller.
#[derive(Default)]
struct Queues {
    outgoing: VecDeque<Outgoing>,
    events: VecDeque<Event>,
    /// The record has changed since it was last given out.
    persist: bool,
    pings: Vec<(PingId, [u8; 8])>,
    next_ping: u64,
}

#[derive(Default)]
struct Fragments {
    reassembly: Option<Box<Reassembly>>,
    next_number: u16,
}

impl Link {
    /// A link with a peer, down and without candidates.
    ///
    /// `slot` is the upper part of every receiver index of the link, by which the caller finds it; it stays for the
    /// link's life. `seed` is fresh randomness: the same seed, calls and times give the same packets.
    ///
    /// # Errors
    ///
    /// [`LinkError`] when the peer is ourselves, its keys are not its, or the slot is out of range.
    pub fn new(
        identity: Arc<Identity>,
        peer: Peer,
        slot: u32,
        config: LinkConfig,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Self, LinkError> {
        if peer.hashname == identity.hashname() {
            return Err(LinkError::Ourselves);
        }
        if slot >= MAX_SLOTS {
            return Err(LinkError::Slot(slot));
        }
        if peer.keys.as_ref().is_some_and(|keys| keys.hashname() != Ok(peer.hashname)) {
            return Err(LinkError::Keys);
        }
        let mut random = LinkRandom::new(seed);
        let mut accepted_tags = config.tags.register(peer.hashname);
        accepted_tags.set(&peer.record.tags.accepted);
        let generation = u32::from(u16::from_le_bytes(random.bytes())) & GENERATION_MASK;
        Ok(Self {
            identity,
            peer,
            config,
            random,
            last_index: slot << GENERATION_BITS | generation,
            sessions: Sessions::default(),
            paths: Paths::default(),
            connecting: Connecting::new(now),
            renewal: None,
            status: Status {
                up: false,
                down: DownReason::New,
                about: None,
                observed: None,
                accepts: TokenBucket::default(),
                confirm_due: false,
                tag_unspent: false,
            },
            known: Known { shared: None, accepted_tags },
            queues: Queues::default(),
            fragments: Fragments::default(),
            dropped: DropCounters::default(),
            timeout: None,
        })
    }

    /// Completes what is known of the peer's keys.
    ///
    /// # Errors
    ///
    /// [`LinkError::Keys`] when they are those of another hashname; nothing has changed then.
    pub fn set_keys(&mut self, now: Instant, keys: PublicKeys) -> Result<(), LinkError> {
        if keys.hashname() != Ok(self.peer.hashname) {
            return Err(LinkError::Keys);
        }
        self.merge_keys(&keys);
        self.connecting.something_came(now);
        self.wake_at(now);
        Ok(())
    }

    /// Takes over keys of which only digests were known. The caller has checked that they have the peer's hashname.
    fn merge_keys(&mut self, keys: &PublicKeys) {
        let known = self.peer.keys.get_or_insert_with(|| keys.clone());
        for key in keys {
            if let Some(bytes) = key.key() {
                // An error means that the key is known already.
                let _ = known.insert_key(key.cipher_set(), bytes);
            }
        }
    }

    /// What the next initiations carry as the reason to be let in, such as [`prove_invite`](crate::prove_invite).
    pub fn set_credential(&mut self, credential: Credential) {
        self.connecting.credential = credential;
    }

    /// Tells that a record from [`Event::Persist`] is stored, so that the responses that wait for it go out.
    pub fn persisted(&mut self, now: Instant, record: &PeerRecord) {
        self.release_responses(now, record);
    }

    /// Ends the link: tells the peer if there is a session, then forgets it. The link stays usable, but initiates for no
    /// reason until [`Link::connect`] is called or the peer makes a session.
    ///
    /// A peer that is not trusted any more is from now on a stranger to the gate, too.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        let was_wanted = self.connecting.stop();
        if self.status.up {
            self.seal_close(now, reason);
        } else if was_wanted {
            self.emit(Event::Down(DownReason::Closed(reason)));
        }
        if reason == CloseReason::NotTrusted {
            self.known.accepted_tags.set(&[]);
        }
        self.sessions.clear();
        self.go_down(now, DownReason::Closed(reason));
    }

    /// Tells the peer that our engines up to this number are gone.
    ///
    /// Control messages are not acknowledged: send it again when packets of a lost engine keep arriving.
    pub fn send_engine_gone(&mut self, number: u64) {
        self.queue_control(&Control::EngineGone { number });
    }

    /// Measures the round trip of the path in use; [`Event::Pong`] tells it. `None` while the link is down.
    pub fn ping(&mut self, now: Instant) -> Option<PingId> {
        let to = self.paths.active()?.address;
        if !self.status.up {
            return None;
        }
        let id = PingId(self.queues.next_ping);
        self.queues.next_ping += 1;
        self.queue(Outgoing::Probe { to, ping: Some(id) });
        self.wake_at(now);
        Some(id)
    }

    /// The local network has changed: every path has to prove itself anew, and a link that is wanted is tried at once.
    pub fn network_changed(&mut self, now: Instant) {
        self.connecting.retry_now(now);
        self.paths.network_changed();
        if self.status.up {
            self.probe_all(now);
        }
        self.wake_at(now);
    }

    /// Something above noticed that the path in use may not work: all paths are probed at once.
    pub fn suspect(&mut self, now: Instant) {
        if self.status.up {
            self.paths.suspect();
            self.probe_all(now);
            self.wake_at(now);
        }
    }

    /// Sets the largest datagram that the path carries, which decides from where on messages are sent in two halves.
    /// Values outside 1,200 to 65,507 bytes are taken as the nearest.
    pub fn set_max_datagram(&mut self, bytes: usize) {
        self.config.max_datagram = bytes.clamp(HANDSHAKE_SIZE, DATA_MAX_SIZE);
    }

    /// The next event, if there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.queues.persist) {
            return Some(Event::Persist(self.peer.record.clone()));
        }
        let event = self.queues.events.pop_front();
        event.or_else(|| self.paths.take_news().map(|path| Event::PathProven { path }))
    }

    /// When [`Link::handle_timeout`] wants to be called next. It may turn out that there was nothing to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// Makes sure that `handle_timeout` is called by then.
    fn wake_at(&mut self, at: Instant) {
        self.timeout = Some(self.timeout.map_or(at, |timeout| timeout.min(at)));
    }

    fn emit(&mut self, event: Event) {
        if self.queues.events.len() >= MAX_QUEUED {
            self.dropped.count(DropReason::QueueFull);
            return;
        }
        self.queues.events.push_back(event);
    }

    fn emit_change(&mut self, now: Instant, change: Option<Change>) {
        if let Some(Change { to, rtt, similar }) = change {
            if to.is_direct() {
                self.birthday_succeeded(now);
            }
            self.emit(Event::PathChanged { path: to, rtt, similar });
        }
    }

    /// A receiver index that no session and no handshake of this link uses.
    fn next_index(&mut self) -> u32 {
        loop {
            // Far fewer are in use than there are generations, so this ends.
            let next = self.last_index & !GENERATION_MASK | self.last_index.wrapping_add(1) & GENERATION_MASK;
            self.last_index = next;
            let renewing = self.renewal.as_ref().is_some_and(|renewal| renewal.index == next);
            if !renewing && !self.connecting.has_index(next) && !self.sessions.has_index(next) {
                return next;
            }
        }
    }

    fn we_are_higher(&self) -> bool {
        self.identity.hashname() > self.peer.hashname
    }

    /// The static-static result with the peer, computed once.
    fn static_shared(&mut self) -> Option<Arc<StaticShared>> {
        if self.known.shared.is_none() {
            let keys = self.peer.keys.as_ref()?;
            let csid = self.identity.highest_shared(keys.cipher_sets())?;
            let peer: [u8; 32] = keys.key(csid)?.try_into().ok()?;
            let secret = self.identity.secret(csid)?.agree(&peer).ok()?;
            self.known.shared = Some(Arc::new(StaticShared { csid, peer, secret }));
        }
        self.known.shared.clone()
    }

    /// A session is there that both ends have: everything that was tried for it is over.
    fn established(&mut self, now: Instant, about: About) {
        self.connecting.succeeded();
        self.renewal = None;
        let restarted = self.status.about.is_some_and(|old| old.incarnation != about.incarnation);
        if restarted {
            self.queues.pings.clear();
            self.fragments.reassembly = None;
            self.emit(Event::PeerRestarted);
        }
        if restarted || !self.status.up {
            self.status.up = true;
            self.emit(Event::Up(about));
        }
        self.status.about = Some(about);
        for address in self.paths.untried() {
            self.queue_probe(now, address);
        }
        self.wake_at(now);
    }

    /// There is no session any more.
    fn go_down(&mut self, now: Instant, reason: DownReason) {
        let was_up = std::mem::take(&mut self.status.up);
        self.end_birthday(BirthdayOutcome::Down);
        self.sessions.clear_used();
        self.paths.down();
        self.renewal = None;
        self.status.down = reason;
        self.status.confirm_due = false;
        self.fragments.reassembly = None;
        self.queues.pings.clear();
        self.queues.outgoing.retain(|outgoing| matches!(outgoing, Outgoing::Ready { .. }));
        if was_up || self.connecting.is_wanted() {
            self.emit(Event::Down(reason));
        }
        self.wake_at(now);
    }

    /// Receiver indexes of the current session: ours and the peer's.
    #[cfg(test)]
    pub(crate) fn current_session_for_test(&self) -> (u32, u32) {
        self.sessions.current().map(|session| (session.ids.local_index, session.ids.remote_index)).unwrap()
    }

    /// Makes the session before the current one, as if this end preferred it; false if there is none.
    #[cfg(test)]
    pub(crate) fn swap_sessions_for_test(&mut self, now: Instant) -> bool {
        self.sessions.swap_for_test(now)
    }

    /// Pretends that the current session has sealed this many packets.
    #[cfg(test)]
    pub(crate) fn set_sealed_for_test(&mut self, sealed: u64) {
        self.sessions.current_mut().unwrap().set_sealed(sealed);
    }

    /// A data packet with any plaintext, as a hostile but authenticated peer could send it.
    #[cfg(test)]
    pub(crate) fn seal_raw_for_test(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.sessions.current_mut().unwrap().seal(&[], plaintext, &mut out).unwrap();
        out
    }

    fn remember_ping(&mut self, id: PingId, token: [u8; 8]) {
        if self.queues.pings.len() >= MAX_PINGS {
            self.queues.pings.remove(0);
        }
        self.queues.pings.push((id, token));
    }
}

const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("peer", &self.peer.hashname)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
