//! Reaching peers through routers that we have no other business with: by a ticket in a link JSON, or by a router's URI.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use rand::Rng as _;
use telemesh_channel::{Body, Need, Target};
use telemesh_hashname::{Hashname, base32};
use telemesh_link::{Link as LinkLayer, check_invite, open_introduction, prove_invite, seal_introduction};
use telemesh_wire::{
    Authority, CircuitId, Credential, Invite as Fragment, InviteSecret, LinkInfo, LinkUri, PathAddress,
    PathHint, RouterHint,
};
use tokio::sync::oneshot;

use crate::cell::Entry;
use crate::clock;
use crate::forwarding::ROUTER_GRANT;
use crate::grant::Grant;
use crate::invites::RESERVATION;
use crate::link::Link;
use crate::shared::Shared;
use crate::state::LinkError;

/// How long a ticket is good for. A peer gets a new one whenever its link with the router comes up.
const TICKET_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Dials by routers' URIs that may wait at the same time.
const MAX_SOUGHT: usize = 64;

/// Waits between the introductions of such a dial: as those between the rounds of an attempt.
const ASK_AGAIN: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// How long the link with a router that we have met only for a peer stays after it was last needed.
const MET_ROUTER_KEPT: Duration = Duration::from_secs(120);

/// Issuers of invites who are looked for: their hashnames are not known yet.
#[derive(Default)]
pub(crate) struct Sought(Mutex<Vec<Seeking>>);

struct Seeking {
    invite: Fragment,
    found: oneshot::Sender<Hashname>,
}

impl Sought {
    /// Whether somebody shows that they have issued an invite that we bear, and that the router has put nobody in between: they
    /// know its secret, and their hashname is the one that it commits to.
    pub(crate) fn is_issuer(&self, claimed: &Hashname, us: &Hashname, credential: &Credential) -> bool {
        let is = |seeking: &Seeking| {
            let secret = seeking.invite.secret().as_bytes();
            seeking.invite.is_by(claimed) && check_invite(secret, claimed, us, credential.as_bytes())
        };
        self.0.lock().iter().any(is)
    }

    /// Somebody is let in who may be sought, by several who wait for the same one.
    pub(crate) fn found(&self, peer: &Hashname) {
        for seeking in self.0.lock().extract_if(.., |seeking| seeking.invite.is_by(peer)) {
            // Whoever has dialled may have given up.
            let _ = seeking.found.send(*peer);
        }
    }

    fn seek(&self, invite: Fragment) -> Option<oneshot::Receiver<Hashname>> {
        let mut sought = self.0.lock();
        sought.retain(|seeking| !seeking.found.is_closed());
        if sought.len() >= MAX_SOUGHT {
            return None;
        }
        let (found, receiver) = oneshot::channel();
        sought.push(Seeking { invite, found });
        Some(receiver)
    }
}

impl Shared {
    fn wall_seconds(&self) -> u64 {
        self.core.clock.micros() / 1_000_000
    }

    /// As a router: to whom a ticket of ours leads.
    pub(crate) fn ticket_holder(&self, ticket: &[u8]) -> Option<Hashname> {
        self.bridge.lock().as_ref()?;
        self.tickets.open(ticket, self.wall_seconds())
    }

    /// As a router: a ticket for a peer for whom we are one.
    pub(crate) fn ticket_for(&self, peer: &Hashname) -> Option<Bytes> {
        self.bridge.lock().as_ref()?;
        if !self.core.trust.has_grant(peer, ROUTER_GRANT) {
            return None;
        }
        let until = self.wall_seconds().saturating_add(TICKET_LIFE.as_secs());
        self.tickets.issue(peer, until, self.nonce()).map(Bytes::from)
    }

    fn nonce(&self) -> [u8; 12] {
        let mut nonce = [0; 12];
        self.rng.lock().fill_bytes(&mut nonce);
        nonce
    }

