//! Folders as handles: everything is opened relative to one, by a single name, and no symbolic link is followed.
//!
//! Nothing here knows of transfers. [`Dir`] is the system's: on Unix a directory handle (`openat` with `O_NOFOLLOW`), so
//! that a link planted between a look and the use of it never wins; elsewhere paths, checked before each use.

#[cfg(any(not(unix), test))]
#[cfg_attr(unix, allow(dead_code, reason = "on Unix only its tests use it"))]
mod portable;
#[cfg(test)]
#[cfg(unix)]
mod tests;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use portable::Dir;
#[cfg(unix)]
pub(crate) use unix::Dir;

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use crate::limits::PIECE;
use crate::wire::Time;

/// What a name stands for. A link is itself, never what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    Special,
}

/// What is known of a name without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) modified: Time,
}

impl Meta {
    /// Of a path that was followed by the standard library.
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        let kind = match metadata.file_type() {
            kind if kind.is_symlink() => Kind::Link,
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Special,
        };
        let modified = metadata.modified().unwrap_or(std::time::UNIX_EPOCH);
        Self { kind, size: metadata.len(), mode: mode(metadata), modified: Time::from_system(modified) }
    }
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o777
}

/// What such a file would have on Unix.
#[cfg(not(unix))]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    match (metadata.is_dir(), metadata.permissions().readonly()) {
        (true, _) => 0o755,
        (false, false) => 0o644,
        (false, true) => 0o444,
    }
}

/// Reads until `space` is full or the file ends; how many bytes that were.
pub(crate) fn read_piece(file: &File, space: &mut [u8]) -> io::Result<usize> {
    let mut piece = 0;
    while let Some(space) = space.get_mut(piece..).filter(|space| !space.is_empty()) {
        match (&mut &*file).read(space) {
            Ok(0) => break,
            Ok(read) => piece += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(piece)
}

/// Hashes the next bytes of a file, as long as `go_on` says so; how many there were.
pub(crate) fn hash_next(
    file: &File,
    hasher: &mut blake3::Hasher,
    bytes: u64,
    go_on: impl Fn() -> bool,
) -> io::Result<u64> {
    let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(PIECE).min(PIECE)];
    let mut hashed = 0;
    while hashed < bytes && go_on() {
        let wanted = usize::try_from(bytes - hashed).unwrap_or(PIECE).min(PIECE);
        let Some(space) = buffer.get_mut(..wanted) else { break };
        let read = read_piece(file, space)?;
        let Some(data) = space.get(..read).filter(|data| !data.is_empty()) else { break };
        hasher.update(data);
        hashed += read as u64;
    }
    Ok(hashed)
}

/// Handles to sync one by one before syncing the whole file system is cheaper, and where that cannot be done, handles
/// that are held open.
const SINGLE_SYNCS: usize = 8;

/// Files and folders whose changes are to be on the disk before something is said about them.
#[derive(Debug, Default)]
pub(crate) struct SyncSet {
    files: Vec<File>,
    folders: Vec<Arc<Dir>>,
    /// More than it holds handles of: the whole file system.
    many: bool,
}

impl SyncSet {
    pub(crate) fn add_file(&mut self, file: File) -> io::Result<()> {
        if self.files.len() < SINGLE_SYNCS {
            self.files.push(file);
        } else if Dir::CAN_SYNC_ALL {
            self.many = true;
        } else {
            file.sync_all()?;
        }
        Ok(())
    }

    /// The folder's names, and its own times and mode.
    pub(crate) fn add_folder(&mut self, folder: &Arc<Dir>) -> io::Result<()> {
        // Most files lie in the same folder as the one before.
        if self.many || self.folders.last().is_some_and(|last| Arc::ptr_eq(last, folder)) {
            return Ok(());
        }
        if self.folders.len() < SINGLE_SYNCS {
            self.folders.push(Arc::clone(folder));
        } else if Dir::CAN_SYNC_ALL {
            self.many = true;
        } else {
            folder.sync()?;
        }
        Ok(())
    }

    /// Waits until everything added is on the disk. `root` is any folder of the file system.
    pub(crate) fn sync(self, root: &Dir) -> io::Result<()> {
        if self.many {
            return root.sync_all();
        }
        for file in self.files {
            file.sync_all()?;
        }
        for folder in self.folders {
            folder.sync()?;
        }
        Ok(())
    }
}
