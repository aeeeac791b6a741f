//! How far a transfer is, for whoever shows it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::report::{Problem, Renamed};

/// Counts a transfer while it runs. Cheap to clone; all clones count the same. Read it as often as it is shown: ten times a
/// second is plenty.
///
/// One `Progress` is for one attempt; counts of a second one would be added up.
#[derive(Clone, Default)]
pub struct Progress(Arc<Inner>);

type Listener = dyn Fn(&Event) + Send + Sync;

#[derive(Default)]
struct Inner {
    entries_total: AtomicU64,
    entries: AtomicU64,
    files_total: AtomicU64,
    files: AtomicU64,
    bytes_total: AtomicU64,
    bytes: AtomicU64,
    bytes_transferred: AtomicU64,
    current: Mutex<String>,
    listener: Option<Box<Listener>>,
}

/// The counts at one moment. Rate: the difference of `bytes_transferred` between two moments. Time left:
/// `bytes_total - bytes` at that rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Files, folders and links of the transfer.
    pub entries_total: u64,
    /// Of these, how many are dealt with: on the receiver's disk, or given up with a reason.
    pub entries: u64,
    /// Files of the transfer.
    pub files_total: u64,
    /// Of these, how many are through: sent or received, or needed no data, or given up.
    pub files: u64,
    /// Bytes in all files of the transfer.
    pub bytes_total: u64,
    /// Of these, how many need no more data.
    pub bytes: u64,
    /// Bytes of file data that crossed the link in this attempt.
    pub bytes_transferred: u64,
}

/// Something happened to an entry. Paths are the peer's or at least somebody's: show them through
/// [`escaped`](crate::escaped).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Data of this file starts to be sent, or to arrive.
    Started {
        /// Its path inside the transfer.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// Bytes of it that were there from an earlier attempt.
        from: u64,
    },
    /// All data of this file was sent, or has arrived and is right.
    Finished {
        /// Its path inside the transfer.
        path: String,
    },
    /// An entry was given up.
    Problem(Problem),
    /// The receiver's: a file was given another name.
    Renamed(Renamed),
}

impl Progress {
    /// Counts only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also calls `listener` for what happens to single entries, on the transfer's own threads: it should be quick, since
    /// the transfer waits for it.
    pub fn with_events(listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { listener: Some(Box::new(listener)), ..Inner::default() }))
    }

    /// The counts now.
    pub fn now(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            entries_total: read(&self.0.entries_total),
            entries: read(&self.0.entries),
            files_total: read(&self.0.files_total),
            files: read(&self.0.files),
            bytes_total: read(&self.0.bytes_total),
            bytes: read(&self.0.bytes),
            bytes_transferred: read(&self.0.bytes_transferred),
        }
    }

    /// The file in work, as a path inside the transfer; empty before the first. Show it through
    /// [`escaped`](crate::escaped).
    pub fn current(&self) -> String {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_totals(&self, entries: u64, files: u64, bytes: u64) {
        self.0.entries_total.store(entries, Ordering::Relaxed);
        self.0.files_total.store(files, Ordering::Relaxed);
        self.0.bytes_total.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn started(&self, path: &str, size: u64, from: u64) {
        path.clone_into(&mut self.0.current.lock().unwrap_or_else(PoisonError::into_inner));
        self.add_bytes(from);
        self.emit(|| Event::Started { path: path.to_owned(), size, from });
    }

    /// File data crossed the link.
    pub(crate) fn transferred(&self, bytes: u64) {
        self.0.bytes_transferred.fetch_add(bytes, Ordering::Relaxed);
        self.add_bytes(bytes);
    }

    /// Bytes that need no data, or no more.
    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that were counted although their file was given up halfway and is counted whole with `file_through`.
    pub(crate) fn take_back(&self, bytes: u64) {
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn file_through(&self) {
        self.0.files.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn finished(&self, path: &str) {
        self.file_through();
        self.emit(|| Event::Finished { path: path.to_owned() });
    }

    pub(crate) fn settled(&self, entries: u64) {
        self.0.entries.fetch_max(entries, Ordering::Relaxed);
    }

    pub(crate) fn problem(&self, problem: &Problem) {
        self.emit(|| Event::Problem(problem.clone()));
    }

    pub(crate) fn renamed(&self, renamed: &Renamed) {
        self.emit(|| Event::Renamed(renamed.clone()));
    }

    fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(listener) = &self.0.listener {
            listener(&event());
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Progress").field(&self.now()).finish()
    }
}
