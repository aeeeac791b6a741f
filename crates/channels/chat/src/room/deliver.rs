//! What goes to a peer next: greetings, what it asked for, acknowledgements, entries that it lacks.

use std::time::Instant;

use bytes::Bytes;
use telemesh_hashname::Hashname;

use super::peer::{HasLog, Peer};
use super::{Letter, Room};
use crate::frame::{Frame, Head, Hello};
use crate::id::EntryId;
use crate::limits::{BATCH, MAX_ACKS_PER_FRAME, MAX_PARTICIPANTS, MAX_WANTS};
use crate::log::{Order, Participant};

/// An entry that a peer lacks.
struct Lack {
    order: Order,
    participant: usize,
    /// What the peer has when it has this one too.
    then: HasLog,
    raw: Bytes,
    sender: Hashname,
    id: EntryId,
}

impl Room {
    /// The next frame for a peer whose channel has room for one. What [`poll_write`](Self::poll_write) gives must be
    /// stored before.
    pub fn next_frame(&mut self, hashname: &Hashname) -> Option<Bytes> {
        let peer = self.peers.get_mut(hashname).filter(|peer| peer.up)?;
        if let Some(accept) = peer.due.accept.take() {
            return Some(Frame::Accept(accept).encode());
        }
        // Nobody but participants learns anything, and who is about to be one speaks with the leader alone.
        if !self.is_participant(hashname) || !(self.is_joined() || self.leader() == Some(*hashname)) {
            return None;
        }
        let linked = self.linked();
        let peer = self.peers.get_mut(hashname)?;
        if let Some(answer) = peer.due.hello.take() {
            peer.due.presence = false;
            return Some(Frame::Hello(Hello { heads: self.heads(), linked, answer }).encode());
        }
        if std::mem::take(&mut peer.due.presence) {
            return Some(Frame::Presence(linked).encode());
        }
        if let Some(typing) = peer.due.typing.take() {
            return Some(Frame::Typing(typing).encode());
        }
        if !peer.due.wants.is_empty() {
            let wants = (0..MAX_WANTS).map_while(|_| peer.due.wants.pop_first());
            return Some(Frame::Want(wants.collect()).encode());
        }
        if let Some(frame) = self.asked_for(hashname) {
            return Some(frame);
        }
        if let Some(frame) = self.acks_for(hashname) {
            return Some(frame);
        }
        self.entries_for(hashname)
    }

    /// Whom we have links with.
    fn linked(&self) -> Vec<Hashname> {
        let up = self.peers.iter().filter(|(hashname, peer)| peer.up && self.is_participant(hashname));
        up.map(|(hashname, _)| *hashname).take(MAX_PARTICIPANTS).collect()
    }

    /// What we have of each log.
    fn heads(&self) -> Vec<Head> {
        let head = |participant: &Participant| {
            let last = participant.last().and_then(|index| self.log.node(index))?;
            let digest = match participant.forked_at() {
                Some(_) => participant.digest(),
                None => last.entry.id(),
            };
            Some(Head { key: participant.key(), count: participant.count(), digest })
        };
        self.log.participants().iter().filter_map(head).take(MAX_PARTICIPANTS).collect()
    }

    /// Entries that a peer has asked for by their ids.
    fn asked_for(&mut self, hashname: &Hashname) -> Option<Bytes> {
        let peer = self.peers.get_mut(hashname)?;
        let (mut entries, mut size) = (Vec::new(), 0);
        while size < BATCH
            && let Some(id) = peer.due.asked.pop_first()
        {
            // Whoever does not have it says nothing.
            if let Some(entry) = self.log.entry(&id) {
                size += entry.raw().len();
                entries.push(entry.raw().clone());
            }
        }
        (!entries.is_empty()).then(|| Frame::Entries(entries).encode())
    }

    fn acks_for(&mut self, hashname: &Hashname) -> Option<Bytes> {
        let peer = self.peers.get_mut(hashname)?;
        let due = (0..MAX_ACKS_PER_FRAME).map_while(|_| peer.due.acks.pop_first());
        let acks: Vec<_> = due.filter_map(|(from, about)| self.acks.get(&from, &about).cloned()).collect();
        (!acks.is_empty()).then(|| Frame::Acks(acks).encode())
    }

    /// Entries that a peer lacks, the earlier ones first.
    fn entries_for(&mut self, hashname: &Hashname) -> Option<Bytes> {
        let (mut entries, mut size) = (Vec::new(), 0);
        while size < BATCH
            && let Some(lack) = self.first_lack(hashname)
        {
            size += lack.raw.len();
            entries.push(lack.raw);
            let peer = self.peers.get_mut(hashname)?;
            peer.has.set(lack.participant, lack.then);
            if lack.sender != self.me {
                peer.relayed.insert(lack.participant);
            }
            tracing::trace!(entry = %lack.id.short(), to = %hashname.short(), "entry sent");
        }
        (!entries.is_empty()).then(|| Frame::Entries(entries).encode())
    }

