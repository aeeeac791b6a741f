//! What has arrived and is not acknowledged, in which order it is delivered, and what never comes again: an index over rows
//! in the store, without I/O and without a clock.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use telemesh_hashname::Hashname;

use crate::id::{Keying, MessageId};
use crate::limits::{MAX_AHEAD, MAX_STREAMS, MAX_UNACKNOWLEDGED, MIN_CHARGE};
use crate::runs::Runs;
use crate::shelf::{Shelf, ShelfLimits, load as load_shelf};
use crate::store::keys::{HEADER, HEARD, INBOX, heard, number_of, numbered};
use crate::store::{Change, Store, StoreError};
use crate::wire::bytes::{Reader, Truncated, put_text, put_u64};
use crate::wire::label::Label;
use crate::wire::letter::{Header, Letter};

/// See the module's page.
#[derive(Debug)]
pub(crate) struct InboxState {
    pub(crate) shelf: Shelf,
    streams: HashMap<(Hashname, u64), Heard>,
    /// Which message an entry of the shelf is.
    by_row: HashMap<u64, (Hashname, u64, u64)>,
    per_sender: HashMap<Hashname, u64>,
    /// Labels that somebody reads.
    pub(crate) readers: HashSet<Label>,
    forgotten: Forgotten,
    /// Bytes that may be kept, and of one sender.
    limit: u64,
    limit_per_sender: u64,
}

/// One stream of one sender.
#[derive(Debug)]
struct Heard {
    label: Label,
    /// Acknowledged, or given up by the sender.
    done: Runs,
    /// When it last changed, in seconds since 1970.
    used_at: u64,
    /// Number of the next message to deliver in this run.
    next: u64,
    /// Below this the sender waits for no receipt any more.
    settled: u64,
    /// The first number that has neither arrived nor been acknowledged.
    front: u64,
    waiting: BTreeMap<u64, Waiting>,
}

/// A message that has arrived.
#[derive(Clone, Debug)]
struct Waiting {
    row: u64,
    id: MessageId,
    size: u32,
    header: Header,
    /// Who has offered it.
    sources: Vec<Hashname>,
}

/// A message on its way to the application.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) sender: Hashname,
    pub(crate) row: u64,
    pub(crate) id: MessageId,
    pub(crate) size: u32,
    pub(crate) header: Header,
}

/// What becomes of a message that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    /// It is not needed; whether its sender should get a receipt.
    Done {
        receipt: bool,
    },
    Full,
}

/// What an acknowledgement causes.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    pub(crate) changes: Vec<Change>,
    /// Who else has offered the message: caches that can let it go.
    pub(crate) sources: Vec<Hashname>,
}

impl Waiting {
    fn delivery(&self, sender: Hashname) -> Delivery {
        Delivery { sender, row: self.row, id: self.id, size: self.size, header: self.header.clone() }
    }
}

impl InboxState {
    /// Reads what a store holds.
    pub(crate) fn load(
        store: &dyn Store,
        limits: ShelfLimits,
        limit_per_sender: u64,
    ) -> Result<Self, StoreError> {
        let mut state = Self {
            shelf: load_shelf(store, INBOX, &Keying::Plain, limits)?,
            streams: HashMap::new(),
            by_row: HashMap::new(),
            per_sender: HashMap::new(),
            readers: HashSet::new(),
            forgotten: Forgotten::default(),
            limit: limits.total,
            limit_per_sender,
        };
        store.scan(&[HEARD], &mut |key, row| {
            let (key, heard) = read_heard(key, row).map_err(|Truncated| damaged())?;
            state.streams.insert(key, heard);
            Ok(())
        })?;
        let mut orphans = Vec::new();
        store.scan(&[HEADER], &mut |key, row| {
            let number = number_of(key).ok_or_else(damaged)?;
            let (sender, header) = read_header(row).map_err(|Truncated| damaged())?;
            match state.shelf.entry(number).map(|entry| (entry.id, entry.size)) {
                Some((id, size)) if !state.is_done(&sender, &header) => {
                    let waiting = Waiting { row: number, id, size, header, sources: Vec::new() };
                    state.insert(sender, waiting);
                }
                _ => orphans.push(number),
            }
            Ok(())
        })?;
        orphans.into_iter().for_each(|number| state.shelf.remove(number));
        Ok(state)
    }

