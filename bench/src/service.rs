//! The work that a stream's two ends do, the same for every peer: echo small messages, or swallow and check a transfer.
//!
//! A client opens with nine bytes: what it wants, and how long the transfer is. Then either 64-byte messages follow and
//! come back one by one until the client finishes the stream, or the transfer follows and is answered with its count
//! and its checksum.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::payload::{self, Checksum};

/// Bytes of a request and of its answer.
pub(crate) const MESSAGE: usize = 64;
/// Bytes per read of a transfer: what a program would choose that wants throughput and has no other hint.
const READ: usize = 64 * 1024;
const ECHO: u8 = b'e';
const SWALLOW: u8 = b's';
const HEADER: usize = 9;

/// See [`swallowed`].
static SWALLOWED: AtomicU64 = AtomicU64::new(0);

/// Bytes that all transfers to this process have brought so far.
pub(crate) fn swallowed() -> u64 {
    SWALLOWED.load(Ordering::Relaxed)
}

/// Serves one inbound stream until its client has finished.
///
/// # Errors
/// When the stream fails, which includes that the client is gone, or asks for something unknown.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<()> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await?;
    let [wish, length @ ..] = header;
    match wish {
        ECHO => echo_until_finished(stream).await,
        // Boxed, because a transfer's buffer must not make the echoing task of `memory` larger.
        SWALLOW => Box::pin(swallow(stream, u64::from_le_bytes(length))).await,
        other => bail!("the client asks for {other}, which is unknown"),
    }
}

async fn echo_until_finished<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<()> {
    let mut message = [0; MESSAGE];
    loop {
        let first = stream.read(&mut message).await?;
        if first == 0 {
            stream.shutdown().await?;
            return Ok(());
        }
        stream.read_exact(&mut message[first..]).await?;
        stream.write_all(&message).await?;
        stream.flush().await?;
    }
}

async fn swallow<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, total: u64) -> Result<()> {
    let mut buffer = vec![0; READ];
    let mut checksum = Checksum::default();
    let mut count = 0;
    while count < total {
        let now = stream.read(&mut buffer).await?;
        ensure!(now > 0, "the transfer ended after {count} of {total} bytes");
        checksum.update(&buffer[..now]);
        count += now as u64;
        SWALLOWED.fetch_add(now as u64, Ordering::Relaxed);
    }
    let mut answer = [0; 16];
    answer[..8].copy_from_slice(&count.to_le_bytes());
    answer[8..].copy_from_slice(&checksum.finish().to_le_bytes());
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    Ok(())
}

/// The client's end of an echoing stream.
#[derive(Debug)]
pub(crate) struct Echo<S> {
    stream: S,
    counter: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Echo<S> {
    /// Starts to echo on a new stream, and waits for the first message to come back. Header and message leave in one
    /// write.
    pub(crate) async fn start(mut stream: S) -> Result<Self> {
        let mut first = [0; HEADER + MESSAGE];
        first[0] = ECHO;
        stream.write_all(&first).await?;
        stream.flush().await?;
        let mut answer = [0; MESSAGE];
        stream.read_exact(&mut answer).await.context("no first echo")?;
        ensure!(answer == [0; MESSAGE], "the echo differs from the message");
        Ok(Self { stream, counter: 0 })
    }

    /// One round trip. The message differs each time, and is compared.
    pub(crate) async fn round_trip(&mut self) -> Result<()> {
        self.counter += 1;
        let mut message = [0x5a; MESSAGE];
        message[..8].copy_from_slice(&self.counter.to_le_bytes());
        self.stream.write_all(&message).await?;
        self.stream.flush().await?;
        let mut answer = [0; MESSAGE];
        self.stream.read_exact(&mut answer).await?;
        ensure!(answer == message, "the echo differs from the message");
        Ok(())
    }

    /// Finishes the stream, and waits until the server has done so as well.
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.stream.shutdown().await?;
        let rest = self.stream.read(&mut [0; 1]).await?;
        ensure!(rest == 0, "the server sent more than it was asked for");
        Ok(())
    }
}

/// Sends `total` bytes on a new stream, and waits until the server has confirmed all of them.
///
/// # Errors
/// When the stream fails, or what arrived is not what was sent. `expected` is the checksum of the transfer, from
/// [`payload::expected`]: computing it is not part of the work.
pub(crate) async fn transfer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    block: &[u8],
    total: u64,
    expected: u64,
) -> Result<()> {
    let mut header = [0; HEADER];
    header[0] = SWALLOW;
    header[1..].copy_from_slice(&total.to_le_bytes());
    stream.write_all(&header).await?;
    let mut left = total;
    while left > 0 {
        let now = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        stream.write_all(&block[..now]).await?;
        left -= now as u64;
    }
    stream.flush().await?;
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).await.context("the transfer was not confirmed")?;
    let (count, checksum) = answer.split_at(8);
    ensure!(count == total.to_le_bytes(), "not all bytes arrived");
    ensure!(checksum == expected.to_le_bytes(), "the bytes that arrived are not those that were sent");
    stream.shutdown().await?;
    Ok(())
}

/// Sends a transfer that nobody measures, so that congestion window and packet size have settled.
pub(crate) async fn warm_up<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, block: &[u8]) -> Result<()> {
    const WARM_UP: u64 = 16 << 20;
    transfer(stream, block, WARM_UP, payload::expected(block, WARM_UP)).await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::{Echo, MESSAGE, serve, transfer};
    use crate::payload;

    #[tokio::test]
    async fn messages_come_back_until_the_client_finishes() {
        let (client, mut server) = duplex(100);
        let serving = tokio::spawn(async move { serve(&mut server).await });
        let mut echo = Echo::start(client).await.unwrap();
        for _ in 0..10 {
            echo.round_trip().await.unwrap();
        }
        echo.finish().await.unwrap();
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_transfer_is_confirmed_only_if_it_is_what_was_announced() {
        let block = payload::block();
        for (checksum_error, confirmed) in [(0, true), (1, false)] {
            let (mut client, mut server) = duplex(10_000);
            let serving = tokio::spawn(async move { serve(&mut server).await });
            let expected = payload::expected(&block, 1_000_000) ^ checksum_error;
            let outcome = transfer(&mut client, &block, 1_000_000, expected).await;
            assert_eq!(outcome.is_ok(), confirmed);
            serving.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn an_echo_that_differs_is_an_error() {
        let (client, mut server) = duplex(1000);
        let liar = tokio::spawn(async move {
            let mut first = [0; 9 + MESSAGE];
            server.read_exact(&mut first).await.unwrap();
            server.write_all(&[0; MESSAGE]).await.unwrap();
            server.write_all(&[1; MESSAGE]).await.unwrap();
            server
        });
        let mut echo = Echo::start(client).await.unwrap();
        assert!(echo.round_trip().await.is_err());
        drop(liar.await);
    }

    #[tokio::test]
    async fn a_transfer_that_ends_early_is_an_error() {
        let (mut client, mut server) = duplex(1000);
        let serving = tokio::spawn(async move { serve(&mut server).await });
        let mut header = [b's', 0, 0, 0, 0, 0, 0, 0, 0];
        header[1] = 100;
        client.write_all(&header).await.unwrap();
        client.write_all(&[7; 99]).await.unwrap();
        drop(client);
        assert!(serving.await.unwrap().is_err());
    }
}
