//! The endpoint behind its handles: core, table of links, gate.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rand::Rng;
use rand::rngs::StdRng;
use telemesh_channel::Service;
use telemesh_hashname::{Hashname, PublicKeys};
use telemesh_link::{Bridge, DownReason, Gate, Link, LinkConfig, Peer, TicketKey};
use telemesh_wire::{CloseReason, Credential, LinkInfo, PathAddress};

use crate::cell::{Entry, LinkCell};
use crate::clock;
use crate::core::Core;
use crate::guests::Guests;
use crate::metrics::{Dropped, Metrics};
use crate::state::LinkError;
use crate::store::Remembered;
use crate::table::Table;
use crate::tickets::Sought;
use crate::wants::Want;

/// See the module's page.
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) table: RwLock<Table>,
    pub(crate) gate: Mutex<Gate>,
    pub(crate) dropped: Dropped,
    pub(crate) max_links: usize,
    pub(crate) guests: Arc<Guests>,
    pub(crate) link_config: LinkConfig,
    pub(crate) rng: Mutex<StdRng>,
    /// Who is looked for by a router's URI.
    pub(crate) sought: Sought,
    pub(crate) services: Vec<Arc<dyn Service>>,
    /// Circuits, if this endpoint is a router.
    pub(crate) bridge: Mutex<Option<Bridge>>,
    /// Tickets as a router, and those that our routers gave us.
    pub(crate) tickets: TicketKey,
    pub(crate) own_tickets: Mutex<HashMap<Hashname, Credential>>,
    /// Routers through which circuits may lead.
    pub(crate) used_routers: Mutex<HashSet<Hashname>>,
}

impl Shared {
    /// 32 bytes that nobody else has.
    pub(crate) fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// The link with a peer, which is made if there is none. Unless it is with a contact it lasts
    /// only if the peer shows that it is there.
    pub(crate) fn add_link(
        self: &Arc<Self>,
        peer: Hashname,
        keys: Option<PublicKeys>,
        entry: Entry,
    ) -> Result<Arc<LinkCell>, LinkError> {
        if self.core.is_stopped() {
            return Err(LinkError::Closed(DownReason::Closed(CloseReason::ShuttingDown)));
        }
        if peer == self.core.hashname() {
            return Err(LinkError::Ourselves);
        }
        let Remembered { record, paths } = self.core.saver.store().peer(&peer)?;
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
        let mut place = None;
        if let Entry::Guest(because_of) = entry {
            place = self.guests.place(because_of);
            if place.is_none() {
                return made;
            }
        }
        let cell = table.insert(peer, self.max_links, |slot| {
            let identity = self.core.identity.clone();
            let config = self.link_config.clone();
            let now = clock::now();
            let link = Link::new(identity, Peer { hashname: peer, keys, record }, slot, config, seed, now);
            made = match link {
                Ok(mut link) => {
                    paths.iter().for_each(|path| link.add_candidate(now, *path));
                    Ok(LinkCell::new(self.core.clone(), slot, link, paths.clone(), entry, place.take()))
                }
                Err(_) => Err(LinkError::Keys(peer)),
            };
            made.as_ref().ok().cloned()
        });
        match cell {
            Some(cell) => Ok(cell),
            None => made,
        }
    }

    /// The link with somebody whom the application trusts.
    pub(crate) fn add_contact(
        self: &Arc<Self>,
        info: &LinkInfo,
        addresses: &[PathAddress],
    ) -> Result<Arc<LinkCell>, LinkError> {
        let peer = info.hashname();
        let keys = (!info.keys().is_empty()).then(|| info.keys().clone());
        let cell = self.add_link(peer, keys, Entry::Contact)?;
        // Whom the application trusts needs no invite any more.
        cell.trust();
        self.core.trust.release(&peer);
        cell.drive(|inner, now, _| {
            addresses.iter().for_each(|address| inner.link.add_candidate(now, *address));
        });
        Ok(cell)
    }

    /// Ends the link with a peer, which is no contact any more. Its record stays in the store: without it an old handshake of
    /// the peer's would be new again if it came back.
    pub(crate) fn remove_link(&self, peer: &Hashname) -> bool {
        let removed = self.table.write().remove(peer);
        if let Some(cell) = &removed {
            self.leave_routing(peer);
            cell.forget();
        }
        removed.is_some()
    }

    /// Ends a link whose peer has not shown in time that it is there.
    pub(crate) fn remove_provisional(&self, cell: &Arc<LinkCell>) {
        if !cell.is_provisional() {
            return;
        }
        self.core.trust.release(&cell.peer);
        self.remove_cell(cell);
    }

    /// Ends this very link: by now the peer may have been forgotten and added anew.
    pub(crate) fn remove_cell(&self, cell: &Arc<LinkCell>) {
        let mut table = self.table.write();
        if table.find(&cell.peer).is_some_and(|found| Arc::ptr_eq(found, cell)) {
            table.remove(&cell.peer);
            drop(table);
            self.leave_routing(&cell.peer);
            cell.forget();
        }
    }

    /// The link is one no more, so it is no end of circuits, and no router.
    fn leave_routing(&self, peer: &Hashname) {
        if let Some(bridge) = self.bridge.lock().as_mut() {
            bridge.forget(clock::now(), peer);
        }
        self.core.ways.wants.state(Want::Restarted(*peer));
    }

    pub(crate) fn links(&self) -> Vec<Arc<LinkCell>> {
        self.table.read().iter().cloned().collect()
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let links = self.links();
        let mut metrics = Metrics::default();
        self.dropped.add_to(&mut metrics.dropped);
        {
            let gate = self.gate.lock();
            metrics.add_dropped(gate.dropped());
            (metrics.known_initiations, metrics.cookies) = (gate.recognized(), gate.cookies_given());
        }
        for cell in &links {
            metrics.add_link(cell.state().is_up(), cell.traffic.read());
            cell.look(|inner| metrics.add_dropped(inner.link.dropped()));
        }
        metrics
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("core", &self.core).finish_non_exhaustive()
    }
}