    /// A router of ours has given us a ticket to hand on.
    pub(crate) fn got_ticket(&self, router: &Hashname, ticket: &[u8]) {
        if let Ok(ticket) = Credential::new(ticket.to_vec())
            && self.core.trust.is_router(router)
        {
            self.own_tickets.lock().insert(*router, ticket);
        }
    }

    /// How others reach us through our routers: whoever has never met one can use the ticket.
    pub(crate) fn router_hints(&self) -> Vec<PathHint> {
        let tickets = self.own_tickets.lock();
        let hint = |router: &Hashname| {
            let known = self.core.trust.contact(router)?.info().clone();
            let direct = known.addresses().filter(PathAddress::is_direct).collect::<Vec<_>>();
            let router_info = LinkInfo::new(known.keys().clone()).ok()?;
            let router_info = direct
                .into_iter()
                .fold(router_info, |info, path| info.clone().with_path(path).unwrap_or(info));
            let ticket = tickets.get(router)?.clone();
            Some(PathHint::from(RouterHint { router: router_info, ticket }))
        };
        let routers = self.core.trust.routers();
        routers.iter().map(|router| hint(router).unwrap_or(PathAddress::Peer(*router).into())).collect()
    }

    /// How to name a peer to a router: by the ticket that the peer has handed on, if there is one.
    pub(crate) fn target_at(&self, router: &Hashname, peer: &Hashname) -> Target {
        let contact = self.core.trust.contact(peer);
        let hints = contact.iter().flat_map(|contact| contact.info().paths());
        let ticket = hints.filter_map(|hint| match hint {
            PathHint::Router(hint) if hint.router.hashname() == *router => Some(&hint.ticket),
            _ => None,
        });
        match ticket.into_iter().find(|ticket| !ticket.is_none()) {
            Some(ticket) if !self.core.trust.is_router(router) => {
                Target::Ticket(Bytes::copy_from_slice(ticket.as_bytes()))
            }
            _ => Target::Hashname(*peer),
        }
    }

    /// Links with routers that a peer has named and that we have not met: for as long as somebody needs them. The peer may have
    /// made up their addresses, to aim us at somebody.
    pub(crate) fn meet_routers(self: &Arc<Self>, peer: &Hashname) {
        let Some(contact) = self.core.trust.contact(peer) else { return };
        for hint in contact.info().paths() {
            if let PathHint::Router(hint) = hint
                && self.table.read().find(&hint.router.hashname()).is_none()
            {
                // One that cannot be met is no help.
                let _ = self.meet_router(
                    Some(*peer),
                    &hint.router,
                    hint.ticket.clone(),
                    LinkLayer::add_hinted_candidate,
                );
            }
        }
    }

    /// Links with a router for what a ticket is good for, maybe because a peer has named it. It is no contact. What its addresses are
    /// worth `add` says.
    fn meet_router(
        self: &Arc<Self>,
        named_by: Option<Hashname>,
        router: &LinkInfo,
        ticket: Credential,
        add: fn(&mut LinkLayer, Instant, PathAddress),
    ) -> Result<(), LinkError> {
        let peer = router.hashname();
        let keys = (!router.keys().is_empty()).then(|| router.keys().clone());
        let cell = self.add_link(peer, keys, Entry::Guest(named_by))?;
        let wall = self.core.clock.micros();
        cell.drive(|inner, now, _| {
            inner.link.set_credential(ticket);
            router.addresses().filter(PathAddress::is_direct).for_each(|at| add(&mut inner.link, now, at));
            inner.link.connect(now, wall);
        });
        self.used_routers.lock().insert(peer);
        let (shared, weak) = (Arc::downgrade(self), Arc::downgrade(&cell));
        self.core.runtime.spawn(async move {
            loop {
                tokio::time::sleep(MET_ROUTER_KEPT).await;
                let (Some(shared), Some(cell)) = (shared.upgrade(), weak.upgrade()) else { return };
                if !cell.is_guest() {
                    return;
                }
                if !shared.leads_to_somebody(&cell.peer) {
                    return shared.remove_cell(&cell);
                }
            }
        });
        Ok(())
    }

