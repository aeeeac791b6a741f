//! The key file: written so that a crash leaves the old one or the new one, read only if nobody else could read it.
//!
//! Writers hold a lock on `<name>.lock`, write `<name>.new`, sync it, rename it over the key file, and sync the
//! directory. So there is never more than one temporary file, and one that a crash left is cleared by the next writer.

mod permissions;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::text::MAX_TEXT_LENGTH;
use crate::{KeySet, ParseKeysError};

/// How often reading starts again because the file was replaced meanwhile. An honest writer needs longer to replace it
/// once than a reader to open it, so the second attempt is rare and the last one a sign of mischief.
const OPEN_ATTEMPTS: usize = 16;

/// Why a key file was not read or not written, with the repair where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is no such file.
    #[error("there is no key file {path}", path = .path.display())]
    NotFound {
        /// The key file.
        path: PathBuf,
    },
    /// The file is a symbolic link: whoever can change the link chooses who we are.
    #[error("key file {path} is a symbolic link: put the file itself there, or name the file it points to",
        path = .path.display())]
    IsLink {
        /// The key file.
        path: PathBuf,
    },
    /// Something is there that is not a file: a directory, a pipe, a device.
    #[error("key file {path} is not a regular file: move it away", path = .path.display())]
    NotAFile {
        /// The key file.
        path: PathBuf,
    },
    /// Group or others can read or write the file.
    #[error("key file {path} is open to others (mode {mode:04o}): run `chmod 600 {path}`; \
        if somebody may have read it, move it away, so that new keys are made", path = .path.display())]
    FilePermissions {
        /// The key file.
        path: PathBuf,
        /// Its mode, of which only the last nine bits are shown.
        mode: u32,
    },
    /// Group or others can enter, list or change the directory.
    #[error("the directory {directory} of the key file is open to others (mode {mode:04o}): run \
        `chmod 700 {directory}`, or keep the key file in a directory of its own", directory = .directory.display())]
    DirectoryPermissions {
        /// The directory in which the key file is.
        directory: PathBuf,
        /// Its mode, of which only the last nine bits are shown.
        mode: u32,
    },
    /// The file was read but does not hold keys.
    #[error("key file {path}: {source}; restore it from a backup, or move it away, so that new keys are made \
        (that is a new hashname)", path = .path.display())]
    Content {
        /// The key file.
        path: PathBuf,
        /// What is wrong with its content.
        source: ParseKeysError,
    },
    /// The file system failed.
    #[error("could not {action} {path}: {source}", path = .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Adds what was being done to a system error.
fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> KeyFileError + 'a {
    move |source| KeyFileError::Io { action, path: path.to_owned(), source }
}

/// Reads the key file at `path`, if it is one that only its owner could read or change.
pub(crate) fn load(path: &Path) -> Result<KeySet, KeyFileError> {
    let directory = directory_of(path);
    match fs::metadata(directory) {
        Ok(metadata) => permissions::check_directory(directory, &metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KeyFileError::NotFound { path: path.to_owned() });
        }
        Err(error) => return Err(failed("look at", directory)(error)),
    }
    let mut file = open(path)?;
    let bytes = read_limited(&mut file).map_err(failed("read", path))?;
    KeySet::from_bytes(&bytes).map_err(|source| KeyFileError::Content { path: path.to_owned(), source })
}

/// Opens the key file, if it is a regular one that only its owner can read or change.
///
/// What is there is looked at before it is opened, since opening a pipe would wait for its writer, and again afterwards,
/// since something else may have been put there in between.
fn open(path: &Path) -> Result<File, KeyFileError> {
    for _ in 0..OPEN_ATTEMPTS {
        let named = look_at(path)?.ok_or_else(|| KeyFileError::NotFound { path: path.to_owned() })?;
        let file = File::open(path).map_err(failed("open", path))?;
        let opened = file.metadata().map_err(failed("look at", path))?;
        if permissions::is_same_file(&named, &opened) {
            permissions::check_file(path, &opened)?;
            return Ok(file);
        }
    }
    Err(failed("open", path)(io::Error::other("it is replaced again and again")))
}

/// Reads the key file, or makes it with new keys. Whoever holds the lock first makes them, the others read them.
pub(crate) fn load_or_create<R: CryptoRng + ?Sized>(
    path: &Path,
    rng: &mut R,
) -> Result<KeySet, KeyFileError> {
    match load(path) {
        Err(KeyFileError::NotFound { .. }) => {}
        done => return done,
    }
    make_directory(path)?;
    let _lock = lock(path)?;
    match load(path) {
        Err(KeyFileError::NotFound { .. }) => {}
        done => return done,
    }
    let keys = KeySet::generate(rng);
    replace(path, &keys.to_bytes())?;
    Ok(keys)
}

/// Writes the key file, replacing one that is there.
pub(crate) fn save(keys: &KeySet, path: &Path) -> Result<(), KeyFileError> {
    make_directory(path)?;
    let _lock = lock(path)?;
    look_at(path)?;
    replace(path, &keys.to_bytes())
}

/// The directory in which the file is; a bare file name is in the current one.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the directory if it is missing, and refuses one that is open to others.
fn make_directory(path: &Path) -> Result<(), KeyFileError> {
    let directory = directory_of(path);
    permissions::create_directory(directory).map_err(failed("make directory", directory))?;
    let metadata = fs::metadata(directory).map_err(failed("look at", directory))?;
    permissions::check_directory(directory, &metadata)
}

/// What is at `path` itself, not where it points. `None` when nothing is there, an error when it is not a regular file.
fn look_at(path: &Path) -> Result<Option<fs::Metadata>, KeyFileError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Err(KeyFileError::IsLink { path: path.to_owned() }),
        Ok(metadata) if !metadata.is_file() => Err(KeyFileError::NotAFile { path: path.to_owned() }),
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// Keeps other writers out until the returned file is dropped. The lock file stays: removing it would let two in.
fn lock(path: &Path) -> Result<File, KeyFileError> {
    let lock_path = with_suffix(path, ".lock")?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    permissions::only_owner(&mut options);
    let file = options.open(&lock_path).map_err(failed("open", &lock_path))?;
    file.lock().map_err(failed("lock", &lock_path))?;
    Ok(file)
}

/// Puts a file with these bytes in place of `path`. The caller holds the lock.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    let temporary = with_suffix(path, ".new")?;
    remove_if_there(&temporary).map_err(failed("remove", &temporary))?;
    let result = write_synced(&temporary, bytes)
        .map_err(failed("write", &temporary))
        .and_then(|()| fs::rename(&temporary, path).map_err(failed("replace", path)));
    if let Err(error) = result {
        // The first error is the one to report; a copy that cannot be removed either is cleared by the next writer.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    let directory = directory_of(path);
    permissions::sync_directory(directory).map_err(failed("sync", directory))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    permissions::only_owner(&mut options);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// `path` with `suffix` after its last component.
fn with_suffix(path: &Path, suffix: &str) -> Result<PathBuf, KeyFileError> {
    let Some(name) = path.file_name() else {
        return Err(failed("write", path)(io::Error::from(io::ErrorKind::InvalidFilename)));
    };
    let mut name = name.to_owned();
    name.push(suffix);
    Ok(path.with_file_name(name))
}

/// Reads at most one byte more than a key file can have, into memory that is overwritten when dropped.
fn read_limited(file: &mut File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; MAX_TEXT_LENGTH + 1]);
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(all(test, unix))]
mod tests;
