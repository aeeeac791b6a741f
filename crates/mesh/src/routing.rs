//! Reaching peers through routers: which routers are asked, circuits from the asker's side, and what comes in through them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rand::Rng as _;
use telemesh_channel::{Body, Introduction, Need, Opener, Target};
use telemesh_hashname::Hashname;
use telemesh_wire::{Circuit, CircuitId, LinkInfo, PathAddress, PathHint};

use crate::cell::{Entry, LinkCell};
use crate::clock;
use crate::discovered::{Discovered, Via};
use crate::link::Link;
use crate::policy::Verdict;
use crate::receive::Run;
use crate::shared::Shared;

/// Routers that are asked about one peer at a time: one may be down, and each costs packets and a circuit. If there are more, the
/// next ones have their turn the next time.
const MAX_ASKED: usize = 3;

impl Shared {
    /// The routers that may lead to a peer: its own, then ours.
    fn routers_for(&self, peer: &Hashname) -> Vec<Hashname> {
        let contact = self.core.trust.contact(peer);
        let hints = contact.iter().flat_map(|contact| contact.info().paths()).filter_map(PathHint::router);
        let mut routers: Vec<Hashname> = Vec::new();
        for router in hints.chain(self.core.trust.routers()) {
            if router != *peer && router != self.core.hashname() && !routers.contains(&router) {
                routers.push(router);
            }
        }
        routers
    }

    /// Whether anybody could introduce us to this peer, now or once its link is up.
    pub(crate) fn has_router_for(&self, peer: &Hashname) -> bool {
        !self.services.is_empty() && !self.routers_for(peer).is_empty()
    }

    /// The link with a router, if packets can go through it now.
    pub(crate) fn router_link(&self, router: &Hashname) -> Option<Arc<dyn Opener>> {
        self.core.ways.whereabouts.of(router)?;
        let cell = self.table.read().find(router)?.clone();
        cell.state().is_up().then(|| Arc::new(Link { cell }) as Arc<dyn Opener>)
    }

    /// Nobody answers on the paths that a link has: asks routers for circuits.
    pub(crate) fn ask_routers(self: &Arc<Self>, cell: &Arc<LinkCell>) {
        self.meet_routers(&cell.peer);
        let routers = self.routers_for(&cell.peer).into_iter();
        let mut links: Vec<_> = routers.filter_map(|router| self.router_link(&router)).collect();
        if links.len() > MAX_ASKED {
            let turn = cell.count_ask().wrapping_mul(MAX_ASKED) % links.len();
            links.rotate_left(turn);
        }
        for link in links.into_iter().take(MAX_ASKED) {
            self.used_routers.lock().insert(link.peer());
            let circuit = Circuit { router: link.peer(), id: CircuitId::asked(self.rng.lock().next_u64()) };
            let by_keys = cell.drive(|inner, now, _| {
                if inner.is_stopped() {
                    return false;
                }
                let unknown = inner.link.is_key_missing();
                if !unknown && !inner.link.has_circuit(&circuit.router) {
                    // The first packet on it will ask for the introduction.
                    inner.link.add_candidate(now, PathAddress::Circuit(circuit));
                }
                unknown
            });
            if by_keys {
                let circuit = cell.asked_circuit(circuit);
                let body = Body::Keys(Box::new(self.identity_info()));
                let target = self.target_at(&circuit.router, &cell.peer);
                self.ask(link, target, circuit.id, body);
            }
        }
    }

    /// The first packet of a circuit that its router does not know yet.
    pub(crate) fn introduce(&self, peer: Hashname, circuit: Circuit, packet: Bytes) {
        if let Some(router) = self.router_link(&circuit.router) {
            let target = self.target_at(&circuit.router, &peer);
            self.ask(router, target, circuit.id, Body::Packet(packet));
        }
    }

    pub(crate) fn ask(&self, router: Arc<dyn Opener>, target: Target, circuit: CircuitId, body: Body) {
        let introduction = Introduction { target, circuit, body };
        self.serve(&Need::Introduction { router, introduction });
    }

    /// States a need to the services; whether one of them serves it.
    pub(crate) fn serve(&self, need: &Need) -> bool {
        self.services.iter().any(|service| service.serve(need))
    }

