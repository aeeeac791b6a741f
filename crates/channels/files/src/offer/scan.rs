//! Listing files and folders, depth first, names ascending, no link followed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::vec;

use super::list::{AddError, List, ListWriter, Root};
use crate::disk::{Dir, Kind, Meta};
use crate::error::OfferError;
use crate::limits::{MAX_NAMES_IN_FOLDER, MAX_ROOTS};
use crate::list::Tree;
use crate::names::{STATE_FOLDER, check_link, check_name};
use crate::report::{Problem, Reason};
use crate::wire::{Content, Entry};

pub(super) fn scan(paths: impl Iterator<Item = PathBuf>) -> Result<List, OfferError> {
    let mut roots = BTreeMap::new();
    for path in paths {
        let name = root_name(&path)?;
        if roots.len() >= MAX_ROOTS {
            return Err(OfferError::TooMuch);
        }
        if roots.insert(name.clone(), path).is_some() {
            return Err(OfferError::SameName(name.into()));
        }
    }
    if roots.is_empty() {
        return Err(OfferError::Empty);
    }
    let roots: Vec<Root> = roots.into_iter().map(|(name, path)| Root { name, path }).collect();
    let mut scan = Scan { list: ListWriter::new(), tree: Tree::default() };
    for root in &roots {
        scan.root(root)?;
    }
    scan.list.finish(roots).map_err(OfferError::List)
}

/// The last part of a path; for `.` and `..`, of the path that it means.
fn root_name(path: &Path) -> Result<Box<str>, OfferError> {
    let in_path = |source| OfferError::Path { path: path.to_owned(), source };
    let wrong = |reason| OfferError::Name { path: path.to_owned(), reason };
    let name = match path.file_name() {
        Some(name) => name.to_owned(),
        None => {
            let whole = path.canonicalize().map_err(in_path)?;
            whole.file_name().ok_or(wrong("a path without a name"))?.to_owned()
        }
    };
    let name = name.to_str().ok_or(wrong("a name that is not UTF-8"))?;
    check_name(name).map_err(wrong)?;
    Ok(name.into())
}

struct Scan {
    list: ListWriter,
    tree: Tree,
}

/// A folder that is being listed.
struct Level {
    folder: Dir,
    names: vec::IntoIter<OsString>,
}

impl Scan {
    fn root(&mut self, root: &Root) -> Result<(), OfferError> {
        let in_path = |source| OfferError::Path { path: root.path.clone(), source };
        let metadata = std::fs::metadata(&root.path).map_err(in_path)?;
        if metadata.is_dir() {
            let folder = Dir::open_path(&root.path).map_err(in_path)?;
            let meta = folder.look_here().map_err(in_path)?;
            let names = sorted_names(&folder).map_err(in_path)?;
            let content = Content::Folder { mode: meta.mode, modified: meta.modified };
            self.add(&Entry { depth: 0, name: root.name.clone(), content })?;
            self.folders(Level { folder, names })
        } else if metadata.is_file() {
            let meta = Meta::of(&metadata);
            let content = Content::File { mode: meta.mode, modified: meta.modified, size: meta.size };
            self.add(&Entry { depth: 0, name: root.name.clone(), content })
        } else {
            Err(OfferError::Name { path: root.path.clone(), reason: "neither file nor folder" })
        }
    }

    /// Lists a folder and everything below it.
    fn folders(&mut self, outermost: Level) -> Result<(), OfferError> {
        let mut levels = vec![outermost];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            let depth = levels.len();
            let Some(level) = levels.last() else { break };
            if let Some(inner) = self.entry(&level.folder, depth, &name)? {
                levels.push(inner);
            }
        }
        Ok(())
    }

    /// Lists one name, or leaves it out; what it opens if it is a folder.
    fn entry(&mut self, folder: &Dir, depth: usize, os_name: &OsString) -> Result<Option<Level>, OfferError> {
        let shown = os_name.to_string_lossy();
        if shown.eq_ignore_ascii_case(STATE_FOLDER) {
            return Ok(None);
        }
        let Some(name) = os_name.to_str().filter(|name| check_name(name).is_ok()) else {
            self.leave_out(depth, &shown, Reason::Unsendable);
            return Ok(None);
        };
        if !self.tree.has_room_for(depth, name) {
            self.leave_out(depth, name, Reason::PathTooLong);
            return Ok(None);
        }
        let (content, inner) = match self.content(folder, depth, os_name) {
            Ok(found) => found,
            Err(reason) => {
                self.leave_out(depth, name, reason);
                return Ok(None);
            }
        };
        self.add(&Entry { depth, name: name.into(), content })?;
        Ok(inner)
    }

    fn content(
        &self,
        folder: &Dir,
        depth: usize,
        name: &OsString,
    ) -> Result<(Content, Option<Level>), Reason> {
        let meta = folder.look(name).map_err(|error| reading(&error))?.ok_or(Reason::Vanished)?;
        let Meta { mode, modified, size, .. } = meta;
        match meta.kind {
            Kind::File => Ok((Content::File { mode, modified, size }, None)),
            Kind::Folder => {
                // Opened before it is listed: a folder that cannot be read is left out rather than sent empty.
                let inner = folder.open_dir(name).map_err(|error| reading(&error))?;
                let names = sorted_names(&inner).map_err(|error| reading(&error))?;
                Ok((Content::Folder { mode, modified }, Some(Level { folder: inner, names })))
            }
            Kind::Link => {
                let target = folder.read_link(name).map_err(|error| reading(&error))?;
                let target = target.into_string().map_err(|_| Reason::Unsendable)?;
                check_link(&target, depth)?;
                Ok((Content::Link { target: target.into(), modified }, None))
            }
            Kind::Special => Err(Reason::Special),
        }
    }

    fn add(&mut self, entry: &Entry) -> Result<(), OfferError> {
        // Names are sorted and checked, so only the limits of a transfer are left to go wrong.
        self.tree.step(entry).map_err(|_| OfferError::TooMuch)?;
        self.list.add(entry).map_err(|error| match error {
            AddError::TooMuch => OfferError::TooMuch,
            AddError::Io(error) => OfferError::List(error),
        })
    }

    fn leave_out(&mut self, depth: usize, name: &str, reason: Reason) {
        let path = self.tree.path_in(depth, name);
        self.list.leave_out(Problem { path, reason });
    }
}

fn sorted_names(folder: &Dir) -> io::Result<vec::IntoIter<OsString>> {
    let mut names = folder.names(MAX_NAMES_IN_FOLDER)?;
    // By bytes, which is how `str` is ordered too; where names have no bytes, those that are no text are left out anyway.
    names.sort_unstable_by(|left, right| left.as_encoded_bytes().cmp(right.as_encoded_bytes()));
    Ok(names.into_iter())
}

fn reading(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::NotFound => Reason::Vanished,
        io::ErrorKind::PermissionDenied => Reason::Permission,
        io::ErrorKind::OutOfMemory => Reason::TooMany,
        _ => Reason::Unreadable,
    }
}
