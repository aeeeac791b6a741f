//! Two people chat, and end with the same history.

use std::net::Ipv4Addr;

use telemesh::chat::{Chat, Config, Event, Events};
use telemesh::{Invite, MeshChats as _};

use super::report::Outcome;

/// What each of them says.
const MESSAGES: usize = 50;

/// Begins a chat, lets the other one in, and both talk.
pub(super) async fn run() -> Outcome<()> {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let alice = telemesh::builder(telemesh::generate_keys()?).listen(listen).create().await?;
    let bob = telemesh::builder(telemesh::generate_keys()?).listen(listen).create().await?;
    let chats = alice.chats(Config::new("alice".parse()?)).await?;
    let at_bob = bob.chats(Config::new("bob".parse()?)).await?;
    bob.link(alice.invite(Invite::once())?).await?;

    let room = chats.create("demonstration".parse()?).await?;
    room.invite(telemesh::Network::hashname(&bob)).await?;
    let invitation = at_bob.invitations().await?.next().await.ok_or("no invitation came")?;
    let there = at_bob.accept(invitation.chat).await?;
    let (mut heard_here, mut heard_there) = (room.events().await?, there.events().await?);
    while !there.info().await?.joined {
        heard_there.next().await.ok_or("the chat has ended")?;
    }
    for number in 0..MESSAGES {
        room.say(format!("question {number}")).await?;
        there.say(format!("answer {number}")).await?;
    }
    hear_all(&room, &mut heard_here).await?;
    hear_all(&there, &mut heard_there).await?;
    if room.digest().await? != there.digest().await? {
        return Err("the two have different histories".into());
    }
    Ok(((), format!("{} messages, verified, in the same order at both ends", 2 * MESSAGES)))
}

/// Waits until all messages are there.
async fn hear_all(chat: &Chat, events: &mut Events) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    while chat.history(usize::MAX).await?.len() < 2 * MESSAGES {
        if let Event::Refused { reason, .. } = events.next().await.ok_or("the chat has ended")? {
            return Err(reason.into());
        }
    }
    Ok(())
}
