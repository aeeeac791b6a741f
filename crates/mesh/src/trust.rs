//! Whom the endpoint trusts: its contacts, the bearers of its invites, and whoever its policy lets in.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard, RwLock};
use telemesh_hashname::Hashname;
use telemesh_link::Claim as Shown;
use telemesh_wire::{Credential, InviteSecret, LinkInfo, PathAddress};

use crate::clock::{self, Now, WallClock};
use crate::contact::{Contact, ContactName};
use crate::discovered::{Discover, Discovered, Strangers, Via};
use crate::grant::{Grant, Grants};
use crate::invites::{Invite, Invites, OpenInvite, TooManyInvites};
use crate::policy::{self, Claim, Policy, Standing, Verdict};
use crate::saver::Saver;
use crate::store::{Change, Stored, StoredInvite};

/// See the module's page. Every change is handed to the saver under the lock that it was made under, so that what is stored last
/// is what holds.
pub(crate) struct Trust {
    contacts: RwLock<HashMap<Hashname, Contact>>,
    invites: Mutex<Invites>,
    policy: Arc<dyn Policy>,
    discover: Mutex<Discovering>,
    pub(crate) strangers: Arc<Strangers>,
    /// Contacts that are our routers.
    routers: RwLock<Vec<Hashname>>,
    saver: Arc<Saver>,
    clock: Arc<dyn WallClock>,
}

/// Another contact has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is already the name of {owner}")]
pub struct NameTaken {
    /// The name.
    pub name: ContactName,
    /// Who has it.
    pub owner: Hashname,
}

/// Until when the endpoint is in discover mode.
#[derive(Debug, Clone, Copy)]
enum Discovering {
    Off,
    Until {
        end: Instant,
        /// Microseconds since 1970; `None` if the wall clock cannot say it.
        wall: Option<u64>,
    },
    Forever,
}

impl Trust {
    pub(crate) fn new(
        stored: Stored,
        policy: Arc<dyn Policy>,
        saver: Arc<Saver>,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        let now = Now { monotonic: clock::now(), wall: clock.micros() };
        let routers =
            stored.contacts.iter().filter(|contact| contact.is_router()).map(Contact::hashname).collect();
        let contacts = stored.contacts.into_iter().map(|contact| (contact.hashname(), contact)).collect();
        Self {
            routers: RwLock::new(routers),
            contacts: RwLock::new(contacts),
            invites: Mutex::new(Invites::restore(stored.invites, now)),
            policy,
            discover: Mutex::new(Discovering::Off),
            strangers: Arc::default(),
            saver,
            clock,
        }
    }

    /// Both clocks. The monotonic one is the caller's, who has looked at it already.
    fn both(&self, now: Instant) -> Now {
        Now { monotonic: now, wall: self.clock.micros() }
    }

    // Contacts.

    pub(crate) fn contacts(&self) -> Vec<Contact> {
        let mut contacts: Vec<_> = self.contacts.read().values().cloned().collect();
        contacts.sort_by(|a, b| {
            (a.name().is_none(), a.name(), a.hashname()).cmp(&(b.name().is_none(), b.name(), b.hashname()))
        });
        contacts
    }

    pub(crate) fn contact(&self, peer: &Hashname) -> Option<Contact> {
        self.contacts.read().get(peer).cloned()
    }

    pub(crate) fn named(&self, name: &str) -> Option<Contact> {
        let is = |contact: &&Contact| contact.name().is_some_and(|other| other.as_str() == name);
        self.contacts.read().values().find(is).cloned()
    }

    /// Trusts an endpoint, or learns more about a contact.
    pub(crate) fn add(&self, info: &LinkInfo) {
        let mut contacts = self.contacts.write();
        let known = contacts.get(&info.hashname());
        let mut contact = known.cloned().unwrap_or_else(|| Contact::new(info.clone()));
        contact.learn(info);
        if known != Some(&contact) {
            self.insert(&mut contacts, contact);
        }
    }

