//! A shelf: which sealed messages are kept, whose they are, and which must go when there is no room. The bytes are in a
//! store; this is the index over them, in memory, without I/O and without a clock.

mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::id::{ID_LENGTH, MessageId, Tag};
use crate::limits::{MIN_CHARGE, SMALL};
use crate::store::disk::parts_of;
use crate::wire::frames::Reason;

pub(crate) use rows::{entry_row, load, removals};

/// How much a shelf holds, in bytes, and for how long, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShelfLimits {
    pub(crate) per_giver: u64,
    pub(crate) per_recipient: u64,
    pub(crate) total: u64,
    pub(crate) max_message: u32,
    pub(crate) time_to_live: u64,
    /// Whether the oldest go when there is no room. Otherwise nothing comes in.
    pub(crate) evicts: bool,
}

/// A message that somebody brings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    pub(crate) id: MessageId,
    pub(crate) giver: Tag,
    pub(crate) recipient: Tag,
    pub(crate) size: u32,
}

/// What a shelf says to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is here.
    Whole,
    /// Bring it, from this byte on.
    Bring(Claim),
    /// It is not taken.
    Refused(Reason),
}

/// The right to bring one message. Whoever offers it again gets it, and the earlier claim is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) number: u64,
    claim: u64,
    /// Bytes that are stored already.
    pub(crate) held: u32,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: MessageId,
    pub(crate) giver: Tag,
    pub(crate) recipient: Tag,
    pub(crate) size: u32,
    /// Seconds since 1970.
    pub(crate) stored_at: u64,
    pub(crate) state: State,
}

/// How much of it is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Whole,
    /// These bytes are stored, and nobody brings more now.
    Partial(u32),
    /// Somebody is bringing it, with this claim; these bytes are stored.
    Claimed(u64, u32),
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Shelf {
    limits: ShelfLimits,
    /// In the order of their arrival.
    entries: BTreeMap<u64, Entry>,
    /// The same message from two givers is two.
    by_id: BTreeMap<(MessageId, Tag), u64>,
    givers: HashMap<Tag, Usage>,
    recipients: HashMap<Tag, Usage>,
    total: u64,
    next: u64,
    claims: u64,
    /// Gone from the index, and to be removed from the store with the next commit: number and parts.
    doomed: Vec<(u64, u32)>,
}

/// What one giver or recipient has on the shelf.
#[derive(Debug, Default)]
struct Usage {
    bytes: u64,
    numbers: BTreeSet<u64>,
}

