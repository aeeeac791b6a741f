//! From an incoming channel to its handler: limits per link and type, refusals, and the task a handler runs in.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use telemesh_hashname::Hashname;
use telemesh_wire::{Refusal, RefusalCode};

use crate::handler::Handler;
use crate::incoming::Incoming;
use crate::registry::Registry;

/// Takes the channels that come in over one link to their handlers. A carrier has one per link, all on one [`Registry`].
#[derive(Debug)]
pub struct Dispatcher {
    registry: Arc<Registry>,
    /// Open channels per type. Only types with a handler get in, so a peer cannot make it grow.
    open: OpenCounts,
    budget: RefusalBudget,
}

/// What became of an incoming channel.
#[derive(Debug)]
#[must_use = "a handler's task must be spawned"]
#[allow(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and goes straight into a spawn"
)]
#[non_exhaustive]
pub enum Dispatch {
    /// Spawn this as a task of its own. Dropping it refuses the channel as `Internal`.
    Run(HandlerTask),
    /// The peer was refused.
    Refused(RefusalCode),
    /// The peer had its refusals for this second; it gets no answer.
    Ignored,
}

impl Dispatcher {
    /// A dispatcher for one link.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, open: Arc::default(), budget: RefusalBudget::default() }
    }

    /// Finds the handler and checks the limits. Calls no code of the application.
    pub fn dispatch(&self, mut incoming: Incoming, now: Instant) -> Dispatch {
        self.budget.refill(now);
        incoming.budget = Some(self.budget.clone());
        let Some((name, handler)) = self.registry.find(&incoming.open().channel_type) else {
            return Self::refuse(
                incoming,
                Refusal::new(RefusalCode::UnknownType, "nobody here answers this type"),
            );
        };
        let Some(permit) = Permit::take(&self.open, &name, handler.max_open()) else {
            return Self::refuse(
                incoming,
                Refusal::new(RefusalCode::Busy, "too many open channels of this type"),
            );
        };
        incoming.permit = Some(permit);
        Dispatch::Run(HandlerTask {
            channel_type: name,
            peer: incoming.peer(),
            state: TaskState::Start(handler, incoming),
        })
    }

    /// How many channels of this type are open on this link, those that wait for a decision included.
    pub fn open_channels(&self, channel_type: &str) -> usize {
        lock(&self.open).get(channel_type).copied().unwrap_or(0)
    }

    fn refuse(incoming: Incoming, refusal: Refusal) -> Dispatch {
        let code = refusal.code();
        if incoming.refuse_within_budget(refusal) { Dispatch::Refused(code) } else { Dispatch::Ignored }
    }
}

type OpenCounts = Arc<Mutex<HashMap<Arc<str>, usize>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place in a type's limit, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    counts: OpenCounts,
    channel_type: Arc<str>,
}

impl Permit {
    fn take(counts: &OpenCounts, channel_type: &Arc<str>, max: usize) -> Option<Self> {
        let mut open = lock(counts);
        let count = open.entry(Arc::clone(channel_type)).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Self { counts: Arc::clone(counts), channel_type: Arc::clone(channel_type) })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(count) = lock(&self.counts).get_mut(&self.channel_type) {
            *count = count.saturating_sub(1);
        }
    }
}

/// A token bucket for the refusals of one link. Handlers take from it without a clock: it is refilled when a channel
/// comes in, and there is no refusal without that.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefusalBudget(Arc<Mutex<Tokens>>);

#[derive(Debug)]
struct Tokens {
    left: u32,
    refilled_at: Option<Instant>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { left: REFUSALS_PER_SECOND, refilled_at: None }
    }
}

impl RefusalBudget {
    /// Takes one, if one is left.
    pub(crate) fn take(&self) -> bool {
        let mut tokens = lock(&self.0);
        let taken = tokens.left.checked_sub(1);
        tokens.left = taken.unwrap_or(0);
        taken.is_some()
    }

    fn refill(&self, now: Instant) {
        let mut tokens = lock(&self.0);
        let refilled_at = *tokens.refilled_at.get_or_insert(now);
        let new = now.saturating_duration_since(refilled_at).as_nanos() / REFUSAL_INTERVAL.as_nanos();
        let new = u32::try_from(new).unwrap_or(u32::MAX);
        if new >= REFUSALS_PER_SECOND {
            *tokens = Tokens { left: REFUSALS_PER_SECOND, refilled_at: Some(now) };
        } else {
            tokens.left = (tokens.left + new).min(REFUSALS_PER_SECOND);
            // The rest of an interval is kept for the next time.
            tokens.refilled_at = Some(refilled_at + REFUSAL_INTERVAL * new);
        }
    }
}

/// One handler's work on one channel, to be spawned as a task of its own. A panic ends it quietly, with a log line.
#[must_use = "it does nothing unless it is spawned"]
pub struct HandlerTask {
    channel_type: Arc<str>,
    peer: Hashname,
    state: TaskState,
}

enum TaskState {
    /// The handler is called by the first poll, so that whatever it does at once happens in the task too.
    Start(Arc<dyn Handler>, Incoming),
    Running(BoxFuture<'static, ()>),
    Done,
}

impl Future for HandlerTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Left at `Done` while the handler runs: nothing of a panicked handler is ever polled again, so that looking at
        // broken state is impossible, which is what `AssertUnwindSafe` says.
        let state = std::mem::replace(&mut self.state, TaskState::Done);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut running = match state {
                TaskState::Start(handler, incoming) => handler.handle(incoming),
                TaskState::Running(running) => running,
                TaskState::Done => return None,
            };
            match running.as_mut().poll(cx) {
                Poll::Ready(()) => None,
                Poll::Pending => Some(running),
            }
        }));
        match result {
            Ok(Some(running)) => {
                self.state = TaskState::Running(running);
                Poll::Pending
            }
            Ok(None) => Poll::Ready(()),
            Err(_) => {
                tracing::error!(channel_type = &*self.channel_type, peer = ?self.peer, "a channel's handler panicked");
                Poll::Ready(())
            }
        }
    }
}

impl fmt::Debug for HandlerTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HandlerTask")
            .field("type", &self.channel_type)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Open channels of one type on one link unless the handler says otherwise: far more than people need, and what they may
/// hold unread stays bounded by the link's window.
pub const MAX_OPEN_PER_TYPE: usize = 1024;

/// Refusals that one link's peer is answered per second, and at once after a pause. A peer that keeps trying more than
/// this is broken or hostile; answering it would only use the link.
pub const REFUSALS_PER_SECOND: u32 = 100;

/// The time in which one refusal comes back.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(1000 / REFUSALS_PER_SECOND as u64);

#[cfg(test)]
mod tests;
