//! What a link is made from: the peer as it is known, and settings.

use telemesh_hashname::{Hashname, PublicKeys};

use crate::budget::ProbeBudget;
use crate::packet::MAX_SLOTS;
use crate::record::PeerRecord;
use crate::tag_table::TagTable;

/// Largest datagram before anybody has found out what the path carries: IPv6's minimum of 1,280 bytes less its and UDP's
/// headers.
pub const DEFAULT_MAX_DATAGRAM: usize = 1_232;

/// The other end of a link, as it is known when the link is made.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who it is.
    pub hashname: Hashname,
    /// Its keys, or some keys and the digests of the others. Unknown keys can come later with [`Link::set_keys`](crate::Link::set_keys), or
    /// with the peer's own initiation.
    pub keys: Option<PublicKeys>,
    /// What was stored last for it; the default for a peer that was never met.
    pub record: PeerRecord,
}

impl Peer {
    /// A peer that was never met and of which only the hashname is known.
    #[must_use]
    pub fn new(hashname: Hashname) -> Self {
        Self { hashname, keys: None, record: PeerRecord::default() }
    }
}

/// What links of one endpoint have in common.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// The budget for probes to unproven candidates. Give all links of an endpoint clones of one.
    pub budget: ProbeBudget,
    /// Where the gate finds the return tags that a link accepts. Give the gate and all links of an endpoint clones of one.
    pub tags: TagTable,
    /// Largest datagram for messages: see [`Link::set_max_datagram`](crate::Link::set_max_datagram).
    pub max_datagram: usize,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self { budget: ProbeBudget::new(), tags: TagTable::new(), max_datagram: DEFAULT_MAX_DATAGRAM }
    }
}

/// Why a link was not made, or keys were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The peer's hashname is our own.
    #[error("an endpoint has no link with itself")]
    Ourselves,
    /// The keys are those of another hashname.
    #[error("the keys do not belong to the hashname")]
    Keys,
    /// The slot is [`MAX_SLOTS`] or above.
    #[error("there are {MAX_SLOTS} slots, this is number {0}")]
    Slot(u32),
}
