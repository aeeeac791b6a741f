//! One connection: a request, its events, and how it ended.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::wire::{LineError, Seen, Wire};
use super::{MAX_REQUEST, REQUEST_TIME, WRITE_TIME};
use crate::actions;
use crate::endpoint::Endpoint;
use crate::event::{Event, Happened, to_line};
use crate::failure::Failure;
use crate::request::Request;
use crate::session::{Data, Events, Session};

/// Serves a connection to its end.
pub(super) async fn serve(endpoint: &Endpoint, wire: Arc<Wire>) {
    let request = match tokio::time::timeout(REQUEST_TIME, read(&wire)).await {
        Ok(Ok(Some(request))) => request,
        // Nobody asks for anything.
        Ok(Ok(None)) => return,
        Ok(Err(failure)) => return say_last(&wire, &failure),
        Err(_) => {
            let seconds = REQUEST_TIME.as_secs();
            let failure = Failure::Usage(format!("no complete request within {seconds} seconds"));
            return say_last(&wire, &failure);
        }
    };
    let Some(running) = endpoint.running() else { return };
    let _counted = running.count_command();
    let stops = matches!(request, Request::Stop {});
    let carries_data = request.is_data();
    let (session, events) = Session::new(Data::Wire(wire.clone()));
    let command = async {
        let result = actions::carry_out(endpoint, &session, request).await;
        drop(session);
        Ok(result)
    };
    let result = tokio::select! {
        // Its result is wanted, although it is the reason why all others end.
        biased;
        result = async { tokio::try_join!(command, write(&wire, events)) } => {
            result.and_then(|(result, ())| result)
        }
        () = running.stopping(), if !stops => Err(Failure::Failed("the endpoint was stopped".into())),
        failure = watch(&wire, carries_data) => Err(failure),
    };
    if wire.carries_bytes() {
        // The connection carries bytes; how that went is told to who asks for the result.
        return;
    }
    match result {
        Ok(()) => {
            let _ = write_line(&wire, &Event::Happened(Happened::Done)).await;
        }
        Err(failure) => say_last(&wire, &failure),
    }
}

async fn read(wire: &Wire) -> Result<Option<Request>, Failure> {
    match wire.read_line(MAX_REQUEST).await {
        Ok(Some(line)) => Request::from_line(&line).map(Some),
        Ok(None) => Ok(None),
        Err(error @ (LineError::TooLong(_) | LineError::Unfinished)) => {
            Err(Failure::Usage(format!("not a request: {error}")))
        }
        Err(LineError::Io(_)) => Ok(None),
    }
}

/// Writes what the command says, until it says nothing more.
async fn write(wire: &Wire, mut events: Events) -> Result<(), Failure> {
    while let Some(item) = events.recv().await {
        write_line(wire, &item.event).await?;
        if let Some(written) = item.written {
            if matches!(item.event, Event::Happened(Happened::Open { .. })) {
                wire.carry_bytes();
            }
            // The command may be over already.
            let _ = written.send(());
        }
    }
    Ok(())
}

async fn write_line(wire: &Wire, event: &Event) -> Result<(), Failure> {
    let mut line = Zeroizing::new(to_line(event)?);
    line.push('\n');
    // A client that does not read holds up its own command, and that not for ever.
    match tokio::time::timeout(WRITE_TIME, wire.write_all(line.as_bytes())).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Failure::OutputClosed),
    }
}

/// Resolves when nobody is there any more, or says what makes no sense.
async fn watch(wire: &Wire, may_talk: bool) -> Failure {
    match wire.watch(may_talk).await {
        Seen::Gone => Failure::OutputClosed,
        Seen::Talking => Failure::Usage("a connection is for one request".into()),
    }
}

/// The last line before the connection closes: the client may not read it, and nobody waits for that.
pub(super) fn say_last(wire: &Wire, failure: &Failure) {
    if let Ok(mut line) = to_line(&failure.object()) {
        line.push('\n');
        wire.write_now(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;
    use crate::console::Console;

    /// With paused time everything that waits for a clock waits only until nothing else can go on.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_cancels_its_command_and_no_other_waits() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let wire = Wire::new(ours);
        let (session, events) = Session::new(Data::Stdio(Console::nobody()));
        let started = tokio::time::Instant::now();
        let command = async {
            // More than any socket holds.
            for _ in 0..1_000_000 {
                session.happened(Happened::Closed { delivered: true }).await?;
            }
            Ok(())
        };
        let result: Result<((), ()), Failure> = tokio::try_join!(command, write(&wire, events));
        assert!(matches!(result, Err(Failure::OutputClosed)));
        assert!(started.elapsed() >= WRITE_TIME && started.elapsed() < 2 * WRITE_TIME);
        drop(theirs);
    }
}
