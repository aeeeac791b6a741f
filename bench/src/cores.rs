//! Two threads, each on a core of its own with a current-thread runtime: the only way in which measurements of
//! different libraries on two cores can be compared.

use std::{future::Future, thread};

use anyhow::{Context as _, Result, anyhow};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core that servers and receivers run on.
pub const SERVER_CORE: usize = 0;
/// The core that clients and senders run on.
pub const CLIENT_CORE: usize = 1;

/// Runs the future that `make` returns on a new thread, which is pinned to `core`, if one is named, and has its own runtime.
///
/// The future need not be `Send`, since it never leaves the thread. Whatever the library spawns is dropped with the
/// runtime when the future has completed.
///
/// # Errors
/// When the thread cannot be made or pinned; what the future itself returns comes out of [`Pinned::join`].
pub fn spawn<T, M, F>(name: &str, core: impl Into<Option<usize>>, make: M) -> Result<Pinned<T>>
where
    T: Send + 'static,
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output = Result<T>>,
{
    let core = core.into();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Some(core) = core {
            pin(core)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcome = runtime.block_on(make());
        // Some libraries leave a blocking look-up behind; it must not hold up the measurement's end.
        runtime.shutdown_background();
        outcome
    })?;
    Ok(Pinned { thread, name: name.to_owned() })
}

/// A thread started by [`spawn`].
#[derive(Debug)]
pub struct Pinned<T> {
    thread: thread::JoinHandle<Result<T>>,
    name: String,
}

impl<T> Pinned<T> {
    /// Waits for the thread's end.
    ///
    /// # Errors
    /// The future's own error, or that the thread panicked.
    pub fn join(self) -> Result<T> {
        let outcome = self.thread.join().map_err(|_| anyhow!("the {} thread panicked", self.name))?;
        outcome.with_context(|| format!("in the {} thread", self.name))
    }
}

/// Pins the calling thread to `core`, and reads back that it is.
///
/// # Errors
/// When the kernel does not allow it.
pub fn pin(core: usize) -> Result<()> {
    let mut wanted = CpuSet::new();
    wanted.set(core);
    sched_setaffinity(None, &wanted).with_context(|| format!("cannot pin a thread to core {core}"))?;
    let actual = sched_getaffinity(None)?;
    anyhow::ensure!(actual.count() == 1 && actual.is_set(core), "the thread is not on core {core} alone");
    Ok(())
}
