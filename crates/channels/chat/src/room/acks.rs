//! Acknowledgements: the latest of each pair of participants, and what they say about a message.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use telemesh_hashname::Hashname;

use super::Room;
use crate::ack::Ack;
use crate::error::Refused;
use crate::event::Event;
use crate::id::{EntryId, ParticipantKey};
use crate::limits::{ACK_DELAY, MAX_PARTICIPANTS};
use crate::store::Write;

/// What is known of all acknowledgements.
#[derive(Debug, Default)]
pub(super) struct Acks {
    latest: BTreeMap<(ParticipantKey, ParticipantKey), Ack>,
    /// Whose entries we have more of than we have said.
    dirty: BTreeSet<ParticipantKey>,
    pub(super) due: Option<Instant>,
}

/// How far a message of ours has come, or anybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Who.
    pub key: ParticipantKey,
    /// It is there, and stored.
    pub received: bool,
    /// It was read.
    pub read: bool,
}

impl Acks {
    pub(super) fn get(&self, from: &ParticipantKey, about: &ParticipantKey) -> Option<&Ack> {
        self.latest.get(&(*from, *about))
    }

    /// Those about these participants.
    pub(super) fn about(&self, keys: &[ParticipantKey]) -> Vec<(ParticipantKey, ParticipantKey)> {
        self.latest.keys().filter(|(_, about)| keys.contains(about)).copied().collect()
    }

    /// Those that one participant has said.
    pub(super) fn of(&self, key: &ParticipantKey) -> Vec<(ParticipantKey, ParticipantKey)> {
        let first = (*key, ParticipantKey::from_bytes([0; 32]));
        self.latest.range(first..).take_while(|((from, _), _)| from == key).map(|(pair, _)| *pair).collect()
    }

    /// Says soon how much of this participant's entries is here.
    pub(super) fn later(&mut self, about: ParticipantKey, now: Instant) {
        self.dirty.insert(about);
        self.due.get_or_insert(now + ACK_DELAY);
    }

    pub(super) fn put(&mut self, ack: Ack) {
        self.latest.insert((ack.from, ack.about), ack);
    }
}

impl Room {
    /// Says what we have of those of whom we have more than before.
    pub(super) fn acknowledge(&mut self) {
        self.acks.due = None;
        let me = self.me();
        if !self.is_joined() {
            return;
        }
        for about in std::mem::take(&mut self.acks.dirty) {
            if about == me {
                continue;
            }
            let received = self.log.participant(&about).map_or(0, crate::log::Participant::count);
            let read = self.acks.get(&me, &about).map_or(0, |ack| ack.read);
            self.say_ack(about, received, read);
        }
    }

    /// All up to this message was read.
    ///
    /// # Errors
    /// [`ChatError::Unknown`](crate::ChatError::Unknown).
    pub fn read(&mut self, id: &EntryId) -> Result<(), crate::ChatError> {
        let index = self.log.index_of(id).ok_or(crate::ChatError::Unknown(*id))?;
        let Some(order) = self.log.node(index).map(|node| node.order) else { return Ok(()) };
        let me = self.me();
        let counts: Vec<(ParticipantKey, u64, u64)> = self
            .log
            .participants()
            .iter()
            .filter(|participant| participant.key() != me)
            .map(|participant| {
                (participant.key(), participant.count(), self.log.count_up_to(participant, &order))
            })
            .collect();
        for (about, received, read) in counts {
            let before = self.acks.get(&me, &about).map_or(0, |ack| ack.read);
            if read > before && self.is_joined() {
                self.say_ack(about, received, read);
            }
        }
        Ok(())
    }

    fn say_ack(&mut self, about: ParticipantKey, received: u64, read: u64) {
        let ack = Ack::sign(&self.id(), &self.key, about, received, read);
        if self.acks.get(&ack.from, &about).is_some_and(|known| !ack.exceeds(known)) {
            return;
        }
        let pair = (ack.from, ack.about);
        self.out.writes.push(Write::Ack(ack.clone()));
        self.acks.put(ack);
        for peer in self.peers.values_mut().filter(|peer| peer.up) {
            peer.due.acks.insert(pair);
        }
    }

    /// A peer has said or passed on how much is somewhere.
    pub(super) fn handle_ack(&mut self, via: Hashname, ack: Ack) {
        let (Some(from), Some(about)) = (self.log.sender_index(&ack.from), self.log.sender_index(&ack.about))
        else {
            return;
        };
        if ack.from == self.me()
            || self.acks.get(&ack.from, &ack.about).is_some_and(|known| !ack.exceeds(known))
        {
            return;
        }
        if !ack.is_authentic(&self.id()) {
            return self.refuse(via, Some(ack.from), Refused::Forged);
        }
        let participants = self.log.participants();
        let is_own = participants.get(from).is_some_and(|participant| participant.hashname() == via);
        let sender = participants.get(about).map(crate::log::Participant::hashname);
        if let Some(peer) = self.peers.get_mut(&via).filter(|_| is_own) {
            let forked = participants.get(about).is_some_and(|participant| participant.forked_at().is_some());
            if !forked {
                peer.has.at_least(about, usize::try_from(ack.received).unwrap_or(usize::MAX));
            }
            // Whoever cannot hear it from them hears it from us.
            if peer.relayed.contains(&about)
                && let Some(sender) = sender.and_then(|sender| self.peers.get_mut(&sender))
                && sender.up
            {
                sender.due.acks.insert((ack.from, ack.about));
            }
        }
        let (key, received, read) = (ack.from, ack.received, ack.read);
        self.tell(Event::Acknowledged { key, about: ack.about, received, read });
        self.out.writes.push(Write::Ack(ack.clone()));
        self.acks.put(ack);
    }

    /// Who has received and read a message, all participants but its sender.
    #[must_use]
    pub fn delivery(&self, id: &EntryId) -> Vec<Delivery> {
        let Some(entry) = self.log.entry(id) else { return Vec::new() };
        let (sender, sequence) = (entry.fields().sender, entry.fields().sequence);
        let others = self.log.participants().iter().take(MAX_PARTICIPANTS).map(crate::log::Participant::key);
        others
            .filter(|key| *key != sender)
            .map(|key| {
                let ack = self.acks.get(&key, &sender);
                Delivery {
                    key,
                    received: ack.is_some_and(|ack| ack.received > sequence),
                    read: ack.is_some_and(|ack| ack.read > sequence),
                }
            })
            .collect()
    }

    /// The messages of others that were not read here.
    #[must_use]
    pub fn unread(&self) -> usize {
        let me = self.me();
        let unread = |message: &crate::log::Message| {
            let read = self.acks.get(&me, &message.sender).map_or(0, |ack| ack.read);
            message.sender != me && message.sequence >= read
        };
        self.log.messages().filter(unread).count()
    }
}
