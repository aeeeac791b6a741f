//! The machine's network is another one, and nobody has to say so: what is done about it, and how often.
//!
//! Sockets that listen on all addresses hear the new ones without being opened anew, so they keep their ports, and NATs what they
//! know of them. [`Mesh::network_changed`](crate::Mesh::network_changed) is the harder way.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use telemesh_transport::{NetworkChange, NetworkWatch};

use crate::clock;
use crate::shared::Shared;
use crate::wants::Want;

/// Time between two reactions at least. Each makes every link probe its paths.
const PAUSE: Duration = Duration::from_secs(1);
/// And at least this when one change comes after the other: an interface that flaps all day must not have ten thousand links
/// probe all day. They find out by themselves, later.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// After so long without a change the next one is met at once again.
const CALM: Duration = Duration::from_secs(60);

/// When to react: at once, but less and less often while changes go on.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    pause: Duration,
}

impl Pace {
    /// There was a change, or several. When to react to them.
    fn due(&self, now: Instant) -> Instant {
        self.last.map_or(now, |last| now.max(last + self.pause))
    }

    /// There is a reaction now.
    fn reacts(&mut self, now: Instant) {
        let is_calm = self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.pause + CALM);
        self.pause = if is_calm { PAUSE } else { (self.pause * 2).min(PAUSE_MAX) };
        self.last = Some(now);
    }
}

/// Reacts to what the watch tells, until it is dropped.
pub(crate) async fn follow(shared: Arc<Shared>, watch: Arc<dyn NetworkWatch>) {
    let mut pace = Pace::default();
    loop {
        let mut change = match poll_fn(|cx| watch.poll_changed(cx)).await {
            Ok(change) => change,
            Err(error) => {
                tracing::warn!(%error, "changes of the network are not noticed any more");
                return;
            }
        };
        let due = tokio::time::sleep_until(pace.due(clock::now()).into());
        tokio::pin!(due);
        loop {
            tokio::select! {
                biased;
                () = &mut due => break,
                more = poll_fn(|cx| watch.poll_changed(cx)) => match more {
                    Ok(more) => change = change.max(more),
                    // The next round tells.
                    Err(_) => due.as_mut().await,
                },
            }
        }
        pace.reacts(clock::now());
        shared.network_moved(change);
    }
}

impl Shared {
    /// What others saw of us may be wrong by now, what worked may not, and peers do not know where we are.
    fn network_moved(self: &Arc<Self>, change: NetworkChange) {
        let moved = change >= NetworkChange::Moved;
        tracing::info!(moved, "the network has changed");
        if moved {
            self.core.ways.observed.lock().clear();
        }
        for cell in self.links() {
            // What is down may come up now, whatever has changed.
            let tries = moved || !cell.state().is_up();
            cell.drive(|inner, now, outcome| {
                if tries {
                    inner.network_changed(now);
                }
                outcome.wants.push(Want::Comparison {
                    cell: Arc::downgrade(&cell),
                    ask: moved,
                    birthday: false,
                });
            });
        }
        // The gateway may be another one.
        if moved {
            self.ask_for_way_in();
        }
        // What is announced on the local network may hold no longer.
        self.core.discoveries.switch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_change_is_met_at_once_and_a_flapping_interface_less_and_less_often() {
        let start = clock::now();
        let mut pace = Pace::default();
        assert_eq!(pace.due(start), start);
        pace.reacts(start);
        // A change every tenth of a second for an hour.
        let (mut now, mut reactions) = (start, Vec::new());
        while now < start + 3_600 * SECOND {
            now = pace.due(now + SECOND / 10);
            pace.reacts(now);
            reactions.push(now - start);
        }
        assert_eq!(reactions.get(..4).unwrap(), [SECOND, 3 * SECOND, 7 * SECOND, 15 * SECOND]);
        assert!(reactions.len() < 70, "{} reactions in an hour", reactions.len());
        // It is over, and a new change is met at once.
        let later = now + PAUSE_MAX + CALM;
        assert_eq!(pace.due(later), later);
        pace.reacts(later);
        assert_eq!(pace.due(later), later + PAUSE);
    }

    #[test]
    fn changes_now_and_then_are_all_met_at_once() {
        let mut now = clock::now();
        let mut pace = Pace::default();
        for _ in 0..10 {
            assert_eq!(pace.due(now), now);
            pace.reacts(now);
            now += PAUSE + CALM;
        }
    }
}
