//! Hearing when peers may do something else than before, for services whose work goes on after they have looked at a grant.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::for_each::ForEachSpawned as _;
use crate::network::{LinkEvent, WeakNetwork};

/// Tells everybody who works for a peer that grants may have changed. One task per service listens to the link events of its
/// endpoint, from the first [`subscribe`](Self::subscribe) on, however many there are who want to know.
pub struct GrantChanges {
    network: Arc<dyn WeakNetwork>,
    told: OnceLock<watch::Sender<()>>,
}

impl GrantChanges {
    /// Those of this endpoint.
    pub fn of(network: Arc<dyn WeakNetwork>) -> Self {
        Self { network, told: OnceLock::new() }
    }

    /// Hears of all changes from now on. Subscribe first and look at the grant then, so that nothing is missed in between.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn subscribe(&self) -> GrantWatch {
        let begin = || {
            let told = watch::Sender::new(());
            if let Some(network) = self.network.upgrade() {
                let tell = told.clone();
                network.link_events().for_each_spawned(move |event| {
                    // Whoever has missed events has maybe missed this one.
                    if !matches!(event, LinkEvent::Up { .. } | LinkEvent::Down { .. }) {
                        tell.send_replace(());
                    }
                    std::future::ready(())
                });
            }
            told
        };
        GrantWatch(self.told.get_or_init(begin).subscribe())
    }
}

/// See [`GrantChanges::subscribe`]. A clone has heard of what this one has heard of.
#[derive(Clone, Debug)]
pub struct GrantWatch(watch::Receiver<()>);

impl GrantWatch {
    /// Resolves when some peer may do something else than before; look at the grant again then. Never, if the endpoint has ended.
    /// Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Whether [`changed`](Self::changed) would resolve now, which it then does no more until the next change.
    pub fn take_changed(&mut self) -> bool {
        let changed = self.0.has_changed().unwrap_or(false);
        if changed {
            self.0.mark_unchanged();
        }
        changed
    }
}

impl fmt::Debug for GrantChanges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GrantChanges").finish_non_exhaustive()
    }
}
