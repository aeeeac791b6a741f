//! A local network for discoveries: whatever one announces all others hear at once.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use telemesh_transport::{Announcement, Discovery, DiscoveryError, DiscoveryEvent};

/// See the module's page. Clones are the same network.
#[derive(Clone, Default)]
pub struct Lan {
    members: Arc<Mutex<Vec<Member>>>,
}

#[derive(Default)]
struct Member {
    announced: Option<Announcement>,
    /// Every announcement and goodbye so far.
    said: Vec<Said>,
    heard: VecDeque<DiscoveryEvent>,
    waker: Option<Waker>,
}

/// Something that a member of a [`Lan`] has said.
#[derive(Debug, Clone)]
pub enum Said {
    /// It announced itself.
    Announced(Announcement),
    /// It said goodbye.
    Goodbye,
}

/// One member's discovery.
pub struct LanDiscovery {
    lan: Lan,
    place: usize,
}

impl Lan {
    /// A new member, which hears those who are announced already.
    pub fn join(&self) -> LanDiscovery {
        let mut members = self.members.lock();
        let announced = members.iter().filter_map(|member| member.announced.clone());
        let heard = announced.map(DiscoveryEvent::Found).collect();
        members.push(Member { heard, ..Member::default() });
        LanDiscovery { lan: self.clone(), place: members.len() - 1 }
    }

    /// Tells everybody what nobody has to stand for.
    pub fn spoof(&self, event: &DiscoveryEvent) {
        self.tell(None, event);
    }

    /// All that the members have said, in the order in which they have joined.
    pub fn said(&self) -> Vec<Vec<Said>> {
        self.members.lock().iter().map(|member| member.said.clone()).collect()
    }

    fn tell(&self, from: Option<usize>, event: &DiscoveryEvent) {
        let mut members = self.members.lock();
        for (_, member) in members.iter_mut().enumerate().filter(|(place, _)| Some(*place) != from) {
            member.heard.push_back(event.clone());
            member.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    fn with<T>(&self, place: usize, act: impl FnOnce(&mut Member) -> T) -> Option<T> {
        self.members.lock().get_mut(place).map(act)
    }
}

impl Discovery for LanDiscovery {
    fn announce(&self, announcement: &Announcement) -> Result<(), DiscoveryError> {
        self.lan.with(self.place, |member| {
            member.announced = Some(announcement.clone());
            member.said.push(Said::Announced(announcement.clone()));
        });
        self.lan.tell(Some(self.place), &DiscoveryEvent::Found(announcement.clone()));
        Ok(())
    }

    fn withdraw(&self) {
        let withdrawn = self.lan.with(self.place, |member| {
            let withdrawn = member.announced.take();
            member.said.extend(withdrawn.is_some().then_some(Said::Goodbye));
            withdrawn
        });
        if let Some(withdrawn) = withdrawn.flatten() {
            self.lan.tell(Some(self.place), &DiscoveryEvent::Gone(withdrawn.hashname));
        }
    }

    fn poll_discovered(&self, cx: &mut Context<'_>) -> Poll<io::Result<DiscoveryEvent>> {
        let heard = self.lan.with(self.place, |member| {
            let heard = member.heard.pop_front();
            if heard.is_none() {
                member.waker = Some(cx.waker().clone());
            }
            heard
        });
        heard.flatten().map_or(Poll::Pending, |event| Poll::Ready(Ok(event)))
    }
}

impl fmt::Debug for Lan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lan").field("members", &self.members.lock().len()).finish()
    }
}

impl fmt::Debug for LanDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LanDiscovery").field("place", &self.place).finish_non_exhaustive()
    }
}
