//! Files and folders as one row of bytes, for somebody who is away: what a box carries in parts.
//!
//! An entry is a kind (0 folder, 1 file), the number of names on its path and each with its length before it in one byte, permission
//! bits (2 bytes), the time of its last change (8 bytes, seconds since 1970, signed), and for a file its length (8 bytes) and its
//! content. Integers are big-endian. What comes out of a pack is written into an empty folder of our own, without following or making
//! links, and goes from there where all received files go.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest pack in bytes: less than the 48 MiB that a cache is offered of what has no receipt.
pub(super) const MAX_BYTES: u64 = 40 * 1024 * 1024;

/// Most entries. Each is a file or folder to be made.
const MAX_ENTRIES: usize = 4_096;

/// Most names on a path.
const MAX_DEPTH: usize = 32;

/// Longest name, in bytes: what file systems take.
const MAX_NAME: usize = 255;

const FOLDER: u8 = 0;
const FILE: u8 = 1;

/// Why something is in no pack.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackError {
    #[error("it is more than {} MiB", MAX_BYTES / 1024 / 1024)]
    TooLarge,
    #[error("it is more than {MAX_ENTRIES} files and folders")]
    TooMany,
    #[error("{path}: {reason}")]
    Path { path: String, reason: String },
}

/// What was packed.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    pub(super) files: u64,
    /// What is neither file nor folder, and not in it.
    pub(super) left_out: Vec<PathBuf>,
}

/// Packs files and folders with everything in them, each as the last part of its path is called.
///
/// # Errors
/// [`PackError`].
pub(super) fn pack(paths: &[PathBuf]) -> Result<Packed, PackError> {
    let mut packer =
        Packer { packed: Packed { bytes: Vec::new(), files: 0, left_out: Vec::new() }, entries: 0 };
    for path in paths {
        let whole = path.canonicalize().map_err(|error| problem(path, &error))?;
        packer.add(&whole, &mut Vec::new(), true)?;
    }
    Ok(packer.packed)
}

struct Packer {
    packed: Packed,
    entries: usize,
}

impl Packer {
    fn add(&mut self, path: &Path, names: &mut Vec<String>, is_root: bool) -> Result<(), PackError> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name =
            name.filter(|name| is_name(name)).ok_or_else(|| problem(path, &"a name that cannot be sent"))?;
        let metadata = fs::symlink_metadata(path).map_err(|error| problem(path, &error))?;
        if !metadata.is_dir() && !metadata.is_file() {
            if is_root {
                return Err(problem(path, &"neither a file nor a folder"));
            }
            self.packed.left_out.push(path.to_owned());
            return Ok(());
        }
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(PackError::TooMany);
        }
        names.push(name.to_owned());
        if names.len() > MAX_DEPTH {
            return Err(problem(path, &"more than 32 folders deep"));
        }
        self.head(if metadata.is_dir() { FOLDER } else { FILE }, names, &metadata)?;
        if metadata.is_dir() {
            let mut inside = fs::read_dir(path)
                .and_then(Iterator::collect::<io::Result<Vec<_>>>)
                .map_err(|error| problem(path, &error))?;
            inside.sort_by_key(fs::DirEntry::file_name);
            for entry in inside {
                self.add(&entry.path(), names, false)?;
            }
        } else {
            self.content(path, metadata.len())?;
            self.packed.files += 1;
        }
        names.pop();
        Ok(())
    }

    fn head(&mut self, kind: u8, names: &[String], metadata: &fs::Metadata) -> Result<(), PackError> {
        let out = &mut self.packed.bytes;
        out.push(kind);
        out.push(u8::try_from(names.len()).unwrap_or(0));
        for name in names {
            out.push(u8::try_from(name.len()).unwrap_or(0));
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(&mode(metadata).to_be_bytes());
        out.extend_from_slice(&changed(metadata).to_be_bytes());
        self.check(0)
    }

    fn content(&mut self, path: &Path, length: u64) -> Result<(), PackError> {
        self.check(length)?;
        let out = &mut self.packed.bytes;
        out.extend_from_slice(&length.to_be_bytes());
        let read = File::open(path).and_then(|file| file.take(length).read_to_end(out));
        match read {
            Ok(read) if u64::try_from(read).is_ok_and(|read| read == length) => Ok(()),
            Ok(_) => Err(problem(path, &"it changes while it is read")),
            Err(error) => Err(problem(path, &error)),
        }
    }

    fn check(&self, more: u64) -> Result<(), PackError> {
        let length = u64::try_from(self.packed.bytes.len()).unwrap_or(u64::MAX);
        if length.saturating_add(more) > MAX_BYTES { Err(PackError::TooLarge) } else { Ok(()) }
    }
}

