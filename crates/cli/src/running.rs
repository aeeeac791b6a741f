//! What only an endpoint that stays up has: somebody may stop it, commands come and go, links have a past.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use telemesh::Hashname;
use tokio::sync::{mpsc, oneshot, watch};

use crate::event::Happened;
use crate::failure::Failure;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Running {
    /// Whoever has the configuration.
    reloads: mpsc::Sender<Reload>,
    stage: watch::Sender<Stage>,
    commands: Arc<AtomicUsize>,
    changed: Mutex<HashMap<Hashname, Instant>>,
    /// Contacts of the configuration file.
    declared: Mutex<BTreeSet<Hashname>>,
}

/// Asks for the configuration to be read again, and waits for what that has changed.
pub(crate) type Reload = oneshot::Sender<Result<Happened, Failure>>;

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
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

#[cfg(unix)]
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Running {
    /// What is asked for comes out of the receiver.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Reload>) {
        let (reloads, receiver) = mpsc::channel(1);
        let (stage, commands, changed, declared) = Default::default();
        (Self { reloads, stage, commands, changed, declared }, receiver)
    }

    /// Has the configuration read again.
    ///
    /// # Errors
    /// The file is wrong, and everything stays as it was.
    pub(crate) async fn reload(&self) -> Result<Happened, Failure> {
        let stopping = || Failure::Failed("the endpoint is stopping".into());
        let (sender, receiver) = oneshot::channel();
        self.reloads.send(sender).await.map_err(|_| stopping())?;
        receiver.await.map_err(|_| stopping())?
    }

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
    #[cfg(unix)]
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

    /// These contacts are in the configuration file.
    pub(crate) fn declare(&self, contacts: BTreeSet<Hashname>) {
        *self.declared.lock().unwrap_or_else(PoisonError::into_inner) = contacts;
    }

    /// Whether a contact is in the configuration file.
    pub(crate) fn is_declared(&self, peer: &Hashname) -> bool {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner).contains(peer)
    }

    /// A command begins; it ends with what this gives.
    #[cfg(unix)]
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
