//! What all links of an endpoint share. It knows no link, so that links may hold it.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use telemesh_channel::{LinkEventSource, Registry};
use telemesh_hashname::{Hashname, PublicKeys};
use telemesh_link::Identity;
use telemesh_wire::PathAddress;
use tokio::runtime::Handle;

use crate::candidates::Observed;
use crate::cell::LinkCell;
use crate::clock::WallClock;
use crate::deadlines::Deadlines;
use crate::discovery::Discoveries;
use crate::mapped::Mapped;
use crate::outlet::{Outlet, Sent};
use crate::saver::Saver;
use crate::traces::Traces;
use crate::trust::Trust;
use crate::wants::Wants;
use crate::whereabouts::Whereabouts;

/// See the module's page.
pub(crate) struct Core {
    pub(crate) identity: Arc<Identity>,
    pub(crate) incarnation: u64,
    pub(crate) registry: Arc<Registry>,
    pub(crate) events: LinkEventSource,
    pub(crate) trust: Trust,
    pub(crate) saver: Arc<Saver>,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) engine: telemesh_engine::Config,
    pub(crate) traces: Traces,
    /// How long channels wait for a link that went down.
    pub(crate) survive_down: Duration,
    pub(crate) deadlines: Arc<Deadlines>,
    pub(crate) ways: Ways,
    /// Empty once the endpoint has stopped: then nothing keeps its sockets open.
    pub(crate) outlets: RwLock<Vec<Arc<Outlet>>>,
    pub(crate) discoveries: Discoveries,
    pub(crate) runtime: Handle,
}

/// What links share that lead beyond a single one.
#[derive(Debug)]
pub(crate) struct Ways {
    pub(crate) whereabouts: Whereabouts,
    pub(crate) wants: Wants,
    /// Our addresses as others see them.
    pub(crate) observed: Mutex<Observed>,
    /// The way in through the gateway, if there is to be one.
    pub(crate) mapped: Mapped,
}

impl Core {
    pub(crate) fn hashname(&self) -> Hashname {
        self.identity.hashname()
    }

    /// Ways out to all transports.
    pub(crate) fn outlets(&self) -> Vec<Arc<Outlet>> {
        self.outlets.read().clone()
    }

    /// Lets go of the transports.
    pub(crate) fn close_outlets(&self) {
        self.outlets.write().clear();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.outlets.read().is_empty()
    }

    /// Packets of a circuit go to its router.
    fn with_outlet<T>(&self, to: &PathAddress, act: impl FnOnce(&Outlet, PathAddress) -> T) -> Option<T> {
        let to = match to {
            PathAddress::Circuit(circuit) => self.ways.whereabouts.of(&circuit.router)?,
            _ => *to,
        };
        self.outlets.read().iter().find(|outlet| outlet.transport.carries(&to)).map(|outlet| act(outlet, to))
    }

    /// Opens more sockets from which packets may go to `to`: where they are, and the paths from each.
    pub(crate) fn open_extra(
        &self,
        to: &PathAddress,
        count: usize,
    ) -> Option<(Weak<Outlet>, Vec<PathAddress>)> {
        let outlets = self.outlets.read();
        let outlet = outlets.iter().find(|outlet| outlet.transport.carries(to))?;
        Some((Arc::downgrade(outlet), outlet.transport.open_extra(to, count)))
    }

    /// Tells the transport for `to` whose keys to expect there.
    pub(crate) fn expect(&self, to: &PathAddress, keys: &PublicKeys) {
        self.with_outlet(to, |outlet, to| outlet.transport.expect(&to, keys));
    }

    /// Sends a batch of equally long packets.
    pub(crate) fn send(&self, to: PathAddress, segment: usize, contents: &[u8]) -> Sent {
        self.with_outlet(&to, |outlet, to| outlet.send(to, segment, contents)).unwrap_or(Sent::Refused)
    }

    /// Calls the link's `handle_writable` once the transport for `to` takes packets again.
    pub(crate) fn wait(&self, to: PathAddress, cell: &Arc<LinkCell>) {
        self.with_outlet(&to, |outlet, _| outlet.wait(cell));
    }

    /// How many packets one batch may have.
    pub(crate) fn max_segments(&self) -> usize {
        self.outlets.read().iter().map(|outlet| outlet.transport.max_send_segments()).min().unwrap_or(1)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("hashname", &self.hashname()).finish_non_exhaustive()
    }
}
