//! Runs a scenario between two endpoints in memory, so that one that gets stuck fails instead of blocking the run.

use std::future::Future;
use std::time::Duration;

use telemesh_channel::memory::{self, MemoryPair};
use telemesh_thtp::SERVE;

/// Runs `scenario` to its end on one thread, with two endpoints of which the right one serves the left one.
///
/// The clock is Tokio's paused one: it moves only when every task waits, and then jumps to the next deadline, so a scenario
/// in which everybody waits for ever fails at once.
pub(crate) fn run<F: Future>(scenario: impl FnOnce(MemoryPair) -> F) -> F::Output {
    run_in(tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true), scenario)
}

/// The same with the real clock, for scenarios with sockets and files, of which a paused clock knows nothing.
pub(crate) fn run_on_the_clock<F: Future>(scenario: impl FnOnce(MemoryPair) -> F) -> F::Output {
    run_in(tokio::runtime::Builder::new_current_thread().enable_all(), scenario)
}

fn run_in<F: Future>(
    runtime: &mut tokio::runtime::Builder,
    scenario: impl FnOnce(MemoryPair) -> F,
) -> F::Output {
    runtime.build().unwrap().block_on(async {
        let pair = memory::pair();
        pair.right.grant(pair.to_left_peer(), SERVE);
        let scenario = scenario(pair);
        tokio::time::timeout(Duration::from_secs(600), scenario).await.expect("every task waits for ever")
    })
}

/// Who the left endpoint is.
pub(crate) trait Left {
    fn to_left_peer(&self) -> telemesh_hashname::Hashname;
}

impl Left for MemoryPair {
    fn to_left_peer(&self) -> telemesh_hashname::Hashname {
        telemesh_channel::Opener::peer(&*self.to_left)
    }
}

/// Nothing that was asked for is still being done.
pub(crate) async fn all_closed(pair: &MemoryPair) {
    // Time passes only when nobody can go on.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(pair.to_right.open_channels(telemesh_thtp::THTP), 0);
}
