//! Discoveries of the local network: who is heard, and being heard while discover mode lasts.
//!
//! An announcement comes from nobody in particular, so it must not make this endpoint send. What a contact announces waits until
//! the endpoint looks for it, which it does by a clock of its own; in discover mode, when others may see it anyway, it looks
//! at once.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use telemesh_hashname::Hashname;
use telemesh_transport::{Announcement, Discovery, DiscoveryEvent};
use telemesh_wire::{LinkInfo, PathAddress};
use tokio::sync::Notify;

use crate::clock;
use crate::discovered::{Discover, Discovered, Via};
use crate::grant::Grant;
use crate::shared::Shared;

/// How often the links of contacts get the addresses that were heard, and how often it is looked whether what is announced still
/// holds.
pub(crate) const LOOK: Duration = Duration::from_secs(10);

/// Addresses that a link gets from announcements before it comes up. Anybody on the network can make them up, and they take room
/// among the link's paths.
const MAX_HEARD_PATHS: usize = 16;

/// See the module's page.
#[derive(Default)]
pub(crate) struct Discoveries {
    /// Empty once the endpoint has stopped: then nothing keeps their sockets open.
    all: RwLock<Vec<Arc<dyn Discovery>>>,
    /// Discover mode was switched on or off.
    switched: Notify,
    /// What links of contacts were given that are not up.
    given: Mutex<HashMap<Hashname, Vec<PathAddress>>>,
}

impl Discoveries {
    pub(crate) fn new(all: Vec<Arc<dyn Discovery>>) -> Self {
        Self { all: RwLock::new(all), ..Self::default() }
    }

    pub(crate) fn all(&self) -> Vec<Arc<dyn Discovery>> {
        self.all.read().clone()
    }

    /// Discover mode was switched on or off.
    pub(crate) fn switch(&self) {
        self.switched.notify_one();
    }

    /// Nobody is told about this endpoint any more.
    pub(crate) fn withdraw(&self) {
        self.all.read().iter().for_each(|discovery| discovery.withdraw());
    }

    /// Lets go of the sockets.
    pub(crate) fn stop(&self) {
        self.withdraw();
        self.all.write().clear();
    }

    /// Those of the paths that the link with a peer has not been given yet, and may still be given.
    fn take_new(&self, peer: &Hashname, paths: &[PathAddress]) -> Vec<PathAddress> {
        let mut given = self.given.lock();
        let given = given.entry(*peer).or_default();
        let room = MAX_HEARD_PATHS.saturating_sub(given.len());
        let new: Vec<_> = paths.iter().filter(|path| !given.contains(path)).take(room).copied().collect();
        given.extend(&new);
        new
    }
}

/// What is being announced.
struct Announced {
    announcement: Announcement,
    /// Not everywhere.
    failed: bool,
}

/// Takes in what a discovery hears, until it is dropped.
pub(crate) async fn hear(shared: Arc<Shared>, discovery: Arc<dyn Discovery>) {
    loop {
        match poll_fn(|cx| discovery.poll_discovered(cx)).await {
            Ok(DiscoveryEvent::Found(announcement)) => shared.heard(announcement),
            Ok(DiscoveryEvent::Gone(peer)) => shared.core.trust.strangers.gone(&peer),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "nobody is heard on the local network any more");
                return;
            }
        }
    }
}

/// Announces while discover mode lasts, and gives links what was heard. Runs until it is dropped.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let mut announced = None;
    let mut look_at = clock::now() + LOOK;
    loop {
        let now = clock::now();
        if look_at <= now {
            look_at = now + LOOK;
            shared.offer_all();
        }
        let mode = shared.core.trust.discovering(now);
        shared.announce(mode, &mut announced);
        let wake_at = match mode {
            Discover::For(left) => look_at.min(now + left),
            _ => look_at,
        };
        tokio::select! {
            () = shared.core.discoveries.switched.notified() => {
                if shared.core.trust.discovering(clock::now()) != Discover::Off {
                    // Others may see us from now on, so there is nothing to wait for.
                    shared.offer_all();
                }
            }
            () = tokio::time::sleep_until(wake_at.into()) => {}
        }
    }
}

