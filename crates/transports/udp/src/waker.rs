//! A place for the waker of the one task that waits.
//!
//! Tokio forgets the tasks that wait on a socket when the socket is dropped, so rebinding has to wake them itself.

use std::{
    sync::{Mutex, PoisonError},
    task::Waker,
};

/// Holds the waker of whoever polled last.
#[derive(Debug, Default)]
pub(crate) struct WakerSlot(Mutex<Option<Waker>>);

impl WakerSlot {
    pub(crate) fn register(&self, waker: &Waker) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *slot {
            // Does nothing if both wake the same task.
            Some(registered) => registered.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
    }

    pub(crate) fn wake(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
