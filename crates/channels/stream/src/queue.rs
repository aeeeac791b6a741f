//! Streams that peers opened and nobody has taken yet.

use std::collections::{HashMap, VecDeque};
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use telemesh_channel::{BoxFuture, Handler, Incoming};
use telemesh_hashname::Hashname;
use telemesh_wire::{ChannelKind, Refusal, RefusalCode};

use crate::encoding::Encoding;

/// How many streams may wait to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Of all peers together.
    pub waiting: usize,
    /// Of each peer, so that one which opens many does not take the others' places.
    pub waiting_per_peer: usize,
}

impl Default for StreamLimits {
    /// 256, and 32 per peer: eight peers must misbehave at once before others notice.
    fn default() -> Self {
        Self { waiting: 256, waiting_per_peer: 32 }
    }
}

/// A stream that waits for a decision, with what was already read of its open message.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) incoming: Incoming,
    pub(crate) encoding: Option<Encoding>,
}

/// The side that takes streams. Dropped, it retires the handler and refuses what waits.
pub(crate) struct Taker(Arc<Mutex<Queue>>);

/// The side that the acceptor calls.
pub(crate) struct Listener(Arc<Mutex<Queue>>);

struct Queue {
    waiting: VecDeque<Waiting>,
    /// Only peers with a stream in `waiting`, so it is never larger than that.
    per_peer: HashMap<Hashname, usize>,
    limits: StreamLimits,
    taker: Option<Waker>,
    /// The taker is gone.
    retired: bool,
    /// The acceptor is gone, nothing more will come.
    ended: bool,
}

/// A queue with its two sides.
pub(crate) fn queue(limits: StreamLimits) -> (Listener, Taker) {
    let queue = Arc::new(Mutex::new(Queue {
        waiting: VecDeque::new(),
        per_peer: HashMap::new(),
        limits,
        taker: None,
        retired: false,
        ended: false,
    }));
    (Listener(Arc::clone(&queue)), Taker(queue))
}

/// Nothing panics while it holds the lock; if it did, the queue would still be whole.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_taker() -> Refusal {
    Refusal::new(RefusalCode::UnknownType, "nobody here takes streams any more")
}

impl Queue {
    /// Whether another stream of this peer may wait, or why not.
    fn room_for(&self, peer: Hashname) -> Result<(), Refusal> {
        if self.retired {
            return Err(no_taker());
        }
        if self.waiting.len() >= self.limits.waiting {
            return Err(Refusal::new(RefusalCode::Busy, "too many streams wait to be taken"));
        }
        if self.per_peer.get(&peer).copied().unwrap_or(0) >= self.limits.waiting_per_peer {
            return Err(Refusal::new(RefusalCode::Busy, "too many of your streams wait to be taken"));
        }
        Ok(())
    }

    fn push(&mut self, waiting: Waiting) {
        *self.per_peer.entry(waiting.incoming.peer()).or_insert(0) += 1;
        self.waiting.push_back(waiting);
        self.wake();
    }

    fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        let peer = waiting.incoming.peer();
        match self.per_peer.get_mut(&peer) {
            Some(of_peer) if *of_peer > 1 => *of_peer -= 1,
            _ => drop(self.per_peer.remove(&peer)),
        }
        Some(waiting)
    }

    fn wake(&mut self) {
        if let Some(taker) = self.taker.take() {
            taker.wake();
        }
    }
}

impl Listener {
    fn receive(&self, incoming: Incoming) {
        if incoming.kind() == ChannelKind::Unreliable {
            return incoming.refuse(Refusal::new(RefusalCode::NotAllowed, "a stream is a reliable channel"));
        }
        let Ok(encoding) = Encoding::of(incoming.open()) else {
            return incoming.refuse(Refusal::new(RefusalCode::Application, "unknown encoding"));
        };
        let mut queue = lock(&self.0);
        match queue.room_for(incoming.peer()) {
            Ok(()) => queue.push(Waiting { incoming, encoding }),
            Err(refusal) => {
                // Without the lock: a carrier may do much in answer.
                drop(queue);
                incoming.refuse(refusal);
            }
        }
    }
}

impl Handler for Listener {
    /// Only puts the stream into the queue; the task that takes it from there serves it.
    fn handle(&self, incoming: Incoming) -> BoxFuture<'static, ()> {
        self.receive(incoming);
        Box::pin(ready(()))
    }

    fn is_retired(&self) -> bool {
        lock(&self.0).retired
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.ended = true;
        queue.wake();
    }
}

impl Taker {
    /// The stream that has waited longest; `None` after the acceptor is gone.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Option<Waiting>> {
        let mut queue = lock(&self.0);
        if let Some(waiting) = queue.pop() {
            return Poll::Ready(Some(waiting));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        queue.taker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Streams that wait.
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).waiting.len()
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        let waiting = {
            let mut queue = lock(&self.0);
            queue.retired = true;
            std::mem::take(&mut queue.waiting)
        };
        for waiting in waiting {
            waiting
                .incoming
                .refuse(Refusal::new(RefusalCode::UnknownType, "nobody here takes streams any more"));
        }
    }
}
