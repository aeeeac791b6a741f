//! The peers whose links are up, and how far each was told what there is for it.

use std::collections::HashMap;
use std::sync::Arc;

use telemesh_hashname::Hashname;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::id::MessageId;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    up: HashMap<Hashname, Peer>,
    generations: u64,
}

#[derive(Debug)]
struct Peer {
    /// Which time the link is up: a task of an earlier time has no say any more.
    generation: u64,
    /// A task gives to it.
    running: bool,
    /// Something came up while it did.
    again: bool,
    more: Arc<Notify>,
    /// It has not answered in time. Its link may be up in name only.
    silent: bool,
    /// It has refused to keep messages for others since its link is up.
    unwilling: bool,
    /// It is still to be told which caches are ours.
    untold: bool,
    /// Somebody looks in a while whether it has answered.
    watched: bool,
    cursor: Cursor,
    /// Messages that the peer has kept for us and that we do not need any more.
    gone: Vec<MessageId>,
    /// When it is offered everything again.
    offer_again: Instant,
    /// Until then a cache is not offered what was sent before its link came up, which is everything below this row.
    held_back: (Instant, u64),
}

/// What comes next for a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Row of the outbox.
    pub(crate) own: u64,
    /// Entry of the cache.
    pub(crate) cached: u64,
    /// Bytes that it was offered as a cache in this round.
    pub(crate) left: u64,
    /// There would have been more.
    pub(crate) limited: bool,
}

impl Peers {
    /// A link came up: the peer knows of nothing.
    pub(crate) fn came_up(&mut self, peer: Hashname, next_row: u64) {
        self.generations += 1;
        let fresh = Peer {
            generation: self.generations,
            running: false,
            again: false,
            more: Arc::new(Notify::new()),
            silent: false,
            unwilling: false,
            untold: true,
            watched: false,
            cursor: Cursor::default(),
            gone: Vec::new(),
            offer_again: Instant::now() + OFFER_AGAIN,
            held_back: (Instant::now() + HOLD_BACK, next_row),
        };
        self.up.insert(peer, fresh);
    }

    /// Whether a cache is not offered this row yet: it may be about to bring the receipt for it.
    pub(crate) fn holds_back(&self, peer: &Hashname, row: u64) -> bool {
        let held_back = self.up.get(peer).map(|peer| peer.held_back);
        held_back.is_some_and(|(until, below)| row < below && Instant::now() < until)
    }

    pub(crate) fn went_down(&mut self, peer: &Hashname) {
        self.up.remove(peer);
    }

    pub(crate) fn is_up(&self, peer: &Hashname) -> bool {
        self.up.contains_key(peer)
    }

    /// Whether its link is up, and it answers as far as is known.
    pub(crate) fn answers(&self, peer: &Hashname) -> bool {
        self.up.get(peer).is_some_and(|peer| !peer.silent)
    }

    pub(crate) fn set_silent(&mut self, peer: &Hashname, silent: bool) {
        if let Some(peer) = self.up.get_mut(peer) {
            peer.silent = silent;
        }
    }

    /// Whether it has refused to keep messages for others.
    pub(crate) fn is_unwilling(&self, peer: &Hashname) -> bool {
        self.up.get(peer).is_some_and(|peer| peer.unwilling)
    }

    /// It has refused to keep messages for others. Whether that is news.
    pub(crate) fn set_unwilling(&mut self, peer: &Hashname) -> bool {
        self.up.get_mut(peer).is_some_and(|peer| !std::mem::replace(&mut peer.unwilling, true))
    }

    /// Whether it is still to be told our caches; from now on it counts as told until its link comes up again.
    pub(crate) fn take_untold(&mut self, peer: &Hashname) -> bool {
        self.up.get_mut(peer).is_some_and(|peer| std::mem::take(&mut peer.untold))
    }

    /// Everybody is to be told our caches anew.
    pub(crate) fn all_untold(&mut self) {
        self.up.values_mut().for_each(|peer| peer.untold = true);
    }

    /// Whether somebody has to look in a while whether this peer has answered.
    pub(crate) fn begin_watch(&mut self, peer: &Hashname) -> bool {
        self.up.get_mut(peer).is_some_and(|peer| !std::mem::replace(&mut peer.watched, true))
    }

