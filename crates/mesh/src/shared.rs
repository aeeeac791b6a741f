//! The endpoint behind its handles: core, table of links, gate.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rand::Rng;
use rand::rngs::StdRng;
use telemesh_hashname::{Hashname, PublicKeys};
use telemesh_link::{DownReason, Gate, Link, LinkConfig, Peer};
use telemesh_wire::CloseReason;

use crate::cell::LinkCell;
use crate::clock;
use crate::core::Core;
use crate::metrics::{Dropped, Metrics};
use crate::state::LinkError;
use crate::table::Table;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) table: RwLock<Table>,
    pub(crate) gate: Mutex<Gate>,
    pub(crate) dropped: Dropped,
    pub(crate) max_links: usize,
    pub(crate) link_config: LinkConfig,
    pub(crate) rng: Mutex<StdRng>,
}

impl Shared {
    /// 32 bytes that nobody else has.
    pub(crate) fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// The link with a peer, which is made if there is none: the peer is a contact from now on, or for as long as an invite is
    /// reserved for it if the new link is provisional.
    pub(crate) fn add_link(
        self: &Arc<Self>,
        peer: Hashname,
        keys: Option<PublicKeys>,
        provisional: bool,
    ) -> Result<Arc<LinkCell>, LinkError> {
        if self.core.is_stopped() {
            return Err(LinkError::Closed(DownReason::Closed(CloseReason::ShuttingDown)));
        }
        if peer == self.core.hashname() {
            return Err(LinkError::Ourselves);
        }
        let record = self.core.store.load(&peer)?.unwrap_or_default();
        let seed = self.random();
        let mut table = self.table.write();
        if let Some(cell) = table.find(&peer) {
            let cell = cell.clone();
            drop(table);
            if let Some(keys) = keys {
                cell.drive(|inner, now, _| inner.link.set_keys(now, keys))
                    .map_err(|_| LinkError::Keys(peer))?;
            }
            return Ok(cell);
        }
        let mut made = Err(LinkError::TooMany(self.max_links));
        let cell = table.insert(peer, self.max_links, |slot| {
            let identity = self.core.identity.clone();
            let config = self.link_config.clone();
            let link =
                Link::new(identity, Peer { hashname: peer, keys, record }, slot, config, seed, clock::now());
            made = match link {
                Ok(link) => Ok(LinkCell::new(self.core.clone(), peer, slot, link, provisional)),
                Err(_) => Err(LinkError::Keys(peer)),
            };
            made.as_ref().ok().cloned()
        });
        match cell {
            Some(cell) => Ok(cell),
            None => made,
        }
    }

    /// Ends the link with a peer, which is no contact any more. Its record stays in the store: without it an old handshake of
    /// the peer's would be new again if it came back.
    pub(crate) fn remove_link(&self, peer: &Hashname) -> bool {
        let removed = self.table.write().remove(peer);
        if let Some(cell) = &removed {
            cell.forget();
        }
        removed.is_some()
    }

    /// Ends a link whose peer has not confirmed its invite in time.
    pub(crate) fn remove_provisional(&self, cell: &Arc<LinkCell>) {
        if !cell.is_provisional() {
            return;
        }
        self.core.trust.release(&cell.peer);
        let mut table = self.table.write();
        // By now the peer may have been forgotten and added anew.
        if table.find(&cell.peer).is_some_and(|found| Arc::ptr_eq(found, cell)) {
            table.remove(&cell.peer);
            drop(table);
            cell.forget();
        }
    }

    pub(crate) fn links(&self) -> Vec<Arc<LinkCell>> {
        self.table.read().iter().cloned().collect()
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let links = self.links();
        let mut metrics = Metrics { links: links.len(), ..Metrics::default() };
        self.dropped.add_to(&mut metrics.dropped);
        let mut add = |counters: &telemesh_link::DropCounters| {
            for (reason, count) in counters.iter().filter(|(_, count)| *count > 0) {
                *metrics.dropped.entry(reason.to_string()).or_default() += count;
            }
        };
        add(self.gate.lock().dropped());
        for cell in &links {
            metrics.links_up += usize::from(cell.state().is_up());
            cell.look(|inner| add(inner.link.dropped()));
        }
        metrics
    }
}
