//! The machine's network is another one, or the machine has slept, and nobody has to say so: what is done about it, and how often.
//!
//! Sockets that listen on all addresses hear the new ones without being opened anew, so they keep their ports, and NATs what they
//! know of them. [`Mesh::network_changed`](crate::Mesh::network_changed) is the harder way.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::{Duration, Instant};

use telemesh_transport::{NetworkChange, NetworkWatch};
use tokio::time::{Interval, MissedTickBehavior};

use crate::clock::{self, Now, Parting};
use crate::shared::Shared;
use crate::wants::Want;

/// Time between two reactions at least. Each makes every link probe its paths.
const PAUSE: Duration = Duration::from_secs(1);
/// And at least this when one change comes after the other: an interface that flaps all day must not have ten thousand links
/// probe all day. They find out by themselves, later.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// After so long without a change the next one is met at once again.
const CALM: Duration = Duration::from_secs(60);

/// How often it is looked whether the machine has slept. Timers stand still meanwhile, so none of them tells.
const LOOK: Duration = Duration::from_secs(5);

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

/// What tells of changes.
struct Signs {
    /// Until it fails.
    watch: Option<Arc<dyn NetworkWatch>>,
    looks: Interval,
    clocks: Parting,
}

impl Signs {
    fn new(watch: Option<Arc<dyn NetworkWatch>>, now: Now) -> Self {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { watch, looks, clocks: Parting::new(now) }
    }

    /// The next change. May be dropped and asked again.
    async fn next(&mut self, shared: &Shared) -> NetworkChange {
        loop {
            let told = async {
                match &self.watch {
                    Some(watch) => poll_fn(|cx| watch.poll_changed(cx)).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                told = told => match told {
                    Ok(change) => return change,
                    Err(error) => {
                        tracing::warn!(%error, "changes of the network are not noticed any more");
                        self.watch = None;
                    }
                },
                _ = self.looks.tick() => {
                    let now = Now { monotonic: clock::now(), wall: shared.core.clock.micros() };
                    if self.clocks.have_parted(now) {
                        // Peers may have given the links up hours ago. If only somebody has set the clock, this costs some probes.
                        tracing::info!("this machine has slept, or its clock was set");
                        return NetworkChange::Moved;
                    }
                }
            }
        }
    }
}

/// Reacts to changes of the network and to sleep, until it is dropped.
pub(crate) async fn follow(shared: Arc<Shared>, watch: Option<Arc<dyn NetworkWatch>>) {
    let now = Now { monotonic: clock::now(), wall: shared.core.clock.micros() };
    let (mut pace, mut signs) = (Pace::default(), Signs::new(watch, now));
    loop {
        let mut change = signs.next(&shared).await;
        let due = tokio::time::sleep_until(pace.due(clock::now()).into());
        tokio::pin!(due);
        loop {
            tokio::select! {
                biased;
                () = &mut due => break,
                more = signs.next(&shared) => change = change.max(more),
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
