//! What was sent and has no receipt yet: an index over rows in the store, without I/O and without a clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use telemesh_hashname::Hashname;
use tokio::sync::Mutex;

use crate::id::MessageId;
use crate::limits::MIN_CHARGE;
use crate::runs::Runs;
use crate::store::disk::parts_of;
use crate::store::keys::{OUTBOX, SENDING, number_of, numbered, part};
use crate::store::{Change, Store, StoreError};
use crate::wire::bytes::{Reader, Truncated, put_text, put_u32, put_u64};
use crate::wire::label::Label;

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// It is in this endpoint's store and nowhere else that we know of.
    Kept,
    /// A cache has it.
    Cached,
    /// The recipient's endpoint has it.
    Arrived,
}

/// A message without a receipt.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) id: MessageId,
    pub(crate) recipient: Hashname,
    pub(crate) stream: u64,
    pub(crate) number: u64,
    /// Of the sealed bytes.
    pub(crate) size: u32,
    pub(crate) sent_at: u64,
    pub(crate) expires: u64,
    pub(crate) label: Label,
    pub(crate) stage: Stage,
    /// Who has it, of the caches.
    pub(crate) at: Vec<Hashname>,
}

/// Which number the next message of a stream gets. Held while one is sealed and stored, so that numbers have no gaps.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// `None` before the first message.
    pub(crate) stream: Option<u64>,
    pub(crate) next: u64,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct OutboxState {
    pub(crate) rows: BTreeMap<u64, Outgoing>,
    next_row: u64,
    numbers: HashMap<(Hashname, Label), Arc<Mutex<Numbers>>>,
    by_stream: HashMap<(Hashname, u64), BTreeMap<u64, u64>>,
    by_id: HashMap<MessageId, u64>,
    /// Bytes with and without those that are being stored.
    reserved: u64,
    per_recipient: HashMap<Hashname, u64>,
    /// Gone from here, and to be removed from the store: row and parts.
    doomed: Vec<(u64, u32)>,
}

impl OutboxState {
    /// Reads what a store holds.
    pub(crate) fn load(store: &dyn Store) -> Result<Self, StoreError> {
        let mut state = Self::default();
        store.scan(&[SENDING], &mut |key, row| {
            let ((recipient, label), numbers) = read_numbers(key, row).map_err(|Truncated| damaged())?;
            state.numbers.insert((recipient, label), Arc::new(Mutex::new(numbers)));
            Ok(())
        })?;
        store.scan(&[OUTBOX.entry], &mut |key, row| {
            let number = number_of(key).filter(|number| *number < u64::MAX).ok_or_else(damaged)?;
            let outgoing = read_outgoing(row).map_err(|Truncated| damaged())?;
            state.reserve(&outgoing.recipient, outgoing.size);
            state.next_row = number;
            state.insert(outgoing);
            Ok(())
        })?;
        Ok(state)
    }

    /// The counter of a stream.
    pub(crate) fn numbers(&mut self, recipient: Hashname, label: &Label) -> Arc<Mutex<Numbers>> {
        let fresh = || Arc::new(Mutex::new(Numbers { stream: None, next: 0 }));
        self.numbers.entry((recipient, label.clone())).or_insert_with(fresh).clone()
    }

    /// Takes a row for a message that is about to be stored.
    pub(crate) fn next_row(&mut self) -> u64 {
        let row = self.next_row;
        self.next_row += 1;
        row
    }

    /// Every message so far has a row below this one.
    pub(crate) fn next_free_row(&self) -> u64 {
        self.next_row
    }

    /// Adds a message whose row is the next.
    fn insert(&mut self, outgoing: Outgoing) {
        let row = self.next_row();
        self.insert_at(row, outgoing);
    }

    /// Adds a message that is stored.
    pub(crate) fn insert_at(&mut self, row: u64, outgoing: Outgoing) {
        let stream = self.by_stream.entry((outgoing.recipient, outgoing.stream)).or_default();
        stream.insert(outgoing.number, row);
        self.by_id.insert(outgoing.id, row);
        self.rows.insert(row, outgoing);
    }

    /// Bytes that wait, for this recipient and for all.
    pub(crate) fn pending(&self, recipient: &Hashname) -> (u64, u64) {
        (self.per_recipient.get(recipient).copied().unwrap_or(0), self.reserved)
    }

    pub(crate) fn reserve(&mut self, recipient: &Hashname, size: u32) {
        self.reserved += charge(size);
        *self.per_recipient.entry(*recipient).or_default() += charge(size);
    }

    pub(crate) fn give_back(&mut self, recipient: &Hashname, size: u32) {
        self.reserved = self.reserved.saturating_sub(charge(size));
        if let Some(bytes) = self.per_recipient.get_mut(recipient) {
            *bytes = bytes.saturating_sub(charge(size));
            if *bytes == 0 {
                self.per_recipient.remove(recipient);
            }
        }
    }

    /// The lowest number of a stream that has no receipt, and when the last of those without one expires.
    pub(crate) fn unsettled(&self, recipient: &Hashname, stream: u64) -> Option<(u64, u64)> {
        let numbers = self.by_stream.get(&(*recipient, stream))?;
        let first = *numbers.keys().next()?;
        let expires = numbers.values().filter_map(|row| self.rows.get(row)).map(|outgoing| outgoing.expires);
        Some((first, expires.max().unwrap_or(0)))
    }

    /// Takes away what a receipt is for. Whether there was anything.
    pub(crate) fn settle(&mut self, recipient: &Hashname, stream: u64, settled: &Runs) -> bool {
        let numbers = self.by_stream.get(&(*recipient, stream));
        let done = numbers.into_iter().flatten().filter(|(number, _)| settled.contains(**number));
        let rows: Vec<_> = done.map(|(_, row)| *row).collect();
        rows.iter().for_each(|row| self.remove(*row));
        !rows.is_empty()
    }