    fn is_done(&self, sender: &Hashname, header: &Header) -> bool {
        let stream = self.streams.get(&(*sender, header.stream));
        stream.is_some_and(|stream| stream.done.contains(header.number))
    }

    /// Whether the application has acknowledged the message with this id, as far as that is remembered: whose it was.
    pub(crate) fn remembered(&self, id: &MessageId) -> Option<(Hashname, u64)> {
        self.forgotten.streams.get(id).copied()
    }

    /// A message that is here was offered by somebody else too.
    pub(crate) fn offered_by(&mut self, id: MessageId, peer: Hashname) {
        for row in self.shelf.find(id, Keying::Plain.recipient(&SELF)) {
            let Some((sender, stream, number)) = self.by_row.get(&row) else { continue };
            let waiting =
                self.streams.get_mut(&(*sender, *stream)).and_then(|heard| heard.waiting.get_mut(number));
            if let Some(waiting) = waiting
                && !waiting.sources.contains(&peer)
            {
                waiting.sources.push(peer);
            }
        }
    }

    /// Looks at a message that has arrived and is on the shelf, but not among those that wait.
    pub(crate) fn judge(&self, sender: &Hashname, header: &Header, size: u32, now: u64) -> Verdict {
        if self.is_done(sender, header) {
            return Verdict::Done { receipt: true };
        }
        if header.expires <= now {
            return Verdict::Done { receipt: false };
        }
        let Some(stream) = self.streams.get(&(*sender, header.stream)) else {
            let known = self.streams.iter().filter(|((of, _), _)| of == sender);
            let (mut count, mut idle) = (0, false);
            for (_, heard) in known {
                count += 1;
                idle |= heard.waiting.is_empty();
            }
            let fits = self.fits(sender, size, header.number > header.settled);
            return if fits && (count < MAX_STREAMS || idle) { Verdict::Keep } else { Verdict::Full };
        };
        if stream.waiting.contains_key(&header.number) {
            return Verdict::Done { receipt: false };
        }
        let first = stream.front.max(stream.settled).max(header.settled);
        if header.number >= first.saturating_add(MAX_AHEAD) {
            return Verdict::Full;
        }
        if self.fits(sender, size, header.number > first) { Verdict::Keep } else { Verdict::Full }
    }

    /// Whether there is room. For a message that waits for an earlier one only half of it, so that the earlier one
    /// always finds some.
    fn fits(&self, sender: &Hashname, size: u32, is_ahead: bool) -> bool {
        let share = if is_ahead { 2 } else { 1 };
        let of_sender = self.per_sender.get(sender).copied().unwrap_or(0) + charge(size);
        of_sender <= self.limit_per_sender / share && self.shelf.total() <= self.limit / share
    }

    /// Adds a message that is stored, unless others that were stored at the same time have taken its place or the room.
    pub(crate) fn add(&mut self, delivery: Delivery, from: Hashname, now: u64) -> Verdict {
        let Delivery { sender, row, id, size, header } = delivery;
        // On the shelf it is already, so it must fit without being counted again.
        let verdict = self.judge(&sender, &header, size, now);
        if verdict == Verdict::Keep {
            self.insert(sender, Waiting { row, id, size, header, sources: vec![from] });
        }
        verdict
    }

