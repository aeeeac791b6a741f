//! What the parts of the boxes share: the state, the stores, and who is to be told what.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use telemesh_channel::Network;
use telemesh_hashname::Hashname;
use tokio::sync::watch;

use crate::cache::CacheSide;
use crate::caches::Caches;
use crate::clock::Clock;
use crate::give;
use crate::inbox::state::InboxState;
use crate::limits::{Limits, MAX_TOLD};
use crate::outbox::state::{OutboxState, removals as outbox_removals};
use crate::peers::{ANSWER, Peers};
use crate::receipts::Receipts;
use crate::seal::Sealer;
use crate::shelf::removals;
use crate::store::StoreError;
use crate::store::disk::Disk;
use crate::store::keys::INBOX;
use crate::told::Told;

/// See the module's page. Each lock is held for one look or change, never across an await, and never while another one is
/// taken.
pub(crate) struct Core {
    pub(crate) me: Hashname,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) sealer: Arc<dyn Sealer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    /// The endpoint's own messages, both ways.
    pub(crate) own: Disk,
    pub(crate) outbox: Mutex<OutboxState>,
    pub(crate) inbox: Mutex<InboxState>,
    pub(crate) receipts: Mutex<Receipts>,
    pub(crate) cache: Option<CacheSide>,
    pub(crate) peers: Mutex<Peers>,
    pub(crate) choice: Choice,
    /// What was sent since the start has a row from here on.
    pub(crate) first_row: u64,
    /// Something happened that somebody may wait for.
    pub(crate) changed: watch::Sender<()>,
    pub(crate) stop: watch::Sender<bool>,
}

/// With whom messages are left.
pub(crate) struct Choice {
    /// Those named for a recipient, and ours.
    pub(crate) ours: RwLock<Caches>,
    /// Those of others.
    pub(crate) told: Mutex<Told>,
    /// Whether others are told ours.
    pub(crate) tells: bool,
}

