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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_ENTRIES;
    use crate::wire::{Content, Time};

    fn entry(depth: usize, name: String, size: u64) -> Entry {
        let modified = Time { seconds: 1_700_000_000, nanoseconds: 999_999_999 };
        let content = match size {
            0 => Content::Folder { mode: 0o755, modified },
            1 => Content::Link { target: "t".repeat(4_000).into(), modified },
            size => Content::File { mode: 0o644, modified, size },
        };
        Entry { depth, name: name.into(), content }
    }

    #[test]
    fn a_long_list_lies_in_a_file_and_comes_back_as_it_was() {
        let count = 200_000u64;
        let of = |number: u64| match number {
            0 => entry(0, "folder".to_owned(), 0),
            // Among them the longest entries there are.
            number if number % 997 == 0 => entry(1, format!("{number:0255}"), 1),
            number => entry(1, format!("{number:0255}"), number + 1),
        };
        let mut writer = ListWriter::new();
        (0..count).for_each(|number| writer.add(&of(number)).unwrap());
        let list = Arc::new(writer.finish(Vec::new()).unwrap());
        assert_eq!(list.entries, count);
        assert!(list.stored.lock().unwrap().is_rolled(), "the whole list is in memory");
        for _ in 0..2 {
            let mut entries = Entries::of(Arc::clone(&list));
            for number in 0..count {
                assert!(entries.next().unwrap() == Some(of(number)), "{number}");
                assert!(entries.buffer.capacity() <= 4 * BLOCK);
            }
            assert_eq!(entries.next().unwrap(), None);
            assert_eq!(entries.next().unwrap(), None);
        }
    }

    #[test]
    fn a_list_has_no_more_bytes_than_a_transfer_may() {
        let mut writer = ListWriter::new();
        writer.add(&entry(0, "a".to_owned(), MAX_BYTES - 2)).unwrap();
        writer.add(&entry(0, "b".to_owned(), 2)).unwrap();
        assert!(matches!(writer.add(&entry(0, "c".to_owned(), 2)), Err(AddError::TooMuch)));
        let mut writer = ListWriter::new();
        writer.check.entries = MAX_ENTRIES - 1;
        writer.add(&entry(0, "a".to_owned(), 2)).unwrap();
        assert!(matches!(writer.add(&entry(0, "b".to_owned(), 2)), Err(AddError::TooMuch)));
    }

    #[test]
    fn problems_are_counted_beyond_those_that_are_kept() {
        let mut writer = ListWriter::new();
        for number in 0..MAX_PROBLEMS + 5 {
            writer.leave_out(Problem { path: number.to_string(), reason: crate::Reason::Special });
        }
        let list = writer.finish(Vec::new()).unwrap();
        assert_eq!((list.left_out.len(), list.left_out_count), (MAX_PROBLEMS, MAX_PROBLEMS as u64 + 5));
    }
}
