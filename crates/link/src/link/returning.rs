//! What our initiations show to get past the line of the strangers: the return tag of the session before, or a cookie. And
//! which tags of the peer's we accept.

use std::time::Instant;

use telemesh_wire::PathAddress;

use super::Link;
use crate::cookie::{self, CookieBytes};
use crate::counters::DropReason;
use crate::mac;
use crate::packet::Cookie;
use crate::tags::SessionTags;
use crate::timers::{COOKIE_KEPT, COPIES_PER_ROUND};

/// What to show when there is both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefer {
    Tag,
    Cookie,
}

/// Cookies of the peer, each for the address from which it sees us on one path.
#[derive(Default)]
pub(super) struct Cookies(Vec<Held>);

struct Held {
    path: PathAddress,
    cookie: CookieBytes,
    until: Instant,
}

impl Cookies {
    fn put(&mut self, now: Instant, path: PathAddress, cookie: CookieBytes) {
        self.0.retain(|held| held.path != path && held.until > now);
        if self.0.len() >= COPIES_PER_ROUND {
            self.0.remove(0);
        }
        self.0.push(Held { path, cookie, until: now + COOKIE_KEPT });
    }

    fn of(&self, now: Instant, path: &PathAddress) -> Option<&CookieBytes> {
        self.0.iter().find(|held| held.path == *path && held.until > now).map(|held| &held.cookie)
    }
}

impl Link {
    /// Writes return id and mac2 into an initiation that is complete up to there, if there is anything to show.
    pub(super) fn show_proof(&self, now: Instant, to: &PathAddress, prefer: Prefer, packet: &mut [u8]) {
        let cookie = self.connecting.cookies.of(now, to);
        let tag = self.peer.record.tags.present.as_ref();
        match (tag, cookie) {
            (Some(tag), None) => mac::write_mac2(tag.key(), tag.id().get(), packet),
            (Some(tag), Some(_)) if prefer == Prefer::Tag => {
                mac::write_mac2(tag.key(), tag.id().get(), packet)
            }
            (_, Some(cookie)) => mac::write_mac2(cookie, 0, packet),
            (None, None) => {}
        }
    }

    /// A cookie came in: the peer is under load, wants to know that we are where we seem to be, and has forgotten
    /// everything else.
    pub(super) fn receive_cookie(&mut self, now: Instant, packet: &[u8]) -> Result<(), DropReason> {
        let packet = Cookie::parse(packet)?;
        let mut pending = self.connecting.pending.iter();
        let pending =
            pending.find(|pending| pending.index == packet.receiver_index).ok_or(DropReason::UnknownIndex)?;
        let (to, mac1) = (pending.to, pending.mac1);
        let shared = self.known.shared.as_ref().ok_or(DropReason::UnknownIndex)?;
        let cookie = cookie::open(&packet, &shared.peer, &mac1).ok_or(DropReason::Authentication)?;
        self.connecting.cookies.put(now, to, cookie);
        if self.connecting.answer_cookie(to) {
            self.wake_at(now);
        }
        Ok(())
    }

    /// The peer may show the tag of this session from now on.
    pub(super) fn offer_tag(&mut self, tags: &SessionTags) {
        self.peer.record.tags.offer(tags.accept.clone());
        self.tags_changed();
    }

    /// Makes the tags of the current session those that count. The peer's older ones are spent when it has shown that it
    /// has this session; until then it may know of nothing newer.
    pub(super) fn follow_tags(&mut self) {
        let Some(session) = self.sessions.current() else { return };
        let (tags, heard) = (session.lineage.tags(), session.heard.is_some());
        self.status.tag_unspent = !heard;
        let before = self.peer.record.tags.clone();
        self.peer.record.tags.present = Some(tags.present.clone());
        if heard {
            self.peer.record.tags.confirm(&tags.accept);
        }
        if self.peer.record.tags != before {
            self.tags_changed();
        }
    }

    fn tags_changed(&mut self) {
        self.known.accepted_tags.set(&self.peer.record.tags.accepted);
        self.queues.persist = true;
    }
}