    /// The earliest entry that a peer lacks and that it is on us to bring. What an entry follows has a lower place, so
    /// it is sent before.
    fn first_lack(&self, hashname: &Hashname) -> Option<Lack> {
        let peer = self.peers.get(hashname).filter(|peer| peer.heard || peer.introducing)?;
        let has = &peer.has;
        let mut first: Option<Lack> = None;
        for (index, participant) in self.log.participants().iter().enumerate() {
            // Their own log they have from themselves, unless they have lost it.
            let log = has.of(index);
            let chain = participant.chain.get(log.chain).map(|at| (*at, log.chain + 1, log.side));
            let side = participant.side.get(log.side).map(|at| (*at, log.chain, log.side + 1));
            for (at, chain, side) in chain.into_iter().chain(side) {
                let Some(node) = self.log.node(at) else { continue };
                if first.as_ref().is_some_and(|first| first.order < node.order)
                    || !(self.is_introduction(peer, at)
                        || peer.heard && self.is_on_us(hashname, participant, at))
                {
                    continue;
                }
                first = Some(Lack {
                    order: node.order,
                    participant: index,
                    then: HasLog { chain, side },
                    raw: node.entry.raw().clone(),
                    sender: participant.hashname(),
                    id: node.entry.id(),
                });
            }
        }
        first
    }

    /// Whether an entry is one of those that show somebody who does not know us that we have joined.
    fn is_introduction(&self, peer: &Peer, index: usize) -> bool {
        let joined = self.log.participant(&self.me()).map(|me| me.joined);
        let is_leaders = self.log.node(index).is_some_and(|node| node.sender == 0);
        peer.introducing && is_leaders && joined.is_some_and(|joined| index <= joined)
    }

    /// Whether we should bring an entry to a peer, or leave that to its sender.
    fn is_on_us(&self, to: &Hashname, sender: &Participant, index: usize) -> bool {
        sender.hashname() == self.me
            || index < self.mature
            || self.peers.get(to).is_some_and(|peer| index < peer.has.catch_up)
            || sender.forked_at().is_some()
            || self.relays_at_once(to, &sender.hashname())
    }

    /// Whether the two have no link with each other, and we are the one to go between them.
    fn relays_at_once(&self, to: &Hashname, sender: &Hashname) -> bool {
        let (Some(receiving), Some(sending)) = (self.peers.get(to), self.peers.get(sender)) else {
            return false;
        };
        if to == sender || !sending.up || receiving.linked.contains(sender) {
            return false;
        }
        let mut between = receiving.linked.iter().filter(|peer| sending.linked.contains(peer));
        between.all(|peer| self.me <= *peer)
    }

    /// Puts what we have written, and a participant who is away has not got, into their mailbox; with `at_once` also what those who
    /// are here have not acknowledged, since a link may be up in name only.
    pub(crate) fn fill_mailboxes(&mut self, at_once: bool) {
        let Some(me) = self.log.participant(&self.me()) else { return };
        let own: Vec<Bytes> = me
            .chain
            .iter()
            .filter_map(|index| self.log.node(*index).map(|node| node.entry.raw().clone()))
            .collect();
        let about = me.key();
        let away: Vec<(Hashname, u64)> = self
            .log
            .participants()
            .iter()
            .filter(|participant| participant.hashname() != self.me)
            .filter(|participant| at_once || !self.is_here(&participant.hashname()))
            .map(|participant| {
                let ack = self.acks.get(&participant.key(), &about);
                (participant.hashname(), ack.map_or(0, |ack| ack.received))
            })
            .collect();
        for (hashname, received) in away {
            let peer = self.peers.entry(hashname).or_default();
            let from = usize::try_from(peer.mailed.max(received)).unwrap_or(usize::MAX);
            if peer.mailing || from >= own.len() {
                continue;
            }
            peer.mailing = true;
            let mut batch: Vec<Bytes> = Vec::new();
            let (mut size, mut count) = (0, u64::try_from(from).unwrap_or(u64::MAX));
            for entry in own.iter().skip(from) {
                if size > BATCH {
                    let frame = Frame::Entries(std::mem::take(&mut batch)).encode();
                    self.mail.ready.push_back(Letter { to: hashname, frame, entries: Some(count) });
                    size = 0;
                }
                size += entry.len();
                count = count.saturating_add(1);
                batch.push(entry.clone());
            }
            let frame = Frame::Entries(batch).encode();
            self.mail.ready.push_back(Letter { to: hashname, frame, entries: Some(count) });
        }
    }

    /// A frame from a mailbox: its sender was there when it was written, and need not be now.
    pub fn handle_mail(&mut self, from: Hashname, frame: &Bytes, now: Instant) {
        match Frame::decode(frame) {
            Ok(Frame::Entries(entries)) => self.handle_entries(from, entries, now),
            Ok(Frame::Accept(accept)) => self.handle_accept(from, &accept, now),
            Ok(_) => {}
            Err(error) => self.refuse(from, None, error.into()),
        }
    }
}
