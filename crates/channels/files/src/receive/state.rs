//! What is known of a transfer between two attempts: a folder of its own in the target's state folder, with the parts of
//! files, a journal of how much is settled, and the numbers of the folders that were made for it.
//!
//! The journal is also the lock: one attempt at a time holds it, and the system lets go of it when a process dies.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use telemesh_hashname::Hashname;

use super::target::{MAX_LEFTOVERS, Target};
use crate::disk::Dir;
use crate::names::STATE_FOLDER;
use crate::wire::{Hash, Reader, put_varint};

/// Keeps the name of a state folder apart from any other hash.
const STATE_CONTEXT: &str = "telemesh files 1: the state of a transfer";

/// A link that was lost and is back may find the old attempt still at its end.
const WAIT_FOR_LOCK: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(25);

const JOURNAL: &str = "settled";
const FOLDERS: &str = "folders";
const PART: &str = "part-";

/// Bytes of a record: how many entries are settled, and a check.
const RECORD: usize = 16;

/// Most of a journal or list of folders that is read, in bytes: 128 MiB are more folders than a transfer has entries.
const MAX_READ: u64 = 128 << 20;

#[derive(Debug)]
pub(super) enum StateError {
    /// Another attempt holds it.
    Busy,
    Io(io::Error),
}

impl From<io::Error> for StateError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The state of a transfer, locked.
#[derive(Debug)]
pub(super) struct State {
    pub(super) folder: Arc<Dir>,
    root: Arc<Dir>,
    name: String,
    id: Hash,
    journal: File,
    folders: File,
    /// Entries before this one are dealt with.
    pub(super) settled: u64,
    /// Entries of which there is a part, ascending.
    pub(super) parts: Vec<u64>,
    /// Folders that were made for this transfer, ascending.
    pub(super) made: Vec<u64>,
    /// The permission bits that this process takes from new files.
    pub(super) umask: u32,
    /// Whether the target takes two names for one that differ only by case.
    pub(super) ignores_case: bool,
}

impl State {
    /// Opens the state of a peer's transfer, or begins it.
    pub(super) fn open(target: &Target, peer: Hashname, id: &Hash) -> Result<Self, StateError> {
        let mut hasher = blake3::Hasher::new_derive_key(STATE_CONTEXT);
        hasher.update(peer.as_bytes()).update(id);
        let name: String =
            hasher.finalize().as_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let give_up = Instant::now() + WAIT_FOR_LOCK;
        loop {
            // The attempt before may be removing these folders just now, which is then seen in one of the steps.
            match Self::try_open(target, &name, id) {
                Err(StateError::Io(error)) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                Err(error) if Instant::now() >= give_up => return Err(error),
                Err(_) => thread::sleep(LOCK_POLL),
                Ok(state) => return Ok(state),
            }
        }
    }

    fn try_open(target: &Target, name: &str, id: &Hash) -> Result<Self, StateError> {
        let states = make_and_open(&target.root, STATE_FOLDER)?;
        let folder = make_and_open(&states, name)?;
        let mut journal = open_or_make(&folder, JOURNAL)?;
        lock(&journal)?;
        if folder.look(JOURNAL)?.is_none() || states.look(name)?.is_none() {
            // It was removed between opening and locking.
            return Err(io::Error::from(io::ErrorKind::NotFound).into());
        }
        let mut folders = open_or_make(&folder, FOLDERS)?;
        let settled = read_journal(&mut journal, id)?;
        let made = read_folders(&mut folders)?;
        let mut parts = Vec::new();
        for file in folder.names(MAX_LEFTOVERS)? {
            match file.to_str().and_then(|file| file.strip_prefix(PART)).map(str::parse) {
                // What was settled has no use for a part any more.
                Some(Ok(index)) if index >= settled => parts.push(index),
                _ if file != JOURNAL && file != FOLDERS => folder.remove_file(&file)?,
                _ => {}
            }
        }
        parts.sort_unstable();
        let umask = if target.exact_modes { 0 } else { folder.umask(PROBE)? };
        let ignores_case = target.root.look(&*STATE_FOLDER.to_ascii_uppercase())?.is_some();
        Ok(Self {
            folder: Arc::new(folder),
            root: Arc::clone(&target.root),
            name: name.to_owned(),
            id: *id,
            journal,
            folders,
            settled,
            parts,
            made,
            umask,
            ignores_case,
        })
    }

    /// The name of an entry's part.
    pub(super) fn part(index: u64) -> String {
        format!("{PART}{index}")
    }

