//! A chat as events for whoever shows it: what there is at first, and then what changes.

use std::collections::BTreeMap;

use telemesh::Hashname;
use telemesh::chat::{Chat, ChatInfo, EntryId, Event, Invitation, Member, Message, ParticipantKey};

use super::failed;
use crate::endpoint::Endpoint;
use crate::event::Happened;
use crate::failure::Failure;
use crate::session::Session;

/// Messages that are shown at first.
const HISTORY: usize = 500;

/// Our last messages, whose deliveries are told when they change.
const FOLLOWED: usize = 50;

/// Tells a session about a chat.
pub(super) struct Watcher<'a> {
    endpoint: &'a Endpoint,
    session: &'a Session,
    chat: &'a Chat,
    me: Option<ParticipantKey>,
    names: BTreeMap<ParticipantKey, String>,
    /// Members as they were told last.
    told: BTreeMap<Hashname, Happened>,
    /// Our last messages, the oldest first, with how many have received and read each.
    own: Vec<(EntryId, u64, u64)>,
}

/// A chat in short.
pub(super) fn opened(endpoint: &Endpoint, info: &ChatInfo) -> Happened {
    Happened::Chat {
        chat: info.id.to_string(),
        room: info.name.to_string(),
        hashname: endpoint.mesh().hashname().to_string(),
        leader: info.leader.to_string(),
        joined: info.joined,
        unread: u64::try_from(info.unread).unwrap_or(u64::MAX),
    }
}

/// An invitation in short.
pub(super) fn invited(endpoint: &Endpoint, invitation: &Invitation) -> Happened {
    Happened::Invited {
        chat: invitation.chat.to_string(),
        room: invitation.name.to_string(),
        hashname: invitation.leader.to_string(),
        name: endpoint.name_of(&invitation.leader),
    }
}

impl<'a> Watcher<'a> {
    pub(super) fn new(endpoint: &'a Endpoint, session: &'a Session, chat: &'a Chat) -> Self {
        Self {
            endpoint,
            session,
            chat,
            me: None,
            names: BTreeMap::new(),
            told: BTreeMap::new(),
            own: Vec::new(),
        }
    }

    /// All that there is.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        let info = self.chat.info().await.map_err(failed)?;
        self.me = Some(info.me);
        self.session.happened(opened(self.endpoint, &info)).await?;
        self.members(true).await?;
        let history = self.chat.history(HISTORY).await.map_err(failed)?;
        let unread = history.len().saturating_sub(info.unread);
        for (at, message) in history.into_iter().enumerate() {
            self.message(message, at >= unread).await?;
        }
        self.deliveries().await
    }

    /// What has happened.
    pub(super) async fn tell(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Message(message) => {
                self.message(message, true).await?;
                self.deliveries().await
            }
            Event::Joined { key, .. } => {
                if Some(key) == self.me {
                    let info = self.chat.info().await.map_err(failed)?;
                    self.session.happened(opened(self.endpoint, &info)).await?;
                }
                self.members(false).await
            }
            Event::Profile { .. } | Event::Presence { .. } => self.members(false).await,
            Event::Acknowledged { about, .. } if Some(about) == self.me => self.deliveries().await,
            Event::Typing { key, typing } => {
                let name = self.name(&key);
                self.session.happened(Happened::Typing { key: key.to_string(), name, typing }).await
            }
            Event::TwoVersions { key, sequence } => {
                let name = self.name(&key);
                self.members(false).await?;
                self.warn(format!(
                    "{name} has told two versions of message {sequence}: from there on nothing of theirs counts"
                ))
                .await
            }
            Event::Refused { via, sender, reason } => {
                let whose = sender.map(|key| format!(" of {}", self.name(&key))).unwrap_or_default();
                let via = self.endpoint.name_of(&via).unwrap_or_else(|| via.short().to_string());
                self.warn(format!("something{whose} that {via} sent was refused: {reason}")).await
            }
            Event::Gap { waiting } => {
                self.warn(format!("{waiting} messages wait for others that nobody has sent yet")).await
            }
            Event::GapClosed => self.warn("the missing messages have come".to_owned()).await,
            _ => Ok(()),
        }
    }

    async fn warn(&self, text: String) -> Result<(), Failure> {
        self.session.happened(Happened::Warning { text }).await
    }

    fn name(&self, key: &ParticipantKey) -> String {
        self.names.get(key).cloned().unwrap_or_else(|| key.short())
    }

    /// Members that are not what they were told to be; `all` tells all.
    pub(super) async fn members(&mut self, all: bool) -> Result<(), Failure> {
        for member in self.chat.members().await.map_err(failed)? {
            let (hashname, happened) = (member.hashname, self.member(&member));
            if let (Some(key), Happened::Member { name, .. }) = (member.key, &happened) {
                self.names.insert(key, name.clone());
            }
            if all || self.told.get(&hashname) != Some(&happened) {
                self.told.insert(hashname, happened.clone());
                self.session.happened(happened).await?;
            }
        }
        Ok(())
    }

    fn member(&self, member: &Member) -> Happened {
        let is_us = member.key.is_some() && member.key == self.me;
        let link = self.endpoint.mesh().find(&member.hashname);
        let up = link.as_ref().is_some_and(|link| link.state().is_up());
        let state = match member.key {
            None => "invited",
            Some(_) if is_us => "us",
            Some(_) if member.here && up => "here",
            Some(_) => "away",
        };
        let known = self.endpoint.name_of(&member.hashname);
        let name = member.name.as_ref().map(ToString::to_string).or(known);
        Happened::Member {
            key: member.key.map(|key| key.to_string()),
            hashname: member.hashname.to_string(),
            name: name.unwrap_or_else(|| member.hashname.short().to_string()),
            state: state.to_owned(),
            path: link.filter(|_| state == "here").as_ref().and_then(super::super::path),
            devices: member.devices.iter().map(ToString::to_string).collect(),
            two_versions: member.two_versions,
        }
    }

    async fn message(&mut self, message: Message, new: bool) -> Result<(), Failure> {
        let own = Some(message.sender) == self.me;
        if own && self.own.iter().all(|(id, ..)| *id != message.id) {
            self.own.push((message.id, 0, 0));
            if self.own.len() > FOLLOWED {
                self.own.remove(0);
            }
        }
        self.session
            .happened(Happened::ChatMessage {
                id: message.id.to_string(),
                place: message.order.sort_key(),
                key: message.sender.to_string(),
                hashname: message.hashname.to_string(),
                name: self.name(&message.sender),
                time_ms: message.time,
                text: message.text.text,
                edited: message.edited,
                own,
                new: new && !own,
            })
            .await
    }

    /// Deliveries of our last messages that have changed.
    async fn deliveries(&mut self) -> Result<(), Failure> {
        for (id, received, read) in &mut self.own {
            let delivery = self.chat.delivery(*id).await.map_err(failed)?;
            let count = |is: fn(&telemesh::chat::Delivery) -> bool| {
                u64::try_from(delivery.iter().filter(|delivery| is(delivery)).count()).unwrap_or(u64::MAX)
            };
            let now = (count(|delivery| delivery.received), count(|delivery| delivery.read));
            if now != (*received, *read) {
                (*received, *read) = now;
                let of = count(|_| true);
                let event = Happened::Delivery { id: id.to_string(), received: now.0, read: now.1, of };
                self.session.happened(event).await?;
            }
        }
        Ok(())
    }
}
