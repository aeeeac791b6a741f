//! Giving a file or link its name, whatever is there.

use std::io;
use std::sync::Arc;

use super::decide::hash_of;
use super::target::Existing;
use crate::disk::{Dir, Kind};
use crate::limits::MAX_NAME;
use crate::report::Reason;
use crate::wire::{Content, Entry, Hash};

/// Most numbers that are tried for a name that is taken; each costs a look.
const MAX_NUMBER: u32 = 10_000;

/// How an entry got its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placed {
    New,
    /// The same was there.
    There,
    Renamed(String),
}

pub(super) struct Places {
    existing: Existing,
    /// Where parts are.
    parts: Arc<Dir>,
}

impl Places {
    pub(super) fn new(existing: Existing, parts: Arc<Dir>) -> Self {
        Self { existing, parts }
    }

    /// Puts a part, or a link, in a folder. A part that is not needed is removed.
    pub(super) fn put(
        &self,
        parent: &Dir,
        entry: &Entry,
        part: Option<(&str, Hash)>,
    ) -> io::Result<Result<Placed, Reason>> {
        let name = &*entry.name;
        if self.try_put(parent, entry, part, name)? {
            return Ok(Ok(Placed::New));
        }
        if self.is_same(parent, entry, part, name)? {
            return self.there(part).map(Ok);
        }
        match self.existing {
            Existing::Refuse => Ok(Err(Reason::Exists)),
            Existing::Overwrite => self.put_over(parent, entry, part),
            Existing::Rename => {
                for number in 1..=MAX_NUMBER {
                    let numbered = numbered(name, number);
                    if self.try_put(parent, entry, part, &numbered)? {
                        return Ok(Ok(Placed::Renamed(numbered)));
                    }
                    // From an attempt that was cut off, or an earlier transfer.
                    if self.is_same(parent, entry, part, &numbered)? {
                        return self.there(part).map(Ok);
                    }
                }
                Ok(Err(Reason::Exists))
            }
        }
    }

    fn there(&self, part: Option<(&str, Hash)>) -> io::Result<Placed> {
        if let Some((part, _)) = part {
            self.parts.remove_file(part)?;
        }
        Ok(Placed::There)
    }

    /// Takes a name that is free; whether it was.
    fn try_put(
        &self,
        parent: &Dir,
        entry: &Entry,
        part: Option<(&str, Hash)>,
        name: &str,
    ) -> io::Result<bool> {
        let put = match (&entry.content, part) {
            (Content::Link { target, modified }, _) => parent.make_link(target, name, *modified),
            (_, Some((part, _))) => match self.parts.move_new(part, parent, name) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    let copied = self.copy(parent, entry, part)?;
                    let moved = parent.move_new(&copied, parent, name);
                    if moved.is_err() {
                        parent.remove_file(&*copied)?;
                    } else {
                        self.parts.remove_file(part)?;
                    }
                    moved
                }
                moved => moved,
            },
            (_, None) => Ok(()),
        };
        match put {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn put_over(
        &self,
        parent: &Dir,
        entry: &Entry,
        part: Option<(&str, Hash)>,
    ) -> io::Result<Result<Placed, Reason>> {
        let name = &*entry.name;
        let found = parent.look(name)?;
        if found.is_some_and(|meta| matches!(meta.kind, Kind::Folder | Kind::Special)) {
            return Ok(Err(Reason::InTheWay));
        }
        match (&entry.content, part) {
            (Content::Link { target, modified }, _) => {
                // Made beside it, so that there is always one or the other.
                let beside = beside(name);
                parent.make_link(target, &beside, *modified)?;
                parent.move_over(&beside, parent, name)?;
            }
            (_, Some((part, _))) => match self.parts.move_over(part, parent, name) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    let copied = self.copy(parent, entry, part)?;
                    parent.move_over(&copied, parent, name)?;
                    self.parts.remove_file(part)?;
                }
                moved => moved?,
            },
            (_, None) => {}
        }
        Ok(Ok(Placed::New))
    }

    /// Copies a part into a folder of another file system, synced, under a name that says what it is.
    fn copy(&self, parent: &Dir, entry: &Entry, part: &str) -> io::Result<String> {
        let Content::File { mode: _, modified, .. } = entry.content else { return Ok(String::new()) };
        let (mut from, meta) = self.parts.open_file(part)?;
        let beside = beside(&entry.name);
        match parent.remove_file(&*beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut to = parent.make_file(&beside)?;
        io::copy(&mut from, &mut to)?;
        Dir::set_file_meta(&to, meta.mode, modified)?;
        to.sync_all()?;
        Ok(beside)
    }

    /// Whether what has this name is what is to be put there.
    fn is_same(
        &self,
        parent: &Dir,
        entry: &Entry,
        part: Option<(&str, Hash)>,
        name: &str,
    ) -> io::Result<bool> {
        let Some(found) = parent.look(name)? else { return Ok(false) };
        match (&entry.content, part) {
            (Content::Link { target, .. }, _) => {
                Ok(found.kind == Kind::Link && parent.read_link(name)? == **target)
            }
            (Content::File { size, .. }, Some((_, hash))) => {
                Ok(found.kind == Kind::File && found.size == *size && hash_of(parent, name, *size)? == hash)
            }
            _ => Ok(false),
        }
    }
}

/// `name.txt` with a number: `name (1).txt`, within the longest name.
fn numbered(name: &str, number: u32) -> String {
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    let number = format!(" ({number})");
    // An extension so long is none.
    let (stem, extension) =
        if extension.len() + number.len() < MAX_NAME { (stem, extension) } else { (name, "") };
    let room = MAX_NAME - number.len() - extension.len();
    let stem = stem.get(..stem.floor_char_boundary(room)).unwrap_or_default();
    format!("{stem}{number}{extension}")
}

/// A name beside another one, for a moment.
fn beside(name: &str) -> String {
    let end = name.floor_char_boundary(MAX_NAME - 32);
    format!(".{}.telemesh-partial", name.get(..end).unwrap_or_default())
}
