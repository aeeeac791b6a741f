//! Renewal: a new session made inside the live one, by control messages. Nothing of it can be seen from outside, and it
//! needs no `at` and no gate, because the session already says who the peer is.

use std::time::Instant;

use telemesh_wire::Control;

use super::Link;
use super::transmit::{Outgoing, noise_message};
use crate::counters::DropReason;
use crate::noise::{Handshake, NoiseError, Prologue};
use crate::session::{Session, SessionIds};
use crate::sessions::{Installed, Unconfirmed, UnconfirmedKind};
use crate::timers::{ACCEPT_BURST, ACCEPT_INTERVAL, RENEW_RESEND};

/// Sizes of the two Noise messages with empty payloads.
const RENEW_1_SIZE: usize = 32 + 48 + 16;
const RENEW_2_SIZE: usize = 32 + 16;

/// A renewal of ours that waits for its answer.
pub(super) struct Renewal {
    pub(super) index: u32,
    /// The session that it replaces.
    ids: SessionIds,
    noise: Handshake,
    /// The control message, sent again as it is: inside the session it cannot be replayed.
    message: Vec<u8>,
    resend_at: Instant,
}

impl Link {
    /// Starts the renewal of the current session when it is due, and repeats one that has no answer.
    pub(super) fn run_renewal(&mut self, now: Instant) {
        let Some((ids, due)) = self.sessions.current().map(|session| (session.ids, session.renew_at()))
        else {
            self.renewal = None;
            return;
        };
        if self.renewal.as_ref().is_some_and(|renewal| renewal.ids != ids) {
            self.renewal = None;
        }
        let wait = self.paths.active().map_or(RENEW_RESEND, |path| path.suspect_after().max(RENEW_RESEND));
        match &mut self.renewal {
            Some(renewal) if renewal.resend_at <= now => {
                renewal.resend_at = now + wait;
                let message = renewal.message.clone();
                self.queue(Outgoing::Control(message));
            }
            Some(_) => {}
            None if due <= now => {
                if let Ok(renewal) = self.make_renewal(now + wait, ids) {
                    let message = renewal.message.clone();
                    self.renewal = Some(Box::new(renewal));
                    self.queue(Outgoing::Control(message));
                }
            }
            None => {}
        }
    }

    /// When [`Link::run_renewal`] has something to do.
    pub(super) fn renewal_timeout(&self) -> Option<Instant> {
        match &self.renewal {
            Some(renewal) => Some(renewal.resend_at),
            None => self.sessions.current().map(Session::renew_at),
        }
    }

    fn make_renewal(&mut self, resend_at: Instant, ids: SessionIds) -> Result<Renewal, NoiseError> {
        let shared = self.static_shared().ok_or(NoiseError)?;
        let prologue =
            Prologue::Renew { initiator_index: ids.local_index, responder_index: ids.remote_index };
        let mut noise = Handshake::initiator(&self.identity, &shared, self.peer.hashname, &prologue)?;
        let mut message = [0; RENEW_1_SIZE];
        noise.write(self.random.draw(), &[], &mut message)?;
        let index = self.next_index();
        let noise_bytes = noise_message(&message).ok_or(NoiseError)?;
        let message = Control::RenewInitiation { sender_index: index, noise: noise_bytes }.encode();
        Ok(Renewal { index, ids, noise, message, resend_at })
    }

    /// The peer renews the session with this index of ours.
    pub(super) fn receive_renewal(
        &mut self,
        now: Instant,
        index: u32,
        sender_index: u32,
        message: &[u8],
    ) -> Result<(), DropReason> {
        let answered = self.sessions.unconfirmed_mut().find_map(|entry| answer_to(entry, sender_index));
        if let Some(answer) = answered {
            // Our answer was lost.
            self.queue(Outgoing::Control(answer));
            return Ok(());
        }
        if self.sessions.has_remote_index(sender_index) {
            // A late copy: the session that it asks for is in use already.
            return Ok(());
        }
        if !self.status.accepts.take(now, ACCEPT_BURST, ACCEPT_INTERVAL) {
            return Err(DropReason::TooOften);
        }
        let session = self.sessions.in_use(index).ok_or(DropReason::UnknownIndex)?;
        let (old, about, lineage) = (session.ids, session.about, session.lineage.renewed(false));
        let shared = self.static_shared();
        let prologue =
            Prologue::Renew { initiator_index: old.remote_index, responder_index: old.local_index };
        let made = Handshake::responder(&self.identity, old.csid, shared.as_ref(), &prologue);
        let mut noise = made.map_err(|_| DropReason::Authentication)?;
        noise.read(message, &mut [0; RENEW_1_SIZE]).map_err(|_| DropReason::Authentication)?;
        let theirs = self.peer.keys.as_ref().and_then(|keys| keys.key(old.csid));
        if theirs.is_none() || noise.remote_static().as_ref().map(<[u8; 32]>::as_slice) != theirs {
            return Err(DropReason::Hashname);
        }
        let mut answer = [0; RENEW_2_SIZE];
        let written = noise.write(self.random.draw(), &[], &mut answer);
        written.map_err(|_| DropReason::Authentication)?;
        let keys = noise.into_keys().map_err(|_| DropReason::Authentication)?;
        let local_index = self.next_index();
        let noise_bytes = noise_message(&answer).ok_or(DropReason::Malformed)?;
        let answer = Control::RenewResponse {
            sender_index: local_index,
            receiver_index: sender_index,
            noise: noise_bytes,
        }
        .encode();

        let ids =
            SessionIds { local_index, remote_index: sender_index, csid: old.csid, started_by_us: false };
        let session = Session::new(ids, about, lineage, keys, now, self.renew_jitter());
        let kind = UnconfirmedKind::Renewal { answer: answer.clone() };
        self.sessions.add_unconfirmed(Unconfirmed { session, kind });
        self.queue(Outgoing::Control(answer));
        Ok(())
    }

    /// The peer answers our renewal: from now on we send under the new session.
    pub(super) fn receive_renewal_answer(
        &mut self,
        now: Instant,
        sender_index: u32,
        receiver_index: u32,
        message: &[u8],
    ) -> Result<(), DropReason> {
        let matches = |renewal: &mut Box<Renewal>| renewal.index == receiver_index;
        let mut renewal = self.renewal.take_if(matches).ok_or(DropReason::UnknownIndex)?;
        let session = self.sessions.in_use(renewal.ids.local_index).ok_or(DropReason::UnknownIndex)?;
        let (about, lineage) = (session.about, session.lineage.renewed(true));
        let read = renewal.noise.read(message, &mut [0; RENEW_2_SIZE]);
        read.map_err(|_| DropReason::Authentication)?;
        let Renewal { ids: old, noise, .. } = *renewal;
        let keys = noise.into_keys().map_err(|_| DropReason::Authentication)?;
        let ids = SessionIds {
            local_index: receiver_index,
            remote_index: sender_index,
            csid: old.csid,
            started_by_us: true,
        };
        let session = Session::new(ids, about, lineage, keys, now, self.renew_jitter());
        if self.sessions.install(now, session, self.we_are_higher()) == Installed::Current {
            self.status.confirm_due = true;
            self.follow_tags();
        }
        self.wake_at(now);
        Ok(())
    }
}

/// The answer that an unconfirmed session was made by, if it answers the renewal with this index.
fn answer_to(entry: &mut Unconfirmed, sender_index: u32) -> Option<Vec<u8>> {
    match &entry.kind {
        UnconfirmedKind::Renewal { answer } if entry.session.ids.remote_index == sender_index => {
            Some(answer.clone())
        }
        _ => None,
    }
}
