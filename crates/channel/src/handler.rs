//! Who answers the channels of one type.

use std::any::Any;
use std::future::Future;

use futures_core::future::BoxFuture;

use crate::dispatch::MAX_OPEN_PER_TYPE;
use crate::incoming::Incoming;

/// Answers the channels of one type, whoever opens them. Any `Fn(Incoming) -> impl Future` is one.
///
/// Each call runs in a task of its own (see the crate's docs), so it may take as long as the channel lives, and both a
/// panic and a stall stay with that channel.
pub trait Handler: Any + Send + Sync {
    /// Decides on one channel and, if it accepts, usually serves it to its end.
    fn handle(&self, incoming: Incoming) -> BoxFuture<'static, ()>;

    /// How many channels of this type one link may have open at once; the next is refused as busy.
    fn max_open(&self) -> usize {
        MAX_OPEN_PER_TYPE
    }

    /// Whether this handler will never accept again, because nobody listens behind it. Its channels are then refused as
    /// if the type were unknown, and another handler may take its place.
    fn is_retired(&self) -> bool {
        false
    }
}

impl<F, Task> Handler for F
where
    F: Fn(Incoming) -> Task + Send + Sync + 'static,
    Task: Future<Output = ()> + Send + 'static,
{
    fn handle(&self, incoming: Incoming) -> BoxFuture<'static, ()> {
        Box::pin(self(incoming))
    }
}

/// The same handler with another [`Handler::max_open`].
pub fn limited<H: Handler>(max_open: usize, handler: H) -> Limited<H> {
    Limited { max_open, handler }
}

/// See [`limited`].
#[derive(Debug)]
pub struct Limited<H> {
    max_open: usize,
    handler: H,
}

impl<H: Handler> Handler for Limited<H> {
    fn handle(&self, incoming: Incoming) -> BoxFuture<'static, ()> {
        self.handler.handle(incoming)
    }

    fn max_open(&self) -> usize {
        self.max_open
    }

    fn is_retired(&self) -> bool {
        self.handler.is_retired()
    }
}
