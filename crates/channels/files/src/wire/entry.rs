//! One line of the list: a file, a folder or a link, with its place in the tree.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::buffer::{Malformed, Reader, put_bytes, put_signed, put_varint};
use crate::limits::{MAX_BYTES, MAX_DEPTH, MAX_LINK_TARGET, MAX_NAME};
use crate::names::check_name;

/// The permission bits that are sent. Not set-user-id, set-group-id and sticky: those are not the sender's to give.
pub(crate) const MODE_BITS: u32 = 0o777;

/// A modification time: seconds since 1970 and nanoseconds after that second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

/// A file, folder or link. The list is in depth-first order with the names of each folder ascending by their bytes, so
/// depth and name say where it belongs and no entry can occur twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Folders of the transfer that it lies in; 0 lies in the target folder itself.
    pub(crate) depth: usize,
    pub(crate) name: Box<str>,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    File { mode: u32, modified: Time, size: u64 },
    Folder { mode: u32, modified: Time },
    Link { target: Box<str>, modified: Time },
}

const FILE: u8 = 1;
const FOLDER: u8 = 2;
const LINK: u8 = 3;

impl Entry {
    /// Bytes of the longest encoding: kind, depth, name, mode, time, and a link's target.
    pub(crate) const MAX_ENCODED: usize = 1 + 10 + 2 + MAX_NAME + 10 + 20 + 2 + MAX_LINK_TARGET;

    pub(crate) fn size(&self) -> u64 {
        if let Content::File { size, .. } = self.content { size } else { 0 }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, mode, modified) = match self.content {
            Content::File { mode, modified, .. } => (FILE, Some(mode), modified),
            Content::Folder { mode, modified } => (FOLDER, Some(mode), modified),
            Content::Link { modified, .. } => (LINK, None, modified),
        };
        out.push(kind);
        put_varint(out, self.depth as u64);
        put_bytes(out, self.name.as_bytes());
        put_signed(out, modified.seconds);
        put_varint(out, modified.nanoseconds.into());
        if let Some(mode) = mode {
            put_varint(out, mode.into());
        }
        match &self.content {
            Content::File { size, .. } => put_varint(out, *size),
            Content::Folder { .. } => {}
            Content::Link { target, .. } => put_bytes(out, target.as_bytes()),
        }
    }

    /// Takes one entry from the front. Its name is checked here, so that no other code meets a bad one.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = reader.byte()?;
        let depth = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        if depth > MAX_DEPTH {
            return Err(Malformed("folders too deep inside each other"));
        }
        let name = reader.text(MAX_NAME)?;
        check_name(name).map_err(Malformed)?;
        let seconds = reader.signed()?;
        let nanoseconds = u32::try_from(reader.varint()?)
            .ok()
            .filter(|nanoseconds| *nanoseconds < 1_000_000_000)
            .ok_or(Malformed("a time with too many nanoseconds"))?;
        let modified = Time { seconds, nanoseconds };
        let content = match kind {
            FILE => {
                let mode = mode(reader)?;
                let size = reader.varint()?;
                if size > MAX_BYTES {
                    return Err(Malformed("a file too large for any file system"));
                }
                Content::File { mode, modified, size }
            }
            FOLDER => Content::Folder { mode: mode(reader)?, modified },
            LINK => Content::Link { target: reader.text(MAX_LINK_TARGET)?.into(), modified },
            _ => return Err(Malformed("an unknown kind of entry")),
        };
        Ok(Self { depth, name: name.into(), content })
    }
}

fn mode(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    u32::try_from(reader.varint()?)
        .ok()
        .filter(|mode| mode & !MODE_BITS == 0)
        .ok_or(Malformed("a mode with more than permission bits"))
}

impl Time {
    /// Of the system's clock or file system; times that a file system cannot hold are no reason to fail.
    pub(crate) fn from_system(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self {
                seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanoseconds: after.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Self { seconds: -seconds, nanoseconds: 0 },
                    nanos => {
                        Self { seconds: (-seconds).saturating_sub(1), nanoseconds: 1_000_000_000 - nanos }
                    }
                }
            }
        }
    }

    /// `None` if the system's clock cannot hold it.
    pub(crate) fn to_system(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second =
            if self.seconds >= 0 { UNIX_EPOCH.checked_add(whole) } else { UNIX_EPOCH.checked_sub(whole) };
        second?.checked_add(Duration::from_nanos(self.nanoseconds.into()))
    }
}
