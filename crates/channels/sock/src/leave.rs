//! What an open tunnel was allowed, and whether it still is: grants are taken away while bytes flow.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use telemesh_channel::{ForEachSpawned as _, Hashname, LinkEvent, WeakNetwork};
use tokio::sync::watch;

use crate::grant::Action;
use crate::service::Service;
use crate::targets::{Host, Name, Target};

/// Tells when peers may do something else than before. One task per endpoint listens, from the first tunnel on.
pub(crate) struct Changes {
    network: Arc<dyn WeakNetwork>,
    told: OnceLock<watch::Sender<()>>,
}

impl Changes {
    pub(crate) fn of(network: Arc<dyn WeakNetwork>) -> Self {
        Self { network, told: OnceLock::new() }
    }

    /// Hears of all changes from now on. Subscribe first and look at the grants then.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        let begin = || {
            let told = watch::Sender::new(());
            if let Some(network) = self.network.upgrade() {
                let tell = told.clone();
                network.link_events().for_each_spawned(move |event| {
                    if !matches!(event, LinkEvent::Up { .. } | LinkEvent::Down { .. }) {
                        tell.send_replace(());
                    }
                    std::future::ready(())
                });
            }
            told
        };
        self.told.get_or_init(begin).subscribe()
    }
}

/// One thing that a peer was allowed to do.
#[derive(Clone)]
pub(crate) struct Leave {
    service: Arc<Service>,
    changes: watch::Receiver<()>,
    peer: Hashname,
    action: Action,
    name: Option<Name>,
    address: SocketAddr,
}

impl Leave {
    /// `changes` was subscribed to before the peer was allowed to use this address for the target.
    pub(crate) fn new(
        service: Arc<Service>,
        changes: watch::Receiver<()>,
        (peer, action): (Hashname, Action),
        target: &Target,
        address: SocketAddr,
    ) -> Self {
        Self { service, changes, peer, action, name: name_of(target).cloned(), address }
    }

    /// Resolves when it is not allowed any more.
    pub(crate) async fn withdrawn(&mut self) {
        loop {
            changed(&mut self.changes).await;
            if !self.service.checker.allows(self.peer, self.action, self.name.as_ref(), self.address) {
                tracing::debug!(peer = %self.peer.short(), address = %self.address, "a tunnel is allowed no more");
                return;
            }
        }
    }
}

/// Resolves when something may have changed, and never if nobody tells any more.
pub(crate) async fn changed(changes: &mut watch::Receiver<()>) {
    if changes.changed().await.is_err() {
        std::future::pending().await
    }
}

/// The name that was asked for, if it was one.
pub(crate) fn name_of(target: &Target) -> Option<&Name> {
    match target.host() {
        Host::Name(name) => Some(name),
        _ => None,
    }
}
