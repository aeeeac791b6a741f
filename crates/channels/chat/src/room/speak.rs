//! What the user does: texts, edits, a profile, invitations.

use std::time::Instant;

use telemesh_hashname::Hashname;

use super::Room;
use crate::content::{Content, Profile, Text};
use crate::entry::{Entry, Fields};
use crate::error::ChatError;
use crate::id::EntryId;
use crate::limits::MAX_PARTICIPANTS;
use crate::log::Insert;

impl Room {
    /// Says something to everybody.
    ///
    /// # Errors
    /// [`ChatError`]: too large, or we have not joined yet.
    pub fn say(&mut self, text: Text, now: Instant) -> Result<EntryId, ChatError> {
        text.check()?;
        self.write(Content::Text(text), now)
    }

    /// Replaces our last text.
    ///
    /// # Errors
    /// As [`say`](Self::say), or there is none.
    pub fn edit(&mut self, text: impl Into<Text>, now: Instant) -> Result<EntryId, ChatError> {
        let last = self.log.participant(&self.me()).and_then(|me| me.last_text);
        let last = last.and_then(|index| self.log.node(index)).ok_or(ChatError::NothingToEdit)?;
        let text = Text { edits: Some(last.entry.id()), ..text.into() };
        self.say(text, now)
    }

    /// Says who we are, if that is not known already.
    ///
    /// # Errors
    /// As [`say`](Self::say).
    pub fn set_profile(&mut self, profile: Profile, now: Instant) -> Result<(), ChatError> {
        if !profile.is_sendable() {
            return Err(ChatError::TooMuch);
        }
        let known = self.log.participant(&self.me()).and_then(|me| self.log.profile(me));
        if known == Some(&profile) {
            return Ok(());
        }
        self.write(Content::Profile(profile), now).map(|_| ())
    }

    /// Tells those who are here whether we type.
    pub fn set_typing(&mut self, typing: bool) {
        for peer in self.peers.values_mut().filter(|peer| peer.up) {
            peer.due.typing = Some(typing);
        }
    }

    /// Invites somebody: they may join from now on.
    ///
    /// # Errors
    /// [`ChatError::NotTheLeader`], [`ChatError::Full`].
    pub fn invite(&mut self, hashname: Hashname) -> Result<(), ChatError> {
        if !self.is_leader() {
            return Err(ChatError::NotTheLeader);
        }
        if hashname == self.me || self.is_participant(&hashname) {
            return Ok(());
        }
        if self.log.participants().len() + self.invited.len() >= MAX_PARTICIPANTS {
            return Err(ChatError::Full);
        }
        if self.invited.insert(hashname) {
            self.save();
        }
        Ok(())
    }

    /// Signs an entry of ours and puts it in its place.
    pub(super) fn write(&mut self, content: Content, now: Instant) -> Result<EntryId, ChatError> {
        let sender = self.me();
        let participant = self.log.participant(&sender).ok_or(ChatError::NotJoined)?;
        let last = participant.last().and_then(|index| self.log.node(index));
        let fields = Fields {
            sender,
            sequence: participant.count(),
            previous: last.map(|node| node.entry.id()),
            time: self.time,
            after: self.log.after(&sender),
            content,
        };
        let entry = Entry::sign(&self.id(), &self.key, fields);
        let id = entry.id();
        match self.log.insert(entry) {
            Ok(Insert::New { index, forked }) => self.entered(index, forked),
            // What we write ourselves has a place.
            other => tracing::error!(?other, "an entry of ours was not taken"),
        }
        let away = self.wanted().iter().any(|peer| !self.is_here(peer));
        if away {
            self.mail_later(now);
        }
        Ok(id)
    }
}
