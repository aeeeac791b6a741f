//! What both threads of a transfer report to: its outcome so far, and the messages to the sender.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::progress::Progress;
use crate::report::{Problem, Problems, Reason, Renamed, Report};
use crate::wire::FromReceiver;

/// Nobody carries messages to the sender any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unheard;

#[derive(Debug)]
pub(super) struct Collect {
    report: Mutex<(Report, Problems)>,
    messages: mpsc::Sender<Vec<u8>>,
    pub(super) progress: Progress,
}

impl Collect {
    pub(super) fn new(messages: mpsc::Sender<Vec<u8>>, progress: Progress) -> Self {
        Self { report: Mutex::default(), messages, progress }
    }

    /// Sends messages to the sender; waits while it does not read.
    pub(super) fn say(&self, messages: Vec<u8>) -> Result<(), Unheard> {
        self.messages.blocking_send(messages).map_err(|_| Unheard)
    }

    pub(super) fn say_one(&self, message: &FromReceiver<'_>) -> Result<(), Unheard> {
        let mut out = Vec::new();
        message.encode(&mut out);
        self.say(out)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.lock().0);
    }

    pub(super) fn renamed(&self, path: String, name: String) {
        let renamed = Renamed { path, name };
        self.progress.renamed(&renamed);
        self.lock().0.add_renamed(renamed);
    }

    /// An entry is not there, and why.
    pub(super) fn problem(&self, index: u64, path: String, reason: Reason) {
        let problem = Problem { path, reason };
        self.progress.problem(&problem);
        self.lock().1.add(index, problem);
    }

    /// What it came to; asked once, at the end.
    pub(super) fn report(&self) -> Report {
        let mut collected = self.lock();
        let (report, problems) = &mut *collected;
        problems.report_to(report);
        std::mem::take(report)
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, (Report, Problems)> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
