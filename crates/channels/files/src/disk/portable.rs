//! Folders where the standard library is all there is (Windows): paths, of which each part is looked at before it is used.
//!
//! Between the look and the use somebody who can write to the folder could put a link there; nothing portable prevents
//! that. On Unix this is compiled for its tests only.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{Kind, Meta};
use crate::wire::Time;

/// A folder.
#[derive(Debug)]
pub(crate) struct Dir(PathBuf);

impl Dir {
    /// Whether [`sync_all`](Self::sync_all) does something.
    pub(crate) const CAN_SYNC_ALL: bool = false;

    /// A folder that the local user named: links in the path are theirs and are followed.
    pub(crate) fn open_path(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        folder(&path, Meta::of(&path.metadata()?))
    }

    /// Opens a file that the local user named, as [`open_path`](Self::open_path) does a folder.
    pub(crate) fn open_path_file(path: &Path) -> io::Result<(File, Meta)> {
        regular(Meta::of(&path.metadata()?), || File::open(path))
    }

    /// Opens a folder in this one; anything else, a link for example, is an error.
    pub(crate) fn open_dir<N: AsRef<OsStr>>(&self, name: N) -> io::Result<Self> {
        let path = self.path(name)?;
        let meta = Meta::of(&path.symlink_metadata()?);
        folder(&path, meta)
    }

    pub(crate) fn make_dir(&self, name: &str) -> io::Result<()> {
        fs::create_dir(self.path(name)?)
    }

    /// What a name stands for; `None` if there is nothing of this name.
    pub(crate) fn look<N: AsRef<OsStr>>(&self, name: N) -> io::Result<Option<Meta>> {
        match self.path(name)?.symlink_metadata() {
            Ok(metadata) => Ok(Some(Meta::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What this folder itself is.
    pub(crate) fn look_here(&self) -> io::Result<Meta> {
        Ok(Meta::of(&self.0.symlink_metadata()?))
    }

    /// Opens a file for reading, with what is known of it. Anything but a regular file is `InvalidInput`.
    pub(crate) fn open_file<N: AsRef<OsStr>>(&self, name: N) -> io::Result<(File, Meta)> {
        let path = self.path(name)?;
        regular(link_is_no_file(&path)?, || File::open(&path))
    }

    /// Opens a file that was half written.
    pub(crate) fn open_to_write(&self, name: &str) -> io::Result<(File, Meta)> {
        let path = self.path(name)?;
        regular(link_is_no_file(&path)?, || OpenOptions::new().read(true).write(true).open(&path))
    }

    /// Makes a file; it is an error if there is one of this name.
    pub(crate) fn make_file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.path(name)?)
    }

    /// Links need a privilege on Windows, so they are not made.
    pub(crate) fn make_link(&self, _target: &str, _name: &str, _modified: Time) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    /// Where a link leads, as it is written.
    pub(crate) fn read_link<N: AsRef<OsStr>>(&self, name: N) -> io::Result<OsString> {
        Ok(fs::read_link(self.path(name)?)?.into_os_string())
    }

    /// The names in this folder, in any order. More than `max` is an error of kind `OutOfMemory`.
    pub(crate) fn names(&self, max: usize) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            if names.len() >= max {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            names.push(entry?.file_name());
        }
        Ok(names)
    }

    /// Moves a file to another folder of the same file system; `AlreadyExists` if the name is taken there.
    pub(crate) fn move_new(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        if to.look(new_name)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.move_over(name, to, new_name)
    }

    /// Moves a file to another folder; a file or link of that name is replaced.
    pub(crate) fn move_over(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        fs::rename(self.path(name)?, to.path(new_name)?)
    }

    pub(crate) fn remove_file<N: AsRef<OsStr>>(&self, name: N) -> io::Result<()> {
        fs::remove_file(self.path(name)?)
    }

    /// Removes an empty folder.
    pub(crate) fn remove_dir<N: AsRef<OsStr>>(&self, name: N) -> io::Result<()> {
        fs::remove_dir(self.path(name)?)
    }

    /// The time of a folder cannot be set portably, and it has no mode.
    pub(crate) fn set_meta(&self, _mode: u32, _modified: Time) -> io::Result<()> {
        Ok(())
    }

    /// A folder has no mode.
    pub(crate) fn set_mode(&self, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    /// Sets the time of an open file; of its mode, whether it may be written.
    pub(crate) fn set_file_meta(file: &File, mode: u32, modified: Time) -> io::Result<()> {
        if let Some(modified) = modified.to_system() {
            file.set_modified(modified)?;
        }
        if mode & 0o200 == 0 {
            let mut permissions = file.metadata()?.permissions();
            permissions.set_readonly(true);
            file.set_permissions(permissions)?;
        }
        Ok(())
    }

    /// There is none.
    pub(crate) fn umask(&self, _free_name: &str) -> io::Result<u32> {
        Ok(0)
    }

    /// The names of a folder are the file system's business.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// There is no such call.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    /// The path of a name. This folder must still be one and no link: it could have been replaced since it was opened.
    fn path<N: AsRef<OsStr>>(&self, name: N) -> io::Result<PathBuf> {
        if Meta::of(&self.0.symlink_metadata()?).kind != Kind::Folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(self.0.join(name.as_ref()))
    }
}

fn folder(path: &Path, meta: Meta) -> io::Result<Dir> {
    if meta.kind == Kind::Folder {
        Ok(Dir(path.to_owned()))
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}

/// As opening with `O_NOFOLLOW` fails.
fn link_is_no_file(path: &Path) -> io::Result<Meta> {
    let meta = Meta::of(&path.symlink_metadata()?);
    if meta.kind == Kind::Link { Err(io::ErrorKind::NotADirectory.into()) } else { Ok(meta) }
}

fn regular(meta: Meta, open: impl FnOnce() -> io::Result<File>) -> io::Result<(File, Meta)> {
    if meta.kind != Kind::File {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let file = open()?;
    let meta = Meta::of(&file.metadata()?);
    Ok((file, meta))
}
