//! The channel types of the measured endpoint, and what its clients do with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use telemesh::{Acceptor as _, Channel, HandleError, Incoming, Link, Mesh, Open, Opener as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const ECHO: &str = "org.telemesh.load.echo";
const BULK: &str = "org.telemesh.load.bulk";
const STALLED: &str = "org.telemesh.load.stalled";
const PANICKING: &str = "org.telemesh.load.panicking";
const HELD: &str = "org.telemesh.load.held";
const BRIEF: &str = "org.telemesh.load.brief";
/// Nobody answers this one.
const UNKNOWN: &str = "org.telemesh.load.unknown";

/// Bytes of a request and of its answer.
const MESSAGE: usize = 64;
/// Bytes that a bulk sender writes at a time.
const BLOCK: usize = 256 << 10;
/// Time between two channels of [`Disturbance::PanickingHandler`]: two hundred a second.
const PANIC_EVERY: Duration = Duration::from_millis(5);
/// Channels that an eager peer has under way at once.
const AT_ONCE: usize = 64;

/// Registers everything.
///
/// # Errors
/// Never, on a mesh that has none of these.
pub(crate) fn serve(mesh: &Mesh) -> Result<(), HandleError> {
    mesh.handle(ECHO, Arc::new(echo))?;
    mesh.handle(BULK, Arc::new(swallow))?;
    mesh.handle(HELD, Arc::new(hold))?;
    mesh.handle(BRIEF, Arc::new(finish))?;
    mesh.handle(PANICKING, Arc::new(give_up))?;
    mesh.handle(STALLED, Arc::new(stall))
}

async fn echo(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    let mut message = [0; MESSAGE];
    while channel.read_exact(&mut message).await.is_ok() && channel.write_all(&message).await.is_ok() {}
}

/// Reads to the end and says so.
async fn swallow(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    while let Ok(Some(_)) = channel.read_chunk().await {}
    let _ = channel.finish().await;
}

async fn hold(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    // Nothing is ever sent: it ends with the channel.
    let _ = channel.read_chunk().await;
}

async fn finish(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    let _ = channel.finish().await;
}

#[allow(clippy::panic, reason = "this is what is measured")]
async fn give_up(_: Incoming) {
    panic!("the handler panics");
}

async fn stall(incoming: Incoming) {
    let _channel = incoming.accept();
    std::future::pending::<()>().await;
}

/// Sends so much, and waits until all of it was read.
pub(crate) async fn transfer(link: &Link, mib: u64) -> Result<()> {
    let mut channel = open(link, BULK).await?;
    let block = vec![0x5a; BLOCK];
    for _ in 0..(mib << 20) / BLOCK as u64 {
        channel.write_all(&block).await?;
    }
    channel.shutdown().await?;
    ensure!(channel.read_chunk().await?.is_none(), "the transfer was answered with data");
    Ok(())
}

/// One request on a new channel, which is sent with the wish for the channel.
pub(crate) async fn first_echo(link: &Link) -> Result<()> {
    let mut channel = link.open(Open::reliable(ECHO)).await?;
    let mut back = [0; MESSAGE];
    channel.write_all(&[0x5a; MESSAGE]).await?;
    channel.read_exact(&mut back).await?;
    Ok(channel.finish().await?)
}

/// Nanoseconds of requests on one channel, one after the other, about one in a millisecond.
pub(crate) async fn requests(link: &Link, count: u32) -> Result<Vec<u64>> {
    let mut channel = open(link, ECHO).await?;
    let mut back = [0; MESSAGE];
    let mut nanoseconds = Vec::new();
    for number in 0..count + count / 10 {
        let sent = Instant::now();
        channel.write_all(&[0x5a; MESSAGE]).await?;
        channel.read_exact(&mut back).await?;
        // The first ones warm up.
        if number >= count / 10 {
            nanoseconds.push(u64::try_from(sent.elapsed().as_nanos())?);
        }
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    Ok(nanoseconds)
}

async fn open(link: &Link, channel_type: &str) -> Result<Channel> {
    let mut channel = link.open(Open::reliable(channel_type)).await?;
    channel.accepted().await?;
    Ok(channel)
}

/// What a bad neighbour does, until it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Disturbance {
    /// Sends all it can on four channels that nobody reads.
    StalledReader,
    /// Opens channels whose handler panics, two hundred a second.
    PanickingHandler,
    /// Opens channels as fast as it can, and keeps them.
    Opener,
    /// Opens channels of a type that nobody answers, as fast as it can.
    Guesser,
    /// Opens channels as fast as it can, each of which ends at once: 64 under way.
    Churner,
}

impl Disturbance {
    /// Never ends, unless the link does.
    pub(crate) async fn run(self, link: Link) {
        match self {
            Self::StalledReader => drop(futures_util::future::join_all((0..4).map(|_| fill(&link))).await),
            Self::PanickingHandler => loop {
                let _ = link.open(Open::reliable(PANICKING)).await;
                tokio::time::sleep(PANIC_EVERY).await;
            },
            Self::Opener => open_and_keep(&link).await,
            Self::Guesser => many(&link, UNKNOWN).await,
            Self::Churner => many(&link, BRIEF).await,
        }
    }
}

async fn fill(link: &Link) {
    let Ok(mut channel) = open(link, STALLED).await else { return };
    let block = vec![0; BLOCK];
    // It stands still when what was given out as credit is used up.
    while channel.write_all(&block).await.is_ok() {}
}

/// Keeps what was not refused, as somebody would who wants to use up the endpoint.
async fn open_and_keep(link: &Link) {
    let mut kept: Vec<Channel> = Vec::new();
    loop {
        let opened = tokio::time::timeout(Duration::from_millis(50), link.open(Open::reliable(HELD))).await;
        match opened {
            Ok(Ok(channel)) => kept.push(channel),
            Ok(Err(_)) => return,
            // No more streams: those that were refused make room for others.
            Err(_) => kept.retain_mut(|channel| {
                let accepted = futures_util::FutureExt::now_or_never(channel.accepted());
                accepted.is_none_or(|accepted| accepted.is_ok())
            }),
        }
        tokio::task::yield_now().await;
    }
}

/// Opens channels and waits for their ends, many at once.
async fn many(link: &Link, channel_type: &str) {
    let one = async || {
        while let Ok(mut channel) = link.open(Open::reliable(channel_type)).await {
            let _ = channel.read_chunk().await;
        }
    };
    futures_util::future::join_all((0..AT_ONCE).map(|_| one())).await;
}
