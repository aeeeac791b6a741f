//! The list of an offer: made once, kept in its encoded form, in memory while it is short and in a temporary file beyond.

use std::fmt;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::SpooledTempFile;

use crate::limits::{LIST_IN_MEMORY, MAX_BYTES, MAX_ENTRIES, MAX_PROBLEMS};
use crate::list::{ListCheck, TransferId};
use crate::report::Problem;
use crate::wire::{Entry, Reader};

/// A finished list.
pub(crate) struct List {
    pub(crate) id: TransferId,
    pub(crate) entries: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) left_out: Vec<Problem>,
    pub(crate) left_out_count: u64,
    /// What the entries of depth 0 are, in the list's order.
    pub(crate) roots: Vec<Root>,
    stored: Mutex<SpooledTempFile>,
}

/// Something that was named to the offer.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) name: Box<str>,
    pub(crate) path: PathBuf,
}

/// A list in the making.
pub(super) struct ListWriter {
    check: ListCheck,
    stored: SpooledTempFile,
    buffer: Vec<u8>,
    left_out: Vec<Problem>,
    left_out_count: u64,
}

/// How much of a list is read or written at once, in bytes; several of the longest entries.
const BLOCK: usize = 64 * 1024;

/// Why an entry was not added.
#[derive(Debug)]
pub(super) enum AddError {
    /// Limits of a transfer.
    TooMuch,
    /// Storing failed.
    Io(io::Error),
}

impl ListWriter {
    pub(super) fn new() -> Self {
        Self {
            check: ListCheck::new(),
            stored: SpooledTempFile::new(LIST_IN_MEMORY),
            buffer: Vec::with_capacity(BLOCK),
            left_out: Vec::new(),
            left_out_count: 0,
        }
    }

    /// Adds an entry whose name, depth and order are known to be right.
    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), AddError> {
        self.check.add(entry).map_err(|_| AddError::TooMuch)?;
        if self.check.entries > MAX_ENTRIES || self.check.bytes > MAX_BYTES {
            return Err(AddError::TooMuch);
        }
        self.buffer.extend_from_slice(self.check.encoded());
        if self.buffer.len() >= BLOCK {
            self.flush().map_err(AddError::Io)?;
        }
        Ok(())
    }

    pub(super) fn leave_out(&mut self, problem: Problem) {
        self.left_out_count += 1;
        if self.left_out.len() < MAX_PROBLEMS {
            self.left_out.push(problem);
        }
    }

    pub(super) fn finish(mut self, roots: Vec<Root>) -> io::Result<List> {
        self.flush()?;
        Ok(List {
            id: self.check.id(),
            entries: self.check.entries,
            files: self.check.files,
            bytes: self.check.bytes,
            left_out: self.left_out,
            left_out_count: self.left_out_count,
            roots,
            stored: Mutex::new(self.stored),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stored.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl List {
    fn read_at(&self, offset: u64, buffer: &mut Vec<u8>, wanted: usize) -> io::Result<usize> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.seek(SeekFrom::Start(offset))?;
        (&mut *stored).take(wanted as u64).read_to_end(buffer)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("List")
            .field("id", &self.id)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

/// Reads a list from its beginning.
#[derive(Debug)]
pub(crate) struct Entries {
    list: Arc<List>,
    /// Where in the list the next block begins.
    offset: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Entries {
    pub(crate) fn of(list: Arc<List>) -> Self {
        Self { list, offset: 0, buffer: Vec::new(), used: 0 }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// The temporary file cannot be read, or is not what was written.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        if self.buffer.len().saturating_sub(self.used) < Entry::MAX_ENCODED {
            self.buffer.drain(..self.used);
            self.used = 0;
            self.offset += self.list.read_at(self.offset, &mut self.buffer, BLOCK)? as u64;
        }
        let rest = self.buffer.get(self.used..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader::new(rest);
        let entry =
            Entry::decode(&mut reader).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.used += rest.len() - reader.remaining();
        Ok(Some(entry))
    }
}
