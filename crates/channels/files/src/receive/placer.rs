//! The second thread behind a transfer that is received: syncs what has arrived, puts it in place, and only then says so.
//!
//! The order is the promise: content is on the disk before a file gets its name, the name before the journal says so, the
//! journal before the sender hears of it.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::collect::Collect;
use super::decide::{Fate, writing};
use super::place::{Placed, Places};
use super::state::State;
use super::target::Target;
use super::writer::Fault;
use crate::disk::{Dir, SyncSet};
use crate::list::Tree;
use crate::report::Reason;
use crate::wire::{Content, Entry, FromReceiver, Hash, Time};

/// What the writer hands over.
pub(super) enum Job {
    Batch(Batch),
    /// Start writing a large file to the disk while the rest of it arrives.
    Writeback(File),
}

/// Entries whose turn has come, in the list's order.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    /// The parts among them that were written to.
    pub(super) arrived: SyncSet,
    /// Nothing follows.
    pub(super) last: bool,
}

pub(super) struct Item {
    pub(super) index: u64,
    pub(super) entry: Entry,
    pub(super) fate: Fate,
}

pub(super) struct Placer {
    places: Places,
    folder: Arc<Dir>,
    umask: u32,
    journal: File,
    id: Hash,
    /// The folders of the entry that is dealt with, the outermost first; [`Tree`] has their names.
    open: Vec<OpenFolder>,
    tree: Tree,
    root: Arc<Dir>,
    settled: u64,
    collect: Arc<Collect>,
}

struct OpenFolder {
    folder: Option<Arc<Dir>>,
    /// What it gets when the transfer leaves it, if it was made for it.
    meta: Option<(u32, Time)>,
}

impl Placer {
    pub(super) fn new(target: &Target, state: &State, collect: Arc<Collect>) -> io::Result<Self> {
        let (journal, id) = state.journal()?;
        Ok(Self {
            places: Places::new(target.existing, Arc::clone(&state.folder)),
            folder: Arc::clone(&state.folder),
            umask: state.umask,
            journal,
            id,
            open: Vec::new(),
            tree: Tree::default(),
            root: Arc::clone(&target.root),
            settled: 0,
            collect,
        })
    }

    /// Works until the writer is gone or has handed over the last batch; whether it was the last.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) -> Result<bool, Fault> {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Writeback(file) => file.sync_data()?,
                Job::Batch(batch) => {
                    let last = batch.last;
                    self.batch(batch)?;
                    if last {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    fn batch(&mut self, batch: Batch) -> Result<(), Fault> {
        batch.arrived.sync(&self.root)?;
        let mut changed = SyncSet::default();
        for item in batch.items {
            self.settled = item.index + 1;
            self.item(item, &mut changed)?;
        }
        if batch.last {
            self.leave(0, &mut changed)?;
        }
        changed.sync(&self.root)?;
        if !batch.last {
            State::note_settled(&mut self.journal, &self.id, self.settled)?;
        }
        self.collect.progress.settled(self.settled);
        Ok(self.collect.say_one(&FromReceiver::Settled(self.settled))?)
    }

    fn item(&mut self, item: Item, changed: &mut SyncSet) -> Result<(), Fault> {
        let Item { index, entry, fate } = item;
        self.leave(entry.depth, changed)?;
        self.tree.step(&entry)?;
        let told = matches!(fate, Fate::Refused(_));
        let outcome = match fate {
            Fate::Refused(reason) => {
                if let Content::Folder { .. } = entry.content {
                    self.open.push(OpenFolder { folder: None, meta: None });
                }
                Err(reason)
            }
            Fate::Folder { made } => self.enter(&entry, made, changed)?,
            Fate::Settled => Ok(Placed::There),
            Fate::There => Ok(Placed::There),
            Fate::Link => self.place(&entry, None, index, changed)?,
            Fate::Arrived(hash) => self.place(&entry, Some(hash), index, changed)?,
            Fate::Wanted(_) => Err(Reason::Other),
        };
        match outcome {
            Ok(placed) => self.count(&entry, placed),
            Err(reason) => {
                if !told {
                    self.collect.say_one(&FromReceiver::Refused { index, reason })?;
                }
                self.collect.problem(index, self.tree.path(&entry), reason);
            }
        }
        Ok(())
    }

    fn count(&self, entry: &Entry, placed: Placed) {
        let there = placed == Placed::There;
        self.collect.count(|report| match entry.content {
            Content::File { size, .. } => {
                report.files += 1;
                report.files_already_there += u64::from(there);
                report.bytes += size;
            }
            Content::Folder { .. } => report.folders += 1,
            Content::Link { .. } => report.links += 1,
        });
        if let Placed::Renamed(name) = placed {
            self.collect.renamed(self.tree.path(entry), name);
        }
    }

    /// Puts a file or link in its place.
    fn place(
        &self,
        entry: &Entry,
        hash: Option<Hash>,
        index: u64,
        changed: &mut SyncSet,
    ) -> Result<Result<Placed, Reason>, Fault> {
        let part = State::part(index);
        let placed = match self.parent() {
            Some(parent) => self.places.put(parent, entry, hash.map(|hash| (part.as_str(), hash))),
            None => Ok(Err(Reason::Folder)),
        };
        let placed = match placed {
            Ok(placed) => placed,
            Err(error) => Err(writing(error)?),
        };
        match &placed {
            Ok(Placed::There) => {}
            Ok(_) => {
                if let Some(parent) = self.parent() {
                    changed.add_folder(parent)?;
                }
            }
            Err(_) if hash.is_some() => drop(self.folder.remove_file(&*part)),
            Err(_) => {}
        }
        Ok(placed)
    }

    fn parent(&self) -> Option<&Arc<Dir>> {
        match self.open.last() {
            None => Some(&self.root),
            Some(open) => open.folder.as_ref(),
        }
    }

    fn enter(
        &mut self,
        entry: &Entry,
        made: bool,
        changed: &mut SyncSet,
    ) -> Result<Result<Placed, Reason>, Fault> {
        let opened = match self.parent() {
            Some(parent) => {
                if made {
                    changed.add_folder(parent)?;
                }
                parent.open_dir(&*entry.name)
            }
            None => Err(io::ErrorKind::NotFound.into()),
        };
        let (folder, outcome) = match opened {
            Ok(folder) => (Some(Arc::new(folder)), Ok(if made { Placed::New } else { Placed::There })),
            Err(error) => (None, Err(writing(error)?)),
        };
        let meta = match entry.content {
            Content::Folder { mode, modified } if made => Some((mode & !self.umask, modified)),
            _ => None,
        };
        self.open.push(OpenFolder { folder, meta });
        Ok(outcome)
    }

    /// Leaves the folders deeper than that: nothing will change in them any more.
    fn leave(&mut self, depth: usize, changed: &mut SyncSet) -> Result<(), Fault> {
        while self.open.len() > depth {
            if let Some(OpenFolder { folder: Some(folder), meta: Some((mode, modified)) }) = self.open.pop() {
                folder.set_meta(mode, modified)?;
                changed.add_folder(&folder)?;
            }
        }
        Ok(())
    }
}
