//! One participant as the log knows it: the key, the endpoint, the chain of entries.

use telemesh_hashname::Hashname;

use crate::entry::Entry;
use crate::id::{EntryId, ParticipantKey};

/// See the module's page.
#[derive(Debug)]
pub struct Participant {
    key: ParticipantKey,
    hashname: Hashname,
    /// Index of the entry by which it joined.
    pub(crate) joined: usize,
    /// Indices of its entries by their number. With two versions of one, those that came first here.
    pub(crate) chain: Vec<usize>,
    /// Indices of the others, in the order in which they came.
    pub(crate) side: Vec<usize>,
    /// The lowest number of which there are two versions.
    forked_at: Option<u64>,
    /// All ids combined by exclusive or: it tells whether two endpoints have the same entries, whatever their order.
    digest: [u8; 32],
    /// Index of the last text that is no edit.
    pub(crate) last_text: Option<usize>,
    /// Indices of its profiles on the chain.
    pub(crate) profiles: Vec<usize>,
}

impl Participant {
    pub(crate) fn new(key: ParticipantKey, hashname: Hashname, joined: usize) -> Self {
        Self {
            key,
            hashname,
            joined,
            chain: Vec::new(),
            side: Vec::new(),
            forked_at: None,
            digest: [0; 32],
            last_text: None,
            profiles: Vec::new(),
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> ParticipantKey {
        self.key
    }

    /// Its endpoint.
    #[must_use]
    pub fn hashname(&self) -> Hashname {
        self.hashname
    }

    /// How many entries of its chain are here.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.chain.len()).unwrap_or(u64::MAX)
    }

    /// The number of its first entry of which it has signed two versions. From there on its entries do not count.
    #[must_use]
    pub fn forked_at(&self) -> Option<u64> {
        self.forked_at
    }

    /// All ids of its entries, combined.
    pub(crate) fn digest(&self) -> EntryId {
        EntryId::from_bytes(self.digest)
    }

    /// Index of the last entry of its chain.
    pub(crate) fn last(&self) -> Option<usize> {
        self.chain.last().copied()
    }

    /// Adds an entry, which follows the chain's last one or not. Whether there are two versions of one from now on.
    pub(crate) fn add(&mut self, index: usize, entry: &Entry, follows: bool) -> bool {
        for (byte, other) in self.digest.iter_mut().zip(entry.id().as_bytes()) {
            *byte ^= other;
        }
        if follows {
            self.chain.push(index);
            return false;
        }
        self.side.push(index);
        let sequence = entry.fields().sequence;
        // What follows an entry beside the chain has a higher number than where the chain was left.
        let first = self.forked_at.is_none();
        self.forked_at = Some(self.forked_at.map_or(sequence, |at| at.min(sequence)));
        first
    }
}
