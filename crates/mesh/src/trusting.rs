//! The part of a mesh's interface that is about trust: contacts, grants, invites, strangers.

use telemesh_channel::LinkEvent;
use telemesh_hashname::Hashname;
use telemesh_wire::{InviteSecret, LinkUri};

use crate::clock;
use crate::contact::Contact;
use crate::discovered::{Discover, DiscoveredEvents};
use crate::grant::Grants;
use crate::invites::{Invite, OpenInvite, TooManyInvites};
use crate::link::Link;
use crate::mesh::Mesh;
use crate::saver::StoreError;
use crate::state::LinkError;
use crate::trust::NameTaken;

/// Why a contact was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContactError {
    /// Another contact has that name.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    /// There can be no link with it.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl Mesh {
    /// All contacts: those with a name first, in the order of their names.
    #[must_use]
    pub fn contacts(&self) -> Vec<Contact> {
        self.shared().core.trust.contacts()
    }

    /// A contact.
    #[must_use]
    pub fn contact(&self, peer: &Hashname) -> Option<Contact> {
        self.shared().core.trust.contact(peer)
    }

    /// The contact with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Contact> {
        self.shared().core.trust.named(name)
    }

    /// Trusts an endpoint with just this name and these grants, whatever it had before; keys and paths that were known are kept,
    /// and of somebody whose hashname is all that is given, those that were heard are taken.
    /// Without the grant [`link`](crate::Grant::LINK) a link that is up ends now.
    ///
    /// # Errors
    /// [`ContactError`]: the name of another contact, keys that do not belong to the hashname.
    pub fn set_contact(&self, contact: Contact) -> Result<Link, ContactError> {
        let contact = contact.completed(|info| self.shared().completed(info));
        let addresses: Vec<_> = contact.info().addresses().collect();
        let may_link = contact.grants().contains(crate::Grant::LINK);
        let is_router = contact.is_router();
        self.shared().core.trust.check_name(&contact)?;
        let cell = self.shared().add_contact(contact.info(), &addresses)?;
        self.shared().core.trust.set(contact)?;
        let link = Link { cell };
        self.shared().core.events.emit(&LinkEvent::Granted { peer: link.hashname() });
        if !may_link {
            link.close();
        } else if is_router {
            link.router(true);
        }
        Ok(link)
    }

    /// What an endpoint may do. Nothing if it is no contact.
    #[must_use]
    pub fn grants(&self, peer: &Hashname) -> Grants {
        self.shared().core.trust.grants(peer)
    }

    /// Trusts an endpoint no more: its link ends now, and it will meet silence. Whether there was a link or a contact.
    pub fn forget(&self, peer: &Hashname) -> bool {
        let was_contact = self.shared().core.trust.remove(peer);
        let had_link = self.shared().remove_link(peer);
        was_contact || had_link
    }

    /// A URI whose bearer becomes a contact. It holds a secret: show it only to whom it is meant for.
    ///
    /// # Errors
    /// [`TooManyInvites`].
    pub fn invite(&self, invite: Invite) -> Result<LinkUri, TooManyInvites> {
        let secret = self.shared().random();
        self.issue(invite, secret)?;
        Ok(self.uri().with_invite(InviteSecret::from_bytes(secret)))
    }

    fn issue(&self, invite: Invite, secret: [u8; InviteSecret::LENGTH]) -> Result<(), TooManyInvites> {
        let shared = self.shared();
        let id = shared.random().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        shared.core.trust.issue(invite, id, secret, clock::now())
    }

    /// An invite that leads through one of our routers: a URI of the router's, which tells nobody who we are, not even its bearer
    /// before the link is up. `None` while that router has given us no ticket, as it does when its link is up and it grants us
    /// `router`.
    ///
    /// # Errors
    /// [`TooManyInvites`].
    pub fn invite_via(&self, router: &Hashname, invite: Invite) -> Result<Option<LinkUri>, TooManyInvites> {
        let shared = self.shared();
        let secret = shared.random();
        let Some(uri) = shared.router_uri(router, InviteSecret::from_bytes(secret)) else { return Ok(None) };
        self.issue(invite, secret)?;
        Ok(Some(uri))
    }

    /// The invites that are open.
    #[must_use]
    pub fn invites(&self) -> Vec<OpenInvite> {
        self.shared().core.trust.invites(clock::now())
    }

    /// Makes the invite with this id worthless. Whom it has made a contact stays one. Whether it was open.
    pub fn revoke_invite(&self, id: &str) -> bool {
        self.shared().core.trust.revoke(id)
    }

    /// Waits until every change to contacts and invites that was made before is stored, durably if the store is.
    ///
    /// # Errors
    /// [`StoreError`]: it has failed. What was changed holds as long as the endpoint runs, and saving is tried again.
    pub async fn saved(&self) -> Result<(), StoreError> {
        self.shared().core.saver.saved().await
    }

    /// Switches discover mode on or off. While it is on, this endpoint announces itself on the local network, if it has a
    /// [discovery](crate::MeshBuilder::discovery), and strangers who ask for a link are shown to the application, see
    /// [`Mesh::discovered`]. They still get no answer until the application links. Ends by itself when its time is over, and
    /// with the endpoint.
    pub fn discover(&self, discover: impl Into<Discover>) {
        self.shared().core.trust.discover(discover.into(), clock::now());
        self.shared().core.discoveries.switch();
    }

    /// Whether discover mode is on, and for how much longer.
    #[must_use]
    pub fn discovering(&self) -> Discover {
        self.shared().core.trust.discovering(clock::now())
    }

    /// Whether those who announce themselves nearby are heard.
    #[must_use]
    pub fn has_discovery(&self) -> bool {
        !self.shared().core.discoveries.all().is_empty()
    }

    /// Endpoints as they are noticed, strangers who ask for a link and whoever announces themselves nearby; first those that are
    /// held already.
    #[must_use]
    pub fn discovered(&self) -> DiscoveredEvents {
        DiscoveredEvents::new(self.shared().core.trust.strangers.clone())
    }
}
