//! `contacts` and `accept`: whom we trust, and with what.

use std::time::Duration;

use telemesh::{Contact, ContactName, Grants};

use super::state;
use crate::endpoint::Endpoint;
use crate::event::{self, Event};
use crate::failure::Failure;
use crate::grants;
use crate::secret::Secret;
use crate::session::Session;
use crate::target;

/// Says whom we trust.
pub(super) async fn list(endpoint: &Endpoint, session: &Session) -> Result<(), Failure> {
    for contact in endpoint.contacts() {
        session.say(Event::Contact(shown(endpoint, &contact, false))).await?;
    }
    Ok(())
}

/// Says all about one contact.
pub(super) async fn show(endpoint: &Endpoint, session: &Session, name: &str) -> Result<(), Failure> {
    let contact = find(endpoint, name)?;
    session.say(Event::Contact(shown(endpoint, &contact, true))).await
}

/// Trusts somebody under a name.
pub(super) async fn add(
    endpoint: &Endpoint,
    session: &Session,
    name: &str,
    link: &Secret,
    (grants, router): (&[String], bool),
) -> Result<(), Failure> {
    let name = parse_name(name)?;
    let grants = parse_grants(grants)?;
    let link = endpoint.target(link)?;
    if target::has_invite(&link) {
        return Err(Failure::Usage("an invite is used with `telemesh accept`".into()));
    }
    let info = target::info(&link).ok_or_else(unknown_form)?;
    let contact = Contact::new(info).with_name(Some(name)).with_grants(grants).with_router(router);
    keep(endpoint, session, contact).await
}

/// Trusts somebody no more. What goes on with them ends at once.
pub(super) async fn remove(endpoint: &Endpoint, name: &str) -> Result<(), Failure> {
    let contact = find(endpoint, name)?;
    if endpoint.running().is_some_and(|running| running.is_declared(&contact.hashname())) {
        return Err(Failure::Failed(format!(
            "{name} is in the configuration file: take it out there, and then `telemesh reload`"
        )));
    }
    endpoint.mesh().forget(&contact.hashname());
    endpoint.choose_caches();
    Ok(endpoint.mesh().saved().await?)
}

/// Links with an invite, or with somebody who knows us already, and keeps them as a contact.
pub(super) async fn accept(
    endpoint: &Endpoint,
    session: &Session,
    uri: &Secret,
    name: Option<&str>,
    limit: Duration,
) -> Result<(), Failure> {
    let name = name.map(parse_name).transpose()?;
    let target = target::parse(uri.expose())?;
    let named = (!target::is_by_router(&target)).then(|| target::info(&target).ok_or_else(unknown_form));
    let named = named.transpose()?;
    if let Some(name) = &name
        && let Some(other) = endpoint.mesh().named(name.as_str())
        && named.as_ref().is_none_or(|info| other.hashname() != info.hashname())
    {
        // Before the invite is used up.
        return Err(Failure::Usage(format!("{name} is {} already", other.hashname().short())));
    }
    let dialled = endpoint.dial(uri, limit).await?;
    let peer = dialled.link.hashname();
    let known = endpoint.mesh().contact(&peer);
    let info = named.or_else(|| known.as_ref().map(|known| known.info().clone())).ok_or_else(unknown_form)?;
    let grants = known.as_ref().map_or_else(Grants::link, |known| known.grants().clone());
    let name = name.or_else(|| known.and_then(|known| known.name().cloned()));
    keep(endpoint, session, Contact::new(info).with_name(name).with_grants(grants)).await
}

/// Trusts somebody, and says so once it outlives a crash.
async fn keep(endpoint: &Endpoint, session: &Session, contact: Contact) -> Result<(), Failure> {
    let peer = contact.hashname();
    endpoint.keep(contact)?;
    endpoint.mesh().saved().await?;
    match endpoint.mesh().contact(&peer) {
        Some(contact) => session.say(Event::Contact(shown(endpoint, &contact, true))).await,
        // Somebody else has removed it meanwhile.
        None => Ok(()),
    }
}

/// The contact that somebody means, by its name or hashname.
pub(super) fn find(endpoint: &Endpoint, name: &str) -> Result<Contact, Failure> {
    let known = match name.parse() {
        Ok(hashname) => endpoint.contacts().into_iter().find(|contact| contact.hashname() == hashname),
        Err(_) => endpoint.mesh().named(name),
    };
    known.ok_or_else(|| endpoint.no_contact(name))
}

fn unknown_form() -> Failure {
    Failure::Usage("a URI, link JSON or hashname is needed".into())
}

/// Every contact may link.
fn parse_grants(grants: &[String]) -> Result<Grants, Failure> {
    let mut all = Grants::link();
    for grant in grants {
        let grant = grants::parse(grant).map_err(Failure::Usage)?;
        all.insert(grant).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    Ok(all)
}

/// What somebody may be called.
pub(super) fn parse_name(name: &str) -> Result<ContactName, Failure> {
    name.parse().map_err(|error: telemesh::mesh::ParseNameError| Failure::Usage(error.to_string()))
}

fn shown(endpoint: &Endpoint, contact: &Contact, whole: bool) -> event::Contact {
    let link = endpoint.mesh().find(&contact.hashname());
    event::Contact {
        contact: contact.name().map(ToString::to_string),
        hashname: contact.hashname().to_string(),
        grants: contact.grants().iter().map(ToString::to_string).collect(),
        router: contact.is_router(),
        state: link.map_or("down", |link| state(link.state().state).0).to_owned(),
        link: whole.then(|| contact.info().clone()),
    }
}
