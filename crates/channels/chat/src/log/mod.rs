//! The history of one chat: all verified entries, whoever brought them.
//!
//! A log is a set that only grows, and everything else follows from the set: who the participants are, the order, which
//! entries count. So endpoints that have the same entries have the same history, in whatever order these arrived.
//!
//! - **Order.** An entry's height is one more than that of the highest entry it comes after. By height, and by id where
//!   heights are equal: that respects every `after`, and no clock is asked.
//! - **Two versions.** When a participant has signed two entries with one number, neither they nor any later one of theirs
//!   counts. They are kept, so that others can be shown the proof, and because somebody's entries may come after them.

mod participant;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::content::Content;
use crate::entry::Entry;
use crate::error::Refused;
use crate::id::{ChatId, EntryId, ParticipantKey};
use crate::limits::{MAX_AFTER, MAX_PARTICIPANTS};
use crate::name::Name;

pub use participant::Participant;
pub use view::{Message, Order};

/// See the module's page.
#[derive(Debug)]
pub struct Log {
    chat: ChatId,
    nodes: Vec<Node>,
    by_id: HashMap<EntryId, usize>,
    participants: Vec<Participant>,
    by_key: HashMap<ParticipantKey, usize>,
    order: BTreeMap<Order, usize>,
    /// Entries that no other one comes after.
    heads: BTreeSet<Order>,
}

/// An entry and its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) entry: Entry,
    pub(crate) order: Order,
    /// Index of its sender.
    pub(crate) sender: usize,
    /// The edits of its text.
    pub(crate) edits: Vec<usize>,
    /// Whether it is an edit of another one.
    pub(crate) is_edit: bool,
}

/// What became of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Insert {
    /// It is in, at this index. The flag says that its sender has two versions of one entry, as is known from now on.
    New { index: usize, forked: bool },
    /// It was there.
    Known,
    /// These have to come first.
    Missing(Vec<EntryId>),
    /// Its sender is not a participant, yet.
    Stranger,
}

impl Log {
    /// An empty log. Its first entry will be the leader's.
    #[must_use]
    pub fn new(chat: ChatId) -> Self {
        Self {
            chat,
            nodes: Vec::new(),
            by_id: HashMap::new(),
            participants: Vec::new(),
            by_key: HashMap::new(),
            order: BTreeMap::new(),
            heads: BTreeSet::new(),
        }
    }

    /// The chat.
    #[must_use]
    pub fn chat(&self) -> ChatId {
        self.chat
    }

