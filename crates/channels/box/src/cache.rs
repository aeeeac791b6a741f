//! What an endpoint keeps for others.

use std::sync::Mutex;

use telemesh_hashname::Hashname;

use crate::core::lock;
use crate::id::{Keying, MessageId};
use crate::shelf::{Shelf, removals};
use crate::store::StoreError;
use crate::store::disk::Disk;
use crate::store::keys::CACHE;

/// The grant that lets a contact leave messages for others.
pub const GRANT: &str = "box";

/// The shelf for others, with its store.
#[derive(Debug)]
pub(crate) struct CacheSide {
    pub(crate) disk: Disk,
    pub(crate) keying: Keying,
    pub(crate) shelf: Mutex<Shelf>,
}

impl CacheSide {
    /// Its recipient does not need a message any more.
    pub(crate) fn let_go(&self, recipient: &Hashname, id: MessageId) {
        let tag = self.keying.recipient(recipient);
        let mut shelf = lock(&self.shelf);
        shelf.find(id, tag).into_iter().for_each(|number| shelf.remove(number));
    }

    /// Removes from the store what is off the shelf.
    pub(crate) async fn clean(&self) -> Result<(), StoreError> {
        let doomed = lock(&self.shelf).take_doomed();
        if doomed.is_empty() {
            return Ok(());
        }
        let cleaned = self.disk.commit(removals(CACHE, &doomed)).await;
        if cleaned.is_err() {
            lock(&self.shelf).doom(doomed);
        }
        cleaned
    }
}