    fn insert(&mut self, sender: Hashname, waiting: Waiting) {
        let key = (sender, waiting.header.stream);
        let heard = self.streams.entry(key).or_insert_with(|| Heard {
            label: waiting.header.label.clone(),
            done: Runs::default(),
            used_at: waiting.header.sent_at,
            next: 0,
            settled: 0,
            front: 0,
            waiting: BTreeMap::new(),
        });
        heard.settled = heard.settled.max(waiting.header.settled);
        self.by_row.insert(waiting.row, (sender, key.1, waiting.header.number));
        *self.per_sender.entry(sender).or_default() += charge(waiting.size);
        heard.waiting.insert(waiting.header.number, waiting);
        heard.front = heard.front.max(heard.settled);
        while heard.waiting.contains_key(&heard.front) || heard.done.contains(heard.front) {
            heard.front += 1;
        }
    }

    /// The streams that must go so that this sender can have another one: the rows to remove.
    pub(crate) fn forget_streams(&mut self, sender: &Hashname, stream: u64) -> Vec<Change> {
        if self.streams.contains_key(&(*sender, stream)) {
            return Vec::new();
        }
        let mut idle: Vec<_> = self.streams.iter().filter(|((of, _), _)| of == sender).collect();
        let excess = (idle.len() + 1).saturating_sub(MAX_STREAMS);
        idle.retain(|(_, heard)| heard.waiting.is_empty());
        idle.sort_by_key(|(_, heard)| heard.used_at);
        let gone: Vec<_> = idle.into_iter().take(excess).map(|(key, _)| *key).collect();
        gone.iter().for_each(|key| drop(self.streams.remove(key)));
        gone.iter().map(|(sender, stream)| Change::Remove(heard(sender, *stream))).collect()
    }

    /// The next message for the readers of a label, each sender's in their order.
    pub(crate) fn next(&mut self, label: &Label, now: u64) -> Option<Delivery> {
        let keys: Vec<_> =
            self.streams.iter().filter(|(_, heard)| heard.label == *label).map(|(key, _)| *key).collect();
        keys.into_iter().find_map(|(sender, stream)| self.next_of(&sender, stream, now))
    }

    fn next_of(&mut self, sender: &Hashname, stream: u64, now: u64) -> Option<Delivery> {
        loop {
            let heard = self.streams.get_mut(&(*sender, stream))?;
            if heard.waiting.range(..heard.next).count() >= MAX_UNACKNOWLEDGED {
                return None;
            }
            let (&number, waiting) = heard.waiting.range(heard.next..).next()?;
            let mut missing = heard.next.max(heard.settled);
            while missing < number && heard.done.contains(missing) {
                missing += 1;
            }
            if missing < number && now < waiting.header.gaps_end {
                return None;
            }
            let expired = waiting.header.expires <= now;
            let delivery = waiting.delivery(*sender);
            // What is passed over will not be delivered: its sender has given it up.
            heard.done.insert_run(heard.next, number);
            heard.next = number + 1;
            if !expired {
                return Some(delivery);
            }
            self.take(sender, stream, number);
        }
    }

    /// Takes away what has expired before it was delivered.
    pub(crate) fn expire(&mut self, now: u64) {
        let mut gone = Vec::new();
        for ((sender, stream), heard) in &self.streams {
            let expired =
                heard.waiting.range(heard.next..).filter(|(_, waiting)| waiting.header.expires <= now);
            gone.extend(expired.map(|(number, _)| (*sender, *stream, *number)));
        }
        gone.into_iter().for_each(|(sender, stream, number)| drop(self.take(&sender, stream, number)));
    }

    /// Takes a message out, and counts it as done.
    fn take(&mut self, sender: &Hashname, stream: u64, number: u64) -> Option<Waiting> {
        let heard = self.streams.get_mut(&(*sender, stream))?;
        let waiting = heard.waiting.remove(&number)?;
        heard.done.insert(number);
        self.by_row.remove(&waiting.row);
        self.shelf.remove(waiting.row);
        if let Some(bytes) = self.per_sender.get_mut(sender) {
            *bytes = bytes.saturating_sub(charge(waiting.size));
            if *bytes == 0 {
                self.per_sender.remove(sender);
            }
        }
        Some(waiting)
    }

