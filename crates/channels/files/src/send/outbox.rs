//! What the worker sends, gathered into large pieces. File data is read straight into them.

use std::fs::File;
use std::io;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::answers::NoMore;
use crate::disk::read_piece;
use crate::limits::PIECE;
use crate::wire::{FromSender, begin, finish, kind};

/// Less room than this in a piece is not worth another read.
const WORTH_READING: usize = 8 * 1024;

/// Zeros shorter than this are sent as they are: a hole smaller than a file system's block saves nothing.
const WORTH_SKIPPING: usize = 16 * 1024;

pub(super) struct Outbox {
    piece: Vec<u8>,
    pieces: mpsc::Sender<Bytes>,
}

impl Outbox {
    pub(super) fn new(pieces: mpsc::Sender<Bytes>) -> Self {
        Self { piece: Vec::with_capacity(PIECE), pieces }
    }

    /// Appends a message. Messages are small, or a piece of list.
    pub(super) fn put(&mut self, message: &FromSender<'_>) -> Result<(), NoMore> {
        message.encode(&mut self.piece);
        self.flush_if_full()
    }

    /// Reads the next bytes of a file, at most `left`, into a message, and shows them to `each`; how many there were.
    pub(super) fn put_data(
        &mut self,
        file: &File,
        left: u64,
        each: impl FnOnce(&[u8]),
    ) -> Result<io::Result<usize>, NoMore> {
        self.flush_if_full()?;
        let message = self.piece.len();
        let start = begin(&mut self.piece, kind::DATA);
        let room = self.piece.capacity().saturating_sub(start);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(room);
        let read = match read_piece(file, &mut self.piece, wanted) {
            Ok(read) if read > 0 => read,
            failed => {
                self.piece.truncate(message);
                return Ok(failed);
            }
        };
        let data = self.piece.get(start..).unwrap_or_default();
        each(data);
        if read >= WORTH_SKIPPING && is_zero(data) {
            self.piece.truncate(message);
            FromSender::Zeros(read as u64).encode(&mut self.piece);
        } else {
            finish(&mut self.piece, start);
        }
        Ok(Ok(read))
    }

    /// Hands over what is there, and waits while the network is behind.
    pub(super) fn flush(&mut self) -> Result<(), NoMore> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.pieces.blocking_send(piece.into()).map_err(|_| NoMore)
    }

    fn flush_if_full(&mut self) -> Result<(), NoMore> {
        if self.piece.capacity().saturating_sub(self.piece.len()) < WORTH_READING {
            self.flush()
        } else {
            Ok(())
        }
    }
}

/// Stops at the first byte that is not zero, so for ordinary data it costs nothing.
fn is_zero(data: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    data.chunks(ZEROS.len()).all(|chunk| ZEROS.get(..chunk.len()) == Some(chunk))
}
