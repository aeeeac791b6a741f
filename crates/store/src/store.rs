//! The tables of the file, and the trait that a mesh uses them by.

use std::fmt;
use std::io;
use std::path::Path;

use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use telemesh_database::{Database, Format, OpenError, io_error as broken};
use telemesh_hashname::Hashname;
use telemesh_mesh::{Change, PeerRecord, PeerStore, Remembered, Stored};

use crate::rows;

/// Hashname to the record's bytes.
const RECORDS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("records");
/// Hashname to addresses with spaces in between, the one that worked last first.
const PATHS: TableDefinition<'_, [u8; 32], &str> = TableDefinition::new("paths");
/// Hashname to JSON, see [`rows`].
const CONTACTS: TableDefinition<'_, [u8; 32], &str> = TableDefinition::new("contacts");
/// Id to JSON, see [`rows`].
const INVITES: TableDefinition<'_, &str, &str> = TableDefinition::new("invites");
/// Another version of tables and rows is refused. What an endpoint keeps of ten thousand peers is a few megabytes.
const FORMAT: Format = Format { version: 1, cache: 4 << 20 };

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
        let database = Database::open(path.as_ref(), FORMAT, |write| {
            write.open_table(RECORDS)?;
            write.open_table(PATHS)?;
            write.open_table(CONTACTS)?;
            write.open_table(INVITES)?;
            Ok(())
        })?;
        Ok(Self { database })
    }
}

impl PeerStore for FileStore {
    fn load(&self) -> io::Result<Stored> {
        self.database.with(|database| {
            let read = database.begin_read().map_err(broken)?;
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
        })
    }

    fn peer(&self, peer: &Hashname) -> io::Result<Remembered> {
        self.database.with(|database| {
            let read = database.begin_read().map_err(broken)?;
            let records = read.open_table(RECORDS).map_err(broken)?;
            let record = match records.get(peer.as_bytes()).map_err(broken)? {
                Some(bytes) => {
                    PeerRecord::from_bytes(bytes.value()).map_err(|error| rows::invalid(peer, &error))?
                }
                None => PeerRecord::default(),
            };
            let paths = read.open_table(PATHS).map_err(broken)?;
            let paths = match paths.get(peer.as_bytes()).map_err(broken)? {
                Some(text) => rows::read_paths(peer, text.value())?,
                None => Vec::new(),
            };
            Ok(Remembered { record, paths })
        })
    }

    fn save(&self, changes: &[Change]) -> io::Result<()> {
        self.database.with(|database| {
            let write = database.begin_write().map_err(broken)?;
            for change in changes {
                apply(&write, change)?;
            }
            write.commit().map_err(broken)
        })
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

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").finish_non_exhaustive()
    }
}