    /// Whether another contact has the name of this one.
    pub(crate) fn check_name(&self, contact: &Contact) -> Result<(), NameTaken> {
        check_name(&self.contacts.read(), contact)
    }

    /// Trusts an endpoint with just this name and these grants.
    pub(crate) fn set(&self, mut contact: Contact) -> Result<(), NameTaken> {
        let mut contacts = self.contacts.write();
        check_name(&contacts, &contact)?;
        let known = contacts.get(&contact.hashname());
        if let Some(known) = known {
            contact.learn_older(known.info());
            let router = known.is_router() || contact.is_router();
            contact = contact.with_router(router);
        }
        if known != Some(&contact) {
            self.insert(&mut contacts, contact);
        }
        Ok(())
    }

    /// Learns the keys of a contact of which only the hashname was known.
    pub(crate) fn learn_keys(&self, info: &LinkInfo) {
        let mut contacts = self.contacts.write();
        let Some(known) = contacts.get(&info.hashname()).filter(|known| known.info().keys().is_empty())
        else {
            return;
        };
        let Ok(keys) = LinkInfo::new(info.keys().clone()) else { return };
        let mut contact = known.clone();
        contact.learn(&keys);
        self.insert(&mut contacts, contact);
    }

    /// Whether it was a contact.
    pub(crate) fn remove(&self, peer: &Hashname) -> bool {
        let mut contacts = self.contacts.write();
        let removed = contacts.remove(peer).is_some();
        if removed {
            self.saver.change(Change::Forgotten(*peer));
            self.routers.write().retain(|router| router != peer);
        }
        removed
    }

    fn insert(&self, contacts: &mut HashMap<Hashname, Contact>, contact: Contact) {
        self.strangers.release(&contact.hashname());
        self.list_router(&contact);
        self.saver.change(Change::Contact(contact.clone()));
        contacts.insert(contact.hashname(), contact);
    }

    pub(crate) fn grants(&self, peer: &Hashname) -> Grants {
        self.contacts.read().get(peer).map(|contact| contact.grants().clone()).unwrap_or_default()
    }

    pub(crate) fn has_grant(&self, peer: &Hashname, grant: &str) -> bool {
        self.contacts.read().get(peer).is_some_and(|contact| contact.grants().contains(grant))
    }

    pub(crate) fn grants_of_kind(&self, peer: &Hashname, kind: &str) -> Vec<String> {
        let contacts = self.contacts.read();
        let grants = contacts.get(peer).into_iter().flat_map(|contact| contact.grants().of_kind(kind));
        grants.map(ToString::to_string).collect()
    }

    // Routers.

    /// Contacts that are our routers, in the order in which they became that.
    pub(crate) fn routers(&self) -> Vec<Hashname> {
        self.routers.read().clone()
    }

    pub(crate) fn is_router(&self, peer: &Hashname) -> bool {
        self.routers.read().contains(peer)
    }

    /// Makes a contact one of our routers, or not; whether it is a contact.
    pub(crate) fn set_router(&self, peer: &Hashname, router: bool) -> bool {
        let mut contacts = self.contacts.write();
        let Some(contact) = contacts.get(peer).cloned() else { return false };
        if contact.is_router() != router {
            self.insert(&mut contacts, contact.with_router(router));
        }
        true
    }

    fn list_router(&self, contact: &Contact) {
        let mut routers = self.routers.write();
        let listed = routers.contains(&contact.hashname());
        if contact.is_router() && !listed {
            routers.push(contact.hashname());
        } else if !contact.is_router() && listed {
            routers.retain(|router| *router != contact.hashname());
        }
    }

    /// A contact has told which routers lead to it. `may` says whether something new may be written now.
    pub(crate) fn told_routers(&self, info: &LinkInfo, may: impl FnOnce() -> bool) {
        let Some(contact) = self.contact(&info.hashname()) else { return };
        let mut told = LinkInfo::unresolved(info.hashname());
        for hint in info.paths().iter().filter(|hint| hint.router().is_some()) {
            told = told.clone().with_path(hint.clone()).unwrap_or(told);
        }
        let known = contact.info().paths();
        if !told.paths().iter().all(|hint| known.contains(hint)) && may() {
            self.add(&told);
        }
    }

