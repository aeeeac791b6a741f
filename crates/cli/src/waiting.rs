//! An endpoint that waits to be linked to: it says where it is and how to reach it, and who comes.

use futures_util::StreamExt as _;
use serde::Serialize;
use telemesh::{Invite, LinkEvent, Mesh, Network as _};

use crate::context::Context;
use crate::failure::Failure;

/// How often an invite may be used while its command waits: a `ping` before, a second attempt after an interrupted one. The
/// invite ends with the command.
const INVITE_USES: u32 = 100;

/// What is said once the endpoint can be linked to.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    event: &'a str,
    hashname: String,
    uri: String,
    /// With its secret: this is the one place that shows it.
    invite: Option<&'a str>,
    addresses: Vec<String>,
}

/// A link that came up or went down.
#[derive(Debug, Serialize)]
struct LinkObject {
    event: &'static str,
    hashname: String,
    state: &'static str,
    path: Option<String>,
    reason: Option<String>,
}

/// Prints an invite to the waiting endpoint, with the command that accepts it.
pub(crate) fn announce(context: &Context, mesh: &Mesh, command: &str) -> Result<(), Failure> {
    let invite =
        mesh.invite(Invite::once().uses(INVITE_USES).valid_for(std::time::Duration::MAX))?.to_secret_string();
    let output = &context.output;
    output.object(&Ready {
        event: "ready",
        hashname: mesh.hashname().to_string(),
        uri: mesh.uri().to_string(),
        invite: Some(invite.as_str()),
        addresses: mesh.addresses().iter().map(ToString::to_string).collect(),
    })?;
    output
        .note("Waiting. Type this at the other end; whoever has the link may connect as long as this runs:");
    output.note("");
    output.line(format_args!("telemesh {command} '{}'", invite.as_str()))?;
    output.note("");
    Ok(())
}

/// Says who comes and goes, for as long as it is polled.
pub(crate) async fn report_links(context: &Context, mesh: &Mesh) -> Result<(), Failure> {
    let mut events = mesh.link_events();
    while let Some(event) = events.next().await {
        match event {
            LinkEvent::Up { peer } => {
                let path = mesh.find(&peer).and_then(|link| link.path()).map(|path| path.address.to_string());
                report_up(context, peer, path)?;
            }
            LinkEvent::Down { peer, reason } => {
                context.output.note(format_args!("{} is gone: {reason}", peer.short()));
                context.output.object(&LinkObject {
                    event: "link",
                    hashname: peer.to_string(),
                    state: "down",
                    path: None,
                    reason: Some(reason.to_string()),
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Says that a link is up.
pub(crate) fn report_up(
    context: &Context,
    peer: telemesh::Hashname,
    path: Option<String>,
) -> Result<(), Failure> {
    let shown = path.as_deref().unwrap_or("an unknown path");
    context.output.note(format_args!("linked with {} over {shown}", peer.short()));
    context.output.object(&LinkObject {
        event: "link",
        hashname: peer.to_string(),
        state: "up",
        path,
        reason: None,
    })
}
