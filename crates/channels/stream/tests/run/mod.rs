//! Runs a scenario so that one that gets stuck fails instead of blocking the run.

use std::future::Future;
use std::time::Duration;

/// Runs `scenario` to its end on one thread.
///
/// The clock is Tokio's paused one: it moves only when every task waits, and then jumps to the next deadline. Nothing else
/// here uses the clock, so a scenario in which everybody waits for ever fails at once, whatever the deadline.
pub(crate) fn run<F: Future>(scenario: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), scenario).await.expect("every task waits for ever")
    })
}
