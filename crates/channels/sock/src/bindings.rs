//! Our listeners at peers: which connection that comes back belongs to which of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telemesh_channel::Incoming;
use telemesh_hashname::Hashname;
use tokio::sync::mpsc;

use crate::failure::SockError;

/// Connections that wait to be taken from one listener; more are refused as busy. As many as a system's listener holds.
const BACKLOG: usize = 4_096;

/// See the module's page. A number is no secret: only the peer at which the listener is can use it.
#[derive(Default)]
pub(crate) struct Bindings {
    last: AtomicU64,
    table: Arc<Table>,
}

type Table = Mutex<HashMap<u64, (Hashname, mpsc::Sender<Waiting>)>>;

/// A connection that somebody has made to a listener of ours.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) incoming: Incoming,
    pub(crate) from: SocketAddr,
}

/// The place of one listener. Dropped, connections that come are refused.
pub(crate) struct Binding {
    pub(crate) number: u64,
    pub(crate) waiting: mpsc::Receiver<Waiting>,
    table: Arc<Table>,
}

impl Bindings {
    /// A place for a listener at this peer.
    pub(crate) fn begin(&self, peer: Hashname) -> Binding {
        let (sender, waiting) = mpsc::channel(BACKLOG);
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        lock(&self.table).insert(number, (peer, sender));
        Binding { number, waiting, table: self.table.clone() }
    }

    /// Gives a connection to its listener.
    pub(crate) fn hand_over(&self, incoming: Incoming, number: u64, from: SocketAddr) {
        let sender = match lock(&self.table).get(&number) {
            Some((peer, sender)) if *peer == incoming.peer() => sender.clone(),
            _ => return incoming.refuse(SockError::NotAllowed.refusal()),
        };
        match sender.try_send(Waiting { incoming, from }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(back)) => {
                let busy = SockError::Busy("too many connections wait to be taken".into());
                back.incoming.refuse(busy.refusal());
            }
            Err(mpsc::error::TrySendError::Closed(back)) => {
                back.incoming.refuse(SockError::Refused.refusal())
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.table).len()
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        lock(&self.table).remove(&self.number);
    }
}

fn lock(table: &Table) -> MutexGuard<'_, HashMap<u64, (Hashname, mpsc::Sender<Waiting>)>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
