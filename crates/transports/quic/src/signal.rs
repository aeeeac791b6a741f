//! Tells the one task that waits for writability that trying again makes sense.

use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// What a transport knows about those who were told to wait.
#[derive(Debug, Default)]
pub(crate) struct Signal(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    wanted: bool,
    waker: Option<Waker>,
}

impl Signal {
    /// Somebody is about to be told to wait. Said before looking for the last time whether that is so, in order that a
    /// [`fire`](Self::fire) in between is not missed.
    pub(crate) fn want(&self) {
        self.0.lock().wanted = true;
    }

    /// Something has changed for those who wait.
    pub(crate) fn fire(&self) {
        let waker = {
            let mut state = self.0.lock();
            state.wanted = false;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ready if nobody was told to wait since the last [`fire`](Self::fire).
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if !state.wanted {
            return Poll::Ready(());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => state.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