    /// Whether any link has a circuit through this router.
    fn leads_to_somebody(&self, router: &Hashname) -> bool {
        let uses = |path: &telemesh_link::PathStatus| path.address.router() == Some(router);
        self.links().iter().any(|cell| cell.look(|inner| inner.link.paths().any(|path| uses(&path))))
    }

    /// A URI of one of our routers that leads to us, for whom it is shown to.
    pub(crate) fn router_uri(&self, router: &Hashname, secret: InviteSecret) -> Option<LinkUri> {
        let ticket = self.own_tickets.lock().get(router)?.clone();
        let info = self.core.trust.contact(router)?.info().clone();
        let socket = info.addresses().find_map(|address| match address {
            PathAddress::Udp(socket) => Some(socket),
            _ => None,
        });
        let invite = Fragment::new(&self.core.hashname(), secret);
        let mut uri = LinkUri::new(info);
        if let Some(authority) = socket.and_then(|socket| socket.to_string().parse::<Authority>().ok()) {
            uri = uri.with_authority(authority);
        }
        uri.with_session(&base32::encode(ticket.as_bytes()), Some(invite)).ok()
    }

    /// Dials by a router's URI: the router leads us to the issuer of the invite in it, whose hashname nobody tells us.
    pub(crate) async fn seek(self: &Arc<Self>, mut uri: LinkUri, limit: Duration) -> Result<Link, LinkError> {
        let no_use = |what: &str| LinkError::Target(what.to_owned());
        let ticket = uri.session_id().and_then(|text| base32::decode(text).ok());
        let ticket = ticket.and_then(|bytes| Credential::new(bytes).ok()).ok_or_else(|| no_use("its sid"))?;
        let invite = uri.take_invite().ok_or_else(|| no_use("a router's URI without an invite"))?;
        let secret = *invite.secret().as_bytes();
        let info = uri.link().clone();
        let router = info.hashname();
        let info = uri.addresses().fold(info, |info, at| info.clone().with_path(at).unwrap_or(info));
        let issuer = self.core.trust.contacts().into_iter().find(|contact| invite.is_by(&contact.hashname()));
        if let Some(issuer) = issuer {
            return self
                .link_to_issuer(issuer.info(), &secret, RouterHint { router: info, ticket }, limit)
                .await;
        }
        let mut found = self.sought.seek(invite).ok_or(LinkError::TooMany(MAX_SOUGHT))?;
        if self.table.read().find(&router).is_none() {
            self.meet_router(None, &info, ticket.clone(), LinkLayer::add_candidate)?;
        }
        let circuit = CircuitId::asked(self.rng.lock().next_u64());
        let deadline = clock::now() + limit;
        let mut waits = ASK_AGAIN.into_iter();
        loop {
            self.ask_sealed(&router, &ticket, circuit, &secret);
            // Until the router is there it is looked at more often.
            let up = self.core.ways.whereabouts.of(&router).is_some();
            let wait = if up { waits.next().unwrap_or(limit) } else { Duration::from_millis(20) };
            let until = deadline.min(clock::now() + wait);
            match tokio::time::timeout_at(until.into(), &mut found).await {
                Ok(Ok(issuer)) => return self.link_to_found(&issuer, deadline).await,
                _ if clock::now() >= deadline => return Err(LinkError::NoIntroducer(router)),
                _ => {}
            }
        }
    }

