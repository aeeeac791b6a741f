//! One endpoint per home: whoever runs it holds a lock on a file in the home folder.
//!
//! The operating system keeps the lock and gives it back when the process ends, however it ends, so there is no stale one.
//! The process id in the file is for people who wonder who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::failure::Failure;

/// The lock file's name in the home folder.
pub(crate) const NAME: &str = "lock";

/// More than a process id has.
const MAX_ID: u64 = 32;

/// The home is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct HomeLock {
    _file: File,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) enum Attempt {
    Ours(HomeLock),
    /// Somebody else's; who, if that can be read.
    Held(Option<u32>),
}

/// Takes the lock of a home folder, which must be there, if nobody has it.
///
/// # Errors
/// A file that cannot be opened, locked or written.
pub(crate) fn take(home: &Path) -> Result<Attempt, Failure> {
    let path = home.join(NAME);
    let failed =
        |error: std::io::Error| Failure::Failed(format!("could not lock {}: {error}", path.display()));
    let mut options = OpenOptions::new();
    // What it holds stays until the lock is ours.
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(failed)?;
            file.rewind().map_err(failed)?;
            writeln!(file, "{}", std::process::id()).map_err(failed)?;
            Ok(Attempt::Ours(HomeLock { _file: file }))
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // On some systems the holder's file cannot be read, and then nobody knows.
            let _ = file.take(MAX_ID).read_to_string(&mut text);
            Ok(Attempt::Held(text.trim().parse().ok()))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Whether somebody holds the lock of a home folder. Makes and writes nothing.
///
/// # Errors
/// A file that cannot be opened or locked.
pub(crate) fn is_held(home: &Path) -> io::Result<bool> {
    let file = match File::open(home.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    // A shared lock, given back at once: it tells no more than the other kind and is in nobody's way but a writer's.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The holder of a lock, in words.
pub(crate) fn holder(id: Option<u32>) -> String {
    id.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
}

/// Whoever holds the lock of a home folder, in words.
#[cfg(unix)]
pub(crate) fn holder_of(home: &Path) -> String {
    let id = std::fs::read_to_string(home.join(NAME)).ok();
    holder(id.and_then(|id| id.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it_and_the_others_hear_who() {
        let home = tempfile::tempdir().unwrap();
        assert!(!is_held(home.path()).unwrap());
        let Attempt::Ours(lock) = take(home.path()).unwrap() else { panic!("nobody has it") };
        let Attempt::Held(holder) = take(home.path()).unwrap() else { panic!("somebody has it") };
        assert_eq!(holder, Some(std::process::id()));
        assert!(is_held(home.path()).unwrap());
        drop(lock);
        assert!(!is_held(home.path()).unwrap());
        assert!(matches!(take(home.path()).unwrap(), Attempt::Ours(_)));
    }

    #[test]
    fn what_a_dead_process_has_left_is_no_lock() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(NAME), "4294967295 and more\n").unwrap();
        assert!(matches!(take(home.path()).unwrap(), Attempt::Ours(_)));
        let text = std::fs::read_to_string(home.path().join(NAME)).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }
}
