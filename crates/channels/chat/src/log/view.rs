//! The history as people see it: which entries count, in which order, with edits applied.

use std::fmt;

use telemesh_hashname::Hashname;

use super::{Log, Participant};
use crate::content::{Content, Profile, Text};
use crate::id::{EntryId, ParticipantKey, hash};

/// Where an entry stands in the history: everything that it comes after is lower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order {
    pub(crate) height: u64,
    pub(crate) id: EntryId,
}

impl Order {
    /// A text that sorts, byte by byte, as the places do.
    #[must_use]
    pub fn sort_key(&self) -> String {
        let id: String = self.id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:016x}{id}", self.height)
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.height, self.id.short())
    }
}

/// A text of the history, as it reads now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The id it was first sent with.
    pub id: EntryId,
    /// Its place.
    pub order: Order,
    /// Who wrote it.
    pub sender: ParticipantKey,
    /// Their endpoint.
    pub hashname: Hashname,
    /// Its number among the sender's entries.
    pub sequence: u64,
    /// The sender's clock, in milliseconds since 1970. It may be wrong by years.
    pub time: u64,
    /// The text, the last edit's if it was edited.
    pub text: Text,
    /// Whether it was edited.
    pub edited: bool,
}

impl Log {
    /// All texts in their order.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = Message> + '_ {
        self.order.values().filter_map(|index| self.message(*index))
    }

    /// The ids of all entries that count, in their order.
    pub fn history(&self) -> impl Iterator<Item = EntryId> + '_ {
        let counting = self.order.iter().filter(|(_, index)| self.counts(**index));
        counting.map(|(order, _)| order.id)
    }

    /// A hash over the history: equal at two endpoints if and only if they have the same history in the same order.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let ids: Vec<u8> = self.history().flat_map(|id| *id.as_bytes()).collect();
        hash(b"telemesh chat history 1\0", &[&ids])
    }

    /// The text that an entry has brought or changed; `None` if it is none, or does not count.
    pub(crate) fn message(&self, index: usize) -> Option<Message> {
        let node = self.node(index)?;
        if node.is_edit || !self.counts(index) {
            return None;
        }
        // An edit that was told in two versions does not count, though the text before it may.
        let edit = node.edits.iter().rev().find(|edit| self.counts(**edit)).and_then(|edit| self.node(*edit));
        let Content::Text(text) = &edit.unwrap_or(node).entry.fields().content else { return None };
        let fields = node.entry.fields();
        Some(Message {
            id: node.entry.id(),
            order: node.order,
            sender: fields.sender,
            hashname: self.participants.get(node.sender)?.hashname(),
            sequence: fields.sequence,
            time: fields.time,
            text: text.clone(),
            edited: edit.is_some(),
        })
    }

    /// Whether an entry is part of the history: its sender has told no other version of it or of one before, and neither
    /// has the leader of the sender's join.
    pub(crate) fn counts(&self, index: usize) -> bool {
        let Some(node) = self.node(index) else { return false };
        let Some(participant) = self.participants.get(node.sender) else { return false };
        if participant.forked_at().is_some_and(|at| node.entry.fields().sequence >= at) {
            return false;
        }
        // The leader joins by its own first entry.
        participant.joined == index || self.is_joined(participant)
    }

    /// Whether the leader's word for a participant counts.
    pub(crate) fn is_joined(&self, participant: &Participant) -> bool {
        let Some(join) = self.node(participant.joined) else { return false };
        let leader = self.participants.first().and_then(Participant::forked_at);
        leader.is_none_or(|at| join.entry.fields().sequence < at)
    }

    /// What a participant says about itself.
    #[must_use]
    pub fn profile(&self, participant: &Participant) -> Option<&Profile> {
        let index = participant.profiles.iter().rev().find(|index| self.counts(**index))?;
        match &self.node(*index)?.entry.fields().content {
            Content::Profile(profile) => Some(profile),
            _ => None,
        }
    }

    /// The other devices of a participant's owner: those that it names and that name it.
    #[must_use]
    pub fn devices(&self, participant: &Participant) -> Vec<ParticipantKey> {
        let names = |one: &Participant, other: &ParticipantKey| {
            self.profile(one).is_some_and(|profile| profile.aka.contains(other))
        };
        let others = self.participants.iter().filter(|other| {
            other.key() != participant.key()
                && names(participant, &other.key())
                && names(other, &participant.key())
        });
        others.map(Participant::key).collect()
    }

    /// How many of a participant's entries stand at or before a place in the history.
    pub(crate) fn count_up_to(&self, participant: &Participant, order: &Order) -> u64 {
        let before = |index: &usize| self.node(*index).is_some_and(|node| node.order <= *order);
        u64::try_from(participant.chain.partition_point(before)).unwrap_or(u64::MAX)
    }
}