    /// Notes that a folder is going to be made for this transfer.
    pub(super) fn note_folder(&mut self, index: u64) -> io::Result<()> {
        let mut record = Vec::with_capacity(10);
        put_varint(&mut record, index);
        self.folders.write_all(&record)
    }

    /// Notes that entries before this one are dealt with, and waits until that is on the disk.
    pub(super) fn note_settled(journal: &mut File, id: &Hash, settled: u64) -> io::Result<()> {
        journal.write_all(&record(id, settled))?;
        journal.sync_data()
    }

    pub(super) fn journal(&self) -> io::Result<(File, Hash)> {
        Ok((self.journal.try_clone()?, self.id))
    }

    /// Removes what the transfer no longer needs. Failing leaves a folder that [`Target::clean`] finds.
    pub(super) fn remove(self) -> io::Result<()> {
        let states = self.root.open_dir(STATE_FOLDER)?;
        remove(&states, &self.folder, &self.name)?;
        drop(self.journal);
        // Other transfers may have theirs in there.
        let _ = self.root.remove_dir(STATE_FOLDER);
        Ok(())
    }
}

const PROBE: &str = "probe";

/// Removes the state of a transfer that nobody holds; whether it did.
pub(super) fn remove_leftover(target: &Target, name: &str) -> io::Result<bool> {
    let states = target.root.open_dir(STATE_FOLDER)?;
    let folder = states.open_dir(name)?;
    let journal = open_or_make(&folder, JOURNAL)?;
    if let Err(error) = lock(&journal) {
        return match error {
            StateError::Busy => Ok(false),
            StateError::Io(error) => Err(error),
        };
    }
    remove(&states, &folder, name)?;
    drop(journal);
    let _ = target.root.remove_dir(STATE_FOLDER);
    Ok(true)
}

/// The journal goes last: while it is there, it is the lock.
fn remove(states: &Dir, folder: &Dir, name: &str) -> io::Result<()> {
    for file in folder.names(MAX_LEFTOVERS)? {
        if file != JOURNAL {
            folder.remove_file(&file)?;
        }
    }
    folder.remove_file(JOURNAL)?;
    states.remove_dir(name)
}

fn make_and_open(folder: &Dir, name: &str) -> io::Result<Dir> {
    match folder.make_dir(name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => folder.open_dir(name),
    }
}

fn open_or_make(folder: &Dir, name: &str) -> io::Result<File> {
    match folder.make_file(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            folder.open_to_write(name).map(|(file, _)| file)
        }
        result => result,
    }
}

fn lock(journal: &File) -> Result<(), StateError> {
    match journal.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StateError::Busy),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn record(id: &Hash, settled: u64) -> [u8; RECORD] {
    let settled = settled.to_be_bytes();
    let check = blake3::keyed_hash(id, &settled);
    let mut record = [0; RECORD];
    let bytes = settled.iter().chain(check.as_bytes());
    record.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    record
}

/// The highest count that was written whole. Leaves the file at its end, less a record that was torn.
fn read_journal(journal: &mut File, id: &Hash) -> io::Result<u64> {
    let mut records = Vec::new();
    journal.take(MAX_READ).read_to_end(&mut records)?;
    let (whole, torn) = records.as_chunks::<RECORD>();
    let mut settled = 0;
    for found in whole {
        let Some(count) = found.first_chunk().map(|count| u64::from_be_bytes(*count)) else { continue };
        if *found == record(id, count) {
            settled = settled.max(count);
        }
    }
    if !torn.is_empty() {
        // Records stay aligned whatever was cut off.
        journal.write_all(&vec![0; RECORD - torn.len()])?;
    }
    Ok(settled)
}

fn read_folders(folders: &mut File) -> io::Result<Vec<u64>> {
    let mut records = Vec::new();
    folders.take(MAX_READ).read_to_end(&mut records)?;
    let mut made = Vec::new();
    let mut rest = records.as_slice();
    loop {
        let mut reader = Reader::new(rest);
        let Ok(index) = reader.varint() else { break };
        rest = rest.get(rest.len() - reader.remaining()..).unwrap_or_default();
        made.push(index);
    }
    if !rest.is_empty() {
        // A record that was torn is that of a folder that was not made yet.
        let whole = (records.len() - rest.len()) as u64;
        folders.set_len(whole)?;
        folders.seek(SeekFrom::Start(whole))?;
    }
    made.sort_unstable();
    Ok(made)
}
