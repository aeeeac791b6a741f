//! Endpoints in memory: the whole framework without a mesh, so that every channel is tested on its own.
//!
//! [`pair`] gives two endpoints with a link between them; [`MemoryEndpoint::new`] and [`connect`] build larger groups. They
//! go through the same [`crate::Registry`], [`crate::Dispatcher`] and handles as over a mesh. Buffers are bounded, so that
//! writers feel back-pressure, and [`disconnect`] cuts a link. Nothing is lost, delayed or reordered here: `telemesh-simnet`
//! does that to real links.
//!
//! Handlers run as tasks of the Tokio runtime that the opening call runs in. Outside of one they do not run, and opens are
//! refused as `Internal`.

mod datagrams;
mod link;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use telemesh_hashname::Hashname;

pub use self::link::MemoryLink;
use crate::error::{ChannelError, HandleError};
use crate::events::LinkEventSource;
use crate::handler::Handler;
use crate::network::{Acceptor, LinkEvent, LinkEvents, Network, Opener, WeakNetwork};
use crate::registry::Registry;

/// Two endpoints with a link between them, in memory.
///
/// # Examples
/// See the crate's example `echo`.
pub fn pair() -> MemoryPair {
    pair_with(MemoryConfig::default())
}

/// As [`pair`], with other limits.
pub fn pair_with(config: MemoryConfig) -> MemoryPair {
    let left = MemoryEndpoint::new(Hashname::from_bytes([1; 32]));
    let right = MemoryEndpoint::new(Hashname::from_bytes([2; 32]));
    let (to_right, to_left) = connect_with(&left, &right, config);
    MemoryPair { left, right, to_right, to_left }
}

/// See [`pair`].
#[derive(Debug)]
pub struct MemoryPair {
    /// One endpoint.
    pub left: Arc<MemoryEndpoint>,
    /// The other.
    pub right: Arc<MemoryEndpoint>,
    /// The left endpoint's link to the right one.
    pub to_right: Arc<MemoryLink>,
    /// The right endpoint's link to the left one.
    pub to_left: Arc<MemoryLink>,
}

/// Limits of a link in memory. Small, so that tests meet back-pressure soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Bytes a reliable channel holds unread in each direction; at least 1.
    pub stream_capacity: usize,
    /// Messages an unreliable channel holds unread in each direction.
    pub datagram_queue: usize,
    /// Bytes of one message on an unreliable channel, and of its open message.
    pub max_datagram_size: usize,
}

impl Default for MemoryConfig {
    /// 64 KiB per stream; 64 messages of 1,200 bytes, which is what about any network path carries.
    fn default() -> Self {
        Self { stream_capacity: 64 * 1024, datagram_queue: 64, max_datagram_size: 1_200 }
    }
}

/// An endpoint in memory, with its handlers and its links.
pub struct MemoryEndpoint {
    hashname: Hashname,
    registry: Arc<Registry>,
    links: Mutex<BTreeMap<Hashname, Arc<MemoryLink>>>,
    grants: Mutex<BTreeSet<(Hashname, String)>>,
    events: LinkEventSource,
    itself: Weak<Self>,
}

impl MemoryEndpoint {
    /// An endpoint without links.
    pub fn new(hashname: Hashname) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self {
            hashname,
            registry: Arc::default(),
            links: Mutex::default(),
            grants: Mutex::default(),
            events: LinkEventSource::new(),
            itself: itself.clone(),
        })
    }

    /// Allows a peer something, see [`Network::has_grant`].
    pub fn grant(&self, peer: Hashname, grant: &str) {
        lock(&self.grants).insert((peer, grant.to_owned()));
        self.events.emit(&LinkEvent::Granted { peer });
    }

    /// Takes a grant away again.
    pub fn revoke(&self, peer: Hashname, grant: &str) {
        lock(&self.grants).remove(&(peer, grant.to_owned()));
        self.events.emit(&LinkEvent::Granted { peer });
    }

    /// The link to `peer`, made if there is none yet.
    fn link_to(&self, peer: Hashname) -> Arc<MemoryLink> {
        Arc::clone(
            lock(&self.links).entry(peer).or_insert_with(|| Arc::new(MemoryLink::new(self.hashname, peer))),
        )
    }
}

