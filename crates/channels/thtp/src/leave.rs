//! Whether a peer is still served: the grant may be taken away while its requests are open.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use telemesh_channel::{GrantWatch, Hashname, WeakNetwork};

use crate::server::SERVE;

/// That one peer is served, for one request.
#[derive(Clone)]
pub(crate) struct Leave {
    network: Arc<dyn WeakNetwork>,
    changes: GrantWatch,
    peer: Hashname,
}

impl Leave {
    /// `changes` was subscribed to before the grant was looked at.
    pub(crate) fn new(network: Arc<dyn WeakNetwork>, changes: GrantWatch, peer: Hashname) -> Self {
        Self { network, changes, peer }
    }

    /// Resolves when it is served no more.
    pub(crate) async fn withdrawn(&mut self) {
        loop {
            self.changes.changed().await;
            if !self.holds() {
                return;
            }
        }
    }

    fn holds(&self) -> bool {
        self.network.upgrade().is_some_and(|network| network.has_grant(&self.peer, SERVE))
    }
}

/// A [`Leave`] for what a service may have given to a task of its own, so that it does not end with the request: the
/// request's body, an upgraded connection.
pub(crate) struct Guard {
    /// For whoever does not wait.
    leave: Leave,
    /// For whoever waits; gone after the grant.
    withdrawn: Option<BoxFuture<'static, ()>>,
}

impl Guard {
    pub(crate) fn new(leave: Leave) -> Self {
        let mut waiting = leave.clone();
        Self { leave, withdrawn: Some(Box::pin(async move { waiting.withdrawn().await })) }
    }

    /// Before reading. Whoever waits for bytes then is woken when the peer is served no more.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.withdrawn.as_mut().is_some_and(|withdrawn| withdrawn.as_mut().poll(cx) == Poll::Pending) {
            return Ok(());
        }
        self.withdrawn = None;
        Err(gone())
    }

    /// Before writing, maybe in another task than the one that reads.
    ///
    /// # Errors
    /// The peer is served no more.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        if self.leave.changes.take_changed() && !self.leave.holds() {
            self.withdrawn = None;
        }
        if self.withdrawn.is_some() { Ok(()) } else { Err(gone()) }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the grant of the peer was taken away")
}