fn problem(path: &Path, reason: &impl ToString) -> PackError {
    PackError::Path { path: path.display().to_string(), reason: reason.to_string() }
}

/// The same rule for what is sent and for what somebody else has sent.
fn is_name(name: &str) -> bool {
    let separates = |byte| matches!(byte, b'/' | b'\\' | 0);
    !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != ".." && !name.bytes().any(separates)
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> u16 {
    use std::os::unix::fs::PermissionsExt as _;
    u16::try_from(metadata.permissions().mode() & 0o777).unwrap_or(0o644)
}

#[cfg(not(unix))]
fn mode(_metadata: &fs::Metadata) -> u16 {
    0o644
}

fn changed(metadata: &fs::Metadata) -> i64 {
    let Ok(time) = metadata.modified() else { return 0 };
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}

/// What was sent is no pack, or cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("what was sent is not in order: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a pack into a folder that is empty and nobody else's. What stands at its top.
///
/// # Errors
/// [`UnpackError`]; what was written so far stays.
pub(super) fn unpack(bytes: &[u8], folder: &Path) -> Result<Vec<PathBuf>, UnpackError> {
    let mut reader = Reader(bytes);
    let mut tops: Vec<PathBuf> = Vec::new();
    let mut folders = Vec::new();
    let mut entries = 0;
    while !reader.0.is_empty() {
        entries += 1;
        if entries > MAX_ENTRIES {
            return Err(UnpackError::Malformed("too many files"));
        }
        let kind = reader.byte()?;
        let depth = usize::from(reader.byte()?);
        if depth == 0 || depth > MAX_DEPTH {
            return Err(UnpackError::Malformed("a path of no or too many names"));
        }
        let mut path = folder.to_owned();
        for number in 0..depth {
            let length = usize::from(reader.byte()?);
            let name = std::str::from_utf8(reader.take(length)?).ok().filter(|name| is_name(name));
            path.push(name.ok_or(UnpackError::Malformed("a name that is none"))?);
            if number == 0 && !tops.contains(&path) {
                tops.push(path.clone());
            }
        }
        let mode = u16::from_be_bytes(reader.array()?);
        let changed = i64::from_be_bytes(reader.array()?);
        match kind {
            FOLDER => {
                fs::create_dir(&path)?;
                folders.push((path, mode, changed));
            }
            FILE => {
                let length = u64::from_be_bytes(reader.array()?);
                let length =
                    usize::try_from(length).map_err(|_| UnpackError::Malformed("an impossible length"))?;
                let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
                file.write_all(reader.take(length)?)?;
                file.set_modified(time(changed))?;
                set_mode(&path, mode | 0o400)?;
            }
            _ => return Err(UnpackError::Malformed("neither a file nor a folder")),
        }
    }
    // The innermost first, and when nothing is written into them any more.
    for (path, mode, changed) in folders.into_iter().rev() {
        File::open(&path)?.set_modified(time(changed))?;
        set_mode(&path, mode | 0o700)?;
    }
    Ok(tops)
}

fn time(changed: i64) -> SystemTime {
    let distance = Duration::from_secs(changed.unsigned_abs());
    let time = if changed < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u16) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(u32::from(mode) & 0o777))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u16) -> io::Result<()> {
    Ok(())
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], UnpackError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(UnpackError::Malformed("it is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], UnpackError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(UnpackError::Malformed("it is cut off"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, UnpackError> {
        Ok(u8::from_be_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8, names: &[&str], rest: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, u8::try_from(names.len()).unwrap()];
        for name in names {
            out.push(u8::try_from(name.len()).unwrap());
            out.extend_from_slice(name.as_bytes());
        }
        [&out[..], &0o644_u16.to_be_bytes(), &0_i64.to_be_bytes(), rest].concat()
    }

    #[test]
    fn what_was_packed_comes_out_as_it_was() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = from.path().join("folder");
        fs::create_dir_all(folder.join("empty")).unwrap();
        fs::write(folder.join("note"), "hello").unwrap();
        fs::write(from.path().join("grün 会議"), "").unwrap();
        let old = UNIX_EPOCH + Duration::from_secs(1_000_000);
        File::options().write(true).open(folder.join("note")).unwrap().set_modified(old).unwrap();
        let packed = pack(&[folder.clone(), from.path().join("grün 会議")]).unwrap();
        assert_eq!((packed.files, packed.left_out.len()), (2, 0));
        let tops = unpack(&packed.bytes, to.path()).unwrap();
        assert_eq!(tops, [to.path().join("folder"), to.path().join("grün 会議")]);
        assert_eq!(fs::read_to_string(to.path().join("folder/note")).unwrap(), "hello");
        assert_eq!(fs::metadata(to.path().join("folder/note")).unwrap().modified().unwrap(), old);
        assert!(to.path().join("folder/empty").is_dir());
        // Cut off anywhere it is refused, and never more comes out than went in.
        for length in 0..packed.bytes.len() {
            let to = tempfile::tempdir().unwrap();
            let is_whole = unpack(&packed.bytes[..length], to.path()).is_ok();
            assert!(!is_whole || fs::read_dir(to.path()).unwrap().count() < 2, "{length}");
        }
    }

    #[test]
    fn nothing_leaves_the_folder_whatever_a_pack_says() {
        let bad: [&[&str]; 8] =
            [&[".."], &["."], &[""], &["a/b"], &["/etc"], &["..", "x"], &["a\\b"], &["a\0b"]];
        for names in bad {
            let to = tempfile::tempdir().unwrap();
            let inside = to.path().join("inside");
            fs::create_dir(&inside).unwrap();
            let result = unpack(&entry(FILE, names, &0_u64.to_be_bytes()), &inside);
            assert!(matches!(result, Err(UnpackError::Malformed(_))), "{names:?}");
            assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1);
        }
        let to = tempfile::tempdir().unwrap();
        let twice =
            [entry(FILE, &["a"], &0_u64.to_be_bytes()), entry(FILE, &["a"], &0_u64.to_be_bytes())].concat();
        assert!(unpack(&twice, to.path()).is_err(), "no name twice");
        for bytes in [
            entry(2, &["b"], &[]),
            entry(FILE, &[], &[]),
            entry(FILE, &["x"; 33], &[]),
            entry(FILE, &["b"], &u64::MAX.to_be_bytes()),
            entry(FILE, &["b"], &1_u64.to_be_bytes()),
        ] {
            assert!(unpack(&bytes, to.path()).is_err());
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_left_out_and_what_is_too_large_is_not_even_read() {
        let from = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.path().join("link")).unwrap();
        fs::write(from.path().join("file"), "x").unwrap();
        let packed = pack(&[from.path().to_owned()]).unwrap();
        assert_eq!((packed.files, packed.left_out.len()), (1, 1));
        let big = from.path().join("big");
        File::create(&big).unwrap().set_len(MAX_BYTES - 64).unwrap();
        assert!(pack(std::slice::from_ref(&big)).is_ok(), "up to the limit");
        File::create(&big).unwrap().set_len(MAX_BYTES).unwrap();
        assert!(matches!(pack(&[big]), Err(PackError::TooLarge)));
    }
}
