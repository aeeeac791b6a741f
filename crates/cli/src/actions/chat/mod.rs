//! `chat`: one chat as its user sees it, as events; and what the user does there, each a request of its own.

mod choose;
mod requests;
mod watch;

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use telemesh::Network as _;
use telemesh::chat::{Chat, Chats, Event};

use super::{link_up, waiting};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::request::LINK_LIMIT;
use crate::secret::Secret;
use crate::session::Session;
use watch::Watcher;

pub(crate) use choose::fallback;
pub(super) use requests::{edit, invite, list, read, say, typing};

/// How often the paths of links are looked at.
const PATHS: Duration = Duration::from_secs(2);

/// Which chat, and with whom.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) to: Vec<Secret>,
    /// A name or an id.
    pub(super) room: Option<String>,
    /// What we call ourselves there.
    pub(super) name: Option<String>,
    pub(super) invite: bool,
}

/// Shows a chat for as long as somebody looks.
pub(super) async fn run(endpoint: &Endpoint, session: &Session, wanted: Wanted) -> Result<(), Failure> {
    let chats = endpoint.chats()?;
    let mut dialled = Vec::new();
    for to in &wanted.to {
        // Whoever is not there is invited all the same, and gets it when they come.
        let link = endpoint.meet(to).await?;
        if wanted.to.len() == 1 && endpoint.running().is_none() {
            endpoint.wait(&link, LINK_LIMIT).await?;
            session.happened(link_up(endpoint, &link.link)).await?;
        }
        dialled.push(link);
    }
    let others: Vec<_> = dialled.iter().map(|dialled| dialled.link.hashname()).collect();
    let chosen = choose::existing(chats, &others, wanted.room.as_deref()).await?;
    let (chat, _invite) = match chosen {
        Some(chat) => (chat, None),
        None if others.is_empty() => {
            let invite = waiting::announce(endpoint, session, wanted.invite).await?;
            (wait(endpoint, session, chats).await?, invite)
        }
        None => {
            let name = wanted.room.as_deref().unwrap_or("chat");
            (chats.create(name.parse().map_err(usage)?).await.map_err(failed)?, None)
        }
    };
    if let Some(name) = wanted.name.as_deref() {
        choose::name_us(&chat, name).await?;
    }
    for other in others {
        chat.invite(other).await.map_err(failed)?;
    }
    watch(endpoint, session, &chat).await
}

/// Waits for an invitation and accepts it: that is what this command was started for.
async fn wait(endpoint: &Endpoint, session: &Session, chats: &Chats) -> Result<Chat, Failure> {
    let mut invitations = chats.invitations().await.map_err(failed)?;
    let mut links = pin!(waiting::report_links(endpoint, session));
    let invitation = tokio::select! {
        biased;
        result = &mut links => return Err(result.err().unwrap_or(Failure::Interrupted)),
        invitation = invitations.next() => invitation.ok_or(Failure::Interrupted)?,
    };
    session.happened(watch::invited(endpoint, &invitation)).await?;
    chats.accept(invitation.chat).await.map_err(failed)
}

async fn watch(endpoint: &Endpoint, session: &Session, chat: &Chat) -> Result<(), Failure> {
    let mut events = chat.events().await.map_err(failed)?;
    let mut watcher = Watcher::new(endpoint, session, chat);
    watcher.begin().await?;
    let mut links = endpoint.mesh().link_events();
    let mut paths = tokio::time::interval(PATHS);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Lagged { .. }) => watcher.begin().await?,
                Some(event) => watcher.tell(event).await?,
                None => return Err(Failure::Failed("the chat has ended".into())),
            },
            Some(_) = links.next() => watcher.members(false).await?,
            // A link may have moved to another path.
            _ = paths.tick() => watcher.members(false).await?,
        }
    }
}

/// An operation on a chat that did not work.
#[allow(clippy::needless_pass_by_value, reason = "errors are mapped by value")]
fn failed(error: telemesh::chat::ChatError) -> Failure {
    use telemesh::chat::ChatError;
    let text = error.to_string();
    match error {
        ChatError::NoSuchChat
        | ChatError::Unknown(_)
        | ChatError::Empty
        | ChatError::TooLong { .. }
        | ChatError::TooMuch
        | ChatError::NothingToEdit => Failure::Usage(text),
        ChatError::NotTheLeader | ChatError::Full => Failure::Refused(text),
        _ => Failure::Failed(text),
    }
}

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::Usage(error.to_string())
}
