//! The files of an offer as they are opened: in the list's order, relative to open folders, no link followed.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::disk::{Dir, Meta};
use crate::offer::List;
use crate::report::Reason;
use crate::wire::{Content, Entry};

pub(super) struct Source {
    list: Arc<List>,
    /// Which of the list's roots comes next.
    next_root: usize,
    /// The open folders, the outermost first; why not, for one that could not be opened.
    folders: Vec<Result<Dir, Reason>>,
}

impl Source {
    pub(super) fn new(list: Arc<List>) -> Self {
        Self { list, next_root: 0, folders: Vec::new() }
    }

    /// Goes on to the next entry of the list.
    pub(super) fn step(&mut self, entry: &Entry) {
        self.folders.truncate(entry.depth);
        if entry.depth == 0 {
            self.next_root += 1;
        }
        if !matches!(entry.content, Content::Folder { .. }) {
            return;
        }
        let folder = match self.folders.last() {
            None => self.root_path().map(Dir::open_path),
            Some(Ok(folder)) => Ok(folder.open_dir(&*entry.name)),
            Some(Err(_)) => Err(Reason::Folder),
        };
        self.folders.push(folder.and_then(|opened| opened.map_err(|error| reason(&error))));
    }

    /// Opens the file that was just stepped to, if it is still what was listed.
    pub(super) fn open(&self, entry: &Entry) -> Result<File, Reason> {
        let opened = match self.folders.last() {
            None => self.root_path().map(Dir::open_path_file)?,
            Some(Ok(folder)) => folder.open_file(&*entry.name),
            Some(Err(reason)) => {
                return Err(if *reason == Reason::Vanished { *reason } else { Reason::Folder });
            }
        };
        let (file, meta) = opened.map_err(|error| reason(&error))?;
        if is_as_listed(&meta, entry) { Ok(file) } else { Err(Reason::Changed) }
    }

    fn root_path(&self) -> Result<&std::path::Path, Reason> {
        let root = self.next_root.checked_sub(1).and_then(|index| self.list.roots.get(index));
        root.map(|root| root.path.as_path()).ok_or(Reason::Vanished)
    }
}

/// Whether an open file has not changed since it was listed.
pub(super) fn is_unchanged(file: &File, entry: &Entry) -> bool {
    file.metadata().is_ok_and(|metadata| is_as_listed(&Meta::of(&metadata), entry))
}

fn is_as_listed(meta: &Meta, entry: &Entry) -> bool {
    match entry.content {
        Content::File { size, modified, .. } => meta.size == size && meta.modified == modified,
        Content::Folder { .. } | Content::Link { .. } => false,
    }
}

fn reason(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::NotFound => Reason::Vanished,
        io::ErrorKind::PermissionDenied => Reason::Permission,
        // Something else has taken its name: a link, a folder, a pipe.
        io::ErrorKind::InvalidInput | io::ErrorKind::NotADirectory => Reason::Changed,
        _ => Reason::Unreadable,
    }
}