    /// The chat's name; `None` before the first entry.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        match &self.nodes.first()?.entry.fields().content {
            Content::Create { name, .. } => Some(name),
            _ => None,
        }
    }

    /// All participants in the order in which they joined here, the leader first.
    #[must_use]
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// One participant.
    #[must_use]
    pub fn participant(&self, key: &ParticipantKey) -> Option<&Participant> {
        self.participants.get(*self.by_key.get(key)?)
    }

    /// How many entries there are, those that do not count among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// One entry.
    #[must_use]
    pub fn entry(&self, id: &EntryId) -> Option<&Entry> {
        Some(&self.node(*self.by_id.get(id)?)?.entry)
    }

    pub(crate) fn contains(&self, id: &EntryId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    pub(crate) fn index_of(&self, id: &EntryId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn sender_index(&self, key: &ParticipantKey) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// What a new entry of this participant comes after, besides its own previous one: the highest heads.
    pub(crate) fn after(&self, sender: &ParticipantKey) -> Vec<EntryId> {
        let own = self.participant(sender).and_then(|participant| participant.last());
        let heads = self.heads.iter().rev().filter_map(|order| self.order.get(order));
        heads
            .filter(|index| Some(**index) != own && self.counts(**index))
            .filter_map(|index| self.node(*index))
            .take(MAX_AFTER)
            .map(|node| node.entry.id())
            .collect()
    }

    /// Puts an entry in its place, if all that it follows is there.
    ///
    /// # Errors
    /// [`Refused`]: it will never have a place.
    pub(crate) fn insert(&mut self, entry: Entry) -> Result<Insert, Refused> {
        if self.contains(&entry.id()) {
            return Ok(Insert::Known);
        }
        let fields = entry.fields();
        let is_first = fields.sequence == 0 && matches!(fields.content, Content::Create { .. });
        let leads = ChatId::of_leader(&fields.sender) == self.chat;
        if !leads && matches!(fields.content, Content::Create { .. } | Content::Join { .. }) {
            return Err(Refused::NotTheLeader);
        }
        // The leader's first entry creates the chat, and no other entry does.
        if is_first != (leads && fields.sequence == 0)
            || (!is_first && matches!(fields.content, Content::Create { .. }))
        {
            return Err(Refused::BrokenChain);
        }
        if !self.by_key.contains_key(&fields.sender) && !is_first {
            return Ok(Insert::Stranger);
        }
        let missing: Vec<EntryId> =
            fields.previous.iter().chain(&fields.after).filter(|id| !self.contains(id)).copied().collect();
        if !missing.is_empty() {
            return Ok(Insert::Missing(missing));
        }
        if let Some(previous) = fields.previous.and_then(|id| self.index_of(&id)).and_then(|at| self.node(at))
        {
            let previous = previous.entry.fields();
            if previous.sender != fields.sender || previous.sequence.checked_add(1) != Some(fields.sequence) {
                return Err(Refused::BrokenChain);
            }
        }
        if let Content::Join { key, hashname } = &fields.content {
            self.may_join(key, hashname)?;
        }
        Ok(self.place(entry))
    }

    /// Whether the leader's word is enough.
    pub(crate) fn may_join(
        &self,
        key: &ParticipantKey,
        hashname: &telemesh_hashname::Hashname,
    ) -> Result<(), Refused> {
        match self.participant(key) {
            Some(known) if known.hashname() == *hashname => Ok(()),
            Some(_) => Err(Refused::KeyTaken),
            None if self.participants.len() >= MAX_PARTICIPANTS => Err(Refused::Full),
            None => Ok(()),
        }
    }

    fn place(&mut self, entry: Entry) -> Insert {
        let index = self.nodes.len();
        let fields = entry.fields();
        let parents: Vec<Order> = fields
            .previous
            .iter()
            .chain(&fields.after)
            .filter_map(|id| self.node(self.index_of(id)?).map(|node| node.order))
            .collect();
        let height = parents.iter().map(|parent| parent.height + 1).max().unwrap_or(0);
        let order = Order { height, id: entry.id() };
        for parent in &parents {
            self.heads.remove(parent);
        }
        self.heads.insert(order);
        self.order.insert(order, index);
        self.by_id.insert(entry.id(), index);
        match &fields.content {
            Content::Create { hashname, .. } => self.join(fields.sender, *hashname, index),
            Content::Join { hashname, key } => self.join(*key, *hashname, index),
            _ => {}
        }
        let sender = self.by_key.get(&fields.sender).copied().unwrap_or(0);
        self.nodes.push(Node { entry, order, sender, edits: Vec::new(), is_edit: false });
        let forked = self.append(sender, index);
        Insert::New { index, forked }
    }

    fn join(&mut self, key: ParticipantKey, hashname: telemesh_hashname::Hashname, index: usize) {
        if !self.by_key.contains_key(&key) {
            self.by_key.insert(key, self.participants.len());
            self.participants.push(Participant::new(key, hashname, index));
        }
    }

    /// Adds a placed entry to its sender's chain. Whether that has shown the sender's first two versions.
    fn append(&mut self, sender: usize, index: usize) -> bool {
        let Self { nodes, participants, by_id, .. } = self;
        let (Some(participant), Some(node)) = (participants.get_mut(sender), nodes.get(index)) else {
            return false;
        };
        let fields = node.entry.fields();
        let follows = fields.previous.and_then(|id| by_id.get(&id).copied()) == participant.last();
        let forked = participant.add(index, &node.entry, follows);
        if !follows {
            return forked;
        }
        match &fields.content {
            Content::Text(text) => {
                let target = text.edits.and_then(|id| by_id.get(&id).copied());
                if target.is_some() && target == participant.last_text {
                    if let Some(target) = target.and_then(|target| nodes.get_mut(target)) {
                        target.edits.push(index);
                    }
                    if let Some(node) = nodes.get_mut(index) {
                        node.is_edit = true;
                    }
                } else {
                    participant.last_text = Some(index);
                }
            }
            Content::Profile(_) => participant.profiles.push(index),
            _ => {}
        }
        forked
    }
}

#[cfg(test)]
mod tests;
