//! Brings changes into the store: at once if it is quick, else in groups, by a task that waits for it where waiting is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use telemesh_hashname::Hashname;
use telemesh_link::PeerRecord;
use tokio::sync::{Notify, watch};

use crate::cell::LinkCell;
use crate::store::{Change, PeerStore};

/// How long a store that has failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// What was changed is not stored.
#[derive(Debug, Clone, thiserror::Error)]
#[error("what was changed could not be stored: {0}")]
pub struct StoreError(#[from] Arc<io::Error>);

/// See the module's page.
pub(crate) struct Saver {
    store: Arc<dyn PeerStore>,
    pending: Mutex<Pending>,
    arrived: Notify,
    progress: watch::Sender<Progress>,
}

/// What waits for the store.
#[derive(Default)]
struct Pending {
    changes: Vec<Change>,
    /// Links whose record has changed.
    cells: BTreeMap<Hashname, Arc<LinkCell>>,
    /// How many times something was added.
    asked: u64,
    /// No link waits any more.
    ended: bool,
}

#[derive(Clone, Default)]
struct Progress {
    /// Everything up to here is stored, counted as [`Pending::asked`].
    done: u64,
    /// Why what comes next is not.
    failed: Option<Arc<io::Error>>,
}

/// A group on its way into the store.
struct Group {
    changes: Vec<Change>,
    records: Vec<(Arc<LinkCell>, PeerRecord)>,
    asked: u64,
}

/// Why something is not stored any more.
const ENDED: &str = "the endpoint has ended";

impl Saver {
    pub(crate) fn new(store: Arc<dyn PeerStore>) -> Self {
        Self {
            store,
            pending: Mutex::default(),
            arrived: Notify::new(),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    pub(crate) fn store(&self) -> &dyn PeerStore {
        &*self.store
    }

    /// Stores a change. May be called under any lock but a link's.
    pub(crate) fn change(&self, change: Change) {
        let mut pending = self.pending.lock();
        pending.asked += 1;
        pending.changes.push(change);
        // Links are left to those who have added them: they go on when they are stored, and may want the caller's lock.
        self.save(pending, false);
    }

    /// Stores the record of a link, and then lets the link answer. Call it under no lock.
    pub(crate) fn record(&self, cell: &Arc<LinkCell>) {
        let mut pending = self.pending.lock();
        pending.asked += 1;
        if !pending.ended {
            pending.cells.insert(cell.peer, cell.clone());
        }
        self.save(pending, true);
    }

    /// Stores what waits, in this thread if the store is quick.
    fn save(&self, mut pending: MutexGuard<'_, Pending>, with_cells: bool) {
        // A change must not overtake one that could not be stored, so a store that has failed gets what follows from the task.
        if !self.store.is_immediate() || self.progress.borrow().failed.is_some() {
            return self.arrived.notify_one();
        }
        // The lock is held until it is stored: an older record must never come last.
        let group = Group::of(&mut pending, with_cells);
        let result = save(&*self.store, &group.changes);
        if result.is_err() {
            pending.take_back(&group);
        }
        drop(pending);
        self.finish(group, result);
    }

    /// Whether nothing waits for the store.
    fn is_idle(&self) -> bool {
        let pending = self.pending.lock();
        pending.changes.is_empty() && pending.cells.is_empty()
    }

    /// Waits until everything that was added before is stored.
    ///
    /// # Errors
    /// When the store has failed meanwhile, and what was changed is kept and tried again; or when the endpoint has ended before.
    pub(crate) async fn saved(&self) -> Result<(), StoreError> {
        let (asked, ended) = {
            let pending = self.pending.lock();
            (pending.asked, pending.ended)
        };
        // Nobody is left who would store it.
        if ended && self.progress.borrow().done < asked {
            return Err(StoreError(Arc::new(io::Error::other(ENDED))));
        }
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|progress| progress.done >= asked || progress.failed.is_some()).await;
        match reached.map(|progress| progress.failed.clone()) {
            Ok(Some(error)) => Err(StoreError(error)),
            _ => Ok(()),
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.arrived.notified().await;
            while !self.is_idle() {
                let group = Group::of(&mut self.pending.lock(), true);
                let (store, changes) = (self.store.clone(), group.changes.clone());
                let result = if store.is_immediate() {
                    save(&*store, &changes)
                } else {
                    let saved = tokio::task::spawn_blocking(move || save(&*store, &changes)).await;
                    saved.unwrap_or_else(|_| Err(io::Error::other("the runtime is ending")))
                };
                let failed = result.is_err();
                if failed {
                    self.pending.lock().take_back(&group);
                }
                self.finish(group, result);
                if failed {
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Nothing is stored from here on, and links that wait are let go: they hold the endpoint, and that holds this.
    pub(crate) fn end(&self) {
        // One lock at a time: whoever saves looks at the progress while it holds the other.
        let (asked, cells) = {
            let mut pending = self.pending.lock();
            pending.ended = true;
            (pending.asked, std::mem::take(&mut pending.cells))
        };
        drop(cells);
        let done = self.progress.borrow().done;
        if done < asked {
            let error = Arc::new(io::Error::other(ENDED));
            self.progress.send_modify(|progress| progress.failed = Some(error));
        }
    }

    fn finish(&self, group: Group, result: io::Result<()>) {
        match result {
            Ok(()) => {
                self.progress.send_modify(|progress| {
                    progress.done = progress.done.max(group.asked);
                    progress.failed = None;
                });
                for (cell, record) in group.records {
                    cell.persisted(&record);
                }
            }
            Err(error) => {
                tracing::error!(%error, "what was changed could not be stored; it is tried again");
                self.progress.send_modify(|progress| progress.failed = Some(Arc::new(error)));
                self.arrived.notify_one();
            }
        }
    }
}

/// Calls the store. If it panics it has not saved.
fn save(store: &dyn PeerStore, changes: &[Change]) -> io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    // What state the store is in after a panic is its own affair; nothing of ours is in its hands.
    catch_unwind(AssertUnwindSafe(|| store.save(changes)))
        .unwrap_or_else(|_| Err(io::Error::other("the store has panicked")))
}

impl Group {
    /// What waits, with or without the links. Records are taken as they are by now.
    fn of(pending: &mut Pending, with_cells: bool) -> Self {
        let mut changes = std::mem::take(&mut pending.changes);
        let cells = if with_cells { std::mem::take(&mut pending.cells) } else { BTreeMap::new() };
        let cells = cells.into_values();
        let records: Vec<_> = cells.filter_map(|cell| cell.record().map(|record| (cell, record))).collect();
        changes.extend(records.iter().map(|(cell, record)| Change::Record(cell.peer, record.clone())));
        Self { changes, records, asked: pending.asked }
    }
}

impl Pending {
    /// A group could not be stored: it comes before what was added since.
    fn take_back(&mut self, group: &Group) {
        let is_record = |change: &&Change| matches!(change, Change::Record(..));
        let earlier = group.changes.iter().filter(|change| !is_record(change)).cloned();
        self.changes.splice(0..0, earlier);
        for (cell, _) in group.records.iter().filter(|_| !self.ended) {
            self.cells.entry(cell.peer).or_insert_with(|| cell.clone());
        }
    }
}

impl fmt::Debug for Saver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saver").field("idle", &self.is_idle()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::store::{MemoryStore, Remembered, Stored};

    #[test]
    fn whoever_ends_it_holds_no_lock_while_waiting_for_the_other() {
        let saver = Arc::new(Saver::new(Arc::new(MemoryStore::default())));
        // Somebody saves, and will want to know the progress under this lock.
        let pending = saver.pending.lock();
        let ending = saver.clone();
        let ending = thread::spawn(move || ending.end());
        // Long enough that it waits, too.
        thread::sleep(Duration::from_millis(200));
        let (finishing, (tell, told)) = (saver.clone(), mpsc::channel());
        thread::spawn(move || {
            finishing.progress.send_modify(|_| ());
            tell.send(())
        });
        let finished = told.recv_timeout(Duration::from_secs(10));
        drop(pending);
        ending.join().unwrap();
        finished.expect("a group is stored while somebody ends it");
    }

    /// A store that takes its time, and whose task has ended.
    struct Slow;

    impl PeerStore for Slow {
        fn load(&self) -> io::Result<Stored> {
            Ok(Stored::default())
        }

        fn peer(&self, _: &Hashname) -> io::Result<Remembered> {
            Ok(Remembered::default())
        }

        fn save(&self, _: &[Change]) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_what_is_changed_after_the_end() {
        use std::future::Future as _;
        use std::task::{Context, Poll, Waker};

        let saver = Saver::new(Arc::new(Slow));
        let forgotten = || Change::Forgotten(Hashname::from_bytes([7; 32]));
        let mut cx = Context::from_waker(Waker::noop());
        let mut ask = || std::pin::pin!(saver.saved()).poll(&mut cx);
        assert!(matches!(ask(), Poll::Ready(Ok(()))), "nothing was changed");
        saver.end();
        saver.change(forgotten());
        assert!(matches!(ask(), Poll::Ready(Err(_))));
    }
}