    pub(crate) fn end_watch(&mut self, peer: &Hashname) {
        if let Some(peer) = self.up.get_mut(peer) {
            peer.watched = false;
        }
    }

    pub(crate) fn all(&self) -> Vec<Hashname> {
        self.up.keys().copied().collect()
    }

    /// The generation for which a task has to be started; one that runs is told that there is more.
    pub(crate) fn begin(&mut self, peer: &Hashname) -> Option<u64> {
        let peer = self.up.get_mut(peer)?;
        if peer.running {
            peer.again = true;
            peer.more.notify_one();
            return None;
        }
        peer.running = true;
        Some(peer.generation)
    }

    fn of(&mut self, peer: &Hashname, generation: u64) -> Option<&mut Peer> {
        self.up.get_mut(peer).filter(|peer| peer.generation == generation)
    }

    /// What wakes the task of this peer.
    pub(crate) fn more(&mut self, peer: &Hashname, generation: u64) -> Option<Arc<Notify>> {
        self.of(peer, generation).map(|peer| peer.more.clone())
    }

    /// The task of this peer has nothing left. Whether it ends; else something came up.
    pub(crate) fn end(&mut self, peer: &Hashname, generation: u64) -> bool {
        let Some(peer) = self.of(peer, generation) else { return true };
        if std::mem::take(&mut peer.again) {
            return false;
        }
        peer.running = false;
        true
    }

    /// The task of this peer has failed: everything is offered anew, in a while.
    pub(crate) fn failed(&mut self, peer: &Hashname, generation: u64) {
        if let Some(peer) = self.of(peer, generation) {
            peer.running = false;
            peer.again = false;
            peer.cursor = Cursor::default();
            peer.offer_again = Instant::now() + RETRY;
        }
    }

    /// Something was refused for now.
    pub(crate) fn retry(&mut self, peer: &Hashname) {
        if let Some(peer) = self.up.get_mut(peer) {
            peer.offer_again = peer.offer_again.min(Instant::now() + RETRY);
        }
    }

    pub(crate) fn cursor(&self, peer: &Hashname) -> Option<Cursor> {
        self.up.get(peer).map(|peer| peer.cursor)
    }

    pub(crate) fn advance(&mut self, peer: &Hashname, cursor: Cursor) {
        if let Some(peer) = self.up.get_mut(peer) {
            peer.cursor = cursor;
        }
    }

    /// Everything is offered anew from now on.
    pub(crate) fn rewind(&mut self, peer: &Hashname) {
        self.advance(peer, Cursor::default());
    }

    pub(crate) fn add_gone(&mut self, peer: &Hashname, id: MessageId) {
        if let Some(peer) = self.up.get_mut(peer) {
            peer.gone.push(id);
        }
    }

    pub(crate) fn take_gone(&mut self, peer: &Hashname) -> Vec<MessageId> {
        self.up.get_mut(peer).map(|peer| std::mem::take(&mut peer.gone)).unwrap_or_default()
    }

    /// The peers that are to be offered everything again, now.
    pub(crate) fn due(&mut self) -> Vec<Hashname> {
        let now = Instant::now();
        let mut due = Vec::new();
        for (hashname, peer) in &mut self.up {
            if peer.offer_again <= now {
                peer.offer_again = now + OFFER_AGAIN;
                peer.cursor = Cursor::default();
                due.push(*hashname);
            }
        }
        due
    }
}

/// How long a cache whose link has come up may bring us receipts before it is offered what they are for.
pub(crate) const HOLD_BACK: Duration = Duration::from_secs(1);

/// How long a recipient whose link is up may take to answer before its messages go to caches as well. A link takes longer than
/// that to notice that nobody is there any more.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// How often everything is offered again over a link that stays up. What is there costs a few bytes; what a cache has
/// evicted gets back to it.
const OFFER_AGAIN: Duration = Duration::from_secs(60 * 60);

/// How long a peer that failed or had no room is left alone.
const RETRY: Duration = Duration::from_secs(60);
