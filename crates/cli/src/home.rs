//! The home folder: where it is, the key in it, and the lock that keeps two endpoints apart.

use std::env;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use telemesh::KeySet;

use crate::args::Global;
use crate::failure::Failure;

/// The key file's name in the home folder.
const KEY: &str = "key";

/// The file in the home folder that whoever is up there has locked.
pub(crate) const LOCK: &str = "lock";

/// The keys of the home folder. They, and the folder, are made if they are missing.
pub(crate) fn keys(global: &Global) -> Result<KeySet, Failure> {
    Ok(telemesh::load_or_create_keys(key_path(global)?)?)
}

/// The key file of the home folder.
pub(crate) fn key_path(global: &Global) -> Result<PathBuf, Failure> {
    Ok(directory(global)?.join(KEY))
}

/// Held for as long as an endpoint is up in a home folder, or while something changes there that must not be under it.
#[derive(Debug)]
pub(crate) struct Lock {
    /// The system lets go of it when the process ends, however it ends.
    _file: File,
}

/// Takes the lock of a home folder, which has to be there. `None` when another process has it.
pub(crate) fn lock(directory: &Path) -> io::Result<Option<Lock>> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    // The file stays: removing it would let two in.
    let file = options.open(directory.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The home folder: what was asked for, or the platform's.
pub(crate) fn directory(global: &Global) -> Result<PathBuf, Failure> {
    match &global.home {
        Some(chosen) if !chosen.as_os_str().is_empty() => Ok(chosen.clone()),
        _ => default_directory().ok_or_else(|| {
            Failure::Failed("there is no home directory on this machine: name a folder with --home".into())
        }),
    }
}

/// Where the platform wants programs to keep what is theirs.
fn default_directory() -> Option<PathBuf> {
    let data = if cfg!(windows) {
        absolute(env::var_os("APPDATA"))?
    } else if cfg!(target_os = "macos") {
        env::home_dir()?.join("Library/Application Support")
    } else {
        // The XDG base directory specification: a relative path is to be ignored.
        match absolute(env::var_os("XDG_DATA_HOME")) {
            Some(data) => data,
            None => env::home_dir().filter(|home| home.is_absolute())?.join(".local/share"),
        }
    };
    Some(data.join("telemesh"))
}

fn absolute(path: Option<OsString>) -> Option<PathBuf> {
    path.map(PathBuf::from).filter(|path| path.is_absolute())
}
