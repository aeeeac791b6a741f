//! Whoever has been noticed, held until the application has looked at them.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use parking_lot::Mutex;
use telemesh_hashname::{Hashname, PublicKeys};
use telemesh_wire::{LinkInfo, PathAddress};

/// Strangers who have asked for a link that are held for the application. The oldest go first.
pub const MAX_HELD_STRANGERS: usize = 256;

/// Endpoints that have announced themselves nearby that are held for the application. The oldest go first. They have room of their
/// own, since anybody nearby can make up as many as they like.
pub const MAX_HEARD: usize = 1_024;

/// How long discover mode lasts unless said otherwise: long enough to walk over to the other device.
pub const DISCOVER_TIME: Duration = Duration::from_secs(120);

/// For how long the endpoint lets strangers find it. `true` means [`DISCOVER_TIME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discover {
    /// Not any more.
    Off,
    /// For this long from now.
    For(Duration),
    /// Until it is switched off.
    Forever,
}

impl From<bool> for Discover {
    fn from(on: bool) -> Self {
        if on { Self::For(DISCOVER_TIME) } else { Self::Off }
    }
}

/// An endpoint that has been noticed. [`Mesh::link`](crate::Mesh::link) takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discovered {
    /// Who it is. The keys belong to it.
    pub hashname: Hashname,
    /// Its keys or their digests.
    pub keys: PublicKeys,
    /// Where it may be reached. Nothing proves it yet.
    pub paths: Vec<PathAddress>,
    /// How it was noticed.
    pub via: Via,
}

/// How an endpoint was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Via {
    /// It has asked for a link, and is not a contact.
    Request,
    /// It was announced on the local network. It may be a contact.
    Network,
    /// It knows our hashname, and a router has brought its keys.
    Introduction,
}

impl Discovered {
    /// What is known about it.
    #[must_use]
    pub fn info(&self) -> LinkInfo {
        let info = LinkInfo::new(self.keys.clone()).unwrap_or_else(|_| LinkInfo::unresolved(self.hashname));
        self.paths.iter().fold(info, |info, path| info.clone().with_path(*path).unwrap_or(info))
    }
}

impl Via {
    /// How many that were noticed in this way are held.
    const fn limit(self) -> usize {
        match self {
            Self::Request | Self::Introduction => MAX_HELD_STRANGERS,
            Self::Network => MAX_HEARD,
        }
    }
}

/// All who are held, and who wants to hear of more.
#[derive(Default)]
pub(crate) struct Strangers {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// In the order of their numbers.
    strangers: VecDeque<(u64, Discovered)>,
    /// Number of the next one.
    next: u64,
    wakers: Vec<Waker>,
    ended: bool,
}

impl Strangers {
    /// Holds a stranger. Subscribers hear of it unless it is held already with the same paths.
    pub(crate) fn hold(&self, stranger: Discovered) {
        let mut held = self.held.lock();
        let is_it = |other: &Discovered| (other.hashname, other.via) == (stranger.hashname, stranger.via);
        let known = held.strangers.iter().position(|(_, other)| is_it(other));
        if let Some(place) = known {
            if held.strangers.get(place).is_some_and(|(_, other)| *other == stranger) {
                return;
            }
            held.strangers.remove(place);
        } else {
            let like = |(_, other): &&(u64, Discovered)| other.via == stranger.via;
            if held.strangers.iter().filter(like).count() >= stranger.via.limit() {
                let oldest = held.strangers.iter().position(|entry| like(&entry));
                oldest.and_then(|oldest| held.strangers.remove(oldest));
            }
        }
        let number = held.next;
        held.next += 1;
        held.strangers.push_back((number, stranger));
        let wakers = std::mem::take(&mut held.wakers);
        drop(held);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// It is a stranger no more. Whether it is nearby is another matter.
    pub(crate) fn release(&self, peer: &Hashname) {
        self.drop(peer, Via::Request);
    }

    /// It is not nearby any more.
    pub(crate) fn gone(&self, peer: &Hashname) {
        self.drop(peer, Via::Network);
    }

    fn drop(&self, peer: &Hashname, via: Via) {
        self.held.lock().strangers.retain(|(_, held)| (held.hashname, held.via) != (*peer, via));
    }

    /// Those who have announced themselves.
    pub(crate) fn heard(&self) -> Vec<Discovered> {
        let held = self.held.lock();
        let heard = held.strangers.iter().filter(|(_, held)| held.via == Via::Network);
        heard.map(|(_, heard)| heard.clone()).collect()
    }

    /// What is held of an endpoint; rather what it has announced than what it has asked.
    pub(crate) fn find(&self, peer: &Hashname) -> Option<Discovered> {
        let held = self.held.lock();
        let of_peer = held.strangers.iter().filter(|(_, held)| held.hashname == *peer);
        of_peer.max_by_key(|(_, held)| held.via == Via::Network).map(|(_, held)| held.clone())
    }

    /// Nobody will be held any more.
    pub(crate) fn end(&self) {
        let mut held = self.held.lock();
        held.ended = true;
        let wakers = std::mem::take(&mut held.wakers);
        drop(held);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strangers").field("held", &self.held.lock().strangers.len()).finish_non_exhaustive()
    }
}

/// Endpoints as they are noticed, and first those that are held already. One that comes again with another path is told again.
/// Who does not look in time misses those that have given way to others.
pub struct DiscoveredEvents {
    strangers: Arc<Strangers>,
    /// Number of the next one to tell.
    next: u64,
}

impl DiscoveredEvents {
    pub(crate) fn new(strangers: Arc<Strangers>) -> Self {
        Self { strangers, next: 0 }
    }

