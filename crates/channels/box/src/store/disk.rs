//! A store with its queue: commits wait in order and are made in groups, each group with one sync.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::{Change, Store, StoreError, keys};
use crate::limits::PART;

/// See the module's page. Clones share the store and the queue.
#[derive(Clone)]
pub(crate) struct Disk {
    store: Arc<dyn Store>,
    queue: mpsc::UnboundedSender<Job>,
}

struct Job {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Disk {
    /// Checks the store's format, and starts the task that commits.
    pub(crate) fn start(store: Arc<dyn Store>) -> Result<(Self, AbortHandle), StoreError> {
        match store.read(keys::FORMAT_KEY)? {
            None => {
                let format = Bytes::from_static(&[keys::FORMAT]);
                store.commit(&[Change::Put(keys::FORMAT_KEY.to_vec(), format)])?;
            }
            Some(format) if format[..] == [keys::FORMAT] => {}
            Some(format) => {
                return Err(StoreError::Damaged(format!(
                    "its format is {format:?}, this program knows {}",
                    keys::FORMAT
                )));
            }
        }
        // Who adds to the queue waits for the answer, and how many of them there are is bounded: by the windows of
        // sessions, and by the callers of the application.
        let (queue, jobs) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(store.clone(), jobs)).abort_handle();
        Ok((Self { store, queue }, task))
    }

    /// Puts these changes in line behind all that were put there before, now; the future tells when they are made.
    pub(crate) fn commit(
        &self,
        changes: Vec<Change>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let (done, made) = oneshot::channel();
        // Without the task nobody answers, which the future sees.
        let _ = self.queue.send(Job { changes, done });
        async move { made.await.unwrap_or(Err(StoreError::Ended)) }
    }

    /// Calls the store where it may wait.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.store.is_immediate() {
            return act(&*self.store);
        }
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || act(&*store)).await.unwrap_or(Err(StoreError::Ended))
    }

    /// One part of a message.
    pub(crate) async fn part(
        &self,
        place: keys::Place,
        number: u64,
        index: u32,
    ) -> Result<Option<Bytes>, StoreError> {
        self.with(move |store| store.read(&keys::part(place, number, index))).await
    }

    /// All of a message; `None` if a part is missing.
    pub(crate) async fn whole(
        &self,
        place: keys::Place,
        number: u64,
        size: u32,
    ) -> Result<Option<Bytes>, StoreError> {
        self.with(move |store| {
            if parts_of(size) == 1 {
                return store.read(&keys::part(place, number, 0));
            }
            let mut whole = Vec::with_capacity(size_in_memory(size));
            for index in 0..parts_of(size) {
                match store.read(&keys::part(place, number, index))? {
                    Some(part) => whole.extend_from_slice(&part),
                    None => return Ok(None),
                }
            }
            Ok(Some(whole.into()))
        })
        .await
    }
}

/// Commits what waits, as much as fits in one group, until nobody can add anything.
async fn run(store: Arc<dyn Store>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut size: usize = first.changes.iter().map(Change::size).sum();
        let mut group = vec![first];
        while group.len() < MAX_GROUP
            && size < MAX_GROUP_BYTES
            && let Ok(job) = jobs.try_recv()
        {
            size += job.changes.iter().map(Change::size).sum::<usize>();
            group.push(job);
        }
        if store.is_immediate() {
            commit(&*store, group);
        } else {
            let store = store.clone();
            // A panic in a store loses the answers of its group, which is what their askers then hear.
            let _ = tokio::task::spawn_blocking(move || commit(&*store, group)).await;
        }
    }
}

/// Commits all jobs at once, or, if that fails, one by one: one that does not fit takes nobody with it.
fn commit(store: &dyn Store, group: Vec<Job>) {
    if let [only] = &group[..] {
        let made = store.commit(&only.changes);
        return answer(group, &made);
    }
    let all: Vec<_> = group.iter().flat_map(|job| job.changes.iter().cloned()).collect();
    match store.commit(&all) {
        Ok(()) => answer(group, &Ok(())),
        Err(_) => {
            for job in group {
                let made = store.commit(&job.changes);
                answer(vec![job], &made);
            }
        }
    }
}

fn answer(group: Vec<Job>, made: &Result<(), StoreError>) {
    for job in group {
        // Who does not wait any more does not want to know.
        let _ = job.done.send(made.clone());
    }
}

/// How many parts a message of this size has.
pub(crate) fn parts_of(size: u32) -> u32 {
    size.div_ceil(u32::try_from(PART).unwrap_or(u32::MAX))
}

fn size_in_memory(size: u32) -> usize {
    usize::try_from(size).unwrap_or(0)
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

/// Jobs of one group. More bring no speed, and the first of them would wait longer.
const MAX_GROUP: usize = 2_048;

/// Bytes of one group, in which a last job may go over.
const MAX_GROUP_BYTES: usize = 8 << 20;
