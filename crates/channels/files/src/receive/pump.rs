//! Between the channel and the threads of a transfer that is received: large pieces in, messages out, and how it ended.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use telemesh_channel::{Channel, ReadHalf, WriteHalf};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

use super::collect::Collect;
use super::placer::Placer;
use super::state::State;
use super::target::Target;
use super::writer::{Fault, Writer};
use crate::error::ReceiveError;
use crate::limits::{PIECE, PIECES_WAITING};
use crate::progress::Progress;
use crate::report::{FailureCode, Report};
use crate::wire::{FromReceiver, Hello};

/// Messages to the sender that wait to be sent; each is small or up to a message's limit.
const MESSAGES_WAITING: usize = 16;

/// Less than this is the end of something and handed over at once, in bytes: a few packets.
const A_LOT: usize = 16 * 1024;

/// How long a piece that is not full waits for more.
const FOR_MORE: Duration = Duration::from_millis(1);

/// Bytes of the stream, in a buffer that goes back and forth.
struct Piece {
    buffer: Vec<u8>,
    filled: usize,
}

/// Receives a transfer over an accepted channel.
pub(super) async fn run(
    channel: Channel,
    target: &Target,
    hello: Hello,
    state: State,
    progress: &Progress,
) -> Result<Report, ReceiveError> {
    let (read, mut write) = channel.into_split();
    let (pieces, arriving) = mpsc::channel(PIECES_WAITING);
    let (spent, reusable) = std_mpsc::channel();
    let (messages, to_send) = mpsc::channel(MESSAGES_WAITING);
    let collect = Arc::new(Collect::new(messages, progress.clone()));
    let target = target.clone();
    let worker = tokio::task::spawn_blocking(move || work(&target, hello, state, collect, arriving, &spent));
    let channel_error = Mutex::new(None);
    let outcome = {
        let mut reading = pin!(read_pieces(read, pieces, reusable, &channel_error));
        let mut writing = pin!(write_messages(&mut write, to_send, &channel_error));
        let mut worker = pin!(worker);
        let (mut read_done, mut write_done) = (false, false);
        let mut outcome = None;
        poll_fn(|cx| {
            read_done = read_done || reading.as_mut().poll(cx).is_ready();
            if outcome.is_none()
                && let Poll::Ready(ended) = worker.as_mut().poll(cx)
            {
                outcome = Some(ended);
            }
            // After the worker, since its last words are to be sent.
            write_done = write_done || writing.as_mut().poll(cx).is_ready();
            if outcome.is_some() && write_done { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        outcome
    };
    // Its last words are said; a sender that is gone does not hear them.
    let _ = write.finish().await;
    let lost = channel_error.into_inner().unwrap_or_else(PoisonError::into_inner);
    match outcome {
        Some(Ok(Ok(report))) => Ok(report),
        Some(Ok(Err(Fault::Protocol(what)))) => Err(ReceiveError::Protocol(what)),
        Some(Ok(Err(Fault::Io(error)))) => Err(ReceiveError::Local(error)),
        Some(Ok(Err(Fault::Ended))) | None => Err(match lost {
            Some(error) => ReceiveError::Channel(error),
            None => ReceiveError::Protocol("it ended before the transfer did"),
        }),
        Some(Err(error)) => Err(ReceiveError::Local(io::Error::other(error))),
    }
}

/// Reads as much as there is into each piece: the writer hashes and writes large ones best.
async fn read_pieces(
    mut read: ReadHalf,
    pieces: mpsc::Sender<Piece>,
    reusable: std_mpsc::Receiver<Vec<u8>>,
    lost: &Mutex<Option<io::Error>>,
) {
    loop {
        // Filled once with zeros and used again, so that reading never has to clear it.
        let mut buffer = reusable.try_recv().unwrap_or_else(|_| vec![0; PIECE]);
        match fill(&mut read, &mut buffer).await {
            Ok(0) => return,
            Ok(filled) => {
                if pieces.send(Piece { buffer, filled }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
        }
    }
}

/// Waits for at least a byte and takes all that is there, up to the buffer's size; 0 is the end. While a lot arrives it waits
/// a moment for more: handing over costs the same for a few packets as for many.
async fn fill(read: &mut ReadHalf, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    let mut pause = pin!(None::<Sleep>);
    poll_fn(|cx| {
        loop {
            let Some(space) = buffer.get_mut(filled..).filter(|space| !space.is_empty()) else {
                return Poll::Ready(Ok(filled));
            };
            let mut space = ReadBuf::new(space);
            match Pin::new(&mut *read).poll_read(cx, &mut space) {
                Poll::Ready(Ok(())) if space.filled().is_empty() => return Poll::Ready(Ok(filled)),
                Poll::Ready(Ok(())) => filled += space.filled().len(),
                // An error after some bytes comes again with the next read.
                Poll::Ready(Err(_)) if filled > 0 => return Poll::Ready(Ok(filled)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if filled == 0 => return Poll::Pending,
                Poll::Pending if filled < A_LOT => return Poll::Ready(Ok(filled)),
                Poll::Pending => {
                    if pause.is_none() {
                        pause.set(Some(sleep(FOR_MORE)));
                    }
                    let Some(pause) = pause.as_mut().as_pin_mut() else { return Poll::Pending };
                    return pause.poll(cx).map(|()| Ok(filled));
                }
            }
        }
    })
    .await
}

async fn write_messages(
    write: &mut WriteHalf,
    mut to_send: mpsc::Receiver<Vec<u8>>,
    lost: &Mutex<Option<io::Error>>,
) {
    while let Some(message) = to_send.recv().await {
        if let Err(error) = write.write_chunk(message.into()).await {
            lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            return;
        }
    }
}

/// The threads' side: this one writes, one more puts in place.
fn work(
    target: &Target,
    hello: Hello,
    state: State,
    collect: Arc<Collect>,
    mut arriving: mpsc::Receiver<Piece>,
    spent: &std_mpsc::Sender<Vec<u8>>,
) -> Result<Report, Fault> {
    let (jobs, taken) = std_mpsc::sync_channel(1);
    let placer = Placer::new(target, &state, Arc::clone(&collect))?;
    let placer =
        thread::Builder::new().name("telemesh-files".to_owned()).spawn(move || placer.run(&taken))?;
    let mut writer = Writer::new(target, hello, state, jobs, Arc::clone(&collect));
    let written = loop {
        let Some(piece) = arriving.blocking_recv() else { break Err(Fault::Ended) };
        let taken = writer.take_in(piece.buffer.get(..piece.filled).unwrap_or_default());
        // Nobody needs it any more when the reader is gone.
        let _ = spent.send(piece.buffer);
        match taken {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(fault) => break Err(fault),
        }
    };
    let state = match written {
        Ok(()) => Ok(writer.into_state()),
        Err(fault) => {
            writer.give_up();
            Err(fault)
        }
    };
    let placed = placer.join().unwrap_or(Err(Fault::Io(io::Error::other("the placing thread panicked"))));
    let result = match (state, placed) {
        (Ok(state), Ok(true)) => {
            if let Err(error) = state.remove() {
                // All is in place, so this is none of the transfer's failures.
                tracing::warn!(%error, "what is left of a transfer could not be removed");
            }
            Ok(())
        }
        // The placer's fault is the cause when the writer only noticed that it was gone.
        (Ok(_) | Err(Fault::Ended), Err(fault)) => Err(fault),
        (Err(fault), _) => Err(fault),
        (Ok(_), Ok(false)) => Err(Fault::Ended),
    };
    let last_words = match &result {
        Ok(()) => FromReceiver::Done,
        Err(Fault::Protocol(_)) => FromReceiver::Failed(FailureCode::Protocol),
        Err(Fault::Io(error)) => FromReceiver::Failed(FailureCode::of(error)),
        Err(Fault::Ended) => return Err(Fault::Ended),
    };
    let _ = collect.say_one(&last_words);
    result.map(|()| {
        let transferred = collect.progress.now().bytes_transferred;
        Report { bytes_transferred: transferred, ..collect.report() }
    })
}
