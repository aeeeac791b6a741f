//! Receipts that are to be sent: at most one for each stream, which says all there is to say.

use std::collections::HashMap;

use telemesh_hashname::Hashname;

/// A stream of a sender.
pub(crate) type Key = (Hashname, u64);

/// See the module's page. Not kept over a restart: a sender that gets no receipt offers the message again, and then there
/// is one.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    due: HashMap<Key, Due>,
    versions: u64,
}

#[derive(Debug)]
struct Due {
    version: u64,
    /// Who was offered this version.
    offered: Vec<Hashname>,
}

impl Receipts {
    /// There is news for the sender of a stream.
    pub(crate) fn add(&mut self, key: Key) {
        self.versions += 1;
        self.due.insert(key, Due { version: self.versions, offered: Vec::new() });
    }

    /// A receipt that was not offered to this peer, and which version it is. `leads` says which senders' receipts it may have.
    pub(crate) fn next(&mut self, peer: &Hashname, leads: impl Fn(&Hashname) -> bool) -> Option<(Key, u64)> {
        let fits = |(key, due): &(&Key, &mut Due)| !due.offered.contains(peer) && leads(&key.0);
        let (key, due) = self.due.iter_mut().find(fits)?;
        due.offered.push(*peer);
        Some((*key, due.version))
    }

    /// Senders that wait for a receipt.
    pub(crate) fn senders(&self) -> Vec<Hashname> {
        self.due.keys().map(|(sender, _)| *sender).collect()
    }

    /// This version is with the sender, or with a cache.
    pub(crate) fn sent(&mut self, key: &Key, version: u64) {
        if self.due.get(key).is_some_and(|due| due.version == version) {
            self.due.remove(key);
        }
    }

    /// This version cannot be sent at all.
    pub(crate) fn drop_due(&mut self, key: &Key) {
        self.due.remove(key);
    }

    /// The peer has taken nothing of what it was offered.
    pub(crate) fn not_sent(&mut self, peer: &Hashname) {
        self.due.values_mut().for_each(|due| due.offered.retain(|offered| offered != peer));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}
