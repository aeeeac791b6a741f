//! [`Boxes`]: starting, and what the application holds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use telemesh_channel::{LinkEvent, LinkEvents, Network};
use telemesh_hashname::Hashname;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::BOX;
use crate::cache::CacheSide;
use crate::caches::Caches;
use crate::clock::{Clock, SystemClock};
use crate::core::{Choice, Core, lock};
use crate::error::{InboxTaken, StartError};
use crate::id::{CacheSecret, Keying};
use crate::inbox::state::InboxState;
use crate::inbox::{Inbox, Waiting};
use crate::limits::{CacheLimits, Limits, MAX_SEALED};
use crate::outbox::Outbox;
use crate::outbox::state::OutboxState;
use crate::peers::{HOLD_BACK, Peers};
use crate::receipts::Receipts;
use crate::seal::Sealer;
use crate::shelf::{ShelfLimits, load as load_shelf};
use crate::store::disk::Disk;
use crate::store::keys::CACHE;
use crate::store::{MemoryStore, Store};
use crate::take::Taker;
use crate::told::Told;
use crate::wire::label::Label;

/// An endpoint's boxes: what it sends, what it is sent, and, if it caches, what it keeps for others. Clones are the same;
/// they end with the last one.
#[derive(Clone, Debug)]
pub struct Boxes {
    running: Arc<Running>,
}

/// Collects what boxes need.
pub struct Builder {
    network: Arc<dyn Network>,
    sealer: Arc<dyn Sealer>,
    store: Arc<dyn Store>,
    cache: Option<(Arc<dyn Store>, CacheSecret, CacheLimits)>,
    caches: Caches,
    tells: bool,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

/// What an endpoint keeps for others, in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheUse {
    /// Messages.
    pub messages: usize,
    /// Bytes, as they count against the limit.
    pub bytes: u64,
}

