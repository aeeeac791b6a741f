//! The one file whose data arrives: hashed and written as it comes.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

use super::decide::Have;
use super::state::State;
use crate::disk::Dir;
use crate::limits::WRITEBACK_STEP;
use crate::wire::Hash;

/// Zeros to hash; small enough to stay in a processor's cache.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A file between its first message and its last.
#[derive(Debug)]
pub(super) struct IncomingFile {
    /// `None` if no byte is to come: the receiver has all of it.
    file: Option<File>,
    content: Content,
    size: u64,
    at: u64,
    /// It ends in a hole, so its length must be set.
    hole: bool,
    /// Where the system was asked last to write to the disk.
    written_back: u64,
}

#[derive(Debug)]
enum Content {
    Hashing(Box<blake3::Hasher>),
    Known { hash: Hash, in_place: bool },
}

/// A file that arrived whole.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) hash: Hash,
    /// Open, if it was written to now.
    pub(super) file: Option<File>,
    /// It lies where it belongs already, and there is no part of it.
    pub(super) in_place: bool,
}

/// Why a file could not begin.
#[derive(Debug)]
pub(super) enum BeginError {
    /// The offset is none of those that were offered.
    Offset,
    Io(io::Error),
}

impl From<io::Error> for BeginError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl IncomingFile {
    /// Opens or makes the part of an entry, for data from `offset` on.
    pub(super) fn begin(
        folder: &Dir,
        index: u64,
        size: u64,
        offset: u64,
        have: Have,
    ) -> Result<Self, BeginError> {
        let new = |file, content, at| Self { file, content, size, at, hole: false, written_back: at };
        if offset == 0 && !matches!(have, Have::OnlyIfSame { .. }) {
            let file = fresh_part(folder, index)?;
            return Ok(new(Some(file), Content::Hashing(Box::default()), 0));
        }
        match have {
            Have::Same { hash } | Have::OnlyIfSame { hash } if offset == size => {
                Ok(new(None, Content::Known { hash, in_place: true }, size))
            }
            Have::Part(points) => {
                let point = points.into_iter().find(|(prefix, _)| prefix.length == offset);
                let (prefix, hasher) = point.ok_or(BeginError::Offset)?;
                let part = State::part(index);
                let Some(hasher) = hasher else {
                    let (file, _) = folder.open_file(&*part)?;
                    return Ok(new(
                        Some(file),
                        Content::Known { hash: prefix.hash, in_place: false },
                        offset,
                    ));
                };
                let (mut file, _) = folder.open_to_write(&part)?;
                file.set_len(offset)?;
                file.seek(SeekFrom::Start(offset))?;
                Ok(new(Some(file), Content::Hashing(hasher), offset))
            }
            Have::Nothing | Have::Same { .. } | Have::OnlyIfSame { .. } => Err(BeginError::Offset),
        }
    }

    /// Whether it lies where it belongs and only its hash is still to come.
    pub(super) fn is_in_place(&self) -> bool {
        matches!(self.content, Content::Known { in_place: true, .. })
    }

    /// Bytes that are still to come.
    pub(super) fn left(&self) -> u64 {
        self.size.saturating_sub(self.at)
    }

    /// Takes the next bytes, no more than are left.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        if let (Some(file), Content::Hashing(hasher)) = (&mut self.file, &mut self.content) {
            hasher.update(data);
            file.write_all(data)?;
        }
        self.at += data.len() as u64;
        self.hole = false;
        Ok(())
    }

    /// Takes zeros, no more than are left, as a hole.
    pub(super) fn skip(&mut self, zeros: u64) -> io::Result<()> {
        let (Some(file), Content::Hashing(hasher)) = (&mut self.file, &mut self.content) else {
            return Ok(());
        };
        self.at += zeros;
        file.seek(SeekFrom::Start(self.at))?;
        self.hole = true;
        let mut left = zeros;
        while left > 0 {
            let zeros = ZEROS.get(..usize::try_from(left).unwrap_or(ZEROS.len())).unwrap_or(&ZEROS);
            hasher.update(zeros);
            left -= zeros.len() as u64;
        }
        Ok(())
    }

    /// A handle for writing to the disk what was written so far, if that is much.
    pub(super) fn writeback(&mut self) -> Option<File> {
        if self.at - self.written_back < WRITEBACK_STEP {
            return None;
        }
        self.written_back = self.at;
        self.file.as_ref()?.try_clone().ok()
    }

    /// Ends a file of which nothing is left to come.
    pub(super) fn finish(self) -> io::Result<Whole> {
        if let (Some(file), true) = (&self.file, self.hole) {
            file.set_len(self.size)?;
        }
        Ok(match self.content {
            Content::Hashing(hasher) => {
                Whole { hash: *hasher.finalize().as_bytes(), file: self.file, in_place: false }
            }
            Content::Known { hash, in_place } => Whole { hash, file: self.file, in_place },
        })
    }
}

/// A part without content, whatever was there under its name.
fn fresh_part(folder: &Dir, index: u64) -> io::Result<File> {
    let name = State::part(index);
    match folder.make_file(&name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            folder.remove_file(&*name)?;
            folder.make_file(&name)
        }
        result => result,
    }
}
