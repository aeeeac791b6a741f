//! What became of the pipes whose connections carry bytes and cannot say it themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::failure::Failure;

/// Pipes that have ended and whose end nobody has asked for yet. The oldest are forgotten.
const REMEMBERED: usize = 256;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    pipes: BTreeMap<u64, watch::Receiver<Outcome>>,
}

/// `None` while it goes on, then the result with the failure in words.
type Outcome = Option<Result<(), Arc<Failure>>>;

/// A pipe that carries bytes. Dropped without a result it was cancelled.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// By which its end is asked for.
    pub(crate) number: u64,
    outcome: watch::Sender<Outcome>,
}

impl Pipes {
    /// A new pipe.
    pub(crate) fn begin(&self) -> Pipe {
        let (outcome, receiver) = watch::channel(None);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = |pipe: &watch::Receiver<Outcome>| pipe.has_changed().is_err() || pipe.borrow().is_some();
        let mut surplus =
            table.pipes.values().filter(|pipe| ended(pipe)).count().saturating_sub(REMEMBERED - 1);
        table.pipes.retain(|_, pipe| {
            let forget = surplus > 0 && ended(pipe);
            surplus -= usize::from(forget);
            !forget
        });
        table.last += 1;
        let number = table.last;
        table.pipes.insert(number, receiver);
        Pipe { number, outcome }
    }

    /// Waits for the end of a pipe. It can be asked for once.
    ///
    /// # Errors
    /// Why the pipe failed, or that there is no such pipe.
    pub(crate) async fn end(&self, number: u64) -> Result<(), Failure> {
        let pipe = self.table.lock().unwrap_or_else(PoisonError::into_inner).pipes.remove(&number);
        let Some(mut pipe) = pipe else {
            return Err(Failure::Usage(format!("there is no pipe {number}")));
        };
        let cancelled = || Failure::Failed("the pipe was cancelled".into());
        let outcome = pipe.wait_for(Option::is_some).await.map_err(|_| cancelled())?.clone();
        match outcome {
            Some(Err(failure)) => Err(Failure::from(failure.object())),
            _ => Ok(()),
        }
    }
}

impl Pipe {
    /// It has ended.
    pub(crate) fn ended(self, result: &Result<(), Failure>) {
        let result = match result {
            Ok(()) => Ok(()),
            Err(failure) => Err(Arc::new(Failure::from(failure.object()))),
        };
        self.outcome.send_replace(Some(result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_pipe_is_told_once() {
        let pipes = Pipes::default();
        let (good, bad, cancelled) = (pipes.begin(), pipes.begin(), pipes.begin());
        let numbers = [good.number, bad.number, cancelled.number];
        good.ended(&Ok(()));
        bad.ended(&Err(Failure::Refused("no".into())));
        drop(cancelled);
        assert!(pipes.end(numbers[0]).await.is_ok());
        assert_eq!(pipes.end(numbers[1]).await.unwrap_err().to_string(), "no");
        assert!(pipes.end(numbers[2]).await.is_err());
        assert!(pipes.end(numbers[0]).await.unwrap_err().to_string().contains("no pipe"));
    }

    #[tokio::test]
    async fn of_many_that_nobody_asks_for_the_oldest_are_forgotten_and_none_that_goes_on() {
        let pipes = Pipes::default();
        let going_on = pipes.begin();
        let first = pipes.begin();
        let forgotten = first.number;
        first.ended(&Ok(()));
        for _ in 0..REMEMBERED {
            pipes.begin().ended(&Ok(()));
        }
        assert!(pipes.end(forgotten).await.is_err());
        assert_eq!(pipes.table.lock().unwrap().pipes.len(), REMEMBERED + 1);
        let number = going_on.number;
        going_on.ended(&Ok(()));
        assert!(pipes.end(number).await.is_ok());
    }
}
