//! After something has happened: storing, telling, sending, opening channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use telemesh_channel::Open;
use telemesh_hashname::Hashname;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Driver, Hosted, Line, MAIL_FRAME, MAIL_INVITATION, Moved, Out, RETRY, inbound, links};
use crate::CHAT;
use crate::content::Profile;
use crate::error::ChatError;
use crate::event::Event;
use crate::id::ChatId;
use crate::mailbox::Mailbox;
use crate::room::Letter;

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
                let (to, driver) = (*peer, self.moved.clone());
                self.mailing += 1;
                self.tasks.spawn(async move {
                    let sent = mailbox.send(to, message).await;
                    if let Err(error) = &sent {
                        tracing::debug!(%error, "an invitation is in no mailbox");
                    }
                    // The driver may have ended.
                    let _ =
                        driver.send(Moved::Mailed { chat, to, entries: None, all_kept: sent.is_ok() }).await;
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
        let mut letters: BTreeMap<Hashname, Vec<Letter>> = BTreeMap::new();
        while let Some(letter) = hosted.room.poll_mail() {
            letters.entry(letter.to).or_default().push(letter);
        }
        let Some(mailbox) = &self.config.mailbox else { return };
        for (to, letters) in letters {
            self.mailing += 1;
            self.tasks.spawn(put(mailbox.clone(), chat, to, letters, self.moved.clone()));
        }
    }
}

/// Puts letters into a mailbox one after the other, up to the first one that it does not keep.
async fn put(
    mailbox: Arc<dyn Mailbox>,
    chat: ChatId,
    to: Hashname,
    letters: Vec<Letter>,
    driver: mpsc::Sender<Moved>,
) {
    let is_about_entries = letters.iter().any(|letter| letter.entries.is_some());
    let (mut entries, mut all_kept) = (is_about_entries.then_some(0), true);
    for letter in letters {
        let message = [chat.as_bytes().as_slice(), &[MAIL_FRAME], &letter.frame].concat().into();
        if let Err(error) = mailbox.send(to, message).await {
            tracing::debug!(%error, "a message is in no mailbox");
            all_kept = false;
            break;
        }
        entries = letter.entries.or(entries);
    }
    // The driver may have ended.
    let _ = driver.send(Moved::Mailed { chat, to, entries, all_kept }).await;
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