/// Links two endpoints; the first gets the first of the returned links. Endpoints that are linked already start anew:
/// channels of before fail with [`ChannelError::PeerRestarted`].
pub fn connect(first: &MemoryEndpoint, second: &MemoryEndpoint) -> (Arc<MemoryLink>, Arc<MemoryLink>) {
    connect_with(first, second, MemoryConfig::default())
}

/// As [`connect`], with other limits.
pub fn connect_with(
    first: &MemoryEndpoint,
    second: &MemoryEndpoint,
    config: MemoryConfig,
) -> (Arc<MemoryLink>, Arc<MemoryLink>) {
    disconnect(first, second, &ChannelError::PeerRestarted);
    let (to_second, to_first) = (first.link_to(second.hashname), second.link_to(first.hashname));
    link::bring_up(&to_second, &first.registry, &to_first, &second.registry, config);
    first.events.emit(&LinkEvent::Up { peer: second.hashname });
    second.events.emit(&LinkEvent::Up { peer: first.hashname });
    (to_second, to_first)
}

/// Cuts the link between two endpoints: all its channels fail with `reason`, and opens with
/// [`ChannelError::LinkDown`] until they are connected again. Nothing happens to endpoints without a link.
pub fn disconnect(first: &MemoryEndpoint, second: &MemoryEndpoint, reason: &ChannelError) {
    let to_second = lock(&first.links).get(&second.hashname).cloned();
    let to_first = lock(&second.links).get(&first.hashname).cloned();
    let (Some(to_second), Some(to_first)) = (to_second, to_first) else { return };
    // Both are up or neither is: they share what is between them.
    if to_second.take_down(reason) && to_first.take_down(reason) {
        first.events.emit(&LinkEvent::Down { peer: second.hashname, reason: reason.clone() });
        second.events.emit(&LinkEvent::Down { peer: first.hashname, reason: reason.clone() });
    }
}

impl Acceptor for MemoryEndpoint {
    fn handle(&self, channel_type: &str, handler: Arc<dyn Handler>) -> Result<(), HandleError> {
        self.registry.insert(channel_type, handler)
    }

    fn handler(&self, channel_type: &str) -> Option<Arc<dyn Handler>> {
        self.registry.get(channel_type)
    }
}

impl Network for MemoryEndpoint {
    fn hashname(&self) -> Hashname {
        self.hashname
    }

    fn link(&self, peer: &Hashname) -> Option<Arc<dyn Opener>> {
        lock(&self.links).get(peer).map(|link| Arc::clone(link) as Arc<dyn Opener>)
    }

    /// Links in memory come up by [`connect`] alone.
    fn connect(&self, _: &Hashname) {}

    fn peers(&self) -> Vec<Hashname> {
        lock(&self.links).iter().filter(|(_, link)| link.is_up()).map(|(peer, _)| *peer).collect()
    }

    fn has_grant(&self, peer: &Hashname, grant: &str) -> bool {
        lock(&self.grants).contains(&(*peer, grant.to_owned()))
    }

    fn grants_of_kind(&self, peer: &Hashname, kind: &str) -> Vec<String> {
        let of_kind = |grant: &str| grant.split(':').next() == Some(kind);
        let grants = lock(&self.grants);
        grants
            .iter()
            .filter(|(to, grant)| to == peer && of_kind(grant))
            .map(|(_, grant)| grant.clone())
            .collect()
    }

    fn link_events(&self) -> LinkEvents {
        self.events.subscribe()
    }

    fn downgrade(&self) -> Arc<dyn WeakNetwork> {
        Arc::new(WeakEndpoint(self.itself.clone()))
    }
}

/// See [`Network::downgrade`].
struct WeakEndpoint(Weak<MemoryEndpoint>);

impl WeakNetwork for WeakEndpoint {
    fn upgrade(&self) -> Option<Arc<dyn Network>> {
        Some(self.0.upgrade()?)
    }
}

impl fmt::Debug for MemoryEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemoryEndpoint")
            .field("hashname", &self.hashname)
            .field("peers", &self.peers())
            .finish_non_exhaustive()
    }
}

/// Nothing here panics while it holds a lock; if it did, the state would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
