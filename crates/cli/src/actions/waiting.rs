//! Commands that wait for somebody: they say where they can be reached, and who comes and goes.

use std::time::Duration;

use futures_util::StreamExt as _;
use telemesh::{Invite, LinkEvent, Network as _};

use super::{link_up, path};
use crate::endpoint::{Endpoint, ForNow};
use crate::event::{Happened, UpDown};
use crate::failure::Failure;
use crate::session::Session;

/// How often an invite to a throw-away endpoint may be used: for a `ping` before, for a second attempt after an interrupted one.
const INVITE_USES: u32 = 100;

/// Says that the command waits, with an invite to it that ends with the command. A throw-away endpoint has nobody else who could
/// come; at one that is up the contacts may, and an invite, to become one of them, is made only if it is asked for.
pub(super) async fn announce(
    endpoint: &Endpoint,
    session: &Session,
    invite: bool,
) -> Result<Option<ForNow>, Failure> {
    let uses = if endpoint.running().is_some() { 1 } else { INVITE_USES };
    let invite = if invite || endpoint.running().is_none() {
        Some(endpoint.invite_for_now(Invite::once().uses(uses).valid_for(Duration::MAX))?)
    } else {
        None
    };
    let (uri, for_now) = invite.unzip();
    session.happened(ready(endpoint, uri.map(|uri| uri.to_secret_string().to_string()))).await?;
    Ok(for_now)
}

/// The endpoint can be linked to.
pub(crate) fn ready(endpoint: &Endpoint, invite: Option<String>) -> Happened {
    let mesh = endpoint.mesh();
    Happened::Ready {
        hashname: mesh.hashname().to_string(),
        uri: mesh.uri().to_string(),
        invite,
        addresses: mesh.addresses().iter().map(ToString::to_string).collect(),
    }
}

/// Says who comes and goes, for as long as it is polled.
pub(super) async fn report_links(endpoint: &Endpoint, session: &Session) -> Result<(), Failure> {
    if endpoint.running().is_some() {
        // Links have nothing to do with this command there.
        return std::future::pending().await;
    }
    let mut events = endpoint.mesh().link_events();
    while let Some(event) = events.next().await {
        if let Some(event) = link_event(endpoint, event) {
            session.happened(event).await?;
        }
    }
    Ok(())
}

/// A link that came up or went down, as an event.
pub(crate) fn link_event(endpoint: &Endpoint, event: LinkEvent) -> Option<Happened> {
    let name = |peer| endpoint.name_of(peer);
    match event {
        LinkEvent::Up { peer } => Some(match endpoint.mesh().find(&peer) {
            Some(link) => link_up(endpoint, &link),
            None => Happened::Link {
                hashname: peer.to_string(),
                name: name(&peer),
                state: UpDown::Up,
                path: None,
                reason: None,
            },
        }),
        LinkEvent::Down { peer, reason } => Some(Happened::Link {
            hashname: peer.to_string(),
            name: name(&peer),
            state: UpDown::Down,
            path: endpoint.mesh().find(&peer).as_ref().and_then(path),
            reason: Some(reason.to_string()),
        }),
        _ => None,
    }
}