impl Shelf {
    pub(crate) fn new(limits: ShelfLimits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            by_id: BTreeMap::new(),
            givers: HashMap::new(),
            recipients: HashMap::new(),
            total: 0,
            next: 0,
            claims: 0,
            doomed: Vec::new(),
        }
    }

    /// Decides about an offer. Room for all of it is reserved, and what had to go for it is doomed.
    pub(crate) fn admit(&mut self, offered: Offered, now: u64) -> Admission {
        if let Some(&number) = self.by_id.get(&(offered.id, offered.giver)) {
            return self.again(number, offered);
        }
        let charge = charge(offered.size);
        let most = self.limits.per_giver.min(self.limits.per_recipient).min(self.limits.total);
        if offered.size > self.limits.max_message || charge > most {
            return Admission::Refused(Reason::TooLarge);
        }
        if offered.size == 0 {
            return Admission::Refused(Reason::Damaged);
        }
        if !self.make_room(offered, charge) {
            return Admission::Refused(Reason::Full);
        }
        let claim = self.new_claim(0);
        let entry = Entry {
            id: offered.id,
            giver: offered.giver,
            recipient: offered.recipient,
            size: offered.size,
            stored_at: now,
            state: State::Claimed(claim.claim, 0),
        };
        let number = self.insert(entry);
        Admission::Bring(Claim { number, ..claim })
    }

    fn again(&mut self, number: u64, offered: Offered) -> Admission {
        self.claims += 1;
        let claim = self.claims;
        let Some(entry) = self.entries.get_mut(&number) else { return Admission::Refused(Reason::Failed) };
        if entry.size != offered.size || entry.recipient != offered.recipient {
            return Admission::Refused(Reason::Damaged);
        }
        match entry.state {
            State::Whole => Admission::Whole,
            State::Partial(held) | State::Claimed(_, held) => {
                entry.state = State::Claimed(claim, held);
                Admission::Bring(Claim { number, claim, held })
            }
        }
    }

    fn new_claim(&mut self, held: u32) -> Claim {
        self.claims += 1;
        Claim { number: 0, claim: self.claims, held }
    }

    /// Adds an entry, as the newest.
    fn insert(&mut self, entry: Entry) -> u64 {
        let number = self.next;
        self.insert_at(number, entry);
        number
    }

    fn insert_at(&mut self, number: u64, entry: Entry) {
        let charge = charge(entry.size);
        self.total += charge;
        for usage in
            [self.givers.entry(entry.giver).or_default(), self.recipients.entry(entry.recipient).or_default()]
        {
            usage.bytes += charge;
            usage.numbers.insert(number);
        }
        self.by_id.insert((entry.id, entry.giver), number);
        self.entries.insert(number, entry);
        self.next = self.next.max(number.saturating_add(1));
    }

    /// These bytes of a message are stored now; `false` if somebody else brings it meanwhile, or it is gone.
    pub(crate) fn held(&mut self, claim: Claim, held: u32) -> bool {
        self.change(claim, State::Claimed(claim.claim, held))
    }

    /// All of it is stored; `false` as in [`held`](Self::held).
    pub(crate) fn whole(&mut self, claim: Claim) -> bool {
        self.change(claim, State::Whole)
    }

    fn change(&mut self, claim: Claim, state: State) -> bool {
        match self.entries.get_mut(&claim.number) {
            Some(entry) if matches!(entry.state, State::Claimed(current, _) if current == claim.claim) => {
                entry.state = state;
                true
            }
            _ => false,
        }
    }

    /// Whether this claim holds.
    pub(crate) fn is_claimed(&self, claim: Claim) -> bool {
        let state = self.entries.get(&claim.number).map(|entry| entry.state);
        matches!(state, Some(State::Claimed(current, _)) if current == claim.claim)
    }

    /// Nobody brings this message any more. What is stored of it stays, so that somebody can go on.
    pub(crate) fn release(&mut self, claim: Claim) {
        let Some(entry) = self.entries.get_mut(&claim.number) else { return };
        match entry.state {
            State::Claimed(current, 0) if current == claim.claim => self.remove(claim.number),
            State::Claimed(current, held) if current == claim.claim => entry.state = State::Partial(held),
            _ => {}
        }
    }

    /// What was brought with this claim is worth nothing.
    pub(crate) fn reject(&mut self, claim: Claim) {
        if self.is_claimed(claim) {
            self.remove(claim.number);
        }
    }

    /// Takes a message off the shelf; its rows are doomed.
    pub(crate) fn remove(&mut self, number: u64) {
        let Some(entry) = self.entries.remove(&number) else { return };
        self.by_id.remove(&(entry.id, entry.giver));
        let charge = charge(entry.size);
        self.total -= charge;
        for (usages, tag) in [(&mut self.givers, entry.giver), (&mut self.recipients, entry.recipient)] {
            if let Some(usage) = usages.get_mut(&tag) {
                usage.bytes -= charge;
                usage.numbers.remove(&number);
                if usage.numbers.is_empty() {
                    usages.remove(&tag);
                }
            }
        }
        self.doomed.push((number, parts_of(entry.size)));
    }

    /// Removes what is older than its time. A time in the future is a clock that was wrong: it counts from now on.
    pub(crate) fn expire(&mut self, now: u64) {
        let mut gone = Vec::new();
        for (number, entry) in &mut self.entries {
            entry.stored_at = entry.stored_at.min(now);
            if now - entry.stored_at >= self.limits.time_to_live && !matches!(entry.state, State::Claimed(..))
            {
                gone.push(*number);
            }
        }
        gone.into_iter().for_each(|number| self.remove(number));
    }

    /// The rows that the next commit removes. Give them back with [`doom`](Self::doom) if it fails.
    pub(crate) fn take_doomed(&mut self) -> Vec<(u64, u32)> {
        std::mem::take(&mut self.doomed)
    }

    pub(crate) fn doom(&mut self, rows: Vec<(u64, u32)>) {
        self.doomed.extend(rows);
    }

    pub(crate) fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.get(&number)
    }

    /// The numbers of the messages with this id that are for this recipient, from whomever.
    pub(crate) fn find(&self, id: MessageId, recipient: Tag) -> Vec<u64> {
        let all_givers = (id, Tag([0; ID_LENGTH]))..=(id, Tag([u8::MAX; ID_LENGTH]));
        let is_for =
            |number: &u64| self.entries.get(number).is_some_and(|entry| entry.recipient == recipient);
        self.by_id.range(all_givers).map(|(_, number)| *number).filter(is_for).collect()
    }

    /// The first whole message for this recipient from this number on.
    pub(crate) fn next_for(&self, recipient: Tag, from: u64) -> Option<(u64, &Entry)> {
        let numbers = &self.recipients.get(&recipient)?.numbers;
        let whole = |number: &u64| self.entries.get(number).filter(|entry| entry.state == State::Whole);
        numbers.range(from..).find_map(|number| Some((*number, whole(number)?)))
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Makes room for a message within all three limits.
    fn make_room(&mut self, offered: Offered, charge: u64) -> bool {
        loop {
            let of =
                |usages: &HashMap<Tag, Usage>, tag| usages.get(tag).map_or(0, |usage: &Usage| usage.bytes);
            let victim = if of(&self.givers, &offered.giver) + charge > self.limits.per_giver {
                self.oldest(self.givers.get(&offered.giver).map(|usage| &usage.numbers))
            } else if of(&self.recipients, &offered.recipient) + charge > self.limits.per_recipient {
                self.oldest(self.recipients.get(&offered.recipient).map(|usage| &usage.numbers))
            } else if self.total + charge > self.limits.total {
                self.entries.keys().copied().find(|number| self.may_go(*number))
            } else {
                return true;
            };
            match victim {
                Some(victim) if self.limits.evicts => self.remove(victim),
                _ => return false,
            }
        }
    }

    fn oldest(&self, numbers: Option<&BTreeSet<u64>>) -> Option<u64> {
        numbers?.iter().copied().find(|number| self.may_go(*number))
    }

    /// Not while somebody brings it, and not the last small message of its giver.
    fn may_go(&self, number: u64) -> bool {
        let Some(entry) = self.entries.get(&number) else { return false };
        let is_last =
            || self.givers.get(&entry.giver).and_then(|usage| usage.numbers.last()) == Some(&number);
        !(matches!(entry.state, State::Claimed(..)) || (entry.size <= SMALL && is_last()))
    }
}

fn charge(size: u32) -> u64 {
    u64::from(size).max(MIN_CHARGE)
}

#[cfg(test)]
mod tests;
