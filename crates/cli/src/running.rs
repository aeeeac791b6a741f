//! What only an endpoint that stays up has: somebody may stop it, commands come and go, links have a past.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use telemesh::Hashname;
use tokio::sync::watch;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Running {
    stage: watch::Sender<Stage>,
    commands: Arc<AtomicUsize>,
    changed: Mutex<HashMap<Hashname, Instant>>,
}

/// How far its end is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Up,
    Stopping,
    Closed {
        delivered: bool,
    },
}

/// A command that is being carried out.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Running {
    /// Asks the endpoint to end.
    pub(crate) fn begin_stop(&self) {
        self.stage.send_if_modified(|stage| {
            let up = *stage == Stage::Up;
            if up {
                *stage = Stage::Stopping;
            }
            up
        });
    }

    /// Resolves when it is asked to end.
    pub(crate) async fn stopping(&self) {
        // The sender is in `self`.
        let _ = self.stage.subscribe().wait_for(|stage| *stage != Stage::Up).await;
    }

    /// Ends the endpoint, and says whether everything that was sent has arrived.
    pub(crate) async fn stop(&self) -> bool {
        self.begin_stop();
        let mut stage = self.stage.subscribe();
        match stage.wait_for(|stage| matches!(stage, Stage::Closed { .. })).await.as_deref() {
            Ok(Stage::Closed { delivered }) => *delivered,
            _ => false,
        }
    }

    /// It has ended.
    pub(crate) fn closed(&self, delivered: bool) {
        self.stage.send_replace(Stage::Closed { delivered });
    }

    /// A command begins; it ends with what this gives.
    pub(crate) fn count_command(&self) -> Counted {
        self.commands.fetch_add(1, Ordering::Relaxed);
        Counted(self.commands.clone())
    }

    /// Commands that are being carried out.
    pub(crate) fn commands(&self) -> usize {
        self.commands.load(Ordering::Relaxed)
    }

    /// A link has come up or gone down now.
    pub(crate) fn link_changed(&self, peer: Hashname) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, Instant::now());
    }

    /// These links are still there.
    pub(crate) fn keep_links(&self, is_there: impl Fn(&Hashname) -> bool) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).retain(|peer, _| is_there(peer));
    }

    /// When a link has last come up or gone down.
    pub(crate) fn since(&self, peer: &Hashname) -> Option<Instant> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).get(peer).copied()
    }
}
