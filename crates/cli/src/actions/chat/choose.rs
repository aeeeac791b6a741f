//! Which chat is meant.

use std::collections::BTreeSet;

use telemesh::Hashname;
use telemesh::chat::{Chat, ChatInfo, Chats, Profile};

use super::{failed, usage};
use crate::failure::Failure;

/// The chat that is meant, if it is there: by its name or id; with these people and nobody else, if we lead it; or the only one
/// there is.
///
/// # Errors
/// It could be one of several.
pub(super) async fn existing(
    chats: &Chats,
    others: &[Hashname],
    room: Option<&str>,
) -> Result<Option<Chat>, Failure> {
    let all = chats.list().await.map_err(failed)?;
    if let Some(room) = room {
        return match by_name(&all, room)? {
            Some(info) => chats.open(info.id).await.map_err(failed).map(Some),
            None if others.is_empty() => Err(Failure::Usage(format!("there is no chat `{room}`"))),
            None => Ok(None),
        };
    }
    if !others.is_empty() {
        let wanted: BTreeSet<Hashname> = others.iter().copied().collect();
        for info in &all {
            let chat = chats.open(info.id).await.map_err(failed)?;
            let members = chat.members().await.map_err(failed)?;
            let us = members.iter().find(|member| member.key == Some(info.me)).map(|member| member.hashname);
            let with: BTreeSet<Hashname> =
                members.iter().map(|member| member.hashname).filter(|member| Some(*member) != us).collect();
            if us == Some(info.leader) && with == wanted {
                return Ok(Some(chat));
            }
        }
        return Ok(None);
    }
    match all.as_slice() {
        [] => Ok(None),
        [only] => chats.open(only.id).await.map_err(failed).map(Some),
        several => {
            let names: Vec<String> =
                several.iter().map(|info| format!("{} ({})", info.name, info.id.short())).collect();
            Err(Failure::Usage(format!("which one? say --room with one of: {}", names.join(", "))))
        }
    }
}

/// The chat of this name or id, or of an id that begins like this.
pub(super) fn by_name<'a>(all: &'a [ChatInfo], room: &str) -> Result<Option<&'a ChatInfo>, Failure> {
    let fits = |info: &&ChatInfo| {
        info.name.as_str() == room || (room.len() >= 6 && info.id.to_string().starts_with(room))
    };
    let mut found = all.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => Err(Failure::Usage(format!(
            "several chats are called `{room}`: say --room {} or --room {}",
            one.id.short(),
            other.id.short()
        ))),
        (found, _) => Ok(found),
    }
}

/// Says what we are called, once we are in.
pub(super) async fn name_us(chat: &Chat, name: &str) -> Result<(), Failure> {
    let name = name.parse().map_err(usage)?;
    let mut events = chat.events().await.map_err(failed)?;
    while !chat.info().await.map_err(failed)?.joined {
        if events.next().await.is_none() {
            return Err(Failure::Failed("the chat has ended".into()));
        }
    }
    let profile = chat.profile().await.map_err(failed)?;
    let profile = Profile { name, ..profile.unwrap_or_else(|| Profile::named(fallback())) };
    chat.set_profile(profile).await.map_err(failed)
}

/// What we are called if nobody has said anything: whoever has this account.
pub(crate) fn fallback() -> telemesh::chat::Name {
    let account = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    account.and_then(|account| account.parse().ok()).unwrap_or_default()
}
