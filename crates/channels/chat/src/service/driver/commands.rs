//! What applications ask for.

use super::{
    ChatError, ChatInfo, ChatKey, Command, Driver, Event, Hosted, MAX_CHATS, Member, Room, RoomCommand,
};
use crate::id::ChatId;
use crate::log::Participant;
use crate::name::Name;

impl Driver {
    pub(super) fn command(&mut self, command: Command) {
        // Whoever has asked may have gone: answers that are not taken are lost.
        match command {
            Command::Create { name, reply } => {
                let result = self.create(name);
                self.answer(result.as_ref().ok().copied(), move |error| {
                    let _ = reply.send(error.map_or(result, Err));
                });
            }
            Command::List { reply } => {
                let all = self.rooms.values().filter_map(Hosted::info).collect();
                let _ = reply.send(all);
            }
            Command::Invitations { reply } => {
                let mut events = self.invited.subscribe();
                events.extend(self.invitations.iter().map(|(invitation, _)| invitation.clone()));
                let _ = reply.send(events);
            }
            Command::Accept { chat, reply } => {
                let result = self.accept(chat);
                self.answer(Some(chat), move |error| {
                    let _ = reply.send(error.map_or(result, Err));
                });
            }
            Command::Decline { chat, reply } => {
                self.invitations.retain(|(invitation, _)| invitation.chat != chat);
                if self.declined.len() < MAX_CHATS {
                    self.declined.insert(chat);
                }
                let _ = reply.send(());
            }
            Command::Forget { chat, reply } => {
                let Some(hosted) = self.rooms.remove(&chat) else {
                    let _ = reply.send(Err(ChatError::NoSuchChat));
                    return;
                };
                hosted.end();
                let store = self.config.store.clone();
                self.tasks.spawn(async move {
                    let result = store.forget(chat).await;
                    let _ = reply.send(result.map_err(|error| ChatError::Store(error.to_string())));
                });
            }
            Command::Mail { reply } => {
                self.rooms.values_mut().for_each(|hosted| hosted.room.fill_mailboxes(true));
                self.touched.extend(self.rooms.keys().copied());
                self.mailed.push(reply);
            }
            Command::Room { chat, command } => {
                if let Some((hosted, now)) = self.room(&chat) {
                    hosted.command(command, now);
                }
            }
        }
    }

    fn create(&mut self, name: Name) -> Result<ChatId, ChatError> {
        if self.rooms.len() >= MAX_CHATS {
            return Err(ChatError::TooMany);
        }
        let key = ChatKey::generate().ok_or(ChatError::NoRandomness)?;
        let room = Room::create(name, key, self.network.hashname(), (self.config.clock)());
        let chat = room.id();
        self.host(room);
        Ok(chat)
    }

    fn accept(&mut self, chat: ChatId) -> Result<(), ChatError> {
        if self.rooms.contains_key(&chat) {
            return Ok(());
        }
        if self.rooms.len() >= MAX_CHATS {
            return Err(ChatError::TooMany);
        }
        let at = self.invitations.iter().position(|(invitation, _)| invitation.chat == chat);
        let (_, first) = self.invitations.remove(at.ok_or(ChatError::NoSuchChat)?);
        let key = ChatKey::generate().ok_or(ChatError::NoRandomness)?;
        // It was checked when it came.
        let room =
            Room::join(chat, first, key, self.network.hashname()).map_err(|_| ChatError::NoSuchChat)?;
        self.host(room);
        Ok(())
    }

    /// Answers when the chat's changes are stored, or at once if there is no such chat.
    fn answer(&mut self, chat: Option<ChatId>, answer: impl FnOnce(Option<ChatError>) + Send + 'static) {
        match chat.and_then(|chat| self.room(&chat)) {
            Some((hosted, _)) => hosted.answers.push(Box::new(answer)),
            None => answer(None),
        }
    }
}

impl Hosted {
    fn command(&mut self, command: RoomCommand, now: std::time::Instant) {
        let room = &mut self.room;
        match command {
            RoomCommand::Say { text, edit, reply } => {
                let result = match &self.broken {
                    Some(error) => Err(ChatError::Store(error.clone())),
                    None if edit => room.edit(text, now),
                    None => room.say(text, now),
                };
                self.answers.push(Box::new(move |error| {
                    let _ = reply.send(error.map_or(result, Err));
                }));
            }
            RoomCommand::Profile { profile, reply } => {
                let result = room.set_profile(profile, now);
                self.answers.push(Box::new(move |error| {
                    let _ = reply.send(error.map_or(result, Err));
                }));
            }
            RoomCommand::OwnProfile { reply } => {
                let me = room.log().participant(&room.me());
                let profile = me.and_then(|me| room.log().profile(me)).cloned();
                let _ = reply.send(profile);
            }
            RoomCommand::Invite { hashname, reply } => {
                let result = room.invite(hashname);
                self.answers.push(Box::new(move |error| {
                    let _ = reply.send(error.map_or(result, Err));
                }));
            }
            RoomCommand::Read { id, reply } => {
                let result = room.read(&id);
                self.answers.push(Box::new(move |error| {
                    let _ = reply.send(error.map_or(result, Err));
                }));
            }
            RoomCommand::Typing { typing, reply } => {
                room.set_typing(typing);
                let _ = reply.send(());
            }
            RoomCommand::Events { reply } => {
                let _ = reply.send(self.events.subscribe());
            }
            RoomCommand::History { limit, reply } => {
                let mut messages: Vec<_> = room.log().messages().rev().take(limit).collect();
                messages.reverse();
                let _ = reply.send(messages);
            }
            RoomCommand::Members { reply } => drop(reply.send(self.members())),
            RoomCommand::Delivery { id, reply } => drop(reply.send(room.delivery(&id))),
            RoomCommand::Digest { reply } => drop(reply.send(room.log().digest())),
            RoomCommand::Counters { reply } => drop(reply.send(room.counters())),
            RoomCommand::Info { reply } => {
                if let Some(info) = self.info() {
                    let _ = reply.send(info);
                }
            }
        }
    }

    pub(super) fn info(&self) -> Option<ChatInfo> {
        let room = &self.room;
        Some(ChatInfo {
            id: room.id(),
            name: room.log().name()?.clone(),
            leader: room.leader()?,
            me: room.me(),
            joined: room.is_joined(),
            unread: room.unread(),
        })
    }

    fn members(&self) -> Vec<Member> {
        let (room, log) = (&self.room, self.room.log());
        let member = |participant: &Participant| Member {
            key: Some(participant.key()),
            hashname: participant.hashname(),
            name: log.profile(participant).map(|profile| profile.name.clone()),
            devices: log.devices(participant),
            here: room.is_here(&participant.hashname()),
            two_versions: participant.forked_at(),
        };
        let invited = room.invited().iter().map(|hashname| Member {
            key: None,
            hashname: *hashname,
            name: None,
            devices: Vec::new(),
            here: false,
            two_versions: None,
        });
        log.participants().iter().map(member).chain(invited).collect()
    }

    /// Ends the channels of a chat that is forgotten.
    fn end(mut self) {
        self.out.values_mut().for_each(|out| out.close(None));
        self.incoming.values().for_each(|(_, task)| task.abort());
        self.events.emit(&Event::Lagged { missed: 0 });
    }
}
