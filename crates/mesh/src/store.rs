//! What an endpoint remembers about its peers between runs.

use std::collections::HashMap;
use std::fmt;
use std::io;

use parking_lot::Mutex;
use telemesh_hashname::Hashname;
use telemesh_link::PeerRecord;

/// Keeps what must survive a restart, per peer.
///
/// A handshake is answered only after [`PeerStore::save`] has returned: if a record could get lost, an old handshake could be
/// replayed after a crash.
pub trait PeerStore: Send + Sync + 'static {
    /// What was saved about a peer last.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(&self, peer: &Hashname) -> io::Result<Option<PeerRecord>>;

    /// Saves what is known about a peer, durably if the store is durable at all.
    ///
    /// # Errors
    /// When the store cannot be written. The handshake is then not answered.
    fn save(&self, peer: &Hashname, record: &PeerRecord) -> io::Result<()>;
}

/// A store that lives as long as the process. Share it between meshes to survive their restarts in a test.
#[derive(Default)]
pub struct MemoryStore {
    records: Mutex<HashMap<Hashname, PeerRecord>>,
}

impl PeerStore for MemoryStore {
    fn load(&self, peer: &Hashname) -> io::Result<Option<PeerRecord>> {
        Ok(self.records.lock().get(peer).copied())
    }

    fn save(&self, peer: &Hashname, record: &PeerRecord) -> io::Result<()> {
        self.records.lock().insert(*peer, *record);
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("peers", &self.records.lock().len()).finish()
    }
}

impl fmt::Debug for dyn PeerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerStore")
    }
}
