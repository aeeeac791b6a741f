//! Which link a packet is for, and which link a hashname has.

use std::collections::HashMap;
use std::sync::Arc;

use telemesh_hashname::Hashname;

use crate::cell::LinkCell;

/// All links of an endpoint. A link keeps its slot for life; the slot is the upper part of the receiver index in its packets.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Vec<Option<Arc<LinkCell>>>,
    free: Vec<u32>,
    by_hashname: HashMap<Hashname, Arc<LinkCell>>,
}

impl Table {
    pub(crate) fn slot(&self, slot: u32) -> Option<&Arc<LinkCell>> {
        self.slots.get(usize::try_from(slot).ok()?)?.as_ref()
    }

    pub(crate) fn find(&self, peer: &Hashname) -> Option<&Arc<LinkCell>> {
        self.by_hashname.get(peer)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_hashname.len()
    }

    /// All links, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<LinkCell>> {
        self.slots.iter().flatten()
    }

    /// Adds the link that `make` builds for a slot; `None` when `limit` links exist or none was made.
    pub(crate) fn insert(
        &mut self,
        peer: Hashname,
        limit: usize,
        make: impl FnOnce(u32) -> Option<Arc<LinkCell>>,
    ) -> Option<Arc<LinkCell>> {
        if self.len() >= limit {
            return None;
        }
        if self.free.is_empty() {
            self.free.push(u32::try_from(self.slots.len()).ok()?);
            self.slots.push(None);
        }
        let slot = *self.free.last()?;
        let cell = make(slot)?;
        self.free.pop();
        *self.slots.get_mut(usize::try_from(slot).ok()?)? = Some(cell.clone());
        self.by_hashname.insert(peer, cell.clone());
        Some(cell)
    }

    pub(crate) fn remove(&mut self, peer: &Hashname) -> Option<Arc<LinkCell>> {
        let cell = self.by_hashname.remove(peer)?;
        let slot = cell.slot();
        if let Some(entry) = usize::try_from(slot).ok().and_then(|slot| self.slots.get_mut(slot)) {
            *entry = None;
            self.free.push(slot);
        }
        Some(cell)
    }
}
