//! One heap of deadlines for all links, and the task that waits for the earliest.
//!
//! Entries are never removed when a deadline moves back: the link is woken, finds that nothing is due, and says when it wants
//! to be woken next. Most deadlines (loss timers) move back all the time, so this costs less than a timer per link. A link
//! knows its entries ([`Entries`]) and adds one only if all that it has are too late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cell::LinkCell;
use crate::clock;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    queue: Mutex<Queue>,
    /// The earliest deadline is earlier than what the task is waiting for.
    earlier: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    /// Keeps entries of the same time in the order of their making.
    sequence: u64,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    sequence: u64,
    cell: Weak<LinkCell>,
}

impl Deadlines {
    /// Wakes `cell` at `at`.
    pub(crate) fn add(&self, at: Instant, cell: Weak<LinkCell>) {
        let mut queue = self.queue.lock();
        let earliest = queue.heap.peek().is_none_or(|Reverse(first)| at < first.at);
        let sequence = queue.sequence;
        queue.sequence += 1;
        queue.heap.push(Reverse(Entry { at, sequence, cell }));
        drop(queue);
        if earliest {
            self.earlier.notify_one();
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut due = Vec::new();
        loop {
            let next = self.queue.lock().heap.peek().map(|Reverse(first)| first.at);
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.earlier.notified() => continue,
                () = sleep => {}
            }
            self.take_due(clock::now(), &mut due);
            for cell in due.drain(..) {
                cell.handle_deadline();
            }
        }
    }

    fn take_due(&self, now: Instant, due: &mut Vec<Arc<LinkCell>>) {
        let mut queue = self.queue.lock();
        while queue.heap.peek().is_some_and(|Reverse(first)| first.at <= now) {
            due.extend(queue.heap.pop().and_then(|Reverse(entry)| entry.cell.upgrade()));
        }
    }
}

/// When the entries of one link are due, the earliest last.
#[derive(Debug, Default)]
pub(crate) struct Entries(Vec<Instant>);

impl Entries {
    /// Whether an entry is due.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.0.last().is_some_and(|at| *at <= now)
    }

    /// What is due is being dealt with.
    pub(crate) fn take_due(&mut self, now: Instant) {
        while self.is_due(now) {
            self.0.pop();
        }
    }

    /// Whether an entry must be added so that the link is woken at `at`; it counts as added then.
    pub(crate) fn needs(&mut self, at: Instant) -> bool {
        let needs = self.0.last().is_none_or(|earliest| at < *earliest);
        if needs {
            self.0.push(at);
        }
        needs
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_that_come_and_go_do_not_pile_up() {
        // A far deadline, and a near one that is set and met again and again, as by packets to acknowledge.
        let start = clock::now();
        let (far, mut entries, mut added) = (start + Duration::from_secs(25), Entries::default(), 0);
        for step in 0..1_000 {
            let now = start + Duration::from_millis(step * 20);
            assert_eq!(entries.needs(far), step == 0);
            added += u32::from(entries.needs(now + Duration::from_millis(10)));
            let met = now + Duration::from_millis(10);
            assert!(entries.is_due(met));
            entries.take_due(met);
            assert!(!entries.is_due(met));
            assert_eq!(entries.0, [far]);
        }
        assert_eq!(added, 1_000);
        assert!(entries.is_due(far));
    }
}
