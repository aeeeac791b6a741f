//! The sessions of one link: the current one, the one before it, and those that the peer has not confirmed yet.

use std::time::Instant;

use telemesh_wire::{Credential, PathAddress};

use crate::counters::DropReason;
use crate::packet::DataMut;
use crate::session::Session;
use crate::timers::{GO_BACK_AFTER, GO_BACK_HIGHER_AFTER, MAX_UNCONFIRMED, PREVIOUS_KEPT, UNCONFIRMED_KEPT};

/// A session that we answered, and under which nothing was received yet. Nothing is sent under it either.
pub(crate) struct Unconfirmed {
    pub(crate) session: Box<Session>,
    pub(crate) kind: UnconfirmedKind,
}

pub(crate) enum UnconfirmedKind {
    /// Answers an initiation.
    Handshake {
        at: u64,
        credential: Credential,
        to: PathAddress,
        /// The response, until the record that contains `at` is stored.
        held: Option<Box<[u8]>>,
        /// When the response went out.
        answered: Option<Instant>,
    },
    /// Answers a renewal; the answer is kept for when it is asked for again.
    Renewal { answer: Vec<u8> },
}

/// The session that a packet was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Current,
    Previous,
    /// At this place among the unconfirmed ones.
    Unconfirmed(usize),
}

/// What became of a session that both ends have now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    /// Packets go out under it.
    Current,
    /// Another one is preferred; it opens packets.
    Beside,
    /// It is forgotten: the peer's process that made it is gone.
    Outdated,
}

#[derive(Default)]
pub(crate) struct Sessions {
    current: Option<Box<Session>>,
    previous: Option<Box<Session>>,
    /// When `current` became that.
    changed: Option<Instant>,
    unconfirmed: Vec<Unconfirmed>,
}

impl Sessions {
    pub(crate) fn current(&self) -> Option<&Session> {
        self.current.as_deref()
    }

    pub(crate) fn current_mut(&mut self) -> Option<&mut Session> {
        self.current.as_deref_mut()
    }

    pub(crate) fn has_index(&self, index: u32) -> bool {
        let unconfirmed = self.unconfirmed.iter().map(|entry| &entry.session);
        let mut all = self.current.iter().chain(&self.previous).chain(unconfirmed);
        all.any(|session| session.ids.local_index == index)
    }

    /// The current or previous session with this index of ours.
    pub(crate) fn in_use(&self, local_index: u32) -> Option<&Session> {
        let mut both = self.current.iter().chain(&self.previous);
        both.find(|session| session.ids.local_index == local_index).map(Box::as_ref)
    }

    /// Whether the current or previous session has this index of the peer's.
    pub(crate) fn has_remote_index(&self, remote_index: u32) -> bool {
        let mut both = self.current.iter().chain(&self.previous);
        both.any(|session| session.ids.remote_index == remote_index)
    }

