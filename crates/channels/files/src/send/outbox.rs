//! What the worker sends, gathered into large pieces. File data is read straight into them.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::answers::NoMore;
use crate::disk::read_piece;
use crate::limits::PIECE;
use crate::wire::{FromSender, HEADER, put_data_header};

/// Data of a file that does not end in a piece is a multiple of this: blake3 hashes aligned runs several times as fast.
const ALIGNED: usize = 64 * 1024;

/// Room in a piece beside a whole `PIECE` of data, for the messages around it; a part of the list is the longest of them.
const MESSAGES: usize = 24 * 1024;

/// Zeros shorter than this are sent as they are: a hole smaller than a file system's block saves nothing.
const WORTH_SKIPPING: usize = 16 * 1024;

pub(super) struct Outbox {
    /// As long as a piece may be; what is beyond `filled` is left over from an earlier one.
    piece: Vec<u8>,
    filled: usize,
    /// A message on its way into the piece.
    message: Vec<u8>,
    pieces: mpsc::Sender<Bytes>,
    pool: Arc<Pool>,
}

impl Outbox {
    pub(super) fn new(pieces: mpsc::Sender<Bytes>) -> Self {
        let pool = Arc::new(Pool::default());
        Self { piece: pool.take(), filled: 0, message: Vec::new(), pieces, pool }
    }

    /// Appends a message. Messages are small, or a part of the list.
    pub(super) fn put(&mut self, message: &FromSender<'_>) -> Result<(), NoMore> {
        self.message.clear();
        message.encode(&mut self.message);
        if self.message.len() > self.piece.len().saturating_sub(self.filled) {
            self.flush()?;
        }
        self.append();
        Ok(())
    }

    /// Reads the next bytes of a file, at most `left`, into a message, and shows them to `each`; how many there were.
    pub(super) fn put_data(
        &mut self,
        file: &File,
        left: u64,
        each: impl FnOnce(&[u8]),
    ) -> Result<io::Result<usize>, NoMore> {
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let mut wanted = self.room_for(left);
        if wanted == 0 {
            self.flush()?;
            wanted = self.room_for(left);
        }
        let start = self.filled.saturating_add(HEADER);
        let space = self.piece.get_mut(start..start.saturating_add(wanted)).unwrap_or_default();
        let read = match read_piece(file, space) {
            Ok(read) if read > 0 => read,
            failed => return Ok(failed),
        };
        let data = space.get(..read).unwrap_or_default();
        each(data);
        self.message.clear();
        if read >= WORTH_SKIPPING && is_zero(data) {
            FromSender::Zeros(read as u64).encode(&mut self.message);
            self.append();
        } else {
            put_data_header(&mut self.message, read);
            self.append();
            self.filled += read;
        }
        Ok(Ok(read))
    }

    /// Hands over what is there, and waits while the network is behind.
    pub(super) fn flush(&mut self) -> Result<(), NoMore> {
        if self.filled == 0 {
            return Ok(());
        }
        let buffer = std::mem::replace(&mut self.piece, self.pool.take());
        let piece = Lent { buffer, filled: std::mem::take(&mut self.filled), pool: Arc::clone(&self.pool) };
        self.pieces.blocking_send(Bytes::from_owner(piece)).map_err(|_| NoMore)
    }

    /// Copies the message into the piece.
    fn append(&mut self) {
        let end = self.filled + self.message.len();
        if let Some(space) = self.piece.get_mut(self.filled..end) {
            space.copy_from_slice(&self.message);
            self.filled = end;
        }
    }

    /// How much of so many bytes goes into this piece; 0 if it should be handed over first.
    fn room_for(&self, left: usize) -> usize {
        let room = self.piece.len().saturating_sub(self.filled.saturating_add(HEADER)).min(PIECE);
        if left <= room { left } else { room - room % ALIGNED }
    }
}

/// Buffers of pieces that were sent, to be filled again: fresh ones of this size would come from the system each time,
/// page by page.
#[derive(Default)]
struct Pool(Mutex<Vec<Vec<u8>>>);

/// Buffers that are kept: what lies in the channel and the network on a fast path.
const KEPT: usize = 64;

impl Pool {
    fn take(&self) -> Vec<u8> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| vec![0; PIECE + MESSAGES])
    }
}

/// A piece on its way.
struct Lent {
    buffer: Vec<u8>,
    filled: usize,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// Stops at the first byte that is not zero, so for ordinary data it costs nothing.
fn is_zero(data: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    data.chunks(ZEROS.len()).all(|chunk| ZEROS.get(..chunk.len()) == Some(chunk))
}
