//! What peers send: verified, put in its place, or refused.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use telemesh_hashname::Hashname;

use super::Room;
use super::peer::{Has, HasLog};
use crate::content::Content;
use crate::entry::{Entry, Unverified};
use crate::error::Refused;
use crate::event::Event;
use crate::frame::{Accept, Frame, Hello};
use crate::id::{EntryId, ParticipantKey};
use crate::limits::{
    GAP_DELAY, MAX_PARTICIPANTS, MAX_PENDING, MAX_PENDING_BYTES, MAX_UNREAD_EVENTS, MAX_WANTS,
};
use crate::log::Insert;
use crate::store::Write;

/// Entries that wait for others, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) entries: VecDeque<(Hashname, Entry)>,
    bytes: usize,
    /// When to show the gap and to ask somebody else.
    pub(super) due: Option<Instant>,
    /// The gap was shown.
    shown: bool,
}

impl Room {
    /// A frame from a peer, whose hashname the link has authenticated.
    pub fn handle_frame(&mut self, from: Hashname, frame: &Bytes, now: Instant) {
        let frame = match Frame::decode(frame) {
            Ok(frame) => frame,
            Err(error) => return self.refuse(from, None, error.into()),
        };
        match frame {
            Frame::Entries(entries) => self.handle_entries(from, entries, now),
            Frame::Accept(accept) => self.handle_accept(from, &accept, now),
            // The rest is between participants.
            _ if !self.is_participant(&from) => {}
            Frame::Hello(hello) => self.handle_hello(from, &hello),
            Frame::Acks(acks) => acks.into_iter().for_each(|ack| self.handle_ack(from, ack)),
            Frame::Want(ids) => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    let known = ids.into_iter().filter(|id| self.log.contains(id));
                    peer.due.asked.extend(known.take(MAX_WANTS));
                }
            }
            Frame::Presence(linked) => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.linked = linked.into_iter().collect();
                }
            }
            Frame::Typing(typing) => {
                let keys: Vec<ParticipantKey> = self.keys_of(&from);
                for key in keys {
                    self.tell(Event::Typing { key, typing });
                }
            }
            Frame::Other(_) => {}
        }
    }

    /// A frame that is larger than any may be was announced.
    pub fn handle_oversized(&mut self, from: Hashname) {
        self.refuse(from, None, Refused::TooLarge);
    }

    /// The peer says what it has.
    fn handle_hello(&mut self, from: Hashname, hello: &Hello) {
        let mut has = Has { catch_up: self.log.len(), ..Has::default() };
        for head in hello.heads.iter().take(MAX_PARTICIPANTS) {
            let Some(index) = self.log.sender_index(&head.key) else { continue };
            let Some(participant) = self.log.participants().get(index) else { continue };
            let count = usize::try_from(head.count).unwrap_or(usize::MAX);
            let last = count.checked_sub(1).and_then(|last| participant.chain.get(last));
            let same = match (participant.forked_at(), last.and_then(|last| self.log.node(*last))) {
                (Some(_), _) => head.digest == participant.digest(),
                (None, Some(node)) => node.entry.id() == head.digest,
                // It has more than we: whether it begins alike, its own look at our head will tell.
                (None, None) => count >= participant.chain.len(),
            };
            // Of two different logs of one participant each side gets all that the other one has.
            if same {
                let (chain, side) = match participant.forked_at() {
                    Some(_) => (participant.chain.len(), participant.side.len()),
                    None => (count.min(participant.chain.len()), 0),
                };
                has.set(index, HasLog { chain, side });
            }
        }
        let keys = self.keys_of(&from);
        let acks = self.acks.about(&keys);
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.has = has;
        peer.heard = true;
        peer.introduce = None;
        peer.introducing = false;
        peer.linked = hello.linked.iter().copied().collect();
        // What others have said about its entries while it was away, and what we have.
        peer.due.acks.extend(acks);
        let mine = self.key.public();
        peer.due.acks.extend(self.acks.of(&mine));
        if hello.answer {
            peer.due.hello.get_or_insert(false);
        }
    }

    pub(super) fn handle_entries(&mut self, from: Hashname, entries: Vec<Bytes>, now: Instant) {
        for raw in entries {
            let unverified = match Unverified::read(&self.id(), raw) {
                Ok(unverified) => unverified,
                Err(error) => {
                    self.refuse(from, None, error.into());
                    continue;
                }
            };
            if let Some(index) = self.log.index_of(&unverified.id()) {
                self.counters.duplicates += 1;
                self.peer_has(&from, index);
                continue;
            }
            if self.pending.entries.iter().any(|(_, entry)| entry.id() == unverified.id()) {
                continue;
            }
            let sender = unverified.sender();
            match unverified.verify() {
                Ok(entry) => self.take(from, entry, now),
                Err(reason) => self.refuse(from, Some(sender), reason),
            }
        }
    }

    /// Takes a verified entry, and those that waited for it.
    fn take(&mut self, from: Hashname, entry: Entry, now: Instant) {
        if !self.place(from, entry, now) {
            return;
        }
        loop {
            let waiting = std::mem::take(&mut self.pending.entries);
            self.pending.bytes = 0;
            let mut placed = false;
            for (from, entry) in waiting {
                placed |= self.place(from, entry, now);
            }
            if !placed {
                break;
            }
        }
        if self.pending.entries.is_empty() {
            self.pending.due = None;
            if std::mem::take(&mut self.pending.shown) {
                self.tell(Event::GapClosed);
            }
        }
    }

    /// Puts an entry in its place or among those that wait. Whether it is in.
    fn place(&mut self, from: Hashname, entry: Entry, now: Instant) -> bool {
        let sender = entry.fields().sender;
        match self.log.insert(entry.clone()) {
            Ok(Insert::New { index, forked }) => {
                self.arrivals.push_back((now, index));
                self.peer_has(&from, index);
                self.entered(index, forked);
                self.acks.later(sender, now);
                true
            }
            Ok(Insert::Known) => false,
            Ok(Insert::Missing(ids)) => {
                self.wait(from, entry, ids, now);
                false
            }
            Ok(Insert::Stranger) => {
                // Their join is in the leader's log, which comes with a hello.
                self.wait(from, entry, Vec::new(), now);
                false
            }
            Err(reason) => {
                self.refuse(from, Some(sender), reason);
                false
            }
        }
    }

    fn wait(&mut self, from: Hashname, entry: Entry, missing: Vec<EntryId>, now: Instant) {
        let pending = &mut self.pending;
        pending.bytes += entry.raw().len();
        let waiting = |id: &EntryId| pending.entries.iter().any(|(_, entry)| entry.id() == *id);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.due.wants.extend(missing.into_iter().filter(|id| !waiting(id)).take(MAX_WANTS));
        }
        pending.entries.push_back((from, entry));
        while pending.entries.len() > MAX_PENDING || pending.bytes > MAX_PENDING_BYTES {
            let Some((_, oldest)) = pending.entries.pop_front() else { break };
            pending.bytes = pending.bytes.saturating_sub(oldest.raw().len());
            self.counters.overflowed += 1;
        }
        pending.due.get_or_insert(now + GAP_DELAY);
    }

    /// Entries have waited for long: shows it, and asks everybody for what they wait for.
    pub(super) fn chase(&mut self, next: Instant) {
        let missing: Vec<EntryId> = self
            .pending
            .entries
            .iter()
            .flat_map(|(_, entry)| entry.fields().previous.iter().chain(&entry.fields().after))
            .filter(|id| !self.log.contains(id))
            .take(MAX_WANTS)
            .copied()
            .collect();
        for peer in self.peers.values_mut().filter(|peer| peer.up) {
            peer.due.wants.extend(missing.iter().copied());
            peer.due.hello.get_or_insert(true);
        }
        self.pending.due = (!self.pending.entries.is_empty()).then_some(next);
        if !self.pending.entries.is_empty() && !std::mem::replace(&mut self.pending.shown, true) {
            self.tell(Event::Gap { waiting: self.pending.entries.len() });
        }
    }

    /// Stores an entry that is new here, and tells what it means.
    pub(super) fn entered(&mut self, index: usize, forked: bool) {
        let Some(node) = self.log.node(index) else { return };
        self.out.writes.push(Write::Entry(index, node.entry.raw().clone()));
        let fields = node.entry.fields();
        let (sender, sequence) = (fields.sender, fields.sequence);
        let event = match &fields.content {
            Content::Create { hashname, .. } => Some(Event::Joined { key: sender, hashname: *hashname }),
            Content::Join { hashname, key } => {
                let event = Event::Joined { key: *key, hashname: *hashname };
                if self.invited.remove(hashname) {
                    self.save();
                }
                Some(event)
            }
            Content::Profile(profile) => {
                let hashname = self.log.participant(&sender).map(crate::log::Participant::hashname);
                hashname.map(|hashname| Event::Profile {
                    key: sender,
                    hashname,
                    name: profile.name.clone(),
                    link: profile.link.clone(),
                })
            }
            Content::Text(text) if node.is_edit => {
                let target = text.edits.and_then(|id| self.log.index_of(&id));
                target.and_then(|target| self.log.message(target)).map(Event::Message)
            }
            Content::Text(_) => self.log.message(index).map(Event::Message),
            Content::Other { .. } => None,
        };
        if let Some(event) = event {
            self.tell(event);
        }
        if forked {
            self.forked(sender, sequence);
        }
    }

    /// Somebody has told two versions: everybody gets both.
    fn forked(&mut self, key: ParticipantKey, sequence: u64) {
        if let Some(index) = self.log.sender_index(&key) {
            for peer in self.peers.values_mut() {
                peer.has.set(index, HasLog::default());
            }
        }
        self.tell(Event::TwoVersions { key, sequence });
    }

    /// A peer has an entry, since it has sent it, and with it all before it.
    fn peer_has(&mut self, from: &Hashname, index: usize) {
        let Some(node) = self.log.node(index) else { return };
        let Some(participant) = self.log.participants().get(node.sender) else { return };
        let sequence = usize::try_from(node.entry.fields().sequence).unwrap_or(usize::MAX);
        if participant.forked_at().is_none()
            && let Some(peer) = self.peers.get_mut(from)
        {
            peer.has.at_least(node.sender, sequence.saturating_add(1));
        }
    }

    /// Somebody wants to join.
    pub(super) fn handle_accept(&mut self, from: Hashname, accept: &Accept, now: Instant) {
        if !self.is_leader() || self.log.participant(&accept.key).is_some() {
            return;
        }
        let verdict = if !accept.is_authentic(&self.id(), &from) {
            Err(Refused::Forged)
        } else if self.invited.contains(&from) {
            self.log.may_join(&accept.key, &from)
        } else {
            Err(Refused::NotInvited)
        };
        match verdict {
            Ok(()) => {
                let join = Content::Join { hashname: from, key: accept.key };
                // The leader can always write.
                let _ = self.write(join, now);
                if let Some(peer) = self.peers.get_mut(&from).filter(|peer| peer.up) {
                    peer.due.hello.get_or_insert(true);
                }
            }
            Err(reason) => self.refuse(from, Some(accept.key), reason),
        }
    }

    /// The keys that joined from this endpoint.
    pub(super) fn keys_of(&self, hashname: &Hashname) -> Vec<ParticipantKey> {
        let theirs = self.log.participants().iter().filter(|participant| participant.hashname() == *hashname);
        theirs.map(crate::log::Participant::key).collect()
    }

    pub(super) fn refuse(&mut self, via: Hashname, sender: Option<ParticipantKey>, reason: Refused) {
        self.counters.refused += 1;
        self.tell(Event::Refused { via, sender, reason });
    }

    pub(super) fn tell(&mut self, event: Event) {
        // Whoever polls does so after each call; this bounds one call.
        if self.out.events.len() < MAX_UNREAD_EVENTS * 16 {
            self.out.events.push_back(event);
        }
    }
}
