//! The pipes whose connections carry bytes and can say nothing else: what became of them, and whether all was sent.
//!
//! When a connection's client ends its writing, that is seen as apart from its death only for as long as this end has not
//! ended its own writing: after that the system shows both in the same way. Whoever waits for the result of the pipe on another
//! connection is then expected to say there that all was sent.

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
    pipes: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    outcome: watch::Receiver<Outcome>,
    client: Arc<watch::Sender<Client>>,
    /// Somebody waits for its end, or has.
    asked: bool,
}

/// What is known of whoever is at the connection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// Nothing but the connection.
    #[default]
    Unknown,
    /// It waits for the result.
    Waits,
    /// It has sent everything.
    HasSent,
    /// It waits no more, and has not said that it has sent everything.
    Left,
}

/// Somebody who waits for the result.
#[derive(Debug)]
struct Waiting(Arc<watch::Sender<Client>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.send_if_modified(|client| {
            let left = *client == Client::Waits;
            if left {
                *client = Client::Left;
            }
            left
        });
    }
}

/// `None` while it goes on, then the result with the failure in words.
type Outcome = Option<Result<(), Arc<Failure>>>;

/// A pipe that carries bytes. Dropped without a result it was cancelled.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// By which its end is asked for.
    pub(crate) number: u64,
    outcome: watch::Sender<Outcome>,
    client: Arc<watch::Sender<Client>>,
}

impl Pipes {
    /// A new pipe.
    pub(crate) fn begin(&self) -> Pipe {
        let (outcome, receiver) = watch::channel(None);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = |pipe: &Entry| pipe.outcome.has_changed().is_err() || pipe.outcome.borrow().is_some();
        let mut surplus =
            table.pipes.values().filter(|pipe| ended(pipe)).count().saturating_sub(REMEMBERED - 1);
        table.pipes.retain(|_, pipe| {
            let forget = surplus > 0 && ended(pipe);
            surplus -= usize::from(forget);
            !forget
        });
        table.last += 1;
        let number = table.last;
        let client = Arc::new(watch::channel(Client::default()).0);
        table.pipes.insert(number, Entry { outcome: receiver, client: client.clone(), asked: false });
        Pipe { number, outcome, client }
    }

    /// Everything has been sent that goes into a pipe.
    ///
    /// # Errors
    /// There is no such pipe.
    pub(crate) fn sent(&self, number: u64) -> Result<(), Failure> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = table.pipes.get(&number).ok_or_else(|| unknown(number))?;
        pipe.client.send_replace(Client::HasSent);
        Ok(())
    }

    /// Waits for the end of a pipe. It can be asked for once.
    ///
    /// # Errors
    /// Why the pipe failed, or that there is no such pipe.
    pub(crate) async fn end(&self, number: u64) -> Result<(), Failure> {
        let (mut outcome, _waiting) = {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            let pipe =
                table.pipes.get_mut(&number).filter(|pipe| !pipe.asked).ok_or_else(|| unknown(number))?;
            pipe.asked = true;
            pipe.client.send_if_modified(|client| {
                let first = *client == Client::Unknown;
                if first {
                    *client = Client::Waits;
                }
                first
            });
            (pipe.outcome.clone(), Waiting(pipe.client.clone()))
        };
        let cancelled = || Failure::Failed("the pipe was cancelled".into());
        let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| cancelled())?.clone();
        match outcome {
            Some(Err(failure)) => Err(Failure::from(failure.object())),
            _ => Ok(()),
        }
    }
}

fn unknown(number: u64) -> Failure {
    Failure::Usage(format!("there is no pipe {number}"))
}

impl Pipe {
    /// Whether all was sent, after the connection has come to an end that may be one or not.
    pub(crate) async fn has_all(&self) -> bool {
        let mut client = self.client.subscribe();
        // The sender is in `self`.
        client.wait_for(|client| *client != Client::Waits).await.is_ok_and(|client| *client != Client::Left)
    }

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
    async fn whoever_waits_for_the_result_has_sent_all_only_when_they_say_so() {
        let pipes = Pipes::default();
        let pipe = pipes.begin();
        assert!(pipe.has_all().await, "nobody waits");
        for says_so in [true, false] {
            let pipe = pipes.begin();
            let mut waiting = Box::pin(pipes.end(pipe.number));
            let mut has_all = Box::pin(pipe.has_all());
            tokio::select! {
                biased;
                _ = &mut waiting => panic!("it goes on"),
                _ = &mut has_all => panic!("nobody knows yet"),
                () = std::future::ready(()) => {}
            }
            if says_so {
                pipes.sent(pipe.number).unwrap();
            }
            drop(waiting);
            assert_eq!(has_all.await, says_so);
        }
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
        assert!(pipes.end(forgotten).await.is_err() && pipes.sent(forgotten).is_err());
        assert_eq!(pipes.table.lock().unwrap().pipes.len(), REMEMBERED + 1);
        let number = going_on.number;
        going_on.ended(&Ok(()));
        assert!(pipes.end(number).await.is_ok());
    }
}