impl Core {
    /// Wakes everybody who waits for a change.
    pub(crate) fn tell(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn caches_for(&self, recipient: &Hashname) -> Vec<Hashname> {
        let (named, ours) = {
            let caches = self.choice.ours.read().unwrap_or_else(PoisonError::into_inner);
            (caches.named(recipient).map(<[_]>::to_vec), caches.all().to_vec())
        };
        let mut chosen = named.unwrap_or_else(|| {
            let mut theirs = lock(&self.choice.told).of(recipient);
            theirs.retain(|cache| *cache != self.me && self.network.link(cache).is_some());
            let is_up = {
                let peers = lock(&self.peers);
                theirs.retain(|cache| !peers.is_unwilling(cache));
                theirs.iter().any(|cache| peers.answers(cache))
            };
            if !is_up {
                theirs.extend(ours);
            }
            theirs
        });
        chosen.retain(|cache| *cache != self.me);
        chosen.dedup();
        chosen
    }

    /// Whether this endpoint keeps our messages for anybody.
    pub(crate) fn is_cache(&self, peer: &Hashname) -> bool {
        let is_ours = self.choice.ours.read().unwrap_or_else(PoisonError::into_inner).contains(peer);
        is_ours || lock(&self.choice.told).contains(peer)
    }

    /// What others are told of our caches; `None` if nothing.
    pub(crate) fn to_tell(&self) -> Option<Vec<Hashname>> {
        if !self.choice.tells {
            return None;
        }
        let mut ours = self.choice.ours.read().unwrap_or_else(PoisonError::into_inner).all().to_vec();
        ours.retain(|cache| *cache != self.me);
        ours.truncate(MAX_TOLD);
        (!ours.is_empty() || lock(&self.choice.told).has_told()).then_some(ours)
    }

    /// Somebody has told their caches.
    pub(crate) async fn hear_caches(&self, teller: Hashname, caches: Vec<Hashname>) {
        let changes =
            lock(&self.choice.told).hear(teller, caches, |other| self.network.link(other).is_none());
        if !changes.is_empty()
            && let Err(error) = self.own.commit(changes).await
        {
            tracing::warn!(%error, "who keeps whose messages could not be stored; it is told again");
        }
        self.tell();
    }

    /// Whether what is for `recipient` may be given to `peer` now.
    pub(crate) fn leads(&self, peer: &Hashname, recipient: &Hashname) -> bool {
        if peer == recipient {
            return true;
        }
        let answers = lock(&self.peers).answers(recipient);
        !answers && self.caches_for(recipient).contains(peer)
    }

    pub(crate) fn is_up(&self, peer: &Hashname) -> bool {
        lock(&self.peers).is_up(peer)
    }

    /// Something for `recipient` is there: it goes to whoever is up, and links that are needed are made.
    pub(crate) fn reach(self: &Arc<Self>, recipient: &Hashname) {
        let caches = self.caches_for(recipient);
        for peer in [recipient].into_iter().chain(&caches) {
            if self.is_up(peer) {
                self.kick(peer);
            } else {
                self.network.connect(peer);
            }
        }
        self.watch(recipient);
        self.tell();
    }

    /// Looks in a while whether a recipient whose link is up has taken what is for it. If not, caches get it.
    pub(crate) fn watch(self: &Arc<Self>, recipient: &Hashname) {
        if self.caches_for(recipient).is_empty() || !lock(&self.peers).begin_watch(recipient) {
            return;
        }
        let (core, recipient) = (Arc::downgrade(self), *recipient);
        tokio::spawn(async move {
            tokio::time::sleep(ANSWER).await;
            let Some(core) = core.upgrade() else { return };
            lock(&core.peers).end_watch(&recipient);
            if lock(&core.outbox).has_arrived(&recipient) {
                return;
            }
            lock(&core.peers).set_silent(&recipient, true);
            core.kick_caches_of(&recipient);
        });
    }

    /// Whoever keeps messages for this recipient is offered everything anew.
    pub(crate) fn kick_caches_of(self: &Arc<Self>, recipient: &Hashname) {
        for cache in self.caches_for(recipient) {
            lock(&self.peers).rewind(&cache);
            self.kick(&cache);
        }
    }

    /// Messages to `recipient` have their receipt: caches that had as much as they are offered at once get the next ones.
    pub(crate) fn has_room(self: &Arc<Self>, recipient: &Hashname) {
        for cache in self.caches_for(recipient) {
            let limited = lock(&self.peers).cursor(&cache).is_some_and(|cursor| cursor.limited);
            if limited {
                lock(&self.peers).rewind(&cache);
                self.kick(&cache);
            }
        }
    }

    /// Looks in a while, in a task of its own, whether there is something to give to this peer.
    pub(crate) fn kick(self: &Arc<Self>, peer: &Hashname) {
        let begun = lock(&self.peers).begin(peer);
        if let Some(generation) = begun {
            tokio::spawn(give::run(self.clone(), *peer, generation));
        }
    }

    /// Removes from the store what the outbox does not need any more.
    pub(crate) async fn clean_outbox(&self) -> Result<(), StoreError> {
        let doomed = lock(&self.outbox).take_doomed();
        if doomed.is_empty() {
            return Ok(());
        }
        let cleaned = self.own.commit(outbox_removals(&doomed)).await;
        if cleaned.is_err() {
            lock(&self.outbox).doom(doomed);
        }
        cleaned
    }

    /// The same for the inbox.
    pub(crate) async fn clean_inbox(&self) -> Result<(), StoreError> {
        let doomed = lock(&self.inbox).shelf.take_doomed();
        if doomed.is_empty() {
            return Ok(());
        }
        let cleaned = self.own.commit(removals(INBOX, &doomed)).await;
        if cleaned.is_err() {
            lock(&self.inbox).shelf.doom(doomed);
        }
        cleaned
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("me", &self.me).finish_non_exhaustive()
    }
}

/// Nothing here panics while it holds a lock; if it did, the state would still be whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
