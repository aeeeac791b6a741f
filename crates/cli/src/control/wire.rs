//! A connection of the control socket: lines first, and for `pipe` bytes after that.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::GONE_INTERVAL;

/// Bytes per read of data.
const CHUNK: usize = 128 * 1024;

/// Bytes that are kept when a client sends data before it may. What is more waits in the socket.
const MAX_EARLY: usize = 64 * 1024;

/// See the module's page. Reading and writing need no exclusive access, so that one task can write while another watches.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: UnixStream,
    /// What was read and belongs to whoever reads next.
    early: Mutex<BytesMut>,
    /// The lines are over, and a stream's bytes follow.
    carries: AtomicBool,
    /// Nothing more is written from here.
    finished: AtomicBool,
    /// The bytes are over too, and whoever listens may go.
    settled: AtomicBool,
}

/// What [`Wire::watch`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The other end has closed its socket.
    Gone,
    /// It says more than it may.
    Talking,
}

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("the line is longer than {0} bytes")]
    TooLong(usize),
    #[error("the connection ended in the middle of a line")]
    Unfinished,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Wire {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            early: Mutex::default(),
            carries: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            settled: AtomicBool::new(false),
        }
    }

    /// The next line, without its end; `None` if there is no more. A dropped future may have taken a part of it.
    ///
    /// # Errors
    /// [`LineError`].
    pub(crate) async fn read_line(&self, max: usize) -> Result<Option<Zeroizing<Vec<u8>>>, LineError> {
        let mut line = Zeroizing::new(Vec::new());
        loop {
            let chunk = self.read_chunk().await?;
            let Some(chunk) = chunk else {
                return if line.is_empty() { Ok(None) } else { Err(LineError::Unfinished) };
            };
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let own = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            if line.len() + own.len() > max {
                return Err(LineError::TooLong(max));
            }
            line.extend_from_slice(own);
            if let Some(end) = end {
                let rest = chunk.get(end + 1..).unwrap_or_default();
                self.early().extend_from_slice(rest);
                return Ok(Some(line));
            }
        }
    }

    /// The next bytes; `None` once the other end has shut its writing down. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Also when the other end has gone altogether: that is no end, and what came may not be all. After
    /// [`finish`](Self::finish) it cannot be told apart from an end.
    pub(crate) async fn read_chunk(&self) -> io::Result<Option<Bytes>> {
        {
            let mut early = self.early();
            if !early.is_empty() {
                return Ok(Some(early.split().freeze()));
            }
        }
        let mut buffer = BytesMut::new();
        match self.read_into(&mut buffer, CHUNK).await? {
            0 if self.is_gone() => Err(ErrorKind::ConnectionAborted.into()),
            0 => Ok(None),
            // Whoever keeps a few bytes must not keep a whole buffer.
            few if few < CHUNK / 4 => Ok(Some(Bytes::copy_from_slice(&buffer))),
            _ => Ok(Some(buffer.freeze())),
        }
    }

    async fn read_into(&self, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
        loop {
            self.stream.readable().await?;
            // Room is made only when there is something to put into it.
            buffer.reserve(most);
            match self.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// When the other end has gone.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes as much as there is room for: last words to somebody who may not listen.
    pub(crate) fn write_now(&self, bytes: &[u8]) {
        let _ = self.stream.try_write(bytes);
    }

    /// Nothing more is written.
    ///
    /// # Errors
    /// When the other end has gone.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.finished.store(true, Ordering::Relaxed);
        SockRef::from(&self.stream).shutdown(Shutdown::Write)
    }

    pub(crate) fn has_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// From here on the connection carries bytes, which are read by nobody but the pipe.
    pub(crate) fn carry_bytes(&self) {
        self.carries.store(true, Ordering::Relaxed);
    }

    pub(crate) fn carries_bytes(&self) -> bool {
        self.carries.load(Ordering::Relaxed)
    }

    /// From here on nobody minds if the other end goes.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// Resolves when the other end has gone, or talks although it may not. What it says early is kept for who reads next.
    pub(crate) async fn watch(&self, may_talk: bool) -> Seen {
        while !self.carries_bytes() {
            let room = MAX_EARLY.saturating_sub(self.early().len());
            if room == 0 || self.stream.readable().await.is_err() || self.carries_bytes() {
                break;
            }
            let mut buffer = BytesMut::with_capacity(room.min(4096));
            match self.stream.try_read_buf(&mut buffer) {
                // It may have shut down its writing and still listen.
                Ok(0) => break,
                Ok(_) if may_talk || buffer.trim_ascii().is_empty() => {
                    self.early().extend_from_slice(&buffer);
                }
                Ok(_) => return Seen::Talking,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Seen::Gone,
            }
        }
        while !self.is_gone() || self.settled.load(Ordering::Relaxed) {
            tokio::time::sleep(GONE_INTERVAL).await;
        }
        Seen::Gone
    }

    /// Whether the other end has closed its socket, as opposed to having shut down its writing: a message without bytes
    /// changes nothing, and is refused then. Nobody can tell once this end has shut down its own writing.
    fn is_gone(&self) -> bool {
        if self.has_finished() {
            return false;
        }
        let sent = SockRef::from(&self.stream).send(&[]);
        sent.is_err_and(|error| {
            error.kind() != ErrorKind::WouldBlock && error.kind() != ErrorKind::Interrupted
        })
    }

    fn early(&self) -> std::sync::MutexGuard<'_, BytesMut> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn pair() -> (Wire, UnixStream) {
        let (one, other) = UnixStream::pair().unwrap();
        (Wire::new(one), other)
    }

    #[tokio::test]
    async fn a_line_ends_at_its_end_and_the_rest_is_kept() {
        let (wire, mut other) = pair();
        other.write_all(b"one\ntwo").await.unwrap();
        assert_eq!(**wire.read_line(3).await.unwrap().unwrap(), b"one"[..]);
        assert_eq!(wire.read_chunk().await.unwrap().unwrap(), "two");
    }

    #[tokio::test]
    async fn a_line_is_as_long_as_permitted_and_no_longer() {
        let (wire, mut other) = pair();
        other.write_all(b"four\n12345\n").await.unwrap();
        assert_eq!(wire.read_line(4).await.unwrap().unwrap().len(), 4);
        assert!(matches!(wire.read_line(4).await, Err(LineError::TooLong(4))));
    }

    #[tokio::test]
    async fn a_shut_down_is_an_end_and_a_closed_socket_is_not() {
        let (wire, mut other) = pair();
        other.write_all(b"x").await.unwrap();
        other.shutdown().await.unwrap();
        assert_eq!(wire.read_chunk().await.unwrap().unwrap(), "x");
        assert!(wire.read_chunk().await.unwrap().is_none());
        drop(other);
        assert!(wire.read_chunk().await.is_err());

        let (wire, mut other) = pair();
        other.write_all(b"x").await.unwrap();
        drop(other);
        assert_eq!(wire.read_chunk().await.unwrap().unwrap(), "x");
        assert!(wire.read_chunk().await.is_err());
    }

    #[tokio::test]
    async fn that_somebody_has_gone_is_noticed_also_after_their_last_word() {
        let (wire, other) = pair();
        drop(other);
        assert_eq!(wire.watch(false).await, Seen::Gone);
        let (wire, mut other) = pair();
        other.write_all(b"early").await.unwrap();
        other.shutdown().await.unwrap();
        let watch = wire.watch(true);
        tokio::pin!(watch);
        tokio::select! {
            biased;
            _ = &mut watch => panic!("it still listens"),
            () = tokio::task::yield_now() => {}
        }
        drop(other);
        assert_eq!(watch.await, Seen::Gone);
        assert_eq!(wire.read_chunk().await.unwrap().unwrap(), "early");
    }

    #[tokio::test]
    async fn a_second_request_is_noticed_and_white_space_is_not() {
        let (wire, mut other) = pair();
        other.write_all(b" \n").await.unwrap();
        other.write_all(b"{}").await.unwrap();
        assert_eq!(wire.watch(false).await, Seen::Talking);
    }
}
