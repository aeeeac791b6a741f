//! After something has happened: storing, telling, sending, opening channels.

use telemesh_channel::Open;
use tokio::time::Instant;

use super::{Driver, Hosted, Line, MAIL_FRAME, MAIL_INVITATION, Out, RETRY, inbound, links};
use crate::CHAT;
use crate::content::Profile;
use crate::error::ChatError;
use crate::event::Event;
use crate::id::ChatId;

impl Driver {
    /// Settles the rooms that were touched.
    pub(super) async fn settle(&mut self) {
        for chat in std::mem::take(&mut self.touched) {
            self.settle_room(chat).await;
        }
        // Looking at a room touches it.
        self.touched.clear();
    }

    async fn settle_room(&mut self, chat: ChatId) {
        let profile =
            Profile { name: self.config.name.clone(), link: self.config.link.clone(), aka: Vec::new() };
        let Some((hosted, now)) = self.room(&chat) else { return };
        hosted.room.handle_timeout(now);
        hosted.introduce_us(profile, now);
        let writes = hosted.room.poll_write();
        if !writes.is_empty() && hosted.broken.is_none() {
            let written = self.config.store.write(chat, writes).await;
            let Some(hosted) = self.rooms.get_mut(&chat) else { return };
            if let Err(error) = written {
                tracing::error!(chat = %chat.short(), %error, "the chat was not stored, and sends nothing more");
                hosted.broken = Some(error.to_string());
                hosted.out.values_mut().for_each(|out| out.close(None));
            }
        }
        let Some(hosted) = self.rooms.get_mut(&chat) else { return };
        let error = hosted.broken.clone().map(ChatError::Store);
        hosted.answers.drain(..).for_each(|answer| answer(error.clone()));
        while let Some(event) = hosted.room.poll_event() {
            match (&self.config.meet, &event) {
                (Some(meet), Event::Joined { hashname, .. }) => meet(*hashname, ""),
                (Some(meet), Event::Profile { hashname, link, .. }) => meet(*hashname, link),
                _ => {}
            }
            hosted.events.emit(&event);
        }
        if hosted.broken.is_some() {
            // What the mailbox has brought stays there.
            return hosted.mail.clear();
        }
        hosted.mail.drain(..).for_each(super::Mail::acknowledge);
        self.look_after_channels(chat);
        self.send_mail(chat);
        if let Some(hosted) = self.rooms.get_mut(&chat) {
            hosted.send();
        }
    }

    /// Wants links with all participants, and opens the channels that are missing.
    fn look_after_channels(&mut self, chat: ChatId) {
        let Some(hosted) = self.rooms.get_mut(&chat) else { return };
        let wanted = hosted.room.wanted();
        let now = Instant::now();
        for peer in &wanted {
            let is_new = !hosted.wanted.contains(peer);
            if is_new {
                self.network.connect(peer);
            }
            let invited = hosted.room.invited().contains(peer);
            if is_new
                && invited
                && !self.linked.contains(peer)
                && let (Some(mailbox), Some(first)) = (self.config.mailbox.clone(), hosted.room.first_entry())
            {
                let message = [chat.as_bytes().as_slice(), &[MAIL_INVITATION], &first].concat().into();
                let to = *peer;
                self.tasks.spawn(async move {
                    if let Err(error) = mailbox.send(to, message).await {
                        tracing::debug!(%error, "an invitation is in no mailbox");
                    }
                });
            }
            let out = hosted.out.entry(*peer).or_insert(Out::Closed {
                again: None,
                failed: 0,
                as_invitation: false,
            });
            let Out::Closed { again, failed, as_invitation } = out else { continue };
            let due = again.is_none_or(|again| again <= now) || (*as_invitation && !invited);
            if !due || !self.linked.contains(peer) {
                continue;
            }
            let Some(link) = self.network.link(peer) else {
                *again = Some(now + RETRY);
                continue;
            };
            let first = if invited { hosted.room.first_entry() } else { None };
            let open = Open::reliable(CHAT).with_body(inbound::body(&chat, first.as_ref()));
            self.lines += 1;
            let line = Line { chat, peer: *peer, number: self.lines };
            let task = self.tasks.spawn(links::write(link, open, line, self.moved.clone()));
            *out = Out::Opening { number: line.number, task, failed: *failed, as_invitation: invited };
        }
        hosted.wanted = wanted;
    }

    fn send_mail(&mut self, chat: ChatId) {
        let Some(hosted) = self.rooms.get_mut(&chat) else { return };
        while let Some((to, frame)) = hosted.room.poll_mail() {
            let Some(mailbox) = self.config.mailbox.clone() else { continue };
            let message = [chat.as_bytes().as_slice(), &[MAIL_FRAME], &frame].concat().into();
            self.tasks.spawn(async move {
                if let Err(error) = mailbox.send(to, message).await {
                    tracing::debug!(%error, "a message is in no mailbox");
                }
            });
        }
    }
}

impl Hosted {
    /// Says who we are, when we are in, unless the application has said something else.
    fn introduce_us(&mut self, ours: Profile, now: std::time::Instant) {
        let log = self.room.log();
        let Some(me) = log.participant(&self.room.me()) else { return };
        let profile = match log.profile(me) {
            None => ours,
            Some(known) if known.name == ours.name && known.link != ours.link => {
                Profile { aka: known.aka.clone(), ..ours }
            }
            Some(_) => return,
        };
        if let Err(error) = self.room.set_profile(profile, now) {
            tracing::debug!(%error, "the profile was not set");
        }
    }

    /// Makes frames for channels that have room.
    fn send(&mut self) {
        for (peer, out) in &mut self.out {
            let Out::Open { frames, .. } = out else { continue };
            while let Ok(room) = frames.try_reserve()
                && let Some(frame) = self.room.next_frame(peer)
            {
                room.send(frame);
            }
        }
    }
}