    /// The application is done with a message. `None` if it was before.
    pub(crate) fn acknowledge(&mut self, delivery: &Delivery, now: u64) -> Option<Acknowledged> {
        let (sender, stream) = (&delivery.sender, delivery.header.stream);
        let waiting = self.take(sender, stream, delivery.header.number)?;
        self.forgotten.remember(delivery.id, (*sender, stream));
        let heard = self.streams.get_mut(&(*sender, stream))?;
        heard.used_at = now;
        Some(Acknowledged { changes: vec![heard_row(sender, stream, heard)], sources: waiting.sources })
    }

    /// The stream of a sender as a receipt says it.
    pub(crate) fn done(&self, sender: &Hashname, stream: u64) -> Option<Runs> {
        Some(self.streams.get(&(*sender, stream))?.done.clone())
    }

    /// Nobody reads this label any more: whoever comes next gets everything that is not acknowledged.
    pub(crate) fn reader_gone(&mut self, label: &Label) {
        self.readers.remove(label);
        for heard in self.streams.values_mut().filter(|heard| heard.label == *label) {
            heard.next = heard.done.below();
        }
    }

    /// What waits, without its content.
    pub(crate) fn waiting(&self) -> Vec<Delivery> {
        let of_stream = |((sender, _), heard): (&(Hashname, u64), &Heard)| {
            heard.waiting.values().map(|waiting| waiting.delivery(*sender)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.streams.iter().flat_map(of_stream).collect();
        all.sort_by_key(|delivery| (delivery.header.sent_at, delivery.row));
        all
    }
}

/// Ids of messages that were acknowledged lately, so that they need not be fetched again to be recognised.
#[derive(Debug, Default)]
struct Forgotten {
    streams: HashMap<MessageId, (Hashname, u64)>,
    order: VecDeque<MessageId>,
}

impl Forgotten {
    fn remember(&mut self, id: MessageId, stream: (Hashname, u64)) {
        if self.streams.insert(id, stream).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.streams.remove(&oldest);
        }
    }
}

/// The row of a message's header.
pub(crate) fn header_row(number: u64, sender: &Hashname, header: &Header) -> Change {
    let row = [&sender.as_bytes()[..], &header.encode()].concat();
    Change::Put(numbered(HEADER, number), row.into())
}

fn read_header(row: &[u8]) -> Result<(Hashname, Header), Truncated> {
    let mut reader = Reader::new(row);
    let sender = reader.hashname()?;
    match Letter::decode(reader.rest())? {
        Letter::Message(header, []) => Ok((sender, header)),
        _ => Err(Truncated),
    }
}

fn heard_row(sender: &Hashname, stream: u64, state: &Heard) -> Change {
    let mut row = Vec::new();
    put_u64(&mut row, state.used_at);
    put_text(&mut row, state.label.as_str());
    state.done.encode(&mut row);
    Change::Put(heard(sender, stream), Bytes::from(row))
}

fn read_heard(key: &[u8], row: &[u8]) -> Result<((Hashname, u64), Heard), Truncated> {
    let mut reader = Reader::new(key);
    reader.u8()?;
    let (sender, stream) = (reader.hashname()?, reader.u64()?);
    reader.end()?;
    let mut reader = Reader::new(row);
    let used_at = reader.u64()?;
    let label = reader.text()?.parse().map_err(|_| Truncated)?;
    let done = Runs::decode(&mut reader)?;
    reader.end()?;
    let (next, front, settled) = (done.below(), done.below(), 0);
    Ok(((sender, stream), Heard { label, done, used_at, next, settled, front, waiting: BTreeMap::new() }))
}

fn damaged() -> StoreError {
    StoreError::Damaged("a received message is not what was written".to_owned())
}

fn charge(size: u32) -> u64 {
    u64::from(size).max(MIN_CHARGE)
}

/// All messages of the inbox are for the endpoint itself, and come from whomever: one tag for all.
pub(crate) const SELF: Hashname = Hashname::from_bytes([0; 32]);

/// How many acknowledged ids are remembered; about 300 KiB.
const MAX_REMEMBERED: usize = 4_096;
