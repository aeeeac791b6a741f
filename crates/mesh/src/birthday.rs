//! Birthday probing, as far as it is more than the link's own doing: where the peer is, and the extra sockets.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Instant;

use telemesh_link::{BIRTHDAY_PAUSE, BIRTHDAY_SOCKETS, BirthdayRefusal, Link};
use telemesh_wire::{LinkInfo, PathAddress};

use crate::candidates::is_public;
use crate::cell::LinkCell;
use crate::inner::Inner;
use crate::outlet::Outlet;

/// Extra sockets that a link keeps after an attempt: for the path in use and as many spares as are kept warm.
const MAX_KEPT: usize = 4;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Birthday {
    /// Where the peer says that it is: what may be the address of its NAT, as others see it, first.
    told: Vec<PathAddress>,
    /// Where the router sees it.
    seen: Option<IpAddr>,
    sockets: Option<ExtraSockets>,
}

/// Extra sockets of a transport, which are closed with this.
#[derive(Debug)]
struct ExtraSockets {
    /// Not held: with the endpoint its sockets go.
    outlet: Weak<Outlet>,
    paths: Vec<PathAddress>,
}

impl Birthday {
    /// The peer has told where it is, the addresses under which others see it first.
    pub(crate) fn told(&mut self, info: &LinkInfo) {
        // Whatever else it is, ports of a private network are not to be tried for anybody.
        let nat = |address: &PathAddress| match address {
            PathAddress::Udp(at) => at.is_ipv4() && is_public(&at.ip()),
            _ => false,
        };
        self.told = info.addresses().filter(nat).collect();
    }

    /// Closes the sockets from which no path begins.
    pub(crate) fn close_unneeded(&mut self, link: &Link) {
        if let Some(sockets) = &mut self.sockets {
            sockets.keep(|path| link.needs_extra_socket(path));
            if !link.is_birthday_running() {
                // The peer may have been heard on many, and knows them all if its NAT lets everything in.
                let in_use = link.path().map(|path| path.address);
                sockets.paths.sort_by_key(|path| Some(*path) != in_use);
                let spare = sockets.paths.get(MAX_KEPT..).unwrap_or_default().to_vec();
                sockets.keep(|path| !spare.contains(path));
            }
        }
        self.sockets.take_if(|sockets| sockets.paths.is_empty());
    }
}

impl ExtraSockets {
    fn keep(&mut self, needed: impl Fn(&PathAddress) -> bool) {
        let Some(outlet) = self.outlet.upgrade() else { return self.paths.clear() };
        self.paths.retain(|path| {
            let keep = needed(path);
            if !keep {
                outlet.transport.close_extra(path);
            }
            keep
        });
    }
}

impl Drop for ExtraSockets {
    fn drop(&mut self) {
        self.keep(|_| false);
    }
}

impl Inner {
    /// A router says where it sees the peer, which is at the other end of this circuit.
    pub(crate) fn seen(&mut self, circuit: &PathAddress, at: IpAddr) {
        // Only who carries what the two say to each other can say where one of them is.
        if self.link.is_heard_on(circuit) {
            self.birthday.seen = Some(at.to_canonical());
        }
    }

    /// Begins to try many ports where the peer is, if it is a contact, the router sees it there, too, and the link's budget
    /// allows it; whether it has begun. The peer must be about to do the same.
    pub(crate) fn begin_birthday(&mut self, cell: &Arc<LinkCell>, now: Instant) -> bool {
        let Birthday { told, seen: Some(seen), .. } = &self.birthday else { return false };
        let is_there = |to: &&PathAddress| to.socket_address().is_some_and(|to| to.ip() == *seen);
        let Some(to) = told.iter().find(is_there).copied() else { return false };
        if cell.is_guest() || cell.is_provisional() {
            return false;
        }
        match self.link.begin_birthday(now, to) {
            Ok(()) => {}
            Err(refusal) => {
                tracing::debug!(%to, %refusal, "many ports are not tried");
                if refusal == BirthdayRefusal::TooSoon && !self.link.is_birthday_running() {
                    self.times.comparison.postpone(now + BIRTHDAY_PAUSE);
                }
                return false;
            }
        }
        tracing::debug!(%to, "many ports are tried");
        // Those of the last time lead nowhere, or this would not be necessary.
        self.birthday.sockets = None;
        if let Some((outlet, paths)) = cell.core.open_extra(&to, BIRTHDAY_SOCKETS) {
            self.link.use_extra_sockets(paths.clone());
            self.birthday.sockets = Some(ExtraSockets { outlet, paths });
        }
        true
    }
}
