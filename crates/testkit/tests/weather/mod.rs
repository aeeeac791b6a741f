//! What the simulations with random faults have in common: seeds side by side, weather, senders that never tire.
#![allow(dead_code, reason = "each simulation uses its part")]
#![allow(clippy::print_stdout, reason = "a run says what has happened in it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt;
use telemesh_channel::ChannelError;
use telemesh_simnet::{Conditions, DropReason, FaultCounts, Scope};
use telemesh_testkit::{Node, SimTransport, World, transfer};

/// What came of one seed.
pub(crate) struct Outcome {
    pub(crate) problems: Vec<String>,
    pub(crate) fired: BTreeMap<&'static str, u64>,
    pub(crate) trace: u64,
}

/// Seeds that CI runs.
const SEEDS: u64 = 200;

/// Wait after a transfer that has failed.
const FAILED_PAUSE: Duration = Duration::from_millis(100);

/// How often each fault must have fired in a run of all seeds, or the run has shown nothing.
const LEAST: u64 = 10;

/// Runs a scenario with every seed, several worlds side by side, and says what fired in all of them together.
pub(crate) fn run_seeds<F: Future<Output = Outcome>>(scenario: impl Fn(World) -> F + Sync) {
    let fired = Mutex::new(BTreeMap::new());
    let next = AtomicU64::new(seeds().start);
    // Every seed is a world of its own in one thread.
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds().contains(&seed) {
                break;
            }
            let outcome = World::run(seed, &scenario);
            assert!(outcome.problems.is_empty(), "seed {seed}: {:?}", outcome.problems);
            for (fault, count) in outcome.fired {
                *fired.lock().unwrap().entry(fault).or_insert(0) += count;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(run);
        }
    });
    let fired = fired.into_inner().unwrap();
    if std::env::var_os("TELEMESH_SEED").is_none() {
        println!("faults fired: {fired:?}");
        for (fault, count) in fired {
            assert!(count >= LEAST, "{fault} fired only {count} times");
        }
    }
}

fn seeds() -> Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("TELEMESH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TELEMESH_SEEDS").unwrap_or(SEEDS),
    }
}

/// Transfers without end, each on a channel of its own, with a pause in between; broken ones are given up.
pub(crate) async fn keep_sending(from: &Node, to: &Node, sent: &AtomicU64, pause: Duration) {
    let peer = to.hashname();
    loop {
        let link = from.try_mesh().and_then(|mesh| mesh.find(&peer));
        let number = sent.fetch_add(1, Ordering::Relaxed);
        let done = match link {
            Some(link) => transfer(&link, number, 40_000 + number % 7 * 10_000).await.is_ok(),
            None => false,
        };
        let pause = if done { pause } else { FAILED_PAUSE };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// The link comes up by itself, and a transfer of so many bytes passes.
pub(crate) async fn recovered(from: &Node, to: &Node, sent: &AtomicU64, bytes: u64) -> Result<(), String> {
    let link = from.mesh().find(&to.hashname()).ok_or("a contact was lost")?;
    link.up(Duration::from_secs(90))
        .await
        .map_err(|error| format!("the link stays down: {error}; {}", link.explain()))?;
    let all = async {
        let next = || transfer(&link, sent.fetch_add(1, Ordering::Relaxed), bytes);
        match next().await {
            // The link may still look up that led to the process before a restart: the news comes once.
            Err(error) if ChannelError::of(&error) == Some(&ChannelError::PeerRestarted) => next().await,
            done => done,
        }
    };
    match tokio::time::timeout(Duration::from_secs(120), all).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("a transfer failed in fine weather: {error}; {}", link.explain())),
        Err(_) => Err(format!("a transfer is stuck in fine weather; {}", link.explain())),
    }
}

pub(crate) fn bad_weather(world: &World) {
    let conditions = world.random(|rng| {
        Conditions::new()
            .delay(Duration::from_millis(rng.random_range(1..150)))
            .jitter(Duration::from_millis(rng.random_range(0..40)))
            .loss(rng.random_range(0.0..0.15))
            .reorder(rng.random_range(0.0..0.2), Duration::from_millis(30))
            .duplicate(rng.random_range(0.0..0.1))
            .corrupt(rng.random_range(0.0..0.05))
    });
    world.with_network(|network| network.set_conditions(Scope::Everywhere, conditions));
}

pub(crate) fn calm(world: &World) {
    let conditions = Conditions::new().delay(Duration::from_millis(20));
    world.with_network(|network| {
        network.heal();
        network.set_conditions(Scope::Everywhere, conditions);
    });
}

/// A stranger sends bytes of every type and of many sizes.
pub(crate) fn harass(world: &World, stranger: &SimTransport, targets: impl IntoIterator<Item = SocketAddr>) {
    for to in targets {
        for kind in 0..8u8 {
            let size = world.random(|rng| match rng.random_range(0..4) {
                0 => 1_200,
                1 => 32,
                _ => rng.random_range(0..2_000),
            });
            let mut packet = vec![0; size];
            world.random(|rng| rng.fill(&mut packet[..]));
            for (byte, value) in packet.iter_mut().zip([kind, 0, 0, 0]) {
                *byte = value;
            }
            stranger.send(to, &packet);
        }
    }
}

/// Adds what the network has done.
pub(crate) fn count(counts: &FaultCounts, fired: &mut BTreeMap<&'static str, u64>) {
    let all = [
        ("loss", counts.dropped(DropReason::Loss)),
        ("delay", counts.delayed),
        ("jitter", counts.jittered),
        ("reordering", counts.reordered),
        ("duplication", counts.duplicated),
        ("corruption", counts.corrupted),
        ("dropped in a partition", counts.dropped(DropReason::Partition)),
        (
            "dropped on the way to an old address",
            counts.dropped(DropReason::NoRoute) + counts.dropped(DropReason::AddressGone),
        ),
    ];
    for (fault, times) in all {
        *fired.entry(fault).or_insert(0) += times;
    }
}