    /// Who we are, without any path.
    pub(crate) fn identity_info(&self) -> LinkInfo {
        let keys = self.core.identity.public_keys().clone();
        LinkInfo::new(keys).unwrap_or_else(|_| LinkInfo::unresolved(self.core.hashname()))
    }

    /// A link is up: if it is with a router, those that wait for one are tried at once.
    pub(crate) fn came_up(self: &Arc<Self>, peer: &Hashname) {
        if self.core.trust.is_router(peer) {
            self.want_ticket(peer);
        } else if !self.used_routers.lock().contains(peer) {
            return;
        }
        for cell in self.links() {
            if cell.look(|inner| inner.link.is_wanted() && !inner.is_up()) {
                self.ask_routers(&cell);
            }
        }
    }

    /// Circuits through this router are gone.
    pub(crate) fn drop_circuits(&self, router: &Hashname) {
        if !self.used_routers.lock().remove(router) {
            return;
        }
        for cell in self.links() {
            cell.drive(|inner, now, _| inner.link.drop_circuits(now, router));
        }
    }

    /// Something came through a router's hands: it is treated as if it came from the network.
    pub(crate) fn arrived(self: &Arc<Self>, router: &Hashname, id: CircuitId, body: Body) {
        self.used_routers.lock().insert(*router);
        let from = PathAddress::Circuit(Circuit { router: *router, id });
        match body {
            Body::Packet(packet) => {
                let mut run = Run::default();
                self.dispatch(from, BytesMut::from(packet), &mut run);
                run.finish();
            }
            Body::Keys(info) => self.introduced(router, from, &info),
            Body::Sealed(sealed) => self.introduced_sealed(from, &sealed),
            Body::Seen { who, at } => {
                let cell = self.table.read().find(&who).cloned();
                if let (Some(cell), Some(at)) = (cell, at) {
                    cell.look(|inner| inner.seen(&from, at.ip()));
                }
            }
        }
    }

    /// Has the router of the circuit that a link's data takes tell the peer where this end is seen.
    pub(crate) fn show_ourselves(&self, cell: &LinkCell) {
        let path = cell.look(|inner| inner.link.path().map(|path| path.address));
        let Some(PathAddress::Circuit(circuit)) = path else { return };
        if let Some(router) = self.router_link(&circuit.router) {
            let body = Body::Seen { who: self.core.hashname(), at: None };
            self.ask(router, Target::Hashname(cell.peer), circuit.id, body);
        }
    }

    /// Somebody who knows only our hashname shows their keys. A contact is called back, seldom, and only if one of our own routers
    /// says so: the contact may not want it. About others the application is asked.
    fn introduced(self: &Arc<Self>, router: &Hashname, from: PathAddress, info: &LinkInfo) {
        let peer = info.hashname();
        if peer == self.core.hashname() || info.keys().is_empty() {
            return self.dropped.not_a_packet();
        }
        let verdict = self.core.trust.judge(info, from, clock::now());
        let wall = self.core.clock.micros();
        let cell = match verdict {
            Verdict::Accept if self.core.trust.is_router(router) => {
                let is_new = self.table.read().find(&peer).is_none();
                let cell = self.add_link(peer, Some(info.keys().clone()), Entry::Guest(None));
                // A router could bring the keys of anybody, without end.
                cell.iter().filter(|_| is_new).for_each(|cell| self.keep_while_there(cell));
                cell
            }
            Verdict::Accept | Verdict::Ask => {
                let (keys, paths) = (info.keys().clone(), vec![PathAddress::Peer(*router)]);
                return self.core.trust.strangers.hold(Discovered {
                    hashname: peer,
                    keys,
                    paths,
                    via: Via::Introduction,
                });
            }
            Verdict::Ignore => return self.dropped.not_trusted(),
        };
        let Ok(cell) = cell else { return self.dropped.no_room() };
        cell.drive(|inner, now, _| {
            if !inner.is_up() && !inner.is_stopped() {
                inner.link.add_candidate(now, from);
                inner.link.call_back(now, wall);
            }
        });
    }
}
