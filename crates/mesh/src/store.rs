//! What an endpoint keeps between runs: the trait that a store implements, and a store in memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use telemesh_hashname::Hashname;
use telemesh_link::PeerRecord;
use telemesh_wire::{InviteSecret, PathAddress};

use crate::contact::{Contact, ContactName};
use crate::grant::Grants;

/// Addresses that are remembered of a peer, the one that worked last first.
pub const MAX_REMEMBERED_PATHS: usize = 4;

/// Keeps what must survive a restart.
///
/// A handshake is answered only after its record is saved: if a record could get lost, an old handshake could be replayed after a
/// crash. Changes come in groups, from one caller at a time.
pub trait PeerStore: Send + Sync + 'static {
    /// Contacts and open invites. Called once, when the endpoint starts.
    ///
    /// # Errors
    /// When the store cannot be read. The endpoint then does not start.
    fn load(&self) -> io::Result<Stored>;

    /// What is remembered about a peer, contact or not.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn peer(&self, peer: &Hashname) -> io::Result<Remembered>;

    /// Saves all of these changes, in this order, or none of them; durably if the store is durable at all.
    ///
    /// # Errors
    /// When the store cannot be written. It is tried again later, and no handshake is answered until then.
    fn save(&self, changes: &[Change]) -> io::Result<()>;

    /// Whether [`PeerStore::save`] is quick and never waits for a device. It is then called wherever something changes,
    /// otherwise in groups and in a thread where it may wait.
    fn is_immediate(&self) -> bool {
        false
    }
}

/// What a store holds for the endpoint as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Whom the endpoint trusts.
    pub contacts: Vec<Contact>,
    /// Invites that may still be open.
    pub invites: Vec<StoredInvite>,
}

/// What a store holds about one peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// State of the handshakes with it.
    pub record: PeerRecord,
    /// Addresses at which it was reached, the last one first; at most [`MAX_REMEMBERED_PATHS`].
    pub paths: Vec<PathAddress>,
}

/// An open invite. It holds the secret: a store must keep it from others.
#[derive(Debug, Clone)]
pub struct StoredInvite {
    /// Names it among the endpoint's invites.
    pub id: String,
    /// What its bearer proves to know.
    pub secret: Arc<InviteSecret>,
    /// Contacts that it can still make.
    pub uses: u32,
    /// When it expires: microseconds since 1970; `None` for never.
    pub expires: Option<u64>,
    /// What the contact will be called.
    pub name: Option<ContactName>,
    /// What the contact will be allowed beyond linking.
    pub grants: Grants,
    /// Who has used it. One who was forgotten since does not come back with it.
    pub used: Vec<Hashname>,
}

impl PartialEq for StoredInvite {
    fn eq(&self, other: &Self) -> bool {
        // The id stands for the secret.
        (&self.id, self.uses, self.expires, &self.name, &self.grants, &self.used)
            == (&other.id, other.uses, other.expires, &other.name, &other.grants, &other.used)
    }
}

impl Eq for StoredInvite {}

/// One change to what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The state of the handshakes with a peer.
    Record(Hashname, PeerRecord),
    /// The addresses at which a peer was reached.
    Paths(Hashname, Vec<PathAddress>),
    /// A contact is added, or replaces what was known of it.
    Contact(Contact),
    /// Somebody is no contact any more. What is remembered of its handshakes stays: without it an old one would be new again if
    /// it came back.
    Forgotten(Hashname),
    /// An invite is issued, or has changed.
    Invite(StoredInvite),
    /// The invite with this id is used up, expired or revoked.
    InviteClosed(String),
}

/// A store that lives as long as the process. Share it between meshes to survive their restarts in a test.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    peers: HashMap<Hashname, Remembered>,
    contacts: BTreeMap<Hashname, Contact>,
    invites: BTreeMap<String, StoredInvite>,
}

impl PeerStore for MemoryStore {
    fn load(&self) -> io::Result<Stored> {
        let state = self.state.lock();
        Ok(Stored {
            contacts: state.contacts.values().cloned().collect(),
            invites: state.invites.values().cloned().collect(),
        })
    }

    fn peer(&self, peer: &Hashname) -> io::Result<Remembered> {
        Ok(self.state.lock().peers.get(peer).cloned().unwrap_or_default())
    }

    fn save(&self, changes: &[Change]) -> io::Result<()> {
        let mut state = self.state.lock();
        for change in changes.iter().cloned() {
            match change {
                Change::Record(peer, record) => state.peers.entry(peer).or_default().record = record,
                Change::Paths(peer, paths) => state.peers.entry(peer).or_default().paths = paths,
                Change::Contact(contact) => {
                    state.contacts.insert(contact.hashname(), contact);
                }
                Change::Forgotten(peer) => {
                    state.contacts.remove(&peer);
                }
                Change::Invite(invite) => {
                    state.invites.insert(invite.id.clone(), invite);
                }
                Change::InviteClosed(id) => {
                    state.invites.remove(&id);
                }
            }
        }
        Ok(())
    }

    fn is_immediate(&self) -> bool {
        true
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("peers", &self.state.lock().peers.len()).finish()
    }
}

impl fmt::Debug for dyn PeerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerStore")
    }
}
