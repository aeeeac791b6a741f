//! Making a room: a new chat, an invitation that was accepted, or what a store has kept.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use telemesh_hashname::Hashname;
use zeroize::Zeroizing;

use super::Room;
use crate::codec::{Reader, Writer};
use crate::content::Content;
use crate::entry::{Entry, Fields, Unverified};
use crate::error::{DecodeError, Refused};
use crate::id::ChatId;
use crate::key::ChatKey;
use crate::limits::MAX_PARTICIPANTS;
use crate::log::{Insert, Log};
use crate::name::Name;
use crate::store::{StoredChat, Write};

/// What is kept of a chat besides its entries.
#[derive(Debug)]
pub(crate) struct State {
    /// The secret of our key for it.
    pub(crate) seed: Zeroizing<[u8; 32]>,
    pub(crate) invited: BTreeSet<Hashname>,
    /// How many of our entries are in whose mailbox; `None` if that was not kept yet.
    pub(crate) mailed: Option<BTreeMap<Hashname, u64>>,
}

impl State {
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::default();
        out.u8(VERSION).raw(self.seed.as_ref()).count(self.invited.len());
        for hashname in &self.invited {
            out.raw(hashname.as_bytes());
        }
        let mailed = self.mailed.as_ref();
        out.count(mailed.map_or(0, BTreeMap::len));
        for (hashname, entries) in mailed.into_iter().flatten() {
            out.raw(hashname.as_bytes()).u64(*entries);
        }
        Zeroizing::new(out.finish())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if !matches!(version, WITHOUT_MAIL | VERSION) {
            return Err(DecodeError::Version(version));
        }
        let seed = Zeroizing::new(reader.array()?);
        let invited = (0..reader.count("invited", MAX_PARTICIPANTS)?)
            .map(|_| reader.array().map(Hashname::from_bytes))
            .collect::<Result<_, _>>()?;
        let mailed = match version {
            WITHOUT_MAIL => None,
            _ => Some(
                (0..reader.count("mailed", MAX_PARTICIPANTS)?)
                    .map(|_| Ok((reader.array().map(Hashname::from_bytes)?, reader.u64()?)))
                    .collect::<Result<_, DecodeError>>()?,
            ),
        };
        reader.end()?;
        Ok(Self { seed, invited, mailed })
    }
}

impl Room {
    /// A new chat, which this key leads.
    #[must_use]
    pub fn create(name: Name, key: ChatKey, me: Hashname, time: u64) -> Self {
        let chat = ChatId::of_leader(&key.public());
        let content = Content::Create { name, hashname: me };
        let fields =
            Fields { sender: key.public(), sequence: 0, previous: None, time, after: Vec::new(), content };
        let first = Entry::sign(&chat, &key, fields);
        let mut room = Self::new(Log::new(chat), key, me);
        room.begin(first);
        room
    }

    /// The chat that an invitation is for, which we want to join with this key. `first` is the leader's first entry.
    ///
    /// # Errors
    /// [`Refused`]: that entry begins no chat of this id, or is not authentic.
    pub fn join(chat: ChatId, first: Bytes, key: ChatKey, me: Hashname) -> Result<Self, Refused> {
        let first = invitation(chat, first)?;
        let mut room = Self::new(Log::new(chat), key, me);
        room.begin(first);
        room.mail_accept();
        Ok(room)
    }

    fn begin(&mut self, first: Entry) {
        match self.log.insert(first) {
            Ok(Insert::New { index, forked }) => self.entered(index, forked),
            other => tracing::error!(?other, "a chat's first entry was not taken"),
        }
        self.mature = self.log.len();
        self.save();
    }

    /// The room that a store has kept. Entries that cannot be placed are left out; a catch-up brings them again.
    ///
    /// # Errors
    /// [`DecodeError`]: what is stored was not written by this version.
    pub fn restore(chat: ChatId, stored: StoredChat, me: Hashname) -> Result<Self, DecodeError> {
        let state = State::decode(&stored.state)?;
        let key = ChatKey::from_seed(&state.seed).ok_or(DecodeError::Malformed)?;
        let mut log = Log::new(chat);
        for raw in stored.entries {
            // They were verified before they were stored.
            match log.insert(Unverified::read(&chat, raw)?.trust()) {
                Ok(Insert::New { .. }) => {}
                other => tracing::warn!(?other, "a stored entry was left out"),
            }
        }
        let mut room = Self::new(log, key, me);
        for ack in stored.acks {
            room.acks.put(ack);
        }
        room.invited = state.invited;
        room.mature = room.log.len();
        let own = room.log.participant(&room.me()).map_or(0, crate::log::Participant::count);
        for hashname in room.wanted() {
            // Before that was kept, nothing else is known: it is in mailboxes already, or comes with a link.
            let mailed =
                state.mailed.as_ref().map_or(own, |mailed| mailed.get(&hashname).copied().unwrap_or(0));
            room.peers.entry(hashname).or_default().mailed = mailed.min(own);
        }
        room.mail_accept();
        Ok(room)
    }

    /// The leader's first entry, which is what an invitation shows.
    #[must_use]
    pub fn first_entry(&self) -> Option<Bytes> {
        Some(self.log.node(0)?.entry.raw().clone())
    }

    pub(super) fn save(&mut self) {
        let participants = self.log.participants().iter().map(crate::log::Participant::hashname);
        let mailed = participants.filter_map(|peer| Some((peer, self.peers.get(&peer)?.mailed)));
        let mailed = mailed.filter(|(_, entries)| *entries > 0).take(MAX_PARTICIPANTS).collect();
        let state =
            State { seed: self.key.seed().clone(), invited: self.invited.clone(), mailed: Some(mailed) };
        self.out.writes.push(Write::State(state.encode()));
    }
}

/// The leader's first entry, checked.
pub(crate) fn invitation(chat: ChatId, first: Bytes) -> Result<Entry, Refused> {
    let entry = Unverified::read(&chat, first)?.verify()?;
    let begins = matches!(entry.fields().content, Content::Create { .. }) && entry.fields().sequence == 0;
    if begins && ChatId::of_leader(&entry.fields().sender) == chat {
        Ok(entry)
    } else {
        Err(Refused::NotTheLeader)
    }
}

const VERSION: u8 = 2;

/// The version before, which did not say what is in mailboxes.
const WITHOUT_MAIL: u8 = 1;
