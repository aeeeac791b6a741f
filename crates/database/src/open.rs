//! Opening the file: it is made for its owner alone, and refused when others could read it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{DatabaseError, StorageError};

/// Why a file was not opened, with the repair where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("{path} is in use by another process: an endpoint is running with it", path = .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is a link, a folder or a device.
    #[error("{path} is not a regular file: move it away", path = .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Group or others can read or write it.
    #[error("{path} is open to others (mode {mode:04o}): run `chmod 600 {path}`", path = .path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode, of which only the last nine bits are shown.
        mode: u32,
    },
    /// It was cut, changed, written by another version, or is something else.
    #[error("{path} cannot be read: {reason}; restore it from a backup, or move it away to start without what is in it",
        path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system failed.
    #[error("could not open {path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn content(path: &Path, reason: impl ToString) -> Self {
        Self::Content { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn database(path: &Path, error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::InUse { path: path.to_owned() },
            // redb says `InvalidData` of a file that is none of its own.
            DatabaseError::Storage(StorageError::Io(source))
                if source.kind() != io::ErrorKind::InvalidData =>
            {
                Self::io(path, source)
            }
            other => Self::content(path, other),
        }
    }
}

/// Opens the file, which is made if it is missing, and locks it.
pub(crate) fn open(path: &Path) -> Result<FileBackend, OpenError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(OpenError::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(OpenError::io(path, error)),
        _ => {}
    }
    let file = options().open(path).map_err(|error| OpenError::io(path, error))?;
    check_mode(path, &file.metadata().map_err(|error| OpenError::io(path, error))?)?;
    FileBackend::new(file).map_err(|error| OpenError::database(path, error))
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), OpenError> {
    let mode = std::os::unix::fs::MetadataExt::mode(metadata) & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(OpenError::Permissions { path: path.to_owned(), mode }) }
}

/// The file has the access rules that its folder gives it.
#[cfg(not(unix))]
fn check_mode(_path: &Path, _metadata: &fs::Metadata) -> Result<(), OpenError> {
    Ok(())
}
