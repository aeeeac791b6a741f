//! Callbacks: a function that is called for each event, for whoever prefers that to a loop over a stream.

use std::future::Future;

use futures_core::Stream;
use tokio::task::JoinHandle;

/// Calls a function for each item of a stream: link events, discovered endpoints, incoming streams, messages.
///
/// # Examples
/// ```
/// use telemesh_channel::{ForEachSpawned as _, LinkEventSource};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let source = LinkEventSource::new();
/// let task = source.subscribe().for_each_spawned(|event| async move { println!("{event:?}") });
/// drop(source); // the stream ends, and the task with it
/// task.await?;
/// # Ok(())
/// # }
/// ```
pub trait ForEachSpawned: Stream + Send + 'static {
    /// Spawns a task that calls `call` for each item, in order, and waits for what it returns before it takes the next one.
    /// Who wants them side by side spawns a task in `call`.
    ///
    /// The task ends with the stream, or when it is aborted; dropping its handle changes nothing. A panic in `call` ends this
    /// task and nothing else.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    fn for_each_spawned<C, F>(self, mut call: C) -> JoinHandle<()>
    where
        Self: Sized,
        Self::Item: Send,
        C: FnMut(Self::Item) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(async move {
            let mut stream = Box::pin(self);
            while let Some(item) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
                call(item).await;
            }
        })
    }
}

impl<S: Stream + Send + 'static> ForEachSpawned for S {}
