//! Link events from a carrier to any number of subscribers, none of whom can hold up the others.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::network::{LinkEvent, LinkEvents};

/// Events one subscriber may leave unread before the oldest give way to [`LinkEvent::Lagged`].
pub const MAX_UNREAD_LINK_EVENTS: usize = 1024;

/// Where a carrier puts link events and subscribers come from; what a [`crate::Network`] needs for its `link_events`.
/// Dropping it ends all subscribers' streams, after what they have not read yet.
#[derive(Default)]
pub struct LinkEventSource {
    subscribers: Mutex<Vec<Weak<Mutex<Queue>>>>,
}

impl LinkEventSource {
    /// No subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stream of the events from now on.
    pub fn subscribe(&self) -> LinkEvents {
        let queue = Arc::new(Mutex::new(Queue::default()));
        lock(&self.subscribers).push(Arc::downgrade(&queue));
        Box::pin(Subscriber(queue))
    }

    /// Gives an event to all subscribers. Never waits.
    pub fn emit(&self, event: &LinkEvent) {
        lock(&self.subscribers).retain(|subscriber| {
            let Some(queue) = subscriber.upgrade() else { return false };
            let mut queue = lock(&queue);
            queue.events.push_back(event.clone());
            if queue.events.len() > MAX_UNREAD_LINK_EVENTS {
                queue.events.pop_front();
                queue.missed += 1;
            }
            queue.wake();
            true
        });
    }
}

impl Drop for LinkEventSource {
    fn drop(&mut self) {
        for queue in lock(&self.subscribers).iter().filter_map(Weak::upgrade) {
            let mut queue = lock(&queue);
            queue.ended = true;
            queue.wake();
        }
    }
}

impl fmt::Debug for LinkEventSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LinkEventSource")
            .field("subscribers", &lock(&self.subscribers).len())
            .finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Queue {
    events: VecDeque<LinkEvent>,
    missed: u64,
    ended: bool,
    waker: Option<Waker>,
}

impl Queue {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct Subscriber(Arc<Mutex<Queue>>);

impl Stream for Subscriber {
    type Item = LinkEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LinkEvent>> {
        let mut queue = lock(&self.0);
        if queue.missed > 0 {
            let missed = std::mem::take(&mut queue.missed);
            return Poll::Ready(Some(LinkEvent::Lagged { missed }));
        }
        if let Some(event) = queue.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::Hashname;

    fn up(number: usize) -> LinkEvent {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        LinkEvent::Up { peer: Hashname::from_bytes(bytes) }
    }

    fn next(events: &mut LinkEvents) -> Poll<Option<LinkEvent>> {
        events.as_mut().poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_subscriber_that_reads_sees_every_event_in_order() {
        let source = LinkEventSource::new();
        source.emit(&up(0));
        let mut events = source.subscribe();
        source.emit(&up(1));
        source.emit(&up(2));
        assert_eq!(next(&mut events), Poll::Ready(Some(up(1))));
        assert_eq!(next(&mut events), Poll::Ready(Some(up(2))));
        assert_eq!(next(&mut events), Poll::Pending);
        drop(source);
        assert_eq!(next(&mut events), Poll::Ready(None));
    }

    #[test]
    fn a_slow_subscriber_learns_how_many_it_missed_and_others_miss_none() {
        let source = LinkEventSource::new();
        let mut slow = source.subscribe();
        let mut quick = source.subscribe();
        for number in 0..MAX_UNREAD_LINK_EVENTS + 3 {
            source.emit(&up(number));
            assert_eq!(next(&mut quick), Poll::Ready(Some(up(number))));
        }
        assert_eq!(next(&mut slow), Poll::Ready(Some(LinkEvent::Lagged { missed: 3 })));
        assert_eq!(next(&mut slow), Poll::Ready(Some(up(3))));
    }

    #[test]
    fn exactly_the_limit_unread_misses_nothing() {
        let source = LinkEventSource::new();
        let mut events = source.subscribe();
        for number in 0..MAX_UNREAD_LINK_EVENTS {
            source.emit(&up(number));
        }
        assert_eq!(next(&mut events), Poll::Ready(Some(up(0))));
    }

    #[test]
    fn dropped_subscribers_are_forgotten() {
        let source = LinkEventSource::new();
        drop(source.subscribe());
        source.emit(&up(1));
        assert!(lock(&source.subscribers).is_empty());
    }
}
