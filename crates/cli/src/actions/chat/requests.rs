//! What the user of a chat does: each is a request of its own, so that it works over the control socket as well.

use telemesh::chat::Chat;

use super::{choose, failed};
use crate::endpoint::Endpoint;
use crate::event::Happened;
use crate::failure::Failure;
use crate::secret::Secret;
use crate::session::Session;

/// The chats that there are, and the invitations.
pub(in crate::actions) async fn list(endpoint: &Endpoint, session: &Session) -> Result<(), Failure> {
    let chats = endpoint.chats()?;
    for info in chats.list().await.map_err(failed)? {
        session.happened(super::watch::opened(endpoint, &info)).await?;
    }
    let mut invitations = chats.invitations().await.map_err(failed)?;
    while let Some(invitation) = invitations.try_next() {
        session.happened(super::watch::invited(endpoint, &invitation)).await?;
    }
    Ok(())
}

/// Says something.
pub(in crate::actions) async fn say(
    endpoint: &Endpoint,
    session: &Session,
    chat: &str,
    text: String,
) -> Result<(), Failure> {
    let id = find(endpoint, chat).await?.say(text).await.map_err(failed)?;
    session.happened(Happened::Said { id: id.to_string() }).await
}

/// Replaces what we have said last.
pub(in crate::actions) async fn edit(
    endpoint: &Endpoint,
    session: &Session,
    chat: &str,
    text: String,
) -> Result<(), Failure> {
    let id = find(endpoint, chat).await?.edit(text).await.map_err(failed)?;
    session.happened(Happened::Said { id: id.to_string() }).await
}

/// All up to a message was read.
pub(in crate::actions) async fn read(endpoint: &Endpoint, chat: &str, message: &str) -> Result<(), Failure> {
    let id = message.parse().map_err(super::usage)?;
    find(endpoint, chat).await?.read(id).await.map_err(failed)
}

/// We type, or have stopped.
pub(in crate::actions) async fn typing(endpoint: &Endpoint, chat: &str, typing: bool) -> Result<(), Failure> {
    find(endpoint, chat).await?.set_typing(typing).await.map_err(failed)
}

/// Invites a contact into a chat that we lead.
pub(in crate::actions) async fn invite(endpoint: &Endpoint, chat: &str, to: &Secret) -> Result<(), Failure> {
    let chat = find(endpoint, chat).await?;
    let target = endpoint.target(to)?;
    let peer = crate::target::hashname(&target)
        .ok_or_else(|| Failure::Usage("TO: not a form that is known".into()))?;
    endpoint.mesh().add_contact(target)?;
    chat.invite(peer).await.map_err(failed)
}

async fn find(endpoint: &Endpoint, room: &str) -> Result<Chat, Failure> {
    let chats = endpoint.chats()?;
    let all = chats.list().await.map_err(failed)?;
    let info = choose::by_name(&all, room)?;
    let info = info.ok_or_else(|| Failure::Usage(format!("there is no chat `{room}`")))?;
    chats.open(info.id).await.map_err(failed)
}
