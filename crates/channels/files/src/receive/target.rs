//! [`Target`]: the folder that transfers go to, and what may happen there.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use telemesh_wire::{Refusal, RefusalCode};

use crate::disk::{Dir, Kind};
use crate::limits::{MAX_BYTES, MAX_ENTRIES};
use crate::names::STATE_FOLDER;
use crate::wire::Hello;

/// What happens to a file whose name is taken by something else. Equal content is always left as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Existing {
    /// What is there stays, and the new file is not taken: [`Reason::Exists`](crate::Reason::Exists). No peer can change
    /// what is there.
    #[default]
    Refuse,
    /// What is there stays, and the new file gets a number: `name (1).txt`.
    Rename,
    /// A file or link that is there is replaced, at once and whole. A folder is not.
    Overwrite,
}

/// A folder that transfers go to. Cheap to clone.
///
/// It is held open: renaming it does not lead a transfer elsewhere.
#[derive(Clone)]
pub struct Target {
    pub(super) root: Arc<Dir>,
    path: PathBuf,
    pub(super) existing: Existing,
    pub(super) links: bool,
    pub(super) exact_modes: bool,
    max_entries: u64,
    max_bytes: u64,
    #[cfg(test)]
    pub(super) disk_limit: Option<u64>,
}

impl Target {
    /// Opens a folder, which is made if it is missing. Links on the way to it are followed; none inside it ever is.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        std::fs::create_dir_all(path)?;
        Ok(Self {
            root: Arc::new(Dir::open_path(path)?),
            path: path.to_owned(),
            existing: Existing::default(),
            links: true,
            exact_modes: false,
            max_entries: MAX_ENTRIES,
            max_bytes: MAX_BYTES,
            #[cfg(test)]
            disk_limit: None,
        })
    }

    /// Sets what happens to a file whose name is taken; [`Existing::Refuse`] unless it is set.
    #[must_use]
    pub fn existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }

    /// Sets whether symbolic links are made, where they stay within the folder that was sent. They are unless it is set.
    /// They are never followed.
    #[must_use]
    pub fn links(mut self, links: bool) -> Self {
        self.links = links;
        self
    }

    /// Sets whether files and folders get the sender's permission bits exactly. Unless it is set, the process's umask is
    /// taken from them, so that a sender makes nothing writable for others that a local program would not.
    #[must_use]
    pub fn exact_modes(mut self, exact_modes: bool) -> Self {
        self.exact_modes = exact_modes;
        self
    }

    /// Sets the most entries of one transfer; a larger one is refused.
    #[must_use]
    pub fn max_entries(mut self, max_entries: u64) -> Self {
        self.max_entries = max_entries.min(MAX_ENTRIES);
        self
    }

    /// Sets the most bytes of one transfer; a larger one is refused.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes.min(MAX_BYTES);
        self
    }

    /// The folder, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The transfers that were begun and not completed, oldest first.
    ///
    /// # Errors
    /// The system's.
    pub fn leftovers(&self) -> io::Result<Vec<Leftover>> {
        let states = match self.root.open_dir(STATE_FOLDER) {
            Ok(states) => states,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut leftovers = Vec::new();
        for name in states.names(MAX_LEFTOVERS)? {
            let Some(name) = name.to_str() else { continue };
            let Ok(state) = states.open_dir(name) else { continue };
            let mut leftover = Leftover { name: name.to_owned(), bytes: 0, changed: SystemTime::UNIX_EPOCH };
            for file in state.names(MAX_LEFTOVERS)? {
                if let Some(meta) = state.look(&file)?.filter(|meta| meta.kind == Kind::File) {
                    leftover.bytes = leftover.bytes.saturating_add(meta.size);
                    let changed = meta.modified.to_system().unwrap_or(SystemTime::UNIX_EPOCH);
                    leftover.changed = leftover.changed.max(changed);
                }
            }
            leftovers.push(leftover);
        }
        leftovers.sort_by_key(|leftover| leftover.changed);
        Ok(leftovers)
    }

    /// Removes what is left of transfers that nothing was received of for so long; how many. Transfers that run now are
    /// not touched.
    ///
    /// # Errors
    /// The system's.
    pub fn clean(&self, unchanged_for: Duration) -> io::Result<usize> {
        let now = SystemTime::now();
        let mut removed = 0;
        for leftover in self.leftovers()? {
            let old = now.duration_since(leftover.changed).is_ok_and(|age| age >= unchanged_for);
            if old && super::state::remove_leftover(self, &leftover.name)? {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether a transfer is within what this target takes.
    pub(super) fn check(&self, hello: &Hello) -> Result<(), Refusal> {
        let refuse = |why: &str| Err(Refusal::new(RefusalCode::NotAllowed, why));
        if hello.entries > self.max_entries {
            return refuse("more files than are taken here");
        }
        if hello.bytes > self.max_bytes {
            return refuse("more bytes than are taken here");
        }
        Ok(())
    }
}

/// Names of half-received files that are looked at, and of transfers.
pub(super) const MAX_LEFTOVERS: usize = 1 << 20;

/// A transfer that was begun and not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// The name of its folder inside the state folder.
    pub name: String,
    /// What it holds, in bytes.
    pub bytes: u64,
    /// When something of it was received last.
    pub changed: SystemTime,
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Target")
            .field("path", &self.path)
            .field("existing", &self.existing)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}
