//! What is wanted of each entry, as the list arrives: looks at what the target has and makes folders, ahead of the data.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;

use super::state::State;
use super::target::{Existing, Target};
use crate::disk::{Dir, Kind, Meta, hash_next};
use crate::limits::{MAX_PREFIXES, PREFIX_STEP};
use crate::names::{NameRules, check_link};
use crate::report::{FailureCode, Reason};
use crate::wire::{Content, Decision, Entry, Hash, Prefix};

/// What is to happen with an entry on this side.
#[derive(Debug)]
pub(super) enum Fate {
    /// Dealt with in an earlier attempt.
    Settled,
    /// The same is there already.
    There,
    /// A folder of this transfer, made for it or there before.
    Folder { made: bool },
    /// A link to be made.
    Link,
    /// Its part is whole and right, and is to be put in place.
    Arrived(Hash),
    /// It is not taken, or does not come.
    Refused(Reason),
    /// Its data is wanted and has not come yet.
    Wanted(Have),
}

/// What there is already of a file that is wanted.
#[derive(Debug)]
pub(super) enum Have {
    Nothing,
    /// In its place, a file of the same size with this content.
    Same {
        hash: Hash,
    },
    /// As `Same`, and if it turns out not to be the same, the new one is not wanted.
    OnlyIfSame {
        hash: Hash,
    },
    /// A part from an earlier attempt; for each point the hash so far. None for the whole file: nothing follows it.
    Part(Vec<(Prefix, Option<Box<blake3::Hasher>>)>),
}

/// Goes through the list as it arrives.
pub(super) struct Decider {
    existing: Existing,
    links: bool,
    rules: NameRules,
    ignores_case: bool,
    names: RandomState,
    /// The target folder and the open folders, the outermost first.
    levels: Vec<Level>,
}

struct Level {
    /// Why not, for a folder that is not taken.
    folder: Result<Arc<Dir>, Reason>,
    /// It was made just now, so there is nothing in it.
    fresh: bool,
    /// Of the names so far, where two of them may be one.
    seen: HashSet<u64>,
}

impl Decider {
    pub(super) fn new(target: &Target, state: &State) -> Self {
        let root = Level { folder: Ok(Arc::clone(&target.root)), fresh: false, seen: HashSet::new() };
        Self {
            existing: target.existing,
            links: target.links,
            rules: NameRules::HERE,
            ignores_case: state.ignores_case,
            names: RandomState::new(),
            levels: vec![root],
        }
    }

    /// Plays another system.
    #[cfg(test)]
    pub(super) fn with_rules(self, rules: NameRules) -> Self {
        Self { rules, ..self }
    }

    /// Decides on the next entry of the list.
    ///
    /// # Errors
    /// Only what stops the whole transfer, a full disk for example.
    pub(super) fn decide(
        &mut self,
        state: &mut State,
        index: u64,
        entry: &Entry,
    ) -> io::Result<(Decision, Fate)> {
        self.levels.truncate(entry.depth + 1);
        let decided = self.try_decide(state, index, entry);
        let reason = match decided {
            Ok(decided) => return Ok(decided),
            Err(Trouble::Refused(reason)) => reason,
            Err(Trouble::Io(error)) => writing(error)?,
        };
        if let Content::Folder { .. } = entry.content
            && self.levels.len() == entry.depth + 1
        {
            self.levels.push(Level { folder: Err(reason), fresh: true, seen: HashSet::new() });
        }
        Ok((Decision::Refuse(reason), Fate::Refused(reason)))
    }

    fn try_decide(
        &mut self,
        state: &mut State,
        index: u64,
        entry: &Entry,
    ) -> Result<(Decision, Fate), Trouble> {
        let level = self.levels.get_mut(entry.depth).ok_or(Reason::Folder)?;
        let Ok(folder) = level.folder.clone() else { return Err(Reason::Folder.into()) };
        self.rules.check(&entry.name)?;
        if self.ignores_case && !level.seen.insert(self.names.hash_one(entry.name.to_lowercase())) {
            return Err(Reason::NameCollides.into());
        }
        let found = if level.fresh { None } else { folder.look(&*entry.name)? };
        match &entry.content {
            Content::Folder { .. } => self.folder(state, index, entry, &folder, found),
            Content::Link { target, .. } => {
                if !self.links {
                    return Err(Reason::LinksNotTaken.into());
                }
                check_link(target, entry.depth)?;
                let fate = if index < state.settled {
                    Fate::Settled
                } else {
                    self.link(entry, &folder, found, target)?
                };
                Ok((Decision::Skip, fate))
            }
            Content::File { .. } if index < state.settled => Ok((Decision::Skip, Fate::Settled)),
            Content::File { size, .. } => self.file(state, index, entry, &folder, found, *size),
        }
    }

