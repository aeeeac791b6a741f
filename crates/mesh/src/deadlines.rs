//! One heap of deadlines for all links, and the task that waits for the earliest.
//!
//! A link has at most one live entry. Entries are never removed when a deadline moves back: the link is woken, finds that
//! nothing is due, and says when it wants to be woken next. Most deadlines (loss timers) move back all the time, so this
//! costs less than a timer per link.

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
