//! One chat at one endpoint, without I/O: what arrives goes in, what is to be sent, stored and told comes out.
//!
//! - In: [`Room::handle_frame`], [`Room::handle_link`], [`Room::handle_timeout`], and what the user does ([`Room::say`] …).
//! - Out: [`Room::poll_write`] first, and only when that is stored [`Room::next_frame`] for each peer that has room for one;
//!   [`Room::poll_mail`], [`Room::poll_event`], [`Room::poll_timeout`].
//!
//! Frames are made when there is room for them, so that nothing queues up for a peer who does not read.
//!
//! # Who sends what to whom
//! - A participant's new entries go from its own endpoint to everybody it has a link with.
//! - When a link comes up, both ends say what they have of each log, and send what the other one lacks, whoever wrote it.
//! - Others relay an entry to those who have not acknowledged it after [`RELAY_DELAY`](crate::RELAY_DELAY). Whoever says that
//!   they have no link with the sender gets it at once, from the one with the lowest hashname who has links with both.
//! - What comes before what it follows waits, and the missing entries are asked for by their ids.

mod acks;
mod deliver;
mod peer;
mod receive;
mod speak;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use telemesh_hashname::Hashname;

use crate::event::Event;
use crate::frame::{Accept, Frame};
use crate::id::{ChatId, ParticipantKey};
use crate::key::ChatKey;
use crate::limits::{GAP_DELAY, MAIL_AGAIN, MAIL_DELAY, RELAY_DELAY};
use crate::log::Log;
use crate::store::Write;
use acks::Acks;
use peer::Peer;
use receive::Pending;

pub use acks::Delivery;
pub(crate) use state::invitation;

/// See the module's page.
#[derive(Debug)]
pub struct Room {
    log: Log,
    key: ChatKey,
    me: Hashname,
    peers: BTreeMap<Hashname, Peer>,
    pending: Pending,
    acks: Acks,
    /// Whom the leader has invited and who has not joined yet.
    invited: BTreeSet<Hashname>,
    /// Entries of others, by when they came; the oldest are relayed to everybody.
    arrivals: VecDeque<(Instant, usize)>,
    /// All entries below this index have been here for [`RELAY_DELAY`].
    mature: usize,
    mail: Mail,
    /// The wall clock, in milliseconds since 1970, as it was last told.
    time: u64,
    out: Output,
    counters: Counters,
}

/// What waits for those who are away.
#[derive(Debug, Default)]
struct Mail {
    due: Option<Instant>,
    ready: VecDeque<Letter>,
}

/// A frame for somebody who is away.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Whose mailbox it is for.
    pub to: Hashname,
    /// What to put there.
    pub frame: Bytes,
    /// How many of our entries are there when it is, if it brings any.
    pub entries: Option<u64>,
}

/// What waits to be taken.
#[derive(Debug, Default)]
struct Output {
    events: VecDeque<Event>,
    writes: Vec<Write>,
}

/// What a room has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Entries that came again: relayed twice, or replayed.
    pub duplicates: u64,
    /// What was refused.
    pub refused: u64,
    /// Entries that waited for others and gave way to newer ones.
    pub overflowed: u64,
}

impl Room {
    fn new(log: Log, key: ChatKey, me: Hashname) -> Self {
        Self {
            log,
            key,
            me,
            peers: BTreeMap::new(),
            pending: Pending::default(),
            acks: Acks::default(),
            invited: BTreeSet::new(),
            arrivals: VecDeque::new(),
            mature: 0,
            mail: Mail::default(),
            time: 0,
            out: Output::default(),
            counters: Counters::default(),
        }
    }

    /// The chat's id.
    #[must_use]
    pub fn id(&self) -> ChatId {
        self.log.chat()
    }

    /// The history.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Our key for this chat.
    #[must_use]
    pub fn me(&self) -> ParticipantKey {
        self.key.public()
    }

