//! What only some systems have: file modes, and syncing a directory.
//!
//! On systems other than Unix nothing is checked here: the file has the access rules that its directory gives it.

#[cfg(not(unix))]
pub(super) use other::*;
#[cfg(unix)]
pub(super) use unix::*;

#[cfg(unix)]
mod unix {
    //! Modes as POSIX has them.

    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
    use std::path::Path;

    use crate::KeyFileError;

    /// Everything that group and others may do.
    const OPEN_TO_OTHERS: u32 = 0o077;

    /// The bits of a mode that are permissions; the rest says what kind of file it is.
    const PERMISSION_BITS: u32 = 0o777;

    pub(crate) fn check_directory(directory: &Path, metadata: &Metadata) -> Result<(), KeyFileError> {
        let mode = metadata.mode() & PERMISSION_BITS;
        if mode & OPEN_TO_OTHERS == 0 {
            return Ok(());
        }
        Err(KeyFileError::DirectoryPermissions { directory: directory.to_owned(), mode })
    }

    pub(crate) fn check_file(path: &Path, metadata: &Metadata) -> Result<(), KeyFileError> {
        let mode = metadata.mode() & PERMISSION_BITS;
        if mode & OPEN_TO_OTHERS == 0 {
            return Ok(());
        }
        Err(KeyFileError::FilePermissions { path: path.to_owned(), mode })
    }

    /// Whether what was opened is what was looked at before: a link or a pipe may have been put there in between.
    pub(crate) fn is_same_file(named: &Metadata, opened: &Metadata) -> bool {
        opened.is_file() && named.dev() == opened.dev() && named.ino() == opened.ino()
    }

    /// Makes the directory and those above it that are missing, all with mode 0700.
    pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)
    }

    /// A file that these options create is only its owner's from the first moment on.
    pub(crate) fn only_owner(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    /// Makes a rename survive a power failure.
    pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

#[cfg(not(unix))]
mod other {
    //! No modes and no directory handles.

    use std::fs::{self, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    use crate::KeyFileError;

    pub(crate) fn check_directory(_directory: &Path, _metadata: &Metadata) -> Result<(), KeyFileError> {
        Ok(())
    }

    pub(crate) fn check_file(_path: &Path, _metadata: &Metadata) -> Result<(), KeyFileError> {
        Ok(())
    }

    pub(crate) fn is_same_file(_named: &Metadata, opened: &Metadata) -> bool {
        opened.is_file()
    }

    pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)
    }

    pub(crate) fn only_owner(_options: &mut OpenOptions) {}

    pub(crate) fn sync_directory(_directory: &Path) -> io::Result<()> {
        Ok(())
    }
}
