//! What is done for a link once its lock is released: waking, spawning handlers, storing, telling.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;

use telemesh_channel::{Dispatch, Incoming, Open};
use telemesh_wire::PathAddress;
use tracing::Instrument as _;

use crate::cell::LinkCell;
use crate::clock;
use crate::datagrams::{MeshDatagrams, OpenedDatagrams, PendingDatagrams};
use crate::raw_stream::{MeshStream, PendingStream};
use crate::streams::OpenedStream;
use crate::wants::Want;

/// Collected under the link's lock, because all of it may take other locks, this one included.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) wakers: Vec<Waker>,
    /// To be dropped outside of the lock: with a task's last waker the task may go, and everything that it owns.
    pub(crate) discarded: Vec<Waker>,
    pub(crate) streams: Vec<OpenedStream>,
    pub(crate) datagrams: Vec<OpenedDatagrams>,
    /// Messages of the peer's to which there is no answer.
    pub(crate) notices: Vec<Open>,
    /// The link's record has changed and must be stored.
    pub(crate) persist: bool,
    /// The peer has sent its first data: what it claimed with a credential holds.
    pub(crate) confirmed: bool,
    /// The path that data takes from now on.
    pub(crate) path: Option<PathAddress>,
    /// What takes more than this link.
    pub(crate) wants: Vec<Want>,
    /// Our address as the peer sees it, and the path that was said of.
    pub(crate) observed: Option<(SocketAddr, PathAddress)>,
}

impl Outcome {
    /// How many tasks will have something to do.
    pub(crate) fn tasks(&self) -> usize {
        self.wakers.len() + self.streams.len() + self.datagrams.len()
    }

    /// Does it all.
    pub(crate) fn run(self, cell: &Arc<LinkCell>) {
        for waker in self.wakers {
            waker.wake();
        }
        if self.persist {
            cell.persist();
        }
        if self.confirmed {
            cell.confirmed();
        }
        if let Some(address) = self.path {
            cell.reached(address);
        }
        if let Some((address, path)) = self.observed {
            cell.core.ways.observed.lock().add(cell.peer, address, &path);
        }
        for want in self.wants {
            cell.core.ways.wants.state(want);
        }
        for opened in self.streams {
            let OpenedStream { epoch, id, open, early } = opened;
            let pending = PendingStream(MeshStream::incoming(cell.clone(), epoch, id, early));
            dispatch(cell, Incoming::reliable(cell.peer, open, Box::new(pending)));
        }
        for opened in self.datagrams {
            let OpenedDatagrams { number, open, queue } = opened;
            let pending = PendingDatagrams(MeshDatagrams { cell: cell.clone(), number, queue });
            dispatch(cell, Incoming::unreliable(cell.peer, open, Box::new(pending)));
        }
        for open in self.notices {
            dispatch(cell, Incoming::notice(cell.peer, open));
        }
    }
}

/// Gives a channel to its handler, in a task of its own.
fn dispatch(cell: &Arc<LinkCell>, incoming: Incoming) {
    let span =
        tracing::debug_span!("channel", peer = %cell.peer.short(), kind = ?incoming.open().channel_type);
    if let Dispatch::Run(task) = cell.dispatcher.dispatch(incoming, clock::now()) {
        cell.core.runtime.spawn(task.instrument(span));
    }
}
