//! Folders on Unix: directory handles, and names opened relative to them without following links.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::path::Arg;

use super::{Kind, Meta};
use crate::wire::Time;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Dir(OwnedFd);

/// Reading a folder's names needs no more than this.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Of each name that is opened. Without `NONBLOCK`, opening a pipe would wait for its other end.
const SAFE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Dir {
    /// Whether [`sync_all`](Self::sync_all) does something.
    pub(crate) const CAN_SYNC_ALL: bool = cfg!(any(target_os = "linux", target_os = "android"));

    /// Opens a folder that the local user named: links in the path are theirs and are followed.
    pub(crate) fn open_path(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER, Mode::empty())?))
    }

    /// Opens a file that the local user named, as [`open_path`](Self::open_path) does a folder.
    pub(crate) fn open_path_file(path: &Path) -> io::Result<(File, Meta)> {
        let flags = OFlags::RDONLY.union(SAFE).difference(OFlags::NOFOLLOW);
        regular(rustix::fs::open(path, flags, Mode::empty())?)
    }

    /// Opens a folder in this one; anything else, a link for example, is an error.
    pub(crate) fn open_dir<N: Arg>(&self, name: N) -> io::Result<Self> {
        self.open_at(name, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map(Self)
    }

    /// Makes a folder that only this user may look into.
    pub(crate) fn make_dir(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?)
    }

    /// What a name stands for; `None` if there is nothing of this name.
    pub(crate) fn look<N: Arg>(&self, name: N) -> io::Result<Option<Meta>> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(meta(&stat))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What this folder itself is.
    pub(crate) fn look_here(&self) -> io::Result<Meta> {
        Ok(meta(&rustix::fs::fstat(&self.0)?))
    }

    /// Opens a file for reading, with what is known of exactly this file. Anything but a regular file is `InvalidInput`.
    pub(crate) fn open_file<N: Arg>(&self, name: N) -> io::Result<(File, Meta)> {
        regular(self.open_at(name, OFlags::RDONLY | SAFE, Mode::empty())?)
    }

    /// Opens a file that was half written.
    pub(crate) fn open_to_write(&self, name: &str) -> io::Result<(File, Meta)> {
        regular(self.open_at(name, OFlags::RDWR | SAFE, Mode::empty())?)
    }

    /// Makes a file that only this user may open; it is an error if there is one of this name.
    pub(crate) fn make_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | SAFE;
        self.open_at(name, flags, Mode::RUSR | Mode::WUSR).map(Into::into)
    }

    /// Makes a link, which is an error if something of this name is there.
    pub(crate) fn make_link(&self, target: &str, name: &str, modified: Time) -> io::Result<()> {
        rustix::fs::symlinkat(target, &self.0, name)?;
        // A link's own time is for show; some file systems cannot set it.
        let _ = rustix::fs::utimensat(&self.0, name, &timestamps(modified), AtFlags::SYMLINK_NOFOLLOW);
        Ok(())
    }

    /// Where a link leads, as it is written.
    pub(crate) fn read_link<N: Arg>(&self, name: N) -> io::Result<OsString> {
        let target = rustix::fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// The names in this folder, in any order. More than `max` is an error of kind `OutOfMemory`.
    pub(crate) fn names(&self, max: usize) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() >= max {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            names.push(OsString::from_vec(name.to_vec()));
        }
        Ok(names)
    }

    /// Moves a file to another folder of the same file system; `AlreadyExists` if the name is taken there.
    pub(crate) fn move_new(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        match rustix::fs::renameat_with(&self.0, name, &to.0, new_name, rustix::fs::RenameFlags::NOREPLACE) {
            // File systems that do not know the flag.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {}
            result => return Ok(result?),
        }
        match rustix::fs::linkat(&self.0, name, &to.0, new_name, AtFlags::empty()) {
            Ok(()) => self.remove_file(name),
            // File systems without hard links, FAT for example: the look and the move are two steps there.
            Err(rustix::io::Errno::PERM | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                if to.look(new_name)?.is_some() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                self.move_over(name, to, new_name)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Moves a file to another folder; a file or link of that name is replaced.
    pub(crate) fn move_over(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, new_name)?)
    }

    pub(crate) fn remove_file<N: Arg>(&self, name: N) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    pub(crate) fn remove_dir<N: Arg>(&self, name: N) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Sets mode and time of this folder.
    pub(crate) fn set_meta(&self, mode: u32, modified: Time) -> io::Result<()> {
        set_meta(&self.0, mode, modified)
    }

    /// Sets the mode of this folder.
    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.0, mode_bits(mode))?)
    }

    /// Sets mode and time of an open file.
    pub(crate) fn set_file_meta(file: &File, mode: u32, modified: Time) -> io::Result<()> {
        set_meta(file, mode, modified)
    }

    /// The permission bits that this process takes from new files. Shown by making one, since asking for them changes them
    /// for all threads.
    pub(crate) fn umask(&self, free_name: &str) -> io::Result<u32> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | SAFE;
        let file = self.open_at(free_name, flags, mode_bits(0o777))?;
        let mode = meta(&rustix::fs::fstat(&file)?).mode;
        self.remove_file(free_name)?;
        Ok(!mode & 0o777)
    }

    /// A link that is not followed is told in several ways by the systems; here it is always `NotADirectory`.
    fn open_at<N: Arg>(&self, name: N, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        rustix::fs::openat(&self.0, name, flags, mode).map_err(|error| match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::MLINK => io::ErrorKind::NotADirectory.into(),
            error => error.into(),
        })
    }

    /// Waits until this folder's names are on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }

    /// Waits until everything in this folder's file system is on the disk.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        rustix::fs::syncfs(&self.0)?;
        Ok(())
    }
}

fn regular(handle: OwnedFd) -> io::Result<(File, Meta)> {
    let meta = meta(&rustix::fs::fstat(&handle)?);
    if meta.kind != Kind::File {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((handle.into(), meta))
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_lossless,
    reason = "the types of `Stat` differ between systems"
)]
fn meta(stat: &rustix::fs::Stat) -> Meta {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Special,
    };
    Meta {
        kind,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode as u32 & 0o777,
        modified: Time {
            seconds: stat.st_mtime as i64,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0).min(999_999_999),
        },
    }
}

fn set_meta(handle: impl AsFd, mode: u32, modified: Time) -> io::Result<()> {
    rustix::fs::futimens(&handle, &timestamps(modified))?;
    Ok(rustix::fs::fchmod(&handle, mode_bits(mode))?)
}

fn mode_bits(mode: u32) -> Mode {
    Mode::from_raw_mode((mode & 0o777) as rustix::fs::RawMode)
}

fn timestamps(modified: Time) -> Timestamps {
    let modified = Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanoseconds.into() };
    // The access time is when it was received.
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        last_modification: modified,
    }
}
