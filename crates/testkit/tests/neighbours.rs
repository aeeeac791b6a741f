//! Nobody who shares an endpoint with a bad neighbour notices: not on other links, and not on the neighbour's own.
//!
//! Requests of 64 bytes go to one endpoint over two links while the peer of one of them does its worst. Time is virtual, so
//! what is compared is waiting: for the network, for credit, for a place in a queue. What a bad neighbour costs the
//! processor is measured by the program `load` in `bench/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use telemesh_channel::{Acceptor as _, Channel, Incoming, MAX_OPEN_PER_TYPE, Open, Opener as _};
use telemesh_mesh::Link;
use telemesh_testkit::{Node, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

const ECHO: &str = "org.example.echo";
const STALLED: &str = "org.example.stalled";
const PANICKING: &str = "org.example.panicking";
const HELD: &str = "org.example.held";
const BRIEF: &str = "org.example.brief";

/// Requests of one measurement: the fourth slowest is the 99th percentile.
const REQUESTS: usize = 300;

async fn echo(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    while let Ok(Some(chunk)) = channel.read_chunk().await {
        if channel.write_chunk(chunk).await.is_err() {
            return;
        }
    }
    let _ = channel.finish().await;
}

/// What the endpoint holds for its peers.
#[derive(Default)]
struct Held {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Held {
    fn handler(
        self: &Arc<Self>,
    ) -> impl Fn(Incoming) -> futures_util::future::BoxFuture<'static, ()> + use<> {
        let held = self.clone();
        move |incoming| {
            let held = held.clone();
            Box::pin(async move {
                let now = held.now.fetch_add(1, Ordering::Relaxed) + 1;
                held.most.fetch_max(now, Ordering::Relaxed);
                if let Ok(mut channel) = incoming.accept() {
                    // Nothing is ever sent: it ends with the channel.
                    let _ = channel.read_chunk().await;
                }
                held.now.fetch_sub(1, Ordering::Relaxed);
            })
        }
    }
}

/// An endpoint with two peers.
struct Street {
    /// Whose link is disturbed.
    noisy: Link,
    /// Another link of the same endpoint.
    other: Link,
    held: Arc<Held>,
    /// Not used again, but they have to live on.
    _nodes: [Node; 3],
}

impl Street {
    async fn new(world: &World) -> Self {
        let nodes = [world.node("shared"), world.node("noisy"), world.node("other")];
        let [shared, noisy, other] = &nodes;
        let held = Arc::<Held>::default();
        let mesh = shared.mesh();
        mesh.handle(ECHO, Arc::new(echo)).unwrap();
        mesh.handle(HELD, Arc::new(held.handler())).unwrap();
        mesh.handle(PANICKING, Arc::new(|_: Incoming| async { panic!("this is a test") })).unwrap();
        mesh.handle(
            STALLED,
            Arc::new(|incoming: Incoming| async move {
                let _channel = incoming.accept();
                std::future::pending::<()>().await;
            }),
        )
        .unwrap();
        mesh.handle(
            BRIEF,
            Arc::new(|incoming: Incoming| async move {
                if let Ok(mut channel) = incoming.accept() {
                    let _ = channel.finish().await;
                }
            }),
        )
        .unwrap();
        let (noisy, other) = (world.link(noisy, shared).await, world.link(other, shared).await);
        Self { noisy, other, held, _nodes: nodes }
    }
}

/// What a bad neighbour does, for as long as nobody aborts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    /// Sends all it can on a channel that nobody reads.
    StalledReader,
    /// Opens channels whose handler panics, two hundred a second.
    PanickingHandler,
    /// Opens channels as fast as it can, and keeps them.
    Opener,
    /// Opens channels as fast as it can; each ends at once.
    Churner,
    /// Opens channels of a type that nobody answers, as fast as it can.
    Guesser,
}

const ALL: [Disturbance; 5] = [
    Disturbance::StalledReader,
    Disturbance::PanickingHandler,
    Disturbance::Opener,
    Disturbance::Churner,
    Disturbance::Guesser,
];

impl Disturbance {
    fn start(self, link: &Link) -> AbortHandle {
        let link = link.clone();
        tokio::spawn(async move {
            match self {
                Self::StalledReader => stall(&link).await,
                Self::PanickingHandler => loop {
                    let _ = link.open(Open::reliable(PANICKING)).await;
                    sleep(Duration::from_millis(5)).await;
                },
                Self::Opener => open_and_keep(&link).await,
                Self::Churner => loop {
                    churn(&link, BRIEF).await;
                },
                Self::Guesser => loop {
                    churn(&link, "org.example.unknown").await;
                },
            }
        })
        .abort_handle()
    }
}

