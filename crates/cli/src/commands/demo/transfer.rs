//! A big transfer through one stream, hashed at both ends while it runs.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use telemesh::channel::BoxFuture;
use telemesh::{Channel, IncomingStreams, Link, StreamOpener as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(super) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
type Hash = [u8; 32];

/// Bytes per write and read.
const CHUNK: usize = 256 * 1024;

/// Sends `size` bytes over the link and gives the time until the receiver's hash is back, which must be the sender's.
/// `sent` hears how many bytes have been sent, after each part; the next part waits for it.
pub(super) async fn run(
    link: &Link,
    streams: &mut IncomingStreams,
    size: u64,
    sent: impl FnMut(u64) -> BoxFuture<'static, Result<()>> + Send + 'static,
) -> Result<Duration> {
    let started = Instant::now();
    let stream = link.stream().await?;
    // A task of its own, so that both ends can use a processor each, as on two machines.
    let sender = tokio::spawn(send(stream, size, sent));
    let incoming = streams.next().await.ok_or("the receiving endpoint is gone")?;
    let received = receive(incoming.channel, size).await;
    let (expected, reported) = match sender.await? {
        Ok(hashes) => hashes,
        // If both have failed the receiver knows as much as the sender.
        Err(error) => return Err(received.err().unwrap_or(error)),
    };
    received?;
    if expected != reported {
        return Err("other bytes arrived than were sent".into());
    }
    Ok(started.elapsed())
}

/// For a transfer in which nothing else happens.
pub(super) fn undisturbed(_sent: u64) -> BoxFuture<'static, Result<()>> {
    Box::pin(std::future::ready(Ok(())))
}

/// Sends, and gives the hash of what was sent and the one that the receiver has reported.
async fn send(
    mut stream: Channel,
    size: u64,
    mut sent: impl FnMut(u64) -> BoxFuture<'static, Result<()>> + Send,
) -> Result<(Hash, Hash)> {
    let block = block();
    let mut hasher = Sha256::new();
    let mut position = 0;
    while position < size {
        let chunk = chunk(&block, position, size - position);
        hasher.update(&chunk);
        position += u64::try_from(chunk.len())?;
        stream.write_chunk(chunk).await?;
        sent(position).await?;
    }
    stream.shutdown().await?;
    let mut reported = Hash::default();
    stream.read_exact(&mut reported).await?;
    Ok((hasher.finalize().into(), reported))
}

async fn receive(mut stream: Channel, size: u64) -> Result<()> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
        total += u64::try_from(count)?;
    }
    if total != size {
        return Err(format!("{total} of {size} bytes arrived").into());
    }
    stream.write_all(&hasher.finalize()).await?;
    stream.shutdown().await?;
    Ok(())
}

/// The bytes at a position: a piece of the block that starts somewhere else each time, so that pieces that are swapped, lost
/// or doubled show in the hash.
fn chunk(block: &Bytes, position: u64, left: u64) -> Bytes {
    let length = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
    let number = usize::try_from(position / CHUNK as u64).unwrap_or(0);
    let start = number.wrapping_mul(4_099) % (block.len() - CHUNK);
    block.slice(start..start + length)
}

/// A mebibyte without a pattern: hashes of numbers.
fn block() -> Bytes {
    let hashes = (0..32 * 1024u32).flat_map(|number| Sha256::digest(number.to_be_bytes()));
    hashes.collect::<Vec<u8>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_differ_and_the_last_one_is_as_long_as_what_is_left() {
        let block = block();
        let size = 3 * CHUNK as u64 + 5;
        let chunks: Vec<Bytes> = (0..4u64)
            .map(|number| chunk(&block, number * CHUNK as u64, size - number * CHUNK as u64))
            .collect();
        assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [CHUNK, CHUNK, CHUNK, 5]);
        assert!(chunks[0] != chunks[1] && chunks[1] != chunks[2]);
    }
}
