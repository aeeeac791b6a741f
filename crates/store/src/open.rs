//! Opening the file: it is made for its owner alone, and refused when others could read it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageError};

/// Memory for pages of the file. What an endpoint keeps of ten thousand peers is a few megabytes.
const CACHE_BYTES: usize = 4 << 20;

/// Why a store was not opened, with the repair where there is one.
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
    /// It was written by another version, or is no store.
    #[error("{path} cannot be read: {reason}; restore it from a backup, or move it away to start without contacts",
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

/// Opens the file, which is made if it is missing.
pub(crate) fn open(path: &Path) -> Result<Database, OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(OpenError::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let file = options().open(path).map_err(failed)?;
    check_mode(path, &file.metadata().map_err(failed)?)?;
    let backend = FileBackend::new(file).map_err(|error| not_opened(path, error))?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.create_with_backend(backend).map_err(|error| not_opened(path, error))
}

fn not_opened(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path },
        // redb says this of a file that is none of its own.
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { path, source }
        }
        other => OpenError::Content { path, reason: other.to_string() },
    }
}

#[cfg(unix)]
fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

#[cfg(not(unix))]
fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), OpenError> {
    use std::os::unix::fs::MetadataExt as _;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(OpenError::Permissions { path: path.to_owned(), mode }) }
}

/// The file has the access rules that its folder gives it.
#[cfg(not(unix))]
fn check_mode(_path: &Path, _metadata: &fs::Metadata) -> Result<(), OpenError> {
    Ok(())
}
