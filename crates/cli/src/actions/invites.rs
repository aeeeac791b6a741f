//! `invite`, `invites` and `revoke`: secrets that make their bearers contacts.

use std::time::Duration;

use telemesh::Invite;

use super::contacts::{find, parse_name};
use crate::endpoint::Endpoint;
use crate::event::{Event, Invited, OpenInvite};
use crate::failure::Failure;
use crate::grants;
use crate::session::Session;

/// Makes an invite and says its URI, once it outlives a crash.
pub(super) async fn make(
    endpoint: &Endpoint,
    session: &Session,
    name: Option<&str>,
    grants: &[String],
    (uses, valid): (u32, Duration),
    via: Option<&str>,
) -> Result<(), Failure> {
    let mut invite = Invite::once().uses(uses).valid_for(valid);
    if let Some(name) = name {
        invite = invite.name(parse_name(name)?);
    }
    for grant in grants {
        invite = invite.grant(grants::parse(grant).map_err(Failure::Usage)?);
    }
    let (uri, open) = match via {
        Some(router) => endpoint.invite_via(find(endpoint, router)?.hashname(), invite).await?,
        None => endpoint.invite(invite)?,
    };
    endpoint.mesh().saved().await?;
    session
        .say(Event::Invited(Invited { invite: uri.to_secret_string().to_string(), open: shown(&open) }))
        .await
}

/// Says which invites are open.
pub(super) async fn list(endpoint: &Endpoint, session: &Session) -> Result<(), Failure> {
    for invite in endpoint.mesh().invites() {
        session.say(Event::OpenInvite(shown(&invite))).await?;
    }
    Ok(())
}

/// Makes an invite worthless.
pub(super) async fn revoke(endpoint: &Endpoint, id: &str) -> Result<(), Failure> {
    if !endpoint.mesh().revoke_invite(id) {
        return Err(Failure::Usage("there is no such open invite".into()));
    }
    Ok(endpoint.mesh().saved().await?)
}

fn shown(invite: &telemesh::OpenInvite) -> OpenInvite {
    OpenInvite {
        id: invite.id.clone(),
        name: invite.name.as_ref().map(ToString::to_string),
        grants: invite.grants.iter().map(ToString::to_string).collect(),
        uses: invite.uses,
        expires_s: invite.expires_in.map(|time| time.as_secs()),
    }
}
