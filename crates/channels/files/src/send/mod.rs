//! Sending: [`send`] moves bytes between the channel and a [`worker`] thread, which reads the files and knows what to say.

mod answers;
mod outbox;
mod source;
mod worker;

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use telemesh_channel::{ChannelError, Opener, ReadHalf, WriteHalf};
use telemesh_wire::Open;
use tokio::sync::mpsc;

use self::answers::{Answers, Ending};
use self::worker::{Stopped, Worker};
use crate::error::SendError;
use crate::limits::PIECES_WAITING;
use crate::offer::Offer;
use crate::progress::Progress;
use crate::report::Report;
use crate::wire::Parser;
use crate::{BULK_PRIORITY, FILES};

/// Sends an offer to the peer. It resolves when the receiver has everything on its disk, or has said for each entry why
/// not; see [`Report::is_complete`].
///
/// Dropping the future stops the transfer. After that, and after an error, sending the same offer again (or one made anew
/// from the same, unchanged files) sends only what the receiver does not have.
///
/// # Errors
/// [`SendError`].
pub async fn send<O: Opener + ?Sized>(
    opener: &O,
    offer: &Offer,
    progress: &Progress,
) -> Result<Report, SendError> {
    let hello = offer.hello();
    progress.set_totals(hello.entries, hello.files, hello.bytes);
    let mut channel = opener.open(Open::reliable(FILES).with_body(hello.encode())).await?;
    channel.set_priority(BULK_PRIORITY);
    channel.accepted().await.map_err(|error| match error {
        telemesh_channel::OpenError::Refused(refusal) => SendError::Refused(refusal),
        error => SendError::Open(error),
    })?;
    let (read, mut write) = channel.into_split();
    let answers = Arc::new(Answers::new(hello.entries));
    // Also when this future is dropped: the thread must not wait for answers that nobody reads any more.
    let _stop = StopOnDrop(Arc::clone(&answers));
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
    let worker = Worker::new(Arc::clone(offer.list()), pieces, Arc::clone(&answers), progress.clone());
    let worker = tokio::task::spawn_blocking(move || worker.run());
    let stopped = carry(read, &mut write, waiting, &answers, worker).await;
    match stopped {
        Ok(mut report) => {
            // The receiver has said that it is done, so a failure of the end is none of the transfer.
            let _ = write.finish().await;
            report.add_left_out(offer.left_out(), offer.left_out_count());
            Ok(report)
        }
        Err(error) => {
            tracing::debug!(%error, peer = %opener.peer(), "transfer not sent");
            Err(error)
        }
    }
}

/// Carries bytes both ways until the worker ends, and finds out why it ended.
async fn carry(
    read: ReadHalf,
    write: &mut WriteHalf,
    waiting: mpsc::Receiver<Bytes>,
    answers: &Answers,
    worker: tokio::task::JoinHandle<Result<Report, Stopped>>,
) -> Result<Report, SendError> {
    let mut reading = pin!(read_answers(read, answers));
    let mut writing = pin!(write_pieces(write, waiting, answers));
    let mut worker = pin!(worker);
    let (mut read_done, mut write_done) = (false, false);
    let mut result = None;
    poll_fn(|cx| {
        read_done = read_done || reading.as_mut().poll(cx).is_ready();
        write_done = write_done || writing.as_mut().poll(cx).is_ready();
        if result.is_none()
            && let Poll::Ready(joined) = worker.as_mut().poll(cx)
        {
            result = Some(joined);
        }
        // When the receiver only stopped reading, its last message says why, so that one is waited for.
        let waits_for_reason = answers.awaits_reason() && !read_done;
        if result.is_some() && !waits_for_reason { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    match result {
        Some(Ok(Ok(report))) => Ok(report),
        Some(Ok(Err(Stopped::Here(error)))) => Err(SendError::Local(error)),
        Some(Ok(Err(Stopped::Protocol(what)))) => Err(SendError::Protocol(what)),
        Some(Err(error)) => Err(SendError::Local(std::io::Error::other(error))),
        Some(Ok(Err(Stopped::Ended))) | None => Err(answers.take_error()),
    }
}

/// Reads what the receiver says until it has said the last.
async fn read_answers(mut read: ReadHalf, answers: &Answers) {
    let mut parser = Parser::default();
    let ending = loop {
        match read.read_chunk().await {
            Ok(Some(chunk)) => {
                if let Err(ending) = answers.take_in(&mut parser, &chunk) {
                    break ending;
                }
            }
            Ok(None) => break Ending::Protocol("it ended before the transfer did"),
            Err(error) => break Ending::Channel(error),
        }
    };
    answers.end(ending);
}

/// Writes what the worker reads. Ends with the worker.
async fn write_pieces(write: &mut WriteHalf, mut waiting: mpsc::Receiver<Bytes>, answers: &Answers) {
    while let Some(piece) = waiting.recv().await {
        if let Err(error) = write.write_chunk(piece).await {
            let stopped = matches!(ChannelError::of(&error), Some(ChannelError::Stopped(_)));
            answers.end(if stopped { Ending::StoppedReading(error) } else { Ending::Channel(error) });
            return;
        }
    }
}

struct StopOnDrop(Arc<Answers>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.end(Ending::Cancelled);
    }
}
