//! The watch itself: a signal, a moment of patience, a look.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use telemesh_transport::{NetworkChange, NetworkWatch};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

use crate::signal::Signal;
use crate::snapshot::Snapshot;

/// From the system's word to the look: an interface comes with several addresses and routes. So it is looked ten times a second
/// at most, whatever the system does.
const SETTLE: Duration = Duration::from_millis(100);

/// Watches the network of this machine. See the crate's page.
pub struct SystemWatch(Mutex<State>);

type Look = fn() -> io::Result<Snapshot>;

struct State {
    signal: Signal,
    look: Look,
    last: Snapshot,
    /// When to look, once there was a signal.
    settling: Option<Pin<Box<Sleep>>>,
}

impl SystemWatch {
    /// Watches from now on.
    ///
    /// # Errors
    /// Outside a tokio runtime, or when the system does not list its interfaces.
    pub fn open() -> io::Result<Self> {
        Handle::try_current().map_err(io::Error::other)?;
        Self::with(Signal::open(), Snapshot::take)
    }

    fn with(signal: Signal, look: Look) -> io::Result<Self> {
        let last = look()?;
        Ok(Self(Mutex::new(State { signal, look, last, settling: None })))
    }
}

impl NetworkWatch for SystemWatch {
    fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<io::Result<NetworkChange>> {
        let mut state = self.0.lock();
        let state = &mut *state;
        loop {
            let Some(settling) = &mut state.settling else {
                ready!(state.signal.poll(cx))?;
                state.settling = Some(Box::pin(sleep(SETTLE)));
                continue;
            };
            ready!(settling.as_mut().poll(cx));
            state.settling = None;
            let now = match (state.look)() {
                Ok(now) => now,
                Err(error) => {
                    // The next signal may find the system in a better state.
                    tracing::debug!(%error, "cannot look at the network");
                    continue;
                }
            };
            let change = now.since(&state.last);
            state.last = now;
            if let Some(change) = change {
                return Poll::Ready(Ok(change));
            }
        }
    }
}

impl fmt::Debug for SystemWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemWatch").field("last", &self.0.lock().last).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn nothing_has_changed_since_it_began() {
        let watch = SystemWatch::open().unwrap();
        let polled = poll_fn(|cx| Poll::Ready(watch.poll_changed(cx))).await;
        // The machine that runs this may do what it wants meanwhile; failing is not among it.
        assert!(!matches!(polled, Poll::Ready(Err(_))), "{polled:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn looks_fail_and_are_tried_again_and_come_ten_times_a_second_at_most() {
        static LOOKS: AtomicUsize = AtomicUsize::new(0);
        let look = || match LOOKS.fetch_add(1, Ordering::Relaxed) {
            1 => Err(io::Error::other("not now")),
            _ => Ok(Snapshot::default()),
        };
        let watch = SystemWatch::with(Signal::by_clock(), look).unwrap();
        let changed = tokio::time::timeout(Duration::from_secs(61), poll_fn(|cx| watch.poll_changed(cx)));
        assert!(changed.await.is_err(), "nothing has changed");
        // One to begin with, and one every five seconds and a tenth.
        let looks = LOOKS.load(Ordering::Relaxed);
        assert!((12..=14).contains(&looks), "{looks} looks");
    }
}
