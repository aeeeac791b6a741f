//! What both threads of a transfer report to: its outcome so far, and the messages to the sender.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::limits::MAX_PROBLEMS;
use crate::progress::Progress;
use crate::report::{Problem, Reason, Renamed, Report};
use crate::wire::FromReceiver;

/// Nobody carries messages to the sender any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unheard;

#[derive(Debug)]
pub(super) struct Collect {
    report: Mutex<Numbered>,
    messages: mpsc::Sender<Vec<u8>>,
    pub(super) progress: Progress,
}

/// A report whose problems still have their numbers, since the threads meet them in different order.
#[derive(Debug, Default)]
struct Numbered {
    report: Report,
    problems: Vec<(u64, Problem)>,
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
        change(&mut self.lock().report);
    }

    pub(super) fn renamed(&self, path: String, name: String) {
        let renamed = Renamed { path, name };
        self.progress.renamed(&renamed);
        self.lock().report.add_renamed(renamed);
    }

    /// An entry is not there, and why.
    pub(super) fn problem(&self, index: u64, path: String, reason: Reason) {
        let problem = Problem { path, reason };
        self.progress.problem(&problem);
        let mut numbered = self.lock();
        numbered.report.problem_count += 1;
        if numbered.problems.len() < MAX_PROBLEMS {
            numbered.problems.push((index, problem));
        }
    }

    /// What it came to so far.
    pub(super) fn report(&self) -> Report {
        let mut numbered = self.lock();
        numbered.problems.sort_by_key(|(index, _)| *index);
        let problems = numbered.problems.iter().map(|(_, problem)| problem.clone()).collect();
        Report { problems, ..numbered.report.clone() }
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Numbered> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