    /// Takes away what has expired. How many there were.
    pub(crate) fn expire(&mut self, now: u64) -> usize {
        let expired = self.rows.iter().filter(|(_, outgoing)| outgoing.expires <= now);
        let rows: Vec<_> = expired.map(|(row, _)| *row).collect();
        rows.iter().for_each(|row| self.remove(*row));
        rows.len()
    }

    pub(crate) fn remove(&mut self, row: u64) {
        let Some(outgoing) = self.rows.remove(&row) else { return };
        self.by_id.remove(&outgoing.id);
        self.give_back(&outgoing.recipient, outgoing.size);
        let key = (outgoing.recipient, outgoing.stream);
        if let Some(numbers) = self.by_stream.get_mut(&key) {
            numbers.remove(&outgoing.number);
            if numbers.is_empty() {
                self.by_stream.remove(&key);
            }
        }
        self.doomed.push((row, parts_of(outgoing.size)));
    }

    pub(crate) fn by_id(&self, id: &MessageId) -> Option<(u64, &Outgoing)> {
        let row = *self.by_id.get(id)?;
        Some((row, self.rows.get(&row)?))
    }

    /// Somebody has a message. Whether that is news.
    pub(crate) fn stored_at(&mut self, id: &MessageId, peer: &Hashname) -> bool {
        let Some(outgoing) = self.by_id.get(id).and_then(|row| self.rows.get_mut(row)) else { return false };
        let stage = if outgoing.recipient == *peer { Stage::Arrived } else { Stage::Cached };
        if stage == Stage::Cached && !outgoing.at.contains(peer) {
            outgoing.at.push(*peer);
        }
        let is_news = outgoing.stage < stage;
        outgoing.stage = outgoing.stage.max(stage);
        is_news
    }

    /// The recipients of what was sent with this label from this row on and is nowhere but here.
    pub(crate) fn kept_since(&self, row: u64, label: &Label) -> BTreeSet<Hashname> {
        let kept = self.rows.range(row..).map(|(_, outgoing)| outgoing);
        let kept = kept.filter(|outgoing| outgoing.stage == Stage::Kept && outgoing.label == *label);
        kept.map(|outgoing| outgoing.recipient).collect()
    }

    /// Whether everything for this recipient has arrived there.
    pub(crate) fn has_arrived(&self, recipient: &Hashname) -> bool {
        self.rows
            .values()
            .all(|outgoing| outgoing.recipient != *recipient || outgoing.stage == Stage::Arrived)
    }

    pub(crate) fn take_doomed(&mut self) -> Vec<(u64, u32)> {
        std::mem::take(&mut self.doomed)
    }

    pub(crate) fn doom(&mut self, rows: Vec<(u64, u32)>) {
        self.doomed.extend(rows);
    }
}

/// The row of a message that was sent.
pub(crate) fn outgoing_row(row: u64, outgoing: &Outgoing) -> Change {
    let mut value = outgoing.id.as_bytes().to_vec();
    value.extend_from_slice(outgoing.recipient.as_bytes());
    for field in [outgoing.stream, outgoing.number, outgoing.sent_at, outgoing.expires] {
        put_u64(&mut value, field);
    }
    put_u32(&mut value, outgoing.size);
    put_text(&mut value, outgoing.label.as_str());
    Change::Put(numbered(OUTBOX.entry, row), value.into())
}

/// The row of a stream's counter.
pub(crate) fn numbers_row(recipient: &Hashname, label: &Label, stream: u64, next: u64) -> Change {
    let mut value = Vec::with_capacity(16);
    put_u64(&mut value, stream);
    put_u64(&mut value, next);
    Change::Put(crate::store::keys::sending(recipient, label), value.into())
}

/// Removes messages with their parts.
pub(crate) fn removals(doomed: &[(u64, u32)]) -> Vec<Change> {
    let remove = |(row, parts): &(u64, u32)| {
        let row = *row;
        let parts = (0..*parts).map(move |index| Change::Remove(part(OUTBOX, row, index)));
        [Change::Remove(numbered(OUTBOX.entry, row))].into_iter().chain(parts)
    };
    doomed.iter().flat_map(remove).collect()
}

fn read_numbers(key: &[u8], row: &[u8]) -> Result<((Hashname, Label), Numbers), Truncated> {
    let mut reader = Reader::new(key);
    reader.u8()?;
    let recipient = reader.hashname()?;
    let label = std::str::from_utf8(reader.rest()).map_err(|_| Truncated)?.parse().map_err(|_| Truncated)?;
    let mut reader = Reader::new(row);
    let numbers = Numbers { stream: Some(reader.u64()?), next: reader.u64()? };
    reader.end()?;
    Ok(((recipient, label), numbers))
}

fn read_outgoing(row: &[u8]) -> Result<Outgoing, Truncated> {
    let mut reader = Reader::new(row);
    let (id, recipient) = (reader.id()?, reader.hashname()?);
    let (stream, number, sent_at, expires) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
    let size = reader.u32()?;
    let label = reader.text()?.parse().map_err(|_| Truncated)?;
    reader.end()?;
    let (stage, at) = (Stage::Kept, Vec::new());
    Ok(Outgoing { id, recipient, stream, number, size, sent_at, expires, label, stage, at })
}

fn damaged() -> StoreError {
    StoreError::Damaged("a sent message is not what was written".to_owned())
}

fn charge(size: u32) -> u64 {
    u64::from(size).max(MIN_CHARGE)
}
