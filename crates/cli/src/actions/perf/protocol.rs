//! The channel `org.telemesh.perf`: what the measuring end asks for, and how the other end does it.
//!
//! The open message has a header `mode`:
//!
//! | mode | the opener | the other end |
//! |---|---|---|
//! | `up` | sends bytes and ends | reads them, then sends their number in 8 bytes, the highest first, and ends |
//! | `down` | asks with a header `size`, a decimal number of bytes | sends as many and ends |
//! | `echo` | sends bytes | sends them back, and ends when the opener does |

use std::io;

use bytes::Bytes;
use telemesh::{Channel, Incoming, Open, Refusal, RefusalCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The channel's type.
pub(crate) const PERF: &str = "org.telemesh.perf";

/// Bytes per write and read of the big transfers.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Most bytes that are sent to whoever asks, in one channel: a tebibyte.
const MAX_SIZE: u64 = 1 << 40;

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The opener sends.
    Up,
    /// The other end sends this many bytes.
    Down(u64),
    /// Everything comes back.
    Echo,
}

impl Mode {
    /// The open message of this mode.
    pub(crate) fn open(self) -> Open {
        let open = Open::reliable(PERF);
        match self {
            Self::Up => open.with_header(MODE, UP),
            Self::Down(size) => open.with_header(MODE, DOWN).with_header(SIZE, size.to_string()),
            Self::Echo => open.with_header(MODE, ECHO),
        }
    }

    /// The mode of an open message, or why it is none.
    fn of(open: &Open) -> Result<Self, &'static str> {
        match open.header(MODE) {
            Some(mode) if mode == UP.as_bytes() => Ok(Self::Up),
            Some(mode) if mode == ECHO.as_bytes() => Ok(Self::Echo),
            Some(mode) if mode == DOWN.as_bytes() => {
                let size = open.header(SIZE).and_then(|size| std::str::from_utf8(size).ok()?.parse().ok());
                size.filter(|size| *size <= MAX_SIZE)
                    .map(Self::Down)
                    .ok_or("a size up to a tebibyte is missing")
            }
            _ => Err("an unknown mode"),
        }
    }
}

/// Does what one channel asks for.
pub(crate) async fn answer(incoming: Incoming) {
    let mode = match Mode::of(incoming.open()) {
        Ok(mode) => mode,
        Err(reason) => return incoming.refuse(Refusal::new(RefusalCode::Application, reason)),
    };
    let Ok(channel) = incoming.accept() else { return };
    // The other end notices what fails, and it is the one that has asked.
    let _ = serve(channel, mode).await;
}

async fn serve(mut channel: Channel, mode: Mode) -> io::Result<()> {
    match mode {
        Mode::Up => {
            let count = read_to_end(&mut channel, |_| ()).await?;
            channel.write_all(&count.to_be_bytes()).await?;
        }
        Mode::Down(size) => send(&mut channel, size, |_| ()).await?,
        Mode::Echo => {
            while let Some(chunk) = channel.read_chunk().await? {
                channel.write_chunk(chunk).await?;
            }
        }
    }
    channel.finish().await
}

/// Sends this many bytes; `sent` hears of each part.
pub(crate) async fn send(channel: &mut Channel, size: u64, mut sent: impl FnMut(u64)) -> io::Result<()> {
    let chunk = Bytes::from(vec![0xa5; CHUNK]);
    let mut left = size;
    while left > 0 {
        let part = chunk.slice(..usize::try_from(left).unwrap_or(CHUNK).min(CHUNK));
        let count = u64::try_from(part.len()).unwrap_or(left);
        channel.write_chunk(part).await?;
        left = left.saturating_sub(count);
        sent(count);
    }
    Ok(())
}

/// Reads to the end and counts; `read` hears of each part.
pub(crate) async fn read_to_end(channel: &mut Channel, mut read: impl FnMut(u64)) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        match channel.read(&mut buffer).await? {
            0 => return Ok(total),
            count => {
                let count = u64::try_from(count).unwrap_or(0);
                total += count;
                read(count);
            }
        }
    }
}

const MODE: &str = "mode";
const SIZE: &str = "size";
const UP: &str = "up";
const DOWN: &str = "down";
const ECHO: &str = "echo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_read_as_it_was_written() {
        for mode in [Mode::Up, Mode::Down(0), Mode::Down(MAX_SIZE), Mode::Echo] {
            assert_eq!(Mode::of(&mode.open()), Ok(mode));
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        let down = || Open::reliable(PERF).with_header(MODE, DOWN);
        for open in [
            Open::reliable(PERF),
            Open::reliable(PERF).with_header(MODE, "sideways"),
            down(),
            down().with_header(SIZE, "-1"),
            down().with_header(SIZE, &b"\xff"[..]),
            Mode::Down(MAX_SIZE + 1).open(),
        ] {
            assert!(Mode::of(&open).is_err(), "{open:?}");
        }
    }
}