#[derive(Debug)]
struct Running {
    core: Arc<Core>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.core.stop.send_replace(true);
        self.core.tell();
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Builder {
    /// Boxes over these links, sealed with these keys, kept in memory, without a cache.
    pub fn new(network: Arc<dyn Network>, sealer: Arc<dyn Sealer>) -> Self {
        Self {
            network,
            sealer,
            store: Arc::new(MemoryStore::new()),
            cache: None,
            caches: Caches::none(),
            tells: true,
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Where to keep what is sent, until there is a receipt, and what was received, until it is acknowledged.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    /// Keeps messages for others in this store, which may be the same one. `secret` is needed again to read it.
    #[must_use]
    pub fn cache(mut self, store: Arc<dyn Store>, secret: CacheSecret, limits: CacheLimits) -> Self {
        self.cache = Some((store, secret, limits));
        self
    }

    /// With whom messages are left. See [`Boxes::set_caches`].
    #[must_use]
    pub fn caches(mut self, caches: Caches) -> Self {
        self.caches = caches;
        self
    }

    /// Whether those we have links with are told our [`Caches`] for all, up to four of them, so that they leave there what is for us. By
    /// that they learn who our caches are; they are asked to use only those that they have links with too. Default: yes.
    #[must_use]
    pub fn tell_caches(mut self, tells: bool) -> Self {
        self.tells = tells;
        self
    }

    /// How much, how long.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The time of day. Default: the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Reads the stores, registers the channel's handler, and starts, in the tokio runtime that this is called in. The stores
    /// are read in this thread.
    ///
    /// # Errors
    /// [`StartError`]: a store that cannot be read, or a network that has boxes already.
    pub fn start(self) -> Result<Boxes, StartError> {
        let own_limits = ShelfLimits {
            per_giver: u64::MAX,
            per_recipient: u64::MAX,
            total: self.limits.inbox,
            max_message: u32::try_from(MAX_SEALED).unwrap_or(u32::MAX),
            time_to_live: u64::MAX,
            evicts: false,
        };
        let inbox = InboxState::load(&*self.store, own_limits, self.limits.inbox_per_sender)?;
        let outbox = OutboxState::load(&*self.store)?;
        let told = Told::load(&*self.store)?;
        let cached = match &self.cache {
            Some((store, secret, limits)) => {
                let keying = Keying::Secret(secret.clone());
                let shelf = load_shelf(&**store, CACHE, &keying, shelf_limits(limits))?;
                Some((store.clone(), keying, shelf))
            }
            None => None,
        };
        let (own, task) = Disk::start(self.store.clone())?;
        let mut tasks = vec![task];
        let cache = match cached {
            Some((store, keying, shelf)) => {
                let disk = if Arc::ptr_eq(&store, &self.store) {
                    own.clone()
                } else {
                    let (disk, task) = Disk::start(store)?;
                    tasks.push(task);
                    disk
                };
                Some(CacheSide { disk, keying, shelf: Mutex::new(shelf) })
            }
            None => None,
        };
        let core = Arc::new(Core {
            me: self.network.hashname(),
            network: self.network,
            sealer: self.sealer,
            clock: self.clock,
            limits: self.limits,
            own,
            first_row: outbox.next_free_row(),
            outbox: Mutex::new(outbox),
            inbox: Mutex::new(inbox),
            receipts: Mutex::new(Receipts::default()),
            cache,
            peers: Mutex::new(Peers::default()),
            choice: Choice { ours: RwLock::new(self.caches), told: Mutex::new(told), tells: self.tells },
            changed: watch::Sender::new(()),
            stop: watch::Sender::new(false),
        });
        core.network.handle(BOX, Arc::new(Taker { core: Arc::downgrade(&core) }))?;
        // Subscribed before anybody looks who is up.
        let events = core.network.link_events();
        tasks.push(tokio::spawn(follow(core.clone(), events)).abort_handle());
        tasks.push(tokio::spawn(tick(core.clone())).abort_handle());
        Ok(Boxes { running: Arc::new(Running { core, tasks }) })
    }
}

fn shelf_limits(limits: &CacheLimits) -> ShelfLimits {
    ShelfLimits {
        per_giver: limits.per_sender,
        per_recipient: limits.per_recipient,
        total: limits.total,
        max_message: u32::try_from(limits.max_message.min(MAX_SEALED)).unwrap_or(u32::MAX),
        time_to_live: limits.time_to_live.as_secs(),
        evicts: true,
    }
}

impl Boxes {
    /// Starts collecting what boxes need.
    pub fn builder(network: Arc<dyn Network>, sealer: Arc<dyn Sealer>) -> Builder {
        Builder::new(network, sealer)
    }

    /// To send with, under the empty label; see [`Outbox::labelled`].
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.running.core.clone())
    }

    /// The messages without a label, one reader at a time.
    ///
    /// # Errors
    /// [`InboxTaken`].
    pub fn inbox(&self) -> Result<Inbox, InboxTaken> {
        self.inbox_of(Label::default())
    }

    /// The messages of one application, one reader at a time.
    ///
    /// # Errors
    /// [`InboxTaken`].
    pub fn inbox_of(&self, label: Label) -> Result<Inbox, InboxTaken> {
        Inbox::new(self.running.core.clone(), label)
    }

    /// What has arrived and is not acknowledged, of all labels, the oldest first.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        let show = |delivery: crate::inbox::state::Delivery| Waiting {
            id: delivery.id,
            from: delivery.sender,
            label: delivery.header.label,
            size: delivery.size,
            sent_at: delivery.header.sent_at,
        };
        lock(&self.running.core.inbox).waiting().into_iter().map(show).collect()
    }

    /// From now on messages whose recipient is away are left with these, and others are told those for all.
    pub fn set_caches(&self, caches: Caches) {
        let core = &self.running.core;
        *core.choice.ours.write().unwrap_or_else(PoisonError::into_inner) = caches;
        rewind_all(core);
        reach_all(core);
        let up = {
            let mut peers = lock(&core.peers);
            peers.all_untold();
            peers.all()
        };
        // They are told.
        up.iter().for_each(|peer| core.kick(peer));
    }

    /// With whom messages are left.
    #[must_use]
    pub fn caches(&self) -> Caches {
        self.running.core.choice.ours.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The caches that this endpoint has told us to be its own.
    #[must_use]
    pub fn caches_told_by(&self, peer: &Hashname) -> Vec<Hashname> {
        lock(&self.running.core.choice.told).of(peer)
    }

    /// What is kept for others; `None` if this endpoint does not cache.
    #[must_use]
    pub fn cache_use(&self) -> Option<CacheUse> {
        let shelf = lock(&self.running.core.cache.as_ref()?.shelf);
        Some(CacheUse { messages: shelf.len(), bytes: shelf.total() })
    }

    /// Waits until what was sent with this label since the start is with its recipient or a cache, for an endpoint that is about
    /// to end. What has no cache that it could be with is not waited for. Whether it is, within this time.
    pub async fn handed_over(&self, label: &Label, limit: Duration) -> bool {
        let core = &self.running.core;
        let mut changes = core.changed.subscribe();
        let handed_over = async {
            loop {
                changes.borrow_and_update();
                let kept = lock(&core.outbox).kept_since(core.first_row, label);
                if kept.iter().all(|recipient| core.caches_for(recipient).is_empty())
                    || changes.changed().await.is_err()
                {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, handed_over).await.is_ok()
    }

    /// Waits until all receipts are with their senders or a cache, for an endpoint that is about to end. Whether they are, within
    /// this time.
    pub async fn flush(&self, limit: Duration) -> bool {
        let core = &self.running.core;
        let mut changes = core.changed.subscribe();
        let flushed = async {
            while !lock(&core.receipts).is_empty() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, flushed).await.is_ok()
    }
}

/// Follows the links up and down.
async fn follow(core: Arc<Core>, mut events: LinkEvents) {
    core.network.peers().into_iter().for_each(|peer| came_up(&core, peer));
    reach_all(&core);
    while let Some(event) = events.next().await {
        match event {
            LinkEvent::Up { peer } => came_up(&core, peer),
            LinkEvent::Down { peer, .. } => went_down(&core, &peer),
            _ => {
                let up = core.network.peers();
                let known = lock(&core.peers).all();
                known.iter().filter(|peer| !up.contains(peer)).for_each(|peer| went_down(&core, peer));
                up.into_iter().for_each(|peer| came_up(&core, peer));
            }
        }
    }
}

fn came_up(core: &Arc<Core>, peer: Hashname) {
    let next_row = lock(&core.outbox).next_free_row();
    lock(&core.peers).came_up(peer, next_row);
    lock(&core.receipts).not_sent(&peer);
    core.kick(&peer);
    core.watch(&peer);
    // A peer may be a cache for somebody, and what is held back for it is offered then.
    if core.is_cache(&peer) && next_row > 0 {
        let core = Arc::downgrade(core);
        tokio::spawn(async move {
            tokio::time::sleep(HOLD_BACK).await;
            if let Some(core) = core.upgrade() {
                lock(&core.peers).rewind(&peer);
                core.kick(&peer);
            }
        });
    }
}

/// What was for a peer that is down goes to its caches now.
fn went_down(core: &Arc<Core>, peer: &Hashname) {
    lock(&core.peers).went_down(peer);
    core.kick_caches_of(peer);
    // What only this cache was to keep goes to others.
    let is_theirs = lock(&core.choice.told).contains(peer);
    if is_theirs {
        rewind_all(core);
        reach_all(core);
    }
}

fn rewind_all(core: &Core) {
    let mut peers = lock(&core.peers);
    for peer in peers.all() {
        peers.rewind(&peer);
    }
}

/// Makes the links that messages of before need, and gives what waits to those that are there.
fn reach_all(core: &Arc<Core>) {
    let recipients: std::collections::BTreeSet<_> =
        lock(&core.outbox).rows.values().map(|outgoing| outgoing.recipient).collect();
    recipients.iter().for_each(|recipient| core.reach(recipient));
}

/// Looks now and then at what has expired, and offers again what is due.
async fn tick(core: Arc<Core>) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let now = core.clock.seconds();
        lock(&core.outbox).expire(now);
        {
            let mut inbox = lock(&core.inbox);
            inbox.expire(now);
        }
        if let Some(cache) = &core.cache {
            lock(&cache.shelf).expire(now);
            report(cache.clean().await);
        }
        report(core.clean_outbox().await);
        report(core.clean_inbox().await);
        let due = lock(&core.peers).due();
        for peer in &due {
            lock(&core.receipts).not_sent(peer);
            core.kick(peer);
        }
        core.tell();
    }
}

fn report(cleaned: Result<(), crate::StoreError>) {
    if let Err(error) = cleaned {
        tracing::warn!(%error, "a store of messages could not be cleaned; it is tried again");
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("caches", &self.caches)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// How often time is looked at. Nothing here depends on it being soon.
const TICK: Duration = Duration::from_secs(60);
