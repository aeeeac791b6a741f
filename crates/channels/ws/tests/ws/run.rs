//! Runs a scenario between two endpoints in memory, so that one that gets stuck fails instead of blocking the run.

use std::future::Future;
use std::time::Duration;

use telemesh_channel::Opener as _;
use telemesh_channel::memory::{self, MemoryPair};
use telemesh_thtp::SERVE;

/// Runs `scenario` to its end on one thread and with a paused clock, with two endpoints of which the right one serves the left
/// one.
pub(crate) fn run<F: Future>(scenario: impl FnOnce(MemoryPair) -> F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let pair = memory::pair();
        pair.right.grant(pair.to_left.peer(), SERVE);
        let scenario = scenario(pair);
        tokio::time::timeout(Duration::from_secs(600), scenario).await.expect("every task waits for ever")
    })
}
