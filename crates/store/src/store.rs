//! The tables of the file, and the trait that a mesh uses them by.

use std::fmt;
use std::io;
use std::path::Path;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use telemesh_hashname::Hashname;
use telemesh_mesh::{Change, PeerRecord, PeerStore, Remembered, Stored};

use crate::open::{OpenError, open};
use crate::rows;

/// Hashname to the record's bytes.
const RECORDS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("records");
/// Hashname to addresses with spaces in between, the one that worked last first.
const PATHS: TableDefinition<'_, [u8; 32], &str> = TableDefinition::new("paths");
/// Hashname to JSON, see [`rows`].
const CONTACTS: TableDefinition<'_, [u8; 32], &str> = TableDefinition::new("contacts");
/// Id to JSON, see [`rows`].
const INVITES: TableDefinition<'_, &str, &str> = TableDefinition::new("invites");
/// What the file says about itself.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// Version of the tables and rows. Another one is refused.
const VERSION: u64 = 1;

/// A store in a file. Dropping it closes the file.
pub struct FileStore {
    database: Database,
}

impl FileStore {
    /// Opens the store at this path, which is made, with mode 0600, if nothing is there. Its folder must exist.
    ///
    /// # Errors
    /// [`OpenError`]: in use by another process, open to others, written by another version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let store = Self { database: open(path)? };
        match store.prepare() {
            Ok(VERSION) => Ok(store),
            Ok(other) => {
                let reason = format!("its version is {other}, and this program knows {VERSION}");
                Err(OpenError::Content { path: path.to_owned(), reason })
            }
            Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
        }
    }

    /// Makes tables that are missing, and says which version the file has.
    fn prepare(&self) -> io::Result<u64> {
        let write = self.database.begin_write().map_err(broken)?;
        let version = {
            let mut about = write.open_table(ABOUT).map_err(broken)?;
            let known = about.get("version").map_err(broken)?.map(|version| version.value());
            if known.is_none() {
                about.insert("version", VERSION).map_err(broken)?;
            }
            known.unwrap_or(VERSION)
        };
        if version == VERSION {
            write.open_table(RECORDS).map_err(broken)?;
            write.open_table(PATHS).map_err(broken)?;
            write.open_table(CONTACTS).map_err(broken)?;
            write.open_table(INVITES).map_err(broken)?;
        }
        write.commit().map_err(broken)?;
        Ok(version)
    }
}

impl PeerStore for FileStore {
    fn load(&self) -> io::Result<Stored> {
        let read = self.database.begin_read().map_err(broken)?;
        let mut stored = Stored::default();
        for row in read.open_table(CONTACTS).map_err(broken)?.iter().map_err(broken)? {
            let (hashname, text) = row.map_err(broken)?;
            let hashname = Hashname::from_bytes(hashname.value());
            stored.contacts.push(rows::read_contact(&hashname, text.value())?);
        }
        for row in read.open_table(INVITES).map_err(broken)?.iter().map_err(broken)? {
            let (id, text) = row.map_err(broken)?;
            stored.invites.push(rows::read_invite(id.value(), text.value())?);
        }
        Ok(stored)
    }

    fn peer(&self, peer: &Hashname) -> io::Result<Remembered> {
        let read = self.database.begin_read().map_err(broken)?;
        let record = match read.open_table(RECORDS).map_err(broken)?.get(peer.as_bytes()).map_err(broken)? {
            Some(bytes) => {
                PeerRecord::from_bytes(bytes.value()).map_err(|error| rows::invalid(peer, &error))?
            }
            None => PeerRecord::default(),
        };
        let paths = match read.open_table(PATHS).map_err(broken)?.get(peer.as_bytes()).map_err(broken)? {
            Some(text) => rows::read_paths(peer, text.value())?,
            None => Vec::new(),
        };
        Ok(Remembered { record, paths })
    }

    fn save(&self, changes: &[Change]) -> io::Result<()> {
        let write = self.database.begin_write().map_err(broken)?;
        for change in changes {
            apply(&write, change)?;
        }
        write.commit().map_err(broken)
    }
}

fn apply(write: &WriteTransaction, change: &Change) -> io::Result<()> {
    match change {
        Change::Record(peer, record) => {
            let mut records = write.open_table(RECORDS).map_err(broken)?;
            records.insert(peer.as_bytes(), record.to_bytes().as_slice()).map_err(broken)?;
        }
        Change::Paths(peer, paths) => {
            let mut table = write.open_table(PATHS).map_err(broken)?;
            table.insert(peer.as_bytes(), rows::write_paths(paths).as_str()).map_err(broken)?;
        }
        Change::Contact(contact) => {
            let mut contacts = write.open_table(CONTACTS).map_err(broken)?;
            let row = rows::write_contact(contact)?;
            contacts.insert(contact.hashname().as_bytes(), row.as_str()).map_err(broken)?;
        }
        Change::Forgotten(peer) => {
            write.open_table(CONTACTS).map_err(broken)?.remove(peer.as_bytes()).map_err(broken)?;
        }
        Change::Invite(invite) => {
            let mut invites = write.open_table(INVITES).map_err(broken)?;
            let row = rows::write_invite(invite)?;
            invites.insert(invite.id.as_str(), row.as_str()).map_err(broken)?;
        }
        Change::InviteClosed(id) => {
            write.open_table(INVITES).map_err(broken)?.remove(id.as_str()).map_err(broken)?;
        }
        // A kind of change that is newer than this crate must not get lost silently.
        _ => return Err(io::Error::other("a change that this store does not know")),
    }
    Ok(())
}

/// What redb says, as a trait for stores of all kinds can say it.
fn broken(error: impl Into<redb::Error>) -> io::Error {
    match error.into() {
        redb::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").finish_non_exhaustive()
    }
}
