//! What the measuring end does and counts.

use std::time::{Duration, Instant};

use telemesh::{Channel, Link, Opener as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::protocol::{self, Mode};
use crate::failure::Failure;
use crate::session::Session;

/// Bytes of a small message: a request, or a key press.
pub(crate) const SMALL: usize = 64;

/// Round trips that are measured, and at most how long that may take.
const ROUND_TRIPS: usize = 5_000;
const ROUND_TRIPS_LIMIT: Duration = Duration::from_secs(3);

/// How long channels are opened, and how many at once: enough to keep both ends busy on a slow path too.
const OPENS_TIME: Duration = Duration::from_secs(2);
const OPENS_AT_ONCE: usize = 64;

/// From one word about a transfer to the next.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

const MIB: u64 = 1 << 20;

/// Round-trip times in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoundTrips {
    pub(super) median_us: f64,
    /// 99 of 100 are faster.
    pub(super) slow_us: f64,
}

/// MiB per second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Throughput {
    pub(super) up: f64,
    pub(super) down: f64,
    /// All bytes by the time of both directions, which are measured one after the other.
    pub(super) both: f64,
}

/// Sends a small message to and fro on one channel.
pub(super) async fn round_trips(link: &Link) -> Result<RoundTrips, Failure> {
    let mut channel = open(link, Mode::Echo).await?;
    let started = Instant::now();
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    while times.len() < ROUND_TRIPS && (started.elapsed() < ROUND_TRIPS_LIMIT || times.is_empty()) {
        let sent = Instant::now();
        round_trip(&mut channel).await.map_err(|error| Failure::channel(&error))?;
        times.push(sent.elapsed());
    }
    channel.finish().await.map_err(|error| Failure::channel(&error))?;
    times.sort_unstable();
    let at = |percent: usize| {
        let index = times.len().saturating_sub(1) * percent / 100;
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    Ok(RoundTrips { median_us: rounded(at(50)), slow_us: rounded(at(99)) })
}

/// Sends `mib` MiB up and as many down through one stream each. The clock stops when the other end has read everything.
pub(super) async fn throughput(
    progress: Option<&Session>,
    link: &Link,
    mib: u64,
) -> Result<Throughput, Failure> {
    let size = mib.saturating_mul(MIB);
    let up = {
        let mut progress = Progress::new(progress, "up", size);
        let started = Instant::now();
        let mut channel = open(link, Mode::Up).await?;
        let sent = protocol::send(&mut channel, size, |count| progress.more(count)).await;
        sent.map_err(|error| Failure::channel(&error))?;
        channel.finish().await.map_err(|error| Failure::channel(&error))?;
        let arrived = channel.read_u64().await.map_err(|error| Failure::channel(&error))?;
        complete(arrived, size)?;
        started.elapsed()
    };
    let down = {
        let mut progress = Progress::new(progress, "down", size);
        let started = Instant::now();
        let mut channel = open(link, Mode::Down(size)).await?;
        let arrived = protocol::read_to_end(&mut channel, |count| progress.more(count)).await;
        let arrived = arrived.map_err(|error| Failure::channel(&error))?;
        complete(arrived, size)?;
        channel.finish().await.map_err(|error| Failure::channel(&error))?;
        started.elapsed()
    };
    let speed = |mib: u64, time: Duration| rounded(per_second(mib, time));
    Ok(Throughput {
        up: speed(mib, up),
        down: speed(mib, down),
        both: speed(mib.saturating_mul(2), up + down),
    })
}

/// How far a transfer is, told ten times a second.
#[derive(Debug)]
struct Progress<'a> {
    session: Option<&'a Session>,
    what: &'static str,
    size: u64,
    done: u64,
    told: Instant,
}

impl<'a> Progress<'a> {
    fn new(session: Option<&'a Session>, what: &'static str, size: u64) -> Self {
        Self { session, what, size, done: 0, told: Instant::now() }
    }

    fn more(&mut self, count: u64) {
        let Some(session) = self.session else { return };
        self.done = self.done.saturating_add(count);
        if self.told.elapsed() >= PROGRESS_INTERVAL {
            self.told = Instant::now();
            session.progress(self.what, self.done, Some(self.size));
        }
    }
}

/// Opens channels for a while, each for one small message there and back, and gives how many that were per second.
pub(super) async fn opens(link: &Link) -> Result<f64, Failure> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..OPENS_AT_ONCE {
        let link = link.clone();
        tasks.spawn(async move {
            let mut count = 0u64;
            while started.elapsed() < OPENS_TIME {
                request(&link).await?;
                count += 1;
            }
            Ok::<_, Failure>(count)
        });
    }
    let mut total = 0;
    while let Some(done) = tasks.join_next().await {
        total += done.map_err(|error| Failure::Failed(error.to_string()))??;
    }
    Ok(rounded(per_second(total, started.elapsed())))
}

/// A channel of its own for one small message there and back.
pub(crate) async fn request(link: &Link) -> Result<(), Failure> {
    let mut channel = open(link, Mode::Echo).await?;
    let done = async {
        round_trip(&mut channel).await?;
        channel.finish().await
    };
    done.await.map_err(|error| Failure::channel(&error))
}

async fn round_trip(channel: &mut Channel) -> std::io::Result<()> {
    let mut back = [0; SMALL];
    channel.write_all(&[0x5a; SMALL]).await?;
    channel.read_exact(&mut back).await?;
    if back == [0x5a; SMALL] {
        Ok(())
    } else {
        Err(std::io::Error::other("other bytes came back than were sent"))
    }
}

async fn open(link: &Link, mode: Mode) -> Result<Channel, Failure> {
    Ok(link.open(mode.open()).await?)
}

fn complete(arrived: u64, sent: u64) -> Result<(), Failure> {
    if arrived == sent {
        return Ok(());
    }
    Err(Failure::Failed(format!("{sent} bytes were sent and {arrived} arrived")))
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more digits than a float has")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// One digit behind the point: the others are noise.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