    /// Links with the issuer of an invite that is a contact already: as by a link JSON that names the router.
    async fn link_to_issuer(
        self: &Arc<Self>,
        issuer: &LinkInfo,
        secret: &[u8; 32],
        hint: RouterHint,
        limit: Duration,
    ) -> Result<Link, LinkError> {
        let peer = issuer.hashname();
        // The newest ticket comes first.
        let told = LinkInfo::unresolved(peer);
        self.core.trust.add(&told.clone().with_path(hint).unwrap_or(told));
        let cell = self.add_contact(issuer, &issuer.addresses().collect::<Vec<_>>())?;
        // We may be no contact of theirs.
        let proof = Credential::new(prove_invite(secret, &peer, &self.core.hashname()).to_vec());
        cell.drive(|inner, _, _| proof.into_iter().for_each(|proof| inner.link.set_credential(proof)));
        let link = Link { cell };
        link.connect();
        link.up(limit).await?;
        Ok(link)
    }

    async fn link_to_found(&self, issuer: &Hashname, deadline: Instant) -> Result<Link, LinkError> {
        let cell = self.table.read().find(issuer).cloned().ok_or(LinkError::NoIntroducer(*issuer))?;
        let link = Link { cell };
        link.up(deadline.saturating_duration_since(clock::now())).await?;
        Ok(link)
    }

    fn ask_sealed(&self, router: &Hashname, ticket: &Credential, circuit: CircuitId, secret: &[u8; 32]) {
        let Some(link) = self.router_link(router) else { return };
        let who = self.identity_info().to_json();
        let Some(sealed) = seal_introduction(secret, self.nonce(), who.as_bytes()) else { return };
        let target = Target::Ticket(Bytes::copy_from_slice(ticket.as_bytes()));
        self.ask(link, target, circuit, Body::Sealed(sealed.into()));
    }

    /// Somebody bears an invite of ours and was led here by a router that cannot read who it is: we dial them, and prove who we are.
    pub(crate) fn introduced_sealed(self: &Arc<Self>, from: PathAddress, sealed: &[u8]) {
        let now = clock::now();
        // A hash for each open invite, and anybody could make it up.
        if self.gate.lock().admit_introduction(now, from).is_err() {
            return;
        }
        let opened = self.core.trust.invite_secrets(now).into_iter().find_map(|secret| {
            let body = open_introduction(secret.as_bytes(), sealed)?;
            let info = LinkInfo::from_json(std::str::from_utf8(&body).ok()?).ok()?;
            Some((secret, info))
        });
        let Some((secret, info)) = opened else { return self.dropped.not_trusted() };
        let (us, bearer) = (self.core.hashname(), info.hashname());
        if bearer == us || info.keys().is_empty() {
            return self.dropped.not_a_packet();
        }
        let Ok(proof) = Credential::new(prove_invite(secret.as_bytes(), &us, &bearer).to_vec()) else {
            return;
        };
        let entry = match self.core.trust.contact(&bearer) {
            Some(contact) if contact.grants().contains(Grant::LINK) => Entry::Contact,
            None if self.core.trust.reserve(&us, &bearer, &proof, now) => Entry::Invited,
            // An invite does not open what was taken away from a contact.
            Some(_) | None => return self.dropped.not_trusted(),
        };
        let Ok(cell) = self.add_link(bearer, Some(info.keys().clone()), entry) else {
            return self.dropped.no_room();
        };
        let wall = self.core.clock.micros();
        cell.drive(|inner, now, _| {
            if !inner.is_up() && !inner.is_stopped() {
                inner.link.set_credential(proof);
                inner.link.add_candidate(now, from);
                inner.link.call_back(now, wall);
            }
        });
        let (shared, weak) = (Arc::downgrade(self), Arc::downgrade(&cell));
        self.core.runtime.spawn(async move {
            tokio::time::sleep(RESERVATION).await;
            if let (Some(shared), Some(cell)) = (shared.upgrade(), weak.upgrade()) {
                shared.remove_provisional(&cell);
            }
        });
    }

    /// A router of ours is there: it may give us a new ticket.
    pub(crate) fn want_ticket(&self, router: &Hashname) {
        if let Some(router) = self.router_link(router) {
            self.serve(&Need::Ticket { router });
        }
    }
}

impl fmt::Debug for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sought").field("dials", &self.0.lock().len()).finish()
    }
}