    /// The next one; `None` once the endpoint has ended.
    pub async fn next(&mut self) -> Option<Discovered> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for DiscoveredEvents {
    type Item = Discovered;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut held = self.strangers.held.lock();
        if let Some((number, stranger)) = held.strangers.iter().find(|(number, _)| *number >= self.next) {
            let (next, stranger) = (number + 1, stranger.clone());
            drop(held);
            self.next = next;
            return Poll::Ready(Some(stranger));
        }
        if held.ended {
            return Poll::Ready(None);
        }
        if !held.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            held.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl fmt::Debug for DiscoveredEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscoveredEvents").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(number: usize) -> Discovered {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let hashname = Hashname::from_bytes(bytes);
        Discovered { hashname, keys: PublicKeys::new(), paths: Vec::new(), via: Via::Request }
    }

    fn told(events: &mut DiscoveredEvents) -> Vec<Discovered> {
        let mut told = Vec::new();
        while let Poll::Ready(Some(one)) =
            Pin::new(&mut *events).poll_next(&mut Context::from_waker(Waker::noop()))
        {
            told.push(one);
        }
        told
    }

    #[test]
    fn who_subscribes_late_sees_who_is_held_and_nobody_is_told_twice() {
        let strangers = Arc::new(Strangers::default());
        let mut early = DiscoveredEvents::new(strangers.clone());
        strangers.hold(stranger(1));
        strangers.hold(stranger(1));
        strangers.hold(stranger(2));
        assert_eq!(told(&mut early), [stranger(1), stranger(2)]);
        strangers.release(&stranger(1).hashname);
        let mut late = DiscoveredEvents::new(strangers.clone());
        assert_eq!(told(&mut late), [stranger(2)]);
        let mut moved = stranger(2);
        moved.paths.push("udp:192.0.2.1:1".parse().unwrap());
        strangers.hold(moved.clone());
        assert_eq!(told(&mut late), [moved.clone()]);
        assert_eq!(told(&mut early), [moved]);
        strangers.end();
        let end = Pin::new(&mut late).poll_next(&mut Context::from_waker(Waker::noop()));
        assert_eq!(end, Poll::Ready(None));
    }

    #[test]
    fn as_many_as_the_limit_are_held_and_then_the_oldest_goes() {
        let strangers = Arc::new(Strangers::default());
        (0..MAX_HELD_STRANGERS).for_each(|number| strangers.hold(stranger(number)));
        assert_eq!(told(&mut DiscoveredEvents::new(strangers.clone())).len(), MAX_HELD_STRANGERS);
        strangers.hold(stranger(MAX_HELD_STRANGERS));
        let held = told(&mut DiscoveredEvents::new(strangers));
        assert_eq!((held.len(), &held[0]), (MAX_HELD_STRANGERS, &stranger(1)));
    }
}
