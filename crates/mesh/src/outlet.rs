//! The way out: which transport takes a packet, and the links that wait because it takes no more.

use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use telemesh_transport::{SendError, Transmit, Transport};
use telemesh_wire::PathAddress;
use tokio::sync::Notify;

use crate::cell::LinkCell;

/// A transport with the links that wait for it.
///
/// A transport wakes a single waiter; [`Outlet::run`] is that one for all links, however many wait.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) transport: Arc<dyn Transport>,
    waiting: Mutex<Waiting>,
    added: Notify,
}

/// The links that wait, each of them once.
#[derive(Debug, Default)]
struct Waiting {
    line: Vec<Weak<LinkCell>>,
    /// Where the links in the line are in memory, to find them.
    places: HashSet<usize>,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Gone, or lost as packets may be.
    All,
    /// This many bytes are gone; the rest waits for [`Outlet::wait`].
    Part(usize),
    /// The path takes no packets of this size, or none at all.
    Refused,
}

impl Outlet {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, waiting: Mutex::default(), added: Notify::new() }
    }

    /// Sends a batch of equally long packets.
    pub(crate) fn send(&self, to: PathAddress, segment: usize, contents: &[u8]) -> Sent {
        match self.transport.try_send(&Transmit::segmented(to, contents, segment)) {
            Ok(()) => Sent::All,
            Err(SendError::Blocked { sent }) => Sent::Part(sent),
            Err(SendError::Connecting) => Sent::Part(0),
            Err(error) => {
                tracing::trace!(%to, %error, "not sent");
                Sent::Refused
            }
        }
    }

    /// Calls the link's `handle_writable` once the transport takes packets again.
    pub(crate) fn wait(&self, cell: &Arc<LinkCell>) {
        let mut waiting = self.waiting.lock();
        if waiting.places.insert(Arc::as_ptr(cell).addr()) {
            waiting.line.push(Arc::downgrade(cell));
            drop(waiting);
            self.added.notify_one();
        }
    }

    fn is_anybody_waiting(&self) -> bool {
        !self.waiting.lock().line.is_empty()
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.added.notified().await;
            while self.is_anybody_waiting() {
                if poll_fn(|cx| self.transport.poll_writable(cx)).await.is_err() {
                    return;
                }
                let Waiting { mut line, .. } = std::mem::take(&mut *self.waiting.lock());
                // Whoever comes first may leave no room to the others, so each comes first in turn.
                let next = usize::from(!line.is_empty());
                line.rotate_left(next);
                for cell in line.iter().filter_map(Weak::upgrade) {
                    cell.handle_writable();
                }
            }
        }
    }
}