impl Shared {
    /// Brings what is announced in line with the mode. `announced` is what is being announced.
    fn announce(&self, mode: Discover, announced: &mut Option<Announced>) {
        if mode == Discover::Off {
            if announced.take().is_some() {
                self.core.discoveries.withdraw();
            }
            return;
        }
        let addresses = self.core.outlets().into_iter().flat_map(|outlet| outlet.transport.local_addresses());
        let announcement = Announcement {
            hashname: self.core.hashname(),
            keys: self.core.identity.public_keys().clone(),
            paths: addresses.filter(|address| address.socket_address().is_some()).collect(),
        };
        let before = announced.take().filter(|before| before.announcement.paths == announcement.paths);
        let mut failed = false;
        if before.as_ref().is_none_or(|before| before.failed) {
            for discovery in self.core.discoveries.all() {
                let Err(error) = discovery.announce(&announcement) else { continue };
                failed = true;
                if before.is_none() {
                    // It is tried again, and not told again.
                    tracing::warn!(%error, "this endpoint is not announced on the local network");
                }
            }
        }
        *announced = Some(Announced { announcement, failed });
    }

    /// Somebody has announced themselves, or somebody else has.
    fn heard(self: &Arc<Self>, announcement: Announcement) {
        let Announcement { hashname, keys, paths } = announcement;
        // That the keys are those of the hashname everything below relies on.
        let is_whole = LinkInfo::new(keys.clone()).is_ok_and(|info| info.hashname() == hashname);
        if !is_whole || hashname == self.core.hashname() {
            return;
        }
        let discovered = Discovered { hashname, keys, paths, via: Via::Network };
        self.core.trust.strangers.hold(discovered.clone());
        if self.core.trust.discovering(clock::now()) != Discover::Off {
            self.offer(&discovered);
        }
    }

    fn offer_all(self: &Arc<Self>) {
        let is_contact = |peer: &Hashname| self.core.trust.contact(peer).is_some();
        self.core.discoveries.given.lock().retain(|peer, _| is_contact(peer));
        self.core.trust.strangers.heard().iter().for_each(|discovered| self.offer(discovered));
    }

    /// Gives what was heard of a contact to its link, if that is down.
    fn offer(self: &Arc<Self>, heard: &Discovered) {
        let Some(contact) = self.core.trust.contact(&heard.hashname) else { return };
        let known = self.table.read().find(&heard.hashname).cloned();
        let (Some(cell), true) = (known, contact.grants().contains(Grant::LINK)) else { return };
        if cell.state().is_up() {
            self.core.discoveries.given.lock().remove(&heard.hashname);
            return;
        }
        let info = heard.info();
        let lacks_keys = contact.info().keys().is_empty();
        if lacks_keys {
            self.core.trust.learn_keys(&info);
        }
        let new = self.core.discoveries.take_new(&heard.hashname, &heard.paths);
        if new.is_empty() && !lacks_keys {
            return;
        }
        cell.drive(|inner, now, _| {
            if inner.is_stopped() {
                return;
            }
            // They are those of the hashname.
            let _ = inner.link.set_keys(now, heard.keys.clone());
            new.iter().for_each(|path| inner.link.add_candidate(now, *path));
        });
    }

    /// What is known of an endpoint, together with what it has announced if little else is known.
    pub(crate) fn completed(&self, info: &LinkInfo) -> LinkInfo {
        if !info.keys().is_empty() {
            return info.clone();
        }
        let heard = self.core.trust.strangers.find(&info.hashname());
        let heard = heard.map(|heard| heard.info()).filter(|heard| !heard.keys().is_empty());
        heard.map_or_else(
            || info.clone(),
            |heard| {
                let given = info.paths().iter().cloned();
                given.fold(heard, |info, path| info.clone().with_path(path).unwrap_or(info))
            },
        )
    }
}

impl fmt::Debug for Discoveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discoveries").field("all", &*self.all.read()).finish_non_exhaustive()
    }
}