    /// Whether the leader has signed our join.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.log.participant(&self.me()).is_some()
    }

    /// Whether we lead the chat.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        ChatId::of_leader(&self.me()) == self.id()
    }

    /// The leader's endpoint; `None` before the first entry.
    #[must_use]
    pub fn leader(&self) -> Option<Hashname> {
        self.log.participants().first().map(crate::log::Participant::hashname)
    }

    /// The endpoints that this room wants links and channels with.
    #[must_use]
    pub fn wanted(&self) -> BTreeSet<Hashname> {
        let participants = self.log.participants().iter().map(crate::log::Participant::hashname);
        participants.chain(self.invited.iter().copied()).filter(|peer| *peer != self.me).collect()
    }

    /// Those of them who were invited and have not joined.
    #[must_use]
    pub fn invited(&self) -> &BTreeSet<Hashname> {
        &self.invited
    }

    /// Whether our channel to this endpoint is open.
    #[must_use]
    pub fn is_here(&self, peer: &Hashname) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.up)
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Tells the wall clock, in milliseconds since 1970. It is written into our entries for people to read, and may be wrong.
    pub fn set_time(&mut self, time: u64) {
        self.time = time;
    }

    /// What is to be stored before anything more is sent.
    pub fn poll_write(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.out.writes)
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// A frame for somebody who is away. Of one that brings entries the room wants to hear with [`mailed`](Self::mailed) what
    /// became of it, and makes no other one for the same endpoint before.
    pub fn poll_mail(&mut self) -> Option<Letter> {
        self.mail.ready.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let relay = self.arrivals.front().map(|(arrived, _)| *arrived + RELAY_DELAY);
        let introduce = self.peers.values().filter_map(|peer| peer.introduce).min();
        [relay, introduce, self.acks.due, self.pending.due, self.mail.due].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((arrived, index)) = self.arrivals.front()
            && *arrived + RELAY_DELAY <= now
        {
            self.mature = self.mature.max(index + 1);
            self.arrivals.pop_front();
        }
        if self.acks.due.is_some_and(|due| due <= now) {
            self.acknowledge();
        }
        if self.pending.due.is_some_and(|due| due <= now) {
            self.chase(now + GAP_DELAY);
        }
        for peer in self.peers.values_mut() {
            if peer.introduce.is_some_and(|due| due <= now) {
                peer.introduce = None;
                peer.introducing = !peer.heard;
            }
        }
        if self.mail.due.is_some_and(|due| due <= now) {
            self.mail.due = None;
            self.fill_mailboxes(false);
        }
    }

    /// Our channel to an endpoint is open, or has ended.
    pub fn handle_link(&mut self, hashname: Hashname, up: bool, now: Instant) {
        if up == self.is_here(&hashname) {
            return;
        }
        let accept = self.accept_for(&hashname);
        let peer = self.peers.entry(hashname).or_default();
        peer.restart(up.then_some(now), accept);
        if !up {
            self.mail_later(now);
        }
        if self.is_participant(&hashname) {
            self.out.events.push_back(Event::Presence { hashname, here: up });
        }
        for other in self.peers.values_mut() {
            other.due.presence = true;
        }
    }

    /// Whether the endpoint is a participant's.
    pub(crate) fn is_participant(&self, hashname: &Hashname) -> bool {
        self.log.participants().iter().any(|participant| participant.hashname() == *hashname)
    }

    /// What to send the leader until we are in.
    fn accept_for(&self, hashname: &Hashname) -> Option<Accept> {
        let wanted = !self.is_joined() && self.leader() == Some(*hashname);
        wanted.then(|| Accept::sign(&self.id(), &self.key, &self.me))
    }

    /// Looks for those who are away, a while from now.
    pub(crate) fn mail_later(&mut self, now: Instant) {
        self.mail.due.get_or_insert(now + MAIL_DELAY);
    }

    /// What became of the letters for an endpoint: with all that were kept, so many of our entries are in its mailbox. If one
    /// was not, it and those behind it are made again in a while.
    pub fn mailed(&mut self, to: Hashname, entries: u64, all_kept: bool, now: Instant) {
        let own = self.log.participant(&self.me()).map_or(0, crate::log::Participant::count);
        let Some(peer) = self.peers.get_mut(&to) else { return };
        peer.mailing = false;
        let more = entries > peer.mailed;
        peer.mailed = peer.mailed.max(entries);
        let missing = peer.mailed < own && !peer.up;
        if more {
            self.save();
        }
        if missing {
            let due = now + if all_kept { MAIL_DELAY } else { MAIL_AGAIN };
            self.mail.due.get_or_insert(due);
        }
    }

    /// To the mailbox of the leader, who may be away: that we accept.
    pub(crate) fn mail_accept(&mut self) {
        if let Some(leader) = self.leader()
            && let Some(accept) = self.accept_for(&leader)
        {
            let frame = Frame::Accept(accept).encode();
            self.mail.ready.push_back(Letter { to: leader, frame, entries: None });
        }
    }
}
