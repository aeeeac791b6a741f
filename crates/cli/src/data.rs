//! The bytes of `pipe`, wherever they come from and go to: standard input and output, or a connection of the control socket.

use std::io;

use bytes::Bytes;
use telemesh::channel::{CANCELLED, ReadHalf};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

#[cfg(unix)]
use crate::control::wire::Wire;
use crate::failure::Failure;
use crate::session::Data;
use crate::stdio::{self, Sink};
#[cfg(unix)]
use std::sync::Arc;

/// Bytes to send.
#[derive(Debug)]
pub(crate) enum Input {
    Stdin(mpsc::Receiver<io::Result<Bytes>>),
    #[cfg(unix)]
    Wire(Arc<Wire>),
}

/// Where received bytes go.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout(Sink),
    #[cfg(unix)]
    Wire(Arc<Wire>),
}

/// Both.
pub(crate) fn both(data: Data) -> (Input, Output) {
    match data {
        Data::Stdio(_) => (Input::Stdin(stdio::input()), Output::Stdout(Sink::new())),
        #[cfg(unix)]
        Data::Wire(wire) => (Input::Wire(wire.clone()), Output::Wire(wire)),
    }
}

impl Input {
    /// The next bytes; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What cannot be read. Whoever has gone away without an end has not sent everything.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let failed = |error| Failure::Failed(format!("could not read standard input: {error}"));
        match self {
            Self::Stdin(chunks) => chunks.recv().await.transpose().map_err(failed),
            #[cfg(unix)]
            Self::Wire(wire) => {
                let chunk = wire.read_chunk().await;
                chunk.map_err(|error| Failure::Failed(format!("the connection has ended: {error}")))
            }
        }
    }
}

impl Output {
    /// Writes all of these bytes.
    ///
    /// # Errors
    /// Nobody takes them.
    pub(crate) async fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout(sink) => sink.write_bytes(bytes).await,
            #[cfg(unix)]
            Self::Wire(wire) => wire.write_all(bytes).await,
        }
        .map_err(|error| Failure::output(&error))
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// As [`write_bytes`](Self::write_bytes).
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Stdout(sink) => sink.finish().await,
            #[cfg(unix)]
            Self::Wire(wire) => wire.finish(),
        }
        .map_err(|error| Failure::output(&error))
    }

    /// Writes all that comes until its end, and says how many bytes each time.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub(crate) async fn write_all_of(
        self,
        mut read: ReadHalf,
        mut written: impl FnMut(usize),
    ) -> Result<(), Failure> {
        match self {
            Self::Stdout(mut sink) => loop {
                let mut buffer = sink.buffer().await.map_err(|error| Failure::output(&error))?;
                let count = match read.read(&mut buffer).await {
                    Ok(0) => return sink.finish().await.map_err(|error| Failure::output(&error)),
                    Ok(count) => count,
                    Err(error) => return Err(Failure::channel(&error)),
                };
                written(count);
                if let Err(error) = sink.write(buffer, count).await {
                    read.stop(CANCELLED);
                    return Err(Failure::output(&error));
                }
            },
            #[cfg(unix)]
            Self::Wire(wire) => loop {
                let chunk = read.read_chunk().await.map_err(|error| Failure::channel(&error))?;
                let Some(chunk) = chunk else {
                    return wire.finish().map_err(|error| Failure::output(&error));
                };
                written(chunk.len());
                if let Err(error) = wire.write_all(&chunk).await {
                    read.stop(CANCELLED);
                    return Err(Failure::output(&error));
                }
            },
        }
    }
}