    // Invites.

    pub(crate) fn issue(
        &self,
        invite: Invite,
        id: String,
        secret: [u8; InviteSecret::LENGTH],
        now: Instant,
    ) -> Result<(), TooManyInvites> {
        let mut invites = self.invites_at(now);
        self.drop_closed(&mut invites, now);
        let stored = invites.issue(invite, id, secret, self.both(now))?;
        self.saver.change(Change::Invite(stored));
        Ok(())
    }

    /// The invites, for whoever asks which of them are open.
    fn invites_at(&self, now: Instant) -> MutexGuard<'_, Invites> {
        let mut invites = self.invites.lock();
        invites.heed_wall_clock(self.both(now));
        invites
    }

    pub(crate) fn invites(&self, now: Instant) -> Vec<OpenInvite> {
        self.invites_at(now).open(now)
    }

    pub(crate) fn revoke(&self, id: &str) -> bool {
        let mut invites = self.invites.lock();
        let revoked = invites.revoke(id);
        let found = revoked.is_some();
        revoked.into_iter().for_each(|id| self.saver.change(Change::InviteClosed(id)));
        found
    }

    fn drop_closed(&self, invites: &mut Invites, now: Instant) {
        for id in invites.take_closed(now) {
            self.saver.change(Change::InviteClosed(id));
        }
    }

    /// A bearer has sent its first data: if it has reserved an invite it is a contact from now on. Whether it had.
    pub(crate) fn confirm(&self, info: LinkInfo, now: Instant) -> bool {
        let peer = info.hashname();
        let Some(invite) = self.spend(&peer, now) else { return false };
        let mut contacts = self.contacts.write();
        let mut contact = contacts.get(&peer).cloned().unwrap_or_else(|| Contact::new(info));
        let mut grants = contact.grants().clone();
        grants.extend(&invite.grants);
        if contact.name().is_none() {
            let name = invite.name.and_then(|name| free_name(&contacts, &name));
            contact = contact.with_name(name);
        }
        self.insert(&mut contacts, contact.with_grants(grants));
        true
    }

    fn spend(&self, bearer: &Hashname, now: Instant) -> Option<StoredInvite> {
        let mut invites = self.invites_at(now);
        let invite = invites.confirm(bearer)?;
        self.saver.change(Change::Invite(invite.clone()));
        self.drop_closed(&mut invites, now);
        Some(invite)
    }

    /// The bearer has sent no data in time, or needs no invite.
    pub(crate) fn release(&self, bearer: &Hashname) {
        self.invites.lock().release(bearer);
    }

    // Admission.

    /// What becomes of somebody who asks for a link. If it bears an invite and is accepted, a use is reserved for it. If the
    /// application is to be asked, it is.
    pub(crate) fn decide(
        &self,
        issuer: &Hashname,
        shown: &Shown,
        standing: Standing,
        now: Instant,
    ) -> (Verdict, Standing) {
        let peer = shown.hashname;
        let claim = Claim {
            hashname: peer,
            keys: &shown.keys,
            credential: &shown.credential,
            via: shown.from,
            standing,
            discovering: self.discovering(now) != Discover::Off,
        };
        let verdict = policy::decide(&*self.policy, &claim);
        match verdict {
            // Somebody else may have taken the last use since.
            Verdict::Accept
                if standing == Standing::Invited
                    && !self.invites_at(now).reserve(issuer, &peer, &shown.credential, now) =>
            {
                return (Verdict::Ignore, standing);
            }
            Verdict::Ask => {
                let (keys, paths) = (shown.keys.clone(), vec![shown.from]);
                self.strangers.hold(Discovered { hashname: peer, keys, paths, via: Via::Request });
            }
            _ => {}
        }
        (verdict, standing)
    }

    /// Who somebody is by what is known of it, and by the invites that are open.
    pub(crate) fn standing(&self, issuer: &Hashname, shown: &Shown, now: Instant) -> Standing {
        match self.contacts.read().get(&shown.hashname) {
            Some(contact) if contact.grants().contains(Grant::LINK) => Standing::Contact,
            Some(_) => Standing::Barred,
            None if self.bears_invite(issuer, shown, now) => Standing::Invited,
            None => Standing::Stranger,
        }
    }

    /// Keeps a use of an invite for its bearer; whether there was one.
    pub(crate) fn reserve(
        &self,
        issuer: &Hashname,
        bearer: &Hashname,
        proof: &Credential,
        now: Instant,
    ) -> bool {
        self.invites_at(now).reserve(issuer, bearer, proof, now)
    }

    /// The secrets of the invites that are open.
    pub(crate) fn invite_secrets(&self, now: Instant) -> Vec<Arc<InviteSecret>> {
        self.invites_at(now).secrets(now)
    }

    fn bears_invite(&self, issuer: &Hashname, shown: &Shown, now: Instant) -> bool {
        !shown.credential.is_none()
            && self.invites_at(now).admits(issuer, &shown.hashname, &shown.credential, now)
    }

    /// What becomes of somebody whose keys a router has brought.
    pub(crate) fn judge(&self, info: &LinkInfo, via: PathAddress, now: Instant) -> Verdict {
        let standing = match self.contacts.read().get(&info.hashname()) {
            Some(contact) if contact.grants().contains(Grant::LINK) => Standing::Contact,
            Some(_) => Standing::Barred,
            None => Standing::Stranger,
        };
        policy::decide(
            &*self.policy,
            &Claim {
                hashname: info.hashname(),
                keys: info.keys(),
                credential: &Credential::none(),
                via,
                standing,
                discovering: self.discovering(now) != Discover::Off,
            },
        )
    }

    pub(crate) fn discover(&self, discover: Discover, now: Instant) {
        *self.discover.lock() = match discover {
            Discover::Off => Discovering::Off,
            Discover::For(time) => now.checked_add(time).map_or(Discovering::Forever, |end| {
                Discovering::Until { end, wall: self.both(now).wall_in(time) }
            }),
            Discover::Forever => Discovering::Forever,
        };
    }

    /// Whether the endpoint is in discover mode, and for how much longer.
    pub(crate) fn discovering(&self, now: Instant) -> Discover {
        match &mut *self.discover.lock() {
            Discovering::Until { end, wall } => {
                *end = self.both(now).end(Some(*end), *wall).unwrap_or(*end);
                if now < *end { Discover::For(*end - now) } else { Discover::Off }
            }
            Discovering::Off => Discover::Off,
            Discovering::Forever => Discover::Forever,
        }
    }
}

fn check_name(contacts: &HashMap<Hashname, Contact>, contact: &Contact) -> Result<(), NameTaken> {
    match contact.name() {
        Some(name) => match owner(contacts, name) {
            Some(owner) if owner != contact.hashname() => Err(NameTaken { name: name.clone(), owner }),
            _ => Ok(()),
        },
        None => Ok(()),
    }
}

/// Who has a name.
fn owner(contacts: &HashMap<Hashname, Contact>, name: &ContactName) -> Option<Hashname> {
    contacts.values().find(|contact| contact.name() == Some(name)).map(Contact::hashname)
}

/// The name, with a number behind it if somebody has it already.
fn free_name(contacts: &HashMap<Hashname, Contact>, name: &ContactName) -> Option<ContactName> {
    let is_free = |name: &ContactName| owner(contacts, name).is_none();
    let numbered = (2..=contacts.len() + 2).filter_map(|number| format!("{name}-{number}").parse().ok());
    std::iter::once(name.clone()).chain(numbered).find(is_free)
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("contacts", &self.contacts.read().len())
            .field("invites", &self.invites.lock().len())
            .field("discover", &*self.discover.lock())
            .finish_non_exhaustive()
    }
}
