//! The tasks that move frames between the driver and channels.

use std::sync::Arc;

use bytes::Bytes;
use telemesh_channel::{Channel, MessageError, Messages, Open, OpenError, Opener, RefusalCode};
use telemesh_hashname::Hashname;
use tokio::sync::mpsc;

use crate::id::ChatId;
use crate::limits::MAX_FRAME;

/// Frames that may wait for a channel with room: one on its way, one to follow it.
const QUEUE: usize = 2;

/// One channel, of one chat with one peer; the number tells it from those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) chat: ChatId,
    pub(super) peer: Hashname,
    pub(super) number: u64,
}

/// What the tasks tell the driver.
#[derive(Debug)]
pub(super) enum Moved {
    /// Our channel is open and takes frames.
    Opened(Line, mpsc::Sender<Bytes>),
    /// It has room for another frame.
    Room(Line),
    /// It has ended; the flag says that the peer has refused it.
    Ended(Line, bool),
    /// A frame came over the peer's channel.
    Frame(Line, Bytes),
    /// A frame was announced that is larger than any may be.
    Oversized(Line),
    /// What became of the letters for somebody who is away.
    Mailed {
        chat: ChatId,
        to: Hashname,
        /// So many of our entries are in their mailbox, if there were any among them.
        entries: Option<u64>,
        all_kept: bool,
    },
}

/// Opens our channel to a peer and sends frames over it, until it ends.
pub(super) async fn write(link: Arc<dyn Opener>, open: Open, line: Line, driver: mpsc::Sender<Moved>) {
    let refused = match link.open(open).await {
        Ok(channel) => send(channel, line, &driver).await,
        Err(error) => is_refusal(&error),
    };
    // The driver may have ended.
    let _ = driver.send(Moved::Ended(line, refused)).await;
}

/// Whether it has ended because the peer has refused it.
async fn send(mut channel: Channel, line: Line, driver: &mpsc::Sender<Moved>) -> bool {
    if let Err(error) = channel.accepted().await {
        return is_refusal(&error);
    }
    let (frames, mut to_send) = mpsc::channel::<Bytes>(QUEUE);
    if driver.send(Moved::Opened(line, frames)).await.is_err() {
        return false;
    }
    let (mut read, write) = channel.into_split();
    let mut messages = Messages::new(write).with_max_size(MAX_FRAME);
    loop {
        tokio::select! {
            frame = to_send.recv() => {
                let Some(frame) = frame else { return false };
                if messages.send(frame).await.is_err() || driver.send(Moved::Room(line)).await.is_err() {
                    return false;
                }
            }
            // The peer never writes here: whatever comes is the end.
            _ = read.read_chunk() => return false,
        }
    }
}

fn is_refusal(error: &OpenError) -> bool {
    matches!(error, OpenError::Refused(refusal) if refusal.code() == RefusalCode::Application)
}

/// Reads the frames of a peer's channel, until it ends.
pub(super) async fn read(channel: Channel, line: Line, driver: mpsc::Sender<Moved>) {
    let mut messages = Messages::new(channel).with_max_size(MAX_FRAME);
    loop {
        let moved = match messages.receive().await {
            Ok(Some(frame)) => Moved::Frame(line, frame),
            Err(MessageError::TooLarge { .. }) => Moved::Oversized(line),
            Ok(None) | Err(_) => return,
        };
        let over = matches!(moved, Moved::Oversized(_));
        if driver.send(moved).await.is_err() || over {
            return;
        }
    }
}
