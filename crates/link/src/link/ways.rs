//! Ways to the peer: candidates, whoever names them, and circuits through routers.

use std::time::Instant;

use telemesh_hashname::Hashname;
use telemesh_wire::PathAddress;

use super::Link;
use super::transmit::Outgoing;
use crate::path::PathOrigin;
use crate::state::Event;

impl Link {
    /// Adds an address at which the peer may be. At most [`MAX_CANDIDATES`](crate::MAX_CANDIDATES) are kept: a new one
    /// takes the place of one that does not work. While the link is up it is probed, within the budget; while an attempt
    /// is going on an initiation goes there too.
    pub fn add_candidate(&mut self, now: Instant, address: PathAddress) {
        self.add_named(now, address, PathOrigin::Given);
    }

    /// As [`Link::add_candidate`], for an address that the caller has from somebody who may have made it up: initiations to it
    /// are within the budget of probes too, until the peer has answered there.
    pub fn add_hinted_candidate(&mut self, now: Instant, address: PathAddress) {
        self.add_named(now, address, PathOrigin::Hinted);
    }

    fn add_named(&mut self, now: Instant, address: PathAddress, origin: PathOrigin) {
        let address = address.canonical();
        if !self.paths.add(address, origin) {
            return;
        }
        if self.status.up {
            self.queue_probe(now, address);
        } else {
            self.connecting.late_candidate(now, address);
            self.wake_at(now);
        }
    }

    /// Adds an address that the peer itself has told. It gets probes, within the budget and while the link is up, and nothing
    /// else before it has answered one: peers must not be able to aim us at anybody.
    pub fn add_told_candidate(&mut self, now: Instant, address: PathAddress) {
        let address = address.canonical();
        if address.is_direct() && self.paths.add(address, PathOrigin::Told) && self.status.up {
            self.queue_probe(now, address);
        }
    }

    /// Probes all candidates once more that lead straight to the peer and do not work: it is about to do the same, and two
    /// ends that send at the same time open the NATs between them.
    pub fn retry_direct(&mut self, now: Instant) {
        if self.status.up {
            for address in self.paths.retry_direct() {
                self.queue_probe(now, address);
            }
        }
    }

    /// Whether an initiation may go there now; takes it out of the budget if only somebody's word stands for the address.
    pub(super) fn may_initiate(&self, now: Instant, to: &PathAddress) -> bool {
        let hinted = |path: &crate::path::Path| path.origin == PathOrigin::Hinted && !path.was_proven();
        !self.paths.get(to).is_some_and(hinted) || self.config.budget.take(now, to)
    }

    /// The router has forgotten its circuits, or is none of ours any more: paths through it are gone.
    pub fn drop_circuits(&mut self, now: Instant, router: &Hashname) {
        if self.paths.drop_circuits(router) && self.status.up {
            self.probe_all(now);
            self.need_path();
        }
        self.wake_at(now);
    }

    /// Whether there is a circuit through this router that this end has asked for and that may still work. Those that do not
    /// are forgotten, so that another can be asked for.
    pub fn has_circuit(&mut self, router: &Hashname) -> bool {
        self.paths.keep_circuit(router)
    }

    /// Whether the peer was ever heard on this path.
    #[must_use]
    pub fn is_heard_on(&self, address: &PathAddress) -> bool {
        self.paths.get(address).is_some_and(|path| path.heard.is_some())
    }

    /// Asks for another path, once at a time.
    pub(super) fn need_path(&mut self) {
        if self.queues.events.back() != Some(&Event::NeedsPath) {
            self.emit(Event::NeedsPath);
        }
    }

    /// Queues probes that ask whether paths carry the engine's packets whole.
    pub(super) fn ask_for_width(&mut self, now: Instant) {
        for to in self.paths.width_due(now) {
            self.queue(Outgoing::WidthProbe { to });
        }
    }
}