async fn stall(link: &Link) {
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut channel = link.open(Open::reliable(STALLED)).await.unwrap();
        // It never ends: what was given out as credit is used up, and there is no more.
        let writing = async { while channel.write_all(&[0; 10_000]).await.is_ok() {} };
        let _ = timeout(Duration::from_secs(2), writing).await;
        held.push(channel);
    }
    std::future::pending::<()>().await;
}

/// Keeps what was not refused, as somebody would who wants to use up the endpoint.
async fn open_and_keep(link: &Link) {
    let mut kept: Vec<Channel> = Vec::new();
    loop {
        match timeout(Duration::from_millis(200), link.open(Open::reliable(HELD))).await {
            Ok(Ok(channel)) => kept.push(channel),
            // No credit: those that were refused make room for others.
            _ => kept.retain_mut(|channel| {
                futures_util::FutureExt::now_or_never(channel.accepted())
                    .is_none_or(|accepted| accepted.is_ok())
            }),
        }
        tokio::task::yield_now().await;
    }
}

/// Sixteen channels at once, each until its end.
async fn churn(link: &Link, channel_type: &str) {
    let one = async || {
        if let Ok(mut channel) = link.open(Open::reliable(channel_type)).await {
            let _ = channel.read_chunk().await;
        }
    };
    futures_util::future::join_all((0..16).map(|_| one())).await;
}

/// The 99th percentile of requests on a channel of the link, one every so often.
async fn p99(link: &Link) -> Duration {
    let mut channel = link.open(Open::reliable(ECHO)).await.unwrap();
    channel.accepted().await.unwrap();
    let mut times = Vec::new();
    let mut back = [0; 64];
    for _ in 0..REQUESTS {
        let start = Instant::now();
        channel.write_all(&[7; 64]).await.unwrap();
        channel.read_exact(&mut back).await.unwrap();
        times.push(start.elapsed());
        sleep(Duration::from_millis(13)).await;
    }
    times.sort_unstable();
    times[REQUESTS * 99 / 100 - 1]
}

/// Both links at once.
async fn both(street: &Street) -> [Duration; 2] {
    let (same, other) = tokio::join!(p99(&street.noisy), p99(&street.other));
    [same, other]
}

fn compare(seed: u64, disturbances: &'static [Disturbance]) {
    World::run(seed, |world| async move {
        let street = Street::new(&world).await;
        let quiet = both(&street).await;
        let running: Vec<_> = disturbances.iter().map(|one| one.start(&street.noisy)).collect();
        // Not only once it has got going.
        let disturbed = both(&street).await;
        let later = both(&street).await;
        running.iter().for_each(AbortHandle::abort);
        for (place, which) in ["its own link", "the other link"].into_iter().enumerate() {
            for slow in [disturbed[place], later[place]] {
                assert!(
                    slow.as_secs_f64() <= quiet[place].as_secs_f64() * 1.2,
                    "{disturbances:?} on {which}: {:?} undisturbed, {slow:?} disturbed",
                    quiet[place]
                );
            }
        }
        let most = street.held.most.load(Ordering::Relaxed);
        assert!(most <= MAX_OPEN_PER_TYPE, "{most} handlers at once");
        if disturbances.contains(&Disturbance::Opener) {
            assert_eq!(most, MAX_OPEN_PER_TYPE, "it did what it could");
        }
    });
}

#[test]
fn a_stalled_reader_is_not_noticed() {
    compare(1, &[Disturbance::StalledReader]);
}

#[test]
fn a_panicking_handler_is_not_noticed() {
    compare(2, &[Disturbance::PanickingHandler]);
}

#[test]
fn a_peer_that_opens_channels_as_fast_as_it_can_is_not_noticed() {
    compare(3, &[Disturbance::Opener]);
    compare(4, &[Disturbance::Churner]);
    compare(5, &[Disturbance::Guesser]);
}

#[test]
fn channels_that_nobody_takes_are_ended_at_a_limited_rate() {
    World::run(6, |world| async move {
        let street = Street::new(&world).await;
        let ended = Arc::<AtomicUsize>::default();
        for _ in 0..200 {
            let (link, ended) = (street.noisy.clone(), ended.clone());
            tokio::spawn(async move {
                loop {
                    let mut channel = link.open(Open::reliable("org.example.unknown")).await.unwrap();
                    assert!(channel.accepted().await.is_err());
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        sleep(Duration::from_secs(10)).await;
        // Some hundred refusals a second, and five hundred that get no answer.
        let first = ended.load(Ordering::Relaxed);
        assert!((5_000..7_000).contains(&first), "{first} in ten seconds");
        let before = Instant::now();
        let mut channel = street.noisy.open(Open::reliable(ECHO)).await.unwrap();
        channel.accepted().await.unwrap();
        assert!(
            before.elapsed() < Duration::from_millis(500),
            "there is a place for others: {:?}",
            before.elapsed()
        );
    });
}

#[test]
fn all_of_them_at_once_are_not_noticed() {
    compare(7, &ALL);
}
