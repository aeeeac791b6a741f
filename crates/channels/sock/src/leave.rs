//! What an open tunnel was allowed, and whether it still is: grants are taken away while bytes flow.

use std::net::SocketAddr;
use std::sync::Arc;

use telemesh_channel::{GrantWatch, Hashname};

use crate::grant::Action;
use crate::service::Service;
use crate::targets::{Host, Name, Target};

/// One thing that a peer was allowed to do.
#[derive(Clone)]
pub(crate) struct Leave {
    service: Arc<Service>,
    changes: GrantWatch,
    peer: Hashname,
    action: Action,
    name: Option<Name>,
    address: SocketAddr,
}

impl Leave {
    /// `changes` was subscribed to before the peer was allowed to use this address for the target.
    pub(crate) fn new(
        service: Arc<Service>,
        changes: GrantWatch,
        (peer, action): (Hashname, Action),
        target: &Target,
        address: SocketAddr,
    ) -> Self {
        Self { service, changes, peer, action, name: name_of(target).cloned(), address }
    }

    /// Resolves when it is not allowed any more.
    pub(crate) async fn withdrawn(&mut self) {
        loop {
            self.changes.changed().await;
            if !self.service.checker.allows(self.peer, self.action, self.name.as_ref(), self.address) {
                tracing::debug!(peer = %self.peer.short(), address = %self.address, "a tunnel is allowed no more");
                return;
            }
        }
    }
}

/// The name that was asked for, if it was one.
pub(crate) fn name_of(target: &Target) -> Option<&Name> {
    match target.host() {
        Host::Name(name) => Some(name),
        _ => None,
    }
}
