//! What a room knows of one other endpoint, and what is to be sent to it.

use std::collections::BTreeSet;
use std::time::Instant;

use telemesh_hashname::Hashname;

use crate::frame::Accept;
use crate::id::{EntryId, ParticipantKey};
use crate::limits::RELAY_DELAY;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// Our channel to it is open.
    pub(crate) up: bool,
    /// What it has, as far as we know.
    pub(crate) has: Has,
    /// It has said what it has.
    pub(crate) heard: bool,
    /// When it should have said so. If it does not, it may not know yet that we have joined.
    pub(crate) introduce: Option<Instant>,
    /// It gets the leader's entries up to our join.
    pub(crate) introducing: bool,
    /// Whom it has links with, as it says.
    pub(crate) linked: BTreeSet<Hashname>,
    pub(crate) due: Due,
    /// Senders whose entries we relay to it: they want to hear its acknowledgements from us.
    pub(crate) relayed: BTreeSet<usize>,
    /// So many of our entries are in its mailbox.
    pub(crate) mailed: u64,
    /// The next ones are on their way there.
    pub(crate) mailing: bool,
}

/// What an endpoint has of each log, by the index of its participant.
#[derive(Debug, Default)]
pub(crate) struct Has {
    pub(crate) logs: Vec<HasLog>,
    /// Entries below this index were here when it said so: it gets all of them from us.
    pub(crate) catch_up: usize,
}

/// What an endpoint has of one log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HasLog {
    /// Entries of the chain.
    pub(crate) chain: usize,
    /// Entries beside it.
    pub(crate) side: usize,
}

/// What is to be sent as soon as there is room.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) accept: Option<Accept>,
    /// A hello, which asks for another one or not.
    pub(crate) hello: Option<bool>,
    pub(crate) presence: bool,
    pub(crate) typing: Option<bool>,
    pub(crate) wants: BTreeSet<EntryId>,
    /// Entries that it has asked for.
    pub(crate) asked: BTreeSet<EntryId>,
    /// From whom and about whom.
    pub(crate) acks: BTreeSet<(ParticipantKey, ParticipantKey)>,
}

impl Peer {
    /// The channel is a new one, or gone: what was on its way may be lost.
    pub(crate) fn restart(&mut self, up: Option<Instant>, accept: Option<Accept>) {
        let (mailed, mailing) = (self.mailed, self.mailing);
        *self = Self { up: up.is_some(), mailed, mailing, ..Self::default() };
        self.introduce = up.map(|now| now + RELAY_DELAY);
        self.due = Due { accept, hello: up.map(|_| true), ..Due::default() };
    }
}

impl Has {
    pub(crate) fn of(&self, participant: usize) -> HasLog {
        self.logs.get(participant).copied().unwrap_or_default()
    }

    /// It has the first `chain` entries of a log, and maybe more.
    pub(crate) fn at_least(&mut self, participant: usize, chain: usize) {
        let mut log = self.of(participant);
        log.chain = log.chain.max(chain);
        self.set(participant, log);
    }

    pub(crate) fn set(&mut self, participant: usize, log: HasLog) {
        if self.logs.len() <= participant {
            // As many as there are participants, at most.
            self.logs.resize(participant.saturating_add(1), HasLog::default());
        }
        if let Some(slot) = self.logs.get_mut(participant) {
            *slot = log;
        }
    }
}
