//! Standard input and output as data, read and written by threads of their own: neither can be waited for otherwise on all
//! systems, and a slow reader must not stop the link's timers.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::thread;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Bytes per read and write: more than a pipe holds, small enough to stay in the processor's cache.
const CHUNK: usize = 128 * 1024;

/// Chunks between a thread and the link. Two keep both busy, the others even out.
const QUEUE: usize = 4;

/// Standard input in chunks, until its end or an error. The channel ends at the end of the input.
pub(crate) fn input() -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    thread::spawn(move || {
        if let Err(error) = read_all(&sender) {
            // If nobody listens any more, nobody wants to know.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

fn read_all(sender: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    // The lock's buffer may hold data that came behind a `TO` of `-`; larger reads than it go past it.
    let mut stdin = io::stdin().lock();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match stdin.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // The link keeps what it is given until it is acknowledged, so a few bytes must not hold a whole buffer.
        let chunk = match buffer.get(..count) {
            Some(few) if count < CHUNK / 4 => Bytes::copy_from_slice(few),
            _ => Bytes::from(std::mem::replace(&mut buffer, vec![0; CHUNK])).slice(..count),
        };
        if sender.blocking_send(Ok(chunk)).is_err() {
            return Ok(());
        }
    }
}

/// Standard output, written by a thread.
#[derive(Debug)]
pub(crate) struct Sink {
    /// Buffers with the number of bytes in them that count.
    filled: mpsc::Sender<(Vec<u8>, usize)>,
    written: mpsc::Receiver<Vec<u8>>,
    done: oneshot::Receiver<io::Result<()>>,
}

impl Sink {
    /// Starts the thread.
    pub(crate) fn new() -> Self {
        let (filled, to_write) = mpsc::channel(QUEUE);
        let (to_fill, written) = mpsc::channel(QUEUE);
        for _ in 0..QUEUE {
            // There is room: the queue was just made.
            let _ = to_fill.try_send(vec![0; CHUNK]);
        }
        let (tell, done) = oneshot::channel();
        thread::spawn(move || {
            let outcome = write_all(to_write, &to_fill);
            let _ = tell.send(outcome);
        });
        Self { filled, written, done }
    }

    /// A buffer to fill, once there is one that was written.
    ///
    /// # Errors
    /// Why nothing can be written any more.
    pub(crate) async fn buffer(&mut self) -> io::Result<Vec<u8>> {
        match self.written.recv().await {
            Some(buffer) => Ok(buffer),
            None => Err(self.failure().await),
        }
    }

    /// Writes the first `count` bytes of a buffer.
    ///
    /// # Errors
    /// As [`buffer`](Self::buffer).
    pub(crate) async fn write(&mut self, buffer: Vec<u8>, count: usize) -> io::Result<()> {
        if self.filled.send((buffer, count)).await.is_err() {
            return Err(self.failure().await);
        }
        Ok(())
    }

    /// Writes all of these bytes.
    ///
    /// # Errors
    /// As [`buffer`](Self::buffer).
    pub(crate) async fn write_bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut buffer = self.buffer().await?;
            let count = bytes.len().min(buffer.len());
            let (now, later) = bytes.split_at(count);
            if let Some(room) = buffer.get_mut(..count) {
                room.copy_from_slice(now);
            }
            self.write(buffer, count).await?;
            bytes = later;
        }
        Ok(())
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// If not all of it was.
    pub(crate) async fn finish(self) -> io::Result<()> {
        drop(self.filled);
        self.done.await.unwrap_or_else(|_| Err(ended()))
    }

    async fn failure(&mut self) -> io::Error {
        match (&mut self.done).await {
            Ok(Err(error)) => error,
            _ => ended(),
        }
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that writes has ended")
}

fn write_all(
    mut to_write: mpsc::Receiver<(Vec<u8>, usize)>,
    to_fill: &mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let mut stdout = raw_stdout()?;
    while let Some((buffer, count)) = to_write.blocking_recv() {
        stdout.write_all(buffer.get(..count).unwrap_or_default())?;
        // Nobody fills buffers any more when the last one is under way.
        let _ = to_fill.try_send(buffer);
    }
    stdout.flush()
}

/// Standard output without the buffer that looks for ends of lines.
#[cfg(unix)]
pub(crate) fn raw_stdout() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Standard output without the buffer that looks for ends of lines.
#[cfg(windows)]
pub(crate) fn raw_stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
}

/// Standard input without a buffer, for what must not stay in one.
#[cfg(unix)]
pub(crate) fn raw_stdin() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Standard input without a buffer, for what must not stay in one.
#[cfg(windows)]
pub(crate) fn raw_stdin() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}
