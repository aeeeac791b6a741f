//! Events to any number of subscribers, none of whom can hold up the others.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::limits::MAX_UNREAD_EVENTS;

/// Where events go in. Dropping it ends all subscriptions, after what they have not read yet.
pub(super) struct Bus<T> {
    subscribers: Vec<Weak<Mutex<Queue<T>>>>,
    /// The event that says how many were dropped, where there is one.
    lagged: fn(u64) -> Option<T>,
}

struct Queue<T> {
    events: VecDeque<T>,
    missed: u64,
    ended: bool,
    waker: Option<Waker>,
    lagged: fn(u64) -> Option<T>,
}

/// Events as a `Stream`. Of those who do not read in time the oldest are dropped.
pub struct Subscription<T> {
    queue: Arc<Mutex<Queue<T>>>,
}

impl<T: Clone> Bus<T> {
    pub(super) fn new(lagged: fn(u64) -> Option<T>) -> Self {
        Self { subscribers: Vec::new(), lagged }
    }

    pub(super) fn subscribe(&mut self) -> Subscription<T> {
        let queue =
            Queue { events: VecDeque::new(), missed: 0, ended: false, waker: None, lagged: self.lagged };
        let queue = Arc::new(Mutex::new(queue));
        self.subscribers.push(Arc::downgrade(&queue));
        Subscription { queue }
    }

    pub(super) fn emit(&mut self, event: &T) {
        self.subscribers.retain(|subscriber| {
            let Some(queue) = subscriber.upgrade() else { return false };
            let mut queue = lock(&queue);
            queue.events.push_back(event.clone());
            if queue.events.len() > MAX_UNREAD_EVENTS {
                queue.events.pop_front();
                queue.missed += 1;
            }
            queue.wake();
            true
        });
    }
}

impl<T> Drop for Bus<T> {
    fn drop(&mut self) {
        for queue in self.subscribers.iter().filter_map(Weak::upgrade) {
            let mut queue = lock(&queue);
            queue.ended = true;
            queue.wake();
        }
    }
}

impl<T> Queue<T> {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Subscription<T> {
    /// Puts events in front that are older than the subscription.
    pub(super) fn extend(&mut self, events: impl IntoIterator<Item = T>) {
        lock(&self.queue).events.extend(events);
    }

    /// Waits for the next event; `None` when there will be no more. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<T> {
        lock(&self.queue).events.pop_front()
    }
}

impl<T> Stream for Subscription<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut queue = lock(&self.queue);
        let missed = std::mem::take(&mut queue.missed);
        if missed > 0
            && let Some(event) = (queue.lagged)(missed)
        {
            return Poll::Ready(Some(event));
        }
        match queue.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.ended => Poll::Ready(None),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Subscription").field("unread", &lock(&self.queue).events.len()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
