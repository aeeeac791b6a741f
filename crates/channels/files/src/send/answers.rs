//! What the receiver has said so far: filled by the task that reads the channel, waited for by the worker.
//!
//! Its memory is bounded by what was asked: each entry that was listed is decided once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use telemesh_channel::ChannelError;

use crate::error::SendError;
use crate::limits::MAX_PROBLEMS;
use crate::report::{FailureCode, Reason};
use crate::wire::{Decision, FromReceiver, Malformed, Parsed, Parser, decode_decisions};

/// Why no more answers come.
#[derive(Debug)]
pub(super) enum Ending {
    /// The receiver said that all is settled.
    Done,
    /// The receiver gave up.
    Failed(FailureCode),
    Protocol(&'static str),
    Channel(io::Error),
    /// The receiver reads no more; why may still come.
    StoppedReading(io::Error),
    /// The future was dropped.
    Cancelled,
}

/// What the worker learns when it waits for the end.
#[derive(Debug)]
pub(super) struct Settled {
    /// The first of the files that were sent but not kept.
    pub(super) refused: Vec<(u64, Reason)>,
    pub(super) refused_count: u64,
}

/// Why waiting is no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoMore;

#[derive(Debug)]
pub(super) struct Answers {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Entries of the whole transfer.
    total: u64,
    /// Entries that were listed; more cannot be decided.
    listed: u64,
    decided: u64,
    /// Each with the number of entries it is for.
    decisions: VecDeque<(Decision, u64)>,
    settled: u64,
    refused: Vec<(u64, Reason)>,
    refused_count: u64,
    /// The worker has said that all files were sent.
    all_sent: bool,
    ending: Option<Ending>,
}

impl Answers {
    pub(super) fn new(total: u64) -> Self {
        let state = State {
            total,
            listed: 0,
            decided: 0,
            decisions: VecDeque::new(),
            settled: 0,
            refused: Vec::new(),
            refused_count: 0,
            all_sent: false,
            ending: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Takes in a piece of the receiver's stream; an ending if it was the last.
    pub(super) fn take_in(&self, parser: &mut Parser, mut input: &[u8]) -> Result<(), Ending> {
        let mut state = self.lock();
        let result = loop {
            match parser.next(&mut input) {
                Ok(Some(Parsed::Message(kind, body))) => {
                    if let Err(ending) = state.message(kind, body) {
                        break Err(ending);
                    }
                }
                Ok(Some(Parsed::Data(_))) => break Err(Ending::Protocol("file data from the receiver")),
                Ok(None) => break Ok(()),
                Err(Malformed(what)) => break Err(Ending::Protocol(what)),
            }
        };
        drop(state);
        self.changed.notify_all();
        result
    }

    /// No more answers come. The first ending counts, unless it was a guess.
    pub(super) fn end(&self, ending: Ending) {
        let mut state = self.lock();
        if matches!(state.ending, None | Some(Ending::StoppedReading(_))) {
            state.ending = Some(ending);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Whether the receiver stopped reading and has not said why.
    pub(super) fn awaits_reason(&self) -> bool {
        matches!(self.lock().ending, Some(Ending::StoppedReading(_)))
    }

    /// The error of a transfer that was ended from outside the worker.
    pub(super) fn take_error(&self) -> SendError {
        match self.lock().ending.take() {
            Some(Ending::Failed(code)) => SendError::Receiver(code),
            Some(Ending::Protocol(what)) => SendError::Protocol(what),
            Some(Ending::Channel(error) | Ending::StoppedReading(error)) => SendError::of_channel(error),
            Some(Ending::Done | Ending::Cancelled) | None => {
                SendError::Channel(ChannelError::ClosedHere.into())
            }
        }
    }

    /// Entries were listed, and may be decided from now on.
    pub(super) fn listed(&self, entries: u64) {
        self.lock().listed = entries;
    }

    /// The next decision, if it is there.
    pub(super) fn try_decision(&self) -> Result<Option<Decision>, NoMore> {
        let mut state = self.lock();
        if state.is_over() { Err(NoMore) } else { Ok(state.next_decision()) }
    }

    /// Waits for the next decision.
    pub(super) fn decision(&self) -> Result<Decision, NoMore> {
        let mut state = self.lock();
        loop {
            if state.is_over() {
                return Err(NoMore);
            }
            if let Some(decision) = state.next_decision() {
                return Ok(decision);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Entries that are dealt with on the receiver's disk.
    pub(super) fn settled(&self) -> u64 {
        self.lock().settled
    }

    /// Whether going on is no use.
    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over()
    }

    /// The message that all was sent goes out now: from here on the receiver may be done.
    pub(super) fn all_sent(&self) {
        self.lock().all_sent = true;
    }

    /// Waits until the receiver is done; `progress` is told how many entries are settled.
    pub(super) fn done(&self, progress: impl Fn(u64)) -> Result<Settled, NoMore> {
        let mut state = self.lock();
        loop {
            progress(state.settled);
            match state.ending {
                Some(Ending::Done) => {
                    let (refused, refused_count) = (std::mem::take(&mut state.refused), state.refused_count);
                    return Ok(Settled { refused, refused_count });
                }
                Some(_) => return Err(NoMore),
                None => {}
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.ending.is_some()
    }

    fn next_decision(&mut self) -> Option<Decision> {
        let (decision, left) = self.decisions.front_mut()?;
        *left -= 1;
        if *left > 0 {
            return Some(decision.clone());
        }
        self.decisions.pop_front().map(|(decision, _)| decision)
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> Result<(), Ending> {
        match FromReceiver::decode(kind, body).map_err(|Malformed(what)| Ending::Protocol(what))? {
            FromReceiver::Decisions(body) => decode_decisions(body, |decision, count| {
                let room = self.listed.saturating_sub(self.decided);
                if count > room {
                    return Err(Malformed("a decision on an entry that was not listed"));
                }
                self.decided += count;
                self.decisions.push_back((decision, count));
                Ok(())
            })
            .map_err(|Malformed(what)| Ending::Protocol(what)),
            FromReceiver::Settled(count) => {
                if count < self.settled || count > self.decided {
                    return Err(Ending::Protocol("it settled what it has not decided"));
                }
                self.settled = count;
                Ok(())
            }
            FromReceiver::Refused { index, reason } => {
                if index >= self.decided || self.refused_count >= self.decided {
                    return Err(Ending::Protocol("it refused what was not sent"));
                }
                self.refused_count += 1;
                if self.refused.len() < MAX_PROBLEMS {
                    self.refused.push((index, reason));
                }
                Ok(())
            }
            FromReceiver::Failed(code) => Err(Ending::Failed(code)),
            FromReceiver::Done if self.all_sent && self.settled == self.total => Err(Ending::Done),
            FromReceiver::Done => Err(Ending::Protocol("it is done before all was sent and settled")),
        }
    }
}
