//! Contacts and invites of an endpoint, as its commands see them.

use std::collections::HashSet;
use std::time::Duration;

use telemesh::{Contact, ContactError, Hashname, Invite, LinkTarget, LinkUri, Mesh, OpenInvite};

use super::Endpoint;
use crate::failure::Failure;
use crate::secret::Secret;
use crate::target;

/// How often, and after what time each, it is looked whether a router has given a ticket that it was asked for: two seconds.
const TICKET_TRIES: u32 = 20;
const TICKET_WAIT: Duration = Duration::from_millis(100);

/// How alike an unknown name and a contact's are, from 0 to 1, for it to be what was meant.
const ALIKE: f64 = 0.5;

/// An invite that ends with the command that has made it.
#[derive(Debug)]
pub(crate) struct ForNow {
    mesh: Mesh,
    id: String,
}

impl Drop for ForNow {
    fn drop(&mut self) {
        self.mesh.revoke_invite(&self.id);
    }
}

impl Endpoint {
    /// Whom we trust, but not those who are trusted only while a command uses them.
    pub(crate) fn contacts(&self) -> Vec<Contact> {
        let mut contacts = self.mesh().contacts();
        contacts.retain(|contact| !self.guests().has(&contact.hashname()));
        contacts
    }

    /// The name of a contact.
    pub(crate) fn name_of(&self, peer: &Hashname) -> Option<String> {
        Some(self.mesh().contact(peer)?.name()?.to_string())
    }

    /// What a `TO` means here.
    ///
    /// # Errors
    /// [`Failure::Usage`], without the text itself if it may hold a secret.
    pub(crate) fn target(&self, to: &Secret) -> Result<LinkTarget, Failure> {
        let text = to.expose();
        match self.mesh().named(text) {
            Some(contact) => Ok(contact.hashname().into()),
            None if text.parse::<telemesh::ContactName>().is_ok() => Err(self.no_contact(text)),
            None => target::parse(text),
        }
    }

    /// There is no contact with this name: which one may have been meant.
    pub(crate) fn no_contact(&self, name: &str) -> Failure {
        let alike = |contact: &Contact| {
            let known = contact.name()?.to_string();
            Some((strsim::normalized_damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase()), known))
        };
        let contacts = self.contacts();
        let nearest = contacts.iter().filter_map(alike).max_by(|one, other| one.0.total_cmp(&other.0));
        let hint = match nearest {
            Some((alike, known)) if alike >= ALIKE => format!(", did you mean `{known}`?"),
            _ => String::new(),
        };
        Failure::Usage(format!("there is no contact `{name}`{hint}"))
    }

    /// Trusts somebody from now on. An endpoint that stays up also wants the link.
    ///
    /// # Errors
    /// A name that another contact has, keys that do not belong to the hashname.
    pub(crate) fn keep(&self, contact: Contact) -> Result<(), ContactError> {
        let peer = contact.hashname();
        let link = self.mesh().set_contact(contact)?;
        self.guests().stays(&peer);
        self.choose_caches();
        if self.running().is_some() {
            link.connect();
        }
        Ok(())
    }

    /// Uses somebody as a router from now on.
    ///
    /// # Errors
    /// It makes no sense, or its address cannot be found.
    pub(crate) async fn route_via(&self, to: &Secret) -> Result<(), Failure> {
        let target = self.target(to)?;
        self.resolve_and_add(target).await?.router(true);
        self.choose_caches();
        Ok(())
    }

    /// Makes an invite, and gives it with what is known of it.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn invite(&self, invite: Invite) -> Result<(LinkUri, OpenInvite), Failure> {
        self.invite_with(|mesh| Ok(mesh.invite(invite)?))
    }

    /// The same with the URI of one of our routers.
    ///
    /// # Errors
    /// There are too many, or that router has given us no ticket.
    pub(crate) async fn invite_via(
        &self,
        router: Hashname,
        invite: Invite,
    ) -> Result<(LinkUri, OpenInvite), Failure> {
        let first = self.invite_via_now(router, invite.clone());
        let link = self.mesh().find(&router).filter(|link| link.is_router() && link.state().is_up());
        let Some(link) = link.filter(|_| first.is_err()) else { return first };
        // It may have granted us `router` since the link came up: it is asked again.
        link.router(true);
        let mut last = first;
        for _ in 0..TICKET_TRIES {
            tokio::time::sleep(TICKET_WAIT).await;
            last = self.invite_via_now(router, invite.clone());
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn invite_via_now(&self, router: Hashname, invite: Invite) -> Result<(LinkUri, OpenInvite), Failure> {
        self.invite_with(|mesh| {
            let none = || {
                let name = self.name_of(&router).unwrap_or_else(|| router.short().to_string());
                Failure::Failed(format!(
                    "{name} has given us no ticket: it has to be up, a router (`telemesh up --router`), one of ours (`telemesh contacts \
                     add --router`), and to grant us `router`"
                ))
            };
            mesh.invite_via(&router, invite)?.ok_or_else(none)
        })
    }

    fn invite_with(
        &self,
        make: impl FnOnce(&Mesh) -> Result<LinkUri, Failure>,
    ) -> Result<(LinkUri, OpenInvite), Failure> {
        let _one_at_a_time = self.inviting();
        let before: HashSet<_> = self.mesh().invites().into_iter().map(|invite| invite.id).collect();
        let uri = make(self.mesh())?;
        let new = self.mesh().invites().into_iter().find(|invite| !before.contains(&invite.id));
        let new = new.ok_or_else(|| Failure::Failed("the invite has expired already".into()))?;
        Ok((uri, new))
    }

    /// Makes an invite for as long as what this gives is kept.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn invite_for_now(&self, invite: Invite) -> Result<(LinkUri, ForNow), Failure> {
        let (uri, open) = self.invite(invite)?;
        Ok((uri, ForNow { mesh: self.mesh().clone(), id: open.id }))
    }
}
