//! Numbered transfers of known bytes, whose receiver notices anything missing, doubled, changed or out of order.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use telemesh_channel::{ChannelKind, Incoming, Open, Opener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Channel type of a transfer.
pub const TRANSFER: &str = "org.telemesh.testkit.transfer";

/// What a receiver has seen.
#[derive(Debug, Default)]
pub struct Tally {
    state: Mutex<Counts>,
}

#[derive(Debug, Default, Clone)]
struct Counts {
    whole: u64,
    cut: u64,
    wrong: Vec<String>,
}

impl Tally {
    /// Transfers that arrived whole and were acknowledged.
    pub fn whole(&self) -> u64 {
        self.state.lock().whole
    }

    /// Transfers that ended early with an error, as they may when a link breaks.
    pub fn cut(&self) -> u64 {
        self.state.lock().cut
    }

    /// Transfers whose bytes were not those sent: there must be none.
    pub fn wrong(&self) -> Vec<String> {
        self.state.lock().wrong.clone()
    }
}

/// Byte `at` of transfer `number`: differs with every position and every transfer.
fn byte(number: u64, at: u64) -> u8 {
    let mixed = (at ^ number.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.to_be_bytes()[1]
}

fn bytes(number: u64, from: u64, length: usize) -> Vec<u8> {
    (from..).take(length).map(|at| byte(number, at)).collect()
}

/// A handler that takes transfers and counts them.
pub fn serve(
    tally: &Arc<Tally>,
) -> impl Fn(Incoming) -> futures_util::future::BoxFuture<'static, ()> + use<> {
    let tally = tally.clone();
    move |incoming| {
        let tally = tally.clone();
        Box::pin(async move {
            if receive(incoming, &tally).await.is_err() {
                tally.state.lock().cut += 1;
            }
        })
    }
}

async fn receive(incoming: Incoming, tally: &Tally) -> io::Result<()> {
    let body: [u8; 16] = incoming.open().body.as_ref().try_into().map_err(io::Error::other)?;
    let (number, length) = body.split_at(8);
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word: u64, byte| word << 8 | u64::from(*byte));
    let (number, length) = (word(number), word(length));
    let mut channel = incoming.accept().map_err(io::Error::other)?;
    let mut received = 0u64;
    while let Some(chunk) = channel.read_chunk().await? {
        let expected = bytes(number, received, chunk.len());
        if chunk[..] != expected[..] {
            tally
                .state
                .lock()
                .wrong
                .push(format!("transfer {number} differs between {received} and {}", chunk.len()));
            return Ok(());
        }
        received += chunk.len() as u64;
    }
    if received != length {
        tally
            .state
            .lock()
            .wrong
            .push(format!("transfer {number} has {received} of {length} bytes and ended in order"));
        return Ok(());
    }
    tally.state.lock().whole += 1;
    channel.write_all(b"!").await?;
    channel.shutdown().await
}

/// Sends transfer `number` of `length` bytes and waits until the receiver says that it has it whole.
///
/// # Errors
/// Whatever ended the channel early.
pub async fn transfer(link: &impl Opener, number: u64, length: u64) -> io::Result<()> {
    let body = [number.to_be_bytes(), length.to_be_bytes()].concat();
    let open = Open::new(TRANSFER, ChannelKind::Reliable).with_body(body);
    let mut channel = link.open(open).await?;
    let mut sent = 0;
    while sent < length {
        let step = usize::try_from(length - sent).unwrap_or(usize::MAX).min(16 << 10);
        channel.write_all(&bytes(number, sent, step)).await?;
        sent += step as u64;
    }
    channel.shutdown().await?;
    let mut answer = Vec::new();
    channel.read_to_end(&mut answer).await?;
    if answer == b"!" { Ok(()) } else { Err(io::Error::other("the receiver did not acknowledge")) }
}