    /// Opens a packet with the session that it names.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        data: &mut DataMut<'_>,
    ) -> Result<(Opened, usize), DropReason> {
        let index = data.receiver_index;
        let is_it = |session: &&mut Box<Session>| session.ids.local_index == index;
        if let Some(session) = self.current.as_mut().filter(is_it) {
            return Ok((Opened::Current, session.open(now, data)?));
        }
        if let Some(session) = self.previous.as_mut().filter(is_it) {
            return Ok((Opened::Previous, session.open(now, data)?));
        }
        let mut unconfirmed = self.unconfirmed.iter_mut().enumerate();
        let (place, entry) = unconfirmed
            .find(|(_, entry)| entry.session.ids.local_index == index)
            .ok_or(DropReason::UnknownIndex)?;
        Ok((Opened::Unconfirmed(place), entry.session.open(now, data)?))
    }

    /// Remembers a session that we answer; the oldest one goes when there are too many.
    pub(crate) fn add_unconfirmed(&mut self, entry: Unconfirmed) {
        if self.unconfirmed.len() >= MAX_UNCONFIRMED {
            self.unconfirmed.remove(0);
        }
        self.unconfirmed.push(entry);
    }

    pub(crate) fn unconfirmed_mut(&mut self) -> impl Iterator<Item = &mut Unconfirmed> + '_ {
        self.unconfirmed.iter_mut()
    }

    /// Takes out a session whose first packet came in.
    pub(crate) fn take_unconfirmed(&mut self, place: usize) -> Option<Unconfirmed> {
        (place < self.unconfirmed.len()).then(|| self.unconfirmed.remove(place))
    }

    /// Makes a session the current one, unless that is to be preferred (see [`Lineage::replaces`]); both keep opening
    /// packets.
    ///
    /// [`Lineage::replaces`]: crate::lineage::Lineage::replaces
    pub(crate) fn install(&mut self, now: Instant, new: Box<Session>, we_are_higher: bool) -> Installed {
        let Some(old) = self.current.take() else {
            self.current = Some(new);
            self.changed = Some(now);
            return Installed::Current;
        };
        if old.about.incarnation != new.about.incarnation {
            // One of the two processes is gone, and so is whatever still comes under its keys.
            let outdated = new.lineage.is_older(&old.lineage);
            self.current = Some(if outdated { old } else { new });
            if outdated {
                return Installed::Outdated;
            }
            self.previous = None;
            self.changed = Some(now);
            return Installed::Current;
        }
        if new.lineage.replaces(&old.lineage, we_are_higher) {
            self.previous = Some(old);
            self.current = Some(new);
            self.changed = Some(now);
            return Installed::Current;
        }
        self.current = Some(old);
        self.previous = Some(new);
        Installed::Beside
    }

    /// The peer was heard under the previous session. If it has not been under the current one for a while, it does not
    /// have that one (it closed, or prefers otherwise): follow it. Returns whether the two have changed places.
    ///
    /// The lower hashname follows sooner, so that two ends that each use what the other has left do not pass each other.
    pub(crate) fn heard_previous(&mut self, now: Instant, we_are_higher: bool) -> bool {
        let wait = if we_are_higher { GO_BACK_HIGHER_AFTER } else { GO_BACK_AFTER };
        let quiet_since = self.current.as_ref().and_then(|session| session.heard).max(self.changed);
        let follow = quiet_since.is_none_or(|since| now >= since + wait);
        if follow {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.changed = Some(now);
        }
        follow
    }

    #[cfg(test)]
    pub(crate) fn swap_for_test(&mut self, now: Instant) -> bool {
        std::mem::swap(&mut self.current, &mut self.previous);
        self.changed = Some(now);
        self.current.is_some() && self.previous.is_some()
    }

    /// Forgets sessions whose time is over. Returns true when the current one was among them.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        self.unconfirmed.retain(|entry| now < entry.session.created + UNCONFIRMED_KEPT);
        if self.changed.is_none_or(|changed| now >= changed + PREVIOUS_KEPT) {
            self.previous = None;
        }
        let over = self.current.as_ref().is_some_and(|session| session.is_over(now));
        if over {
            self.current = None;
        }
        over
    }

    /// When [`Sessions::expire`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let unconfirmed = self.unconfirmed.iter().map(|entry| entry.session.created + UNCONFIRMED_KEPT);
        let previous = self.previous.as_ref().and(self.changed).map(|changed| changed + PREVIOUS_KEPT);
        let current = self.current.as_ref().map(|session| session.limit_at());
        unconfirmed.chain(previous).chain(current).min()
    }

    /// Whether the session with this index of ours is the previous one, and the peer uses the current one already: what it
    /// says about that session is late, and does not concern the current one.
    pub(crate) fn is_outlived(&self, local_index: u32) -> bool {
        let is_previous =
            self.previous.as_ref().is_some_and(|session| session.ids.local_index == local_index);
        is_previous && self.current.as_ref().is_some_and(|session| session.heard.is_some())
    }

    /// Forgets the previous session.
    pub(crate) fn forget_previous(&mut self) {
        self.previous = None;
    }

    /// Forgets the sessions in use. Those not confirmed yet stay: the peer may be about to use one.
    pub(crate) fn clear_used(&mut self) {
        self.current = None;
        self.previous = None;
        self.changed = None;
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.clear_used();
        self.unconfirmed.clear();
    }
}
