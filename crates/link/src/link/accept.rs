//! The peer's initiations, once the owner of the gate has said yes: the response, and the session it leads to.

use std::time::Instant;

use telemesh_wire::{Credential, HelloReply, PathAddress, ResponseMacKey};

use super::Link;
use super::transmit::Outgoing;
use crate::counters::DropReason;
use crate::gate::Request;
use crate::lineage::Lineage;
use crate::mac::Mac1Key;
use crate::packet::{NOISE_2_SIZE, PAYLOAD_2_SIZE, Response};
use crate::paths::Source;
use crate::payload;
use crate::record::PeerRecord;
use crate::session::{Session, SessionIds};
use crate::sessions::{Installed, Unconfirmed, UnconfirmedKind};
use crate::state::Event;
use crate::timers::{ACCEPT_BURST, ACCEPT_INTERVAL};

impl Link {
    pub(crate) fn handle_request(
        &mut self,
        now: Instant,
        wall: u64,
        request: Request,
    ) -> Result<(), DropReason> {
        let result = self.take_request(now, wall, request);
        if let Err(reason) = result {
            self.dropped.count(reason);
        }
        result
    }

    fn take_request(&mut self, now: Instant, wall: u64, request: Request) -> Result<(), DropReason> {
        let Request { claim, mut noise, csid, sender_index, response_mac_key } = request;
        if claim.hashname != self.peer.hashname {
            return Err(DropReason::Hashname);
        }
        // Keys can be learned from a replay too: they belong to the hashname for ever.
        self.merge_keys(&claim.keys);
        if self.peer.record.is_stale(claim.at) {
            self.answer_stale(now, wall);
            return Err(DropReason::Stale);
        }
        if !self.status.accepts.take(now, ACCEPT_BURST, ACCEPT_INTERVAL) {
            return Err(DropReason::TooOften);
        }

        let hello = self.identity.hello(wall, Credential::none(), ResponseMacKey::from_bytes([0; 16]));
        let reply = HelloReply { hello, observed_address: claim.from.socket_address() }.encode();
        let body = payload::pad::<PAYLOAD_2_SIZE>(&reply).ok_or(DropReason::Malformed)?;
        let mut message = [0; NOISE_2_SIZE];
        let written = noise.write(self.random.draw(), body.as_ref(), &mut message);
        written.map_err(|_| DropReason::Authentication)?;
        let local_index = self.next_index();
        let mut response = Response::write(csid, local_index, sender_index, &message);
        Mac1Key::for_response(response_mac_key.as_bytes()).write(&mut response);

        let (keys, tags) = noise.into_keys_and_tags().map_err(|_| DropReason::Authentication)?;
        self.peer.record.answered(claim.at);
        // The peer may have the tag as soon as the response is out; the record with both is stored before that.
        self.offer_tag(&tags);
        self.queues.persist = true;
        let ids = SessionIds { local_index, remote_index: sender_index, csid, started_by_us: false };
        let lineage = Lineage::of_initiation(local_index, now, false, tags);
        let session = Session::new(ids, claim.about, lineage, keys, now, self.renew_jitter());
        let kind = UnconfirmedKind::Handshake {
            at: claim.at,
            credential: claim.credential,
            to: claim.from,
            held: Some(response),
            answered: None,
        };
        self.sessions.add_unconfirmed(Unconfirmed { session, kind });
        let next = self.next_timeout();
        if let Some(at) = next {
            self.wake_at(at);
        }
        Ok(())
    }

    /// Lets the responses go whose `at` is in the stored record.
    pub(super) fn release_responses(&mut self, now: Instant, record: &PeerRecord) {
        let mut released = Vec::new();
        for entry in self.sessions.unconfirmed_mut() {
            if let UnconfirmedKind::Handshake { at, to, held, answered, .. } = &mut entry.kind
                && record.has_answered(*at)
                && let Some(packet) = held.take()
            {
                *answered = Some(now);
                released.push(Outgoing::Ready { to: *to, packet });
            }
        }
        for outgoing in released {
            self.queue(outgoing);
        }
    }

    /// The first packet under a session that we answered: from now on both ends have it.
    pub(super) fn confirm(&mut self, now: Instant, place: usize) -> Result<(), DropReason> {
        let taken = self.sessions.take_unconfirmed(place);
        let Unconfirmed { session, kind } = taken.ok_or(DropReason::UnknownIndex)?;
        let about = session.about;
        match self.sessions.install(now, session, self.we_are_higher()) {
            Installed::Current => self.follow_tags(),
            Installed::Beside => {}
            Installed::Outdated => return Err(DropReason::SessionExpired),
        }
        if let UnconfirmedKind::Handshake { credential, to, answered, .. } = kind {
            let rtt = answered.map(|answered| now.saturating_duration_since(answered));
            let change = self.paths.proven(now, &to, rtt);
            self.emit_change(now, change);
            if !credential.is_none() {
                self.emit(Event::Confirmed { credential });
            }
        }
        self.established(now, about);
        Ok(())
    }

    /// An authentic packet came from this address: probe it if that could be of use.
    pub(super) fn heard_from(&mut self, now: Instant, from: PathAddress, data: bool) {
        let source = self.paths.on_heard(now, &from, data);
        let in_use = self.paths.active().map(|active| active.address);
        if in_use == Some(from) || source == Source::Unlisted {
            return;
        }
        if cfg!(feature = "danger-no-probe-check") {
            let change = self.paths.move_without_proof(&from);
            self.emit_change(now, change);
        }
        if self.paths.wants_probe(now, &from) {
            // The path in use first: if it still works, its answer comes in time to keep the data there.
            let moved = self.paths.get(&from).is_some_and(|path| self.paths.moved_to(path));
            if let Some(active) = in_use.filter(|_| moved) {
                self.queue_probe(now, active);
            }
            self.queue_probe(now, from);
            self.wake_at(now);
        }
    }
}