    fn folder(
        &mut self,
        state: &mut State,
        index: u64,
        entry: &Entry,
        parent: &Dir,
        found: Option<Meta>,
    ) -> Result<(Decision, Fate), Trouble> {
        let mut made = state.made.binary_search(&index).is_ok();
        let mut fresh = false;
        match found.map(|meta| meta.kind) {
            None => {
                if !made {
                    // Noted first: killed in between, the next attempt still knows whose folder it is.
                    state.note_folder(index)?;
                    made = true;
                }
                parent.make_dir(&entry.name)?;
                fresh = true;
            }
            Some(Kind::Folder) => {}
            Some(Kind::Link) => return Err(Reason::LinkInTheWay.into()),
            Some(Kind::File | Kind::Special) => return Err(Reason::InTheWay.into()),
        }
        let folder = parent.open_dir(&*entry.name).map_err(|error| match error.kind() {
            // A link was put there since.
            io::ErrorKind::NotADirectory => Trouble::Refused(Reason::LinkInTheWay),
            _ => Trouble::Io(error),
        })?;
        if made && !fresh {
            // An earlier attempt may have given it a mode already that lets nobody write.
            let mode = folder.look_here()?.mode;
            if mode & 0o700 != 0o700 {
                folder.set_mode(mode | 0o700)?;
            }
        }
        self.levels.push(Level { folder: Ok(Arc::new(folder)), fresh, seen: HashSet::new() });
        Ok((Decision::Skip, Fate::Folder { made }))
    }

    fn link(&self, entry: &Entry, folder: &Dir, found: Option<Meta>, target: &str) -> Result<Fate, Trouble> {
        match found.map(|meta| meta.kind) {
            Some(Kind::Link) if folder.read_link(&*entry.name)? == *target => Ok(Fate::There),
            Some(_) if self.existing == Existing::Refuse => Err(Reason::Exists.into()),
            Some(Kind::Folder) if self.existing == Existing::Overwrite => Err(Reason::InTheWay.into()),
            _ => Ok(Fate::Link),
        }
    }

    fn file(
        &self,
        state: &State,
        index: u64,
        entry: &Entry,
        folder: &Dir,
        found: Option<Meta>,
        size: u64,
    ) -> Result<(Decision, Fate), Trouble> {
        let only_if_same = self.existing == Existing::Refuse;
        match found {
            None => {}
            Some(meta) if meta.kind == Kind::File && meta.size == size => {
                if size == 0 {
                    return Ok((Decision::Skip, Fate::There));
                }
                if only_if_same || !has_part(state, index) {
                    let hash = hash_of(folder, &entry.name, size)?;
                    return Ok(if only_if_same {
                        (Decision::Compare(hash), Fate::Wanted(Have::OnlyIfSame { hash }))
                    } else {
                        let whole = Prefix { length: size, hash };
                        (Decision::Resume(vec![whole]), Fate::Wanted(Have::Same { hash }))
                    });
                }
            }
            Some(_) if only_if_same => return Err(Reason::Exists.into()),
            Some(meta) if meta.kind == Kind::Folder && self.existing == Existing::Overwrite => {
                return Err(Reason::InTheWay.into());
            }
            Some(_) => {}
        }
        if has_part(state, index)
            && let Some(points) = part_points(&state.folder, index, size)?
        {
            let prefixes = points.iter().map(|(prefix, _)| *prefix).collect();
            return Ok((Decision::Resume(prefixes), Fate::Wanted(Have::Part(points))));
        }
        Ok((Decision::Send, Fate::Wanted(Have::Nothing)))
    }
}

fn has_part(state: &State, index: u64) -> bool {
    state.parts.binary_search(&index).is_ok()
}

/// Hashes a part, and remembers the hash at some points on the way; `None` if it holds nothing of use.
#[allow(clippy::type_complexity, reason = "the contents of `Have::Part`")]
fn part_points(
    folder: &Dir,
    index: u64,
    size: u64,
) -> io::Result<Option<Vec<(Prefix, Option<Box<blake3::Hasher>>)>>> {
    // For reading: one that is whole may have a mode already that lets nobody write, or not even read.
    let (file, meta) = match folder.open_file(&*State::part(index)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        opened => opened?,
    };
    if meta.size == 0 || meta.size > size {
        return Ok(None);
    }
    // One point less than allowed, since the end is one too.
    let step = meta.size.div_ceil(MAX_PREFIXES as u64 - 1).max(PREFIX_STEP);
    let mut points = Vec::new();
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    while at < meta.size {
        let next = (at + step).min(meta.size);
        if hash_next(&file, &mut hasher, next - at, || true)? < next - at {
            break;
        }
        at = next;
        let prefix = Prefix { length: at, hash: *hasher.finalize().as_bytes() };
        points.push((prefix, (at < size).then(|| Box::new(hasher.clone()))));
    }
    Ok((!points.is_empty()).then_some(points))
}

/// The hash of a file that is there. One that is changed meanwhile gives some hash that fits nothing.
pub(super) fn hash_of(folder: &Dir, name: &str, size: u64) -> io::Result<Hash> {
    let (file, _) = folder.open_file(name)?;
    let mut hasher = blake3::Hasher::new();
    hash_next(&file, &mut hasher, size, || true)?;
    Ok(*hasher.finalize().as_bytes())
}

enum Trouble {
    Refused(Reason),
    Io(io::Error),
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What an error means for a single entry; one that means the same for all others is returned as an error.
pub(super) fn writing(error: io::Error) -> io::Result<Reason> {
    if FailureCode::of(&error) == FailureCode::DiskFull {
        return Err(error);
    }
    Ok(match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => return Err(error),
        io::ErrorKind::PermissionDenied => Reason::Permission,
        io::ErrorKind::AlreadyExists => Reason::Exists,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => Reason::Name,
        io::ErrorKind::NotADirectory => Reason::LinkInTheWay,
        _ => Reason::Disk,
    })
}
