//! Sender, cache and recipient die at random points, a hundred times over: what `send` reported arrives, in order; what was
//! acknowledged does not come again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy does not see that helpers in here belong to tests"
)]

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use telemesh_box::{CacheLimits, Change, EachRow, MemoryStore, StartError, Store, StoreError};
use world::{Node, World, connect, disconnect, run, text};

/// A store whose process dies after so many commits: the last one is made, or not, and nobody hears of it.
struct Mortal {
    rows: Arc<MemoryStore>,
    left: AtomicU64,
    last_is_made: bool,
}

impl Mortal {
    fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

impl Store for Mortal {
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        if self.is_dead() {
            return Err(StoreError::Ended);
        }
        let is_last = self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if !is_last || self.last_is_made {
            self.rows.commit(changes)?;
        }
        if is_last { Err(StoreError::Ended) } else { Ok(()) }
    }

    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if self.is_dead() { Err(StoreError::Ended) } else { self.rows.read(key) }
    }

    fn scan(&self, prefix: &[u8], each: &mut EachRow<'_>) -> Result<(), StoreError> {
        self.rows.scan(prefix, each)
    }

    fn is_immediate(&self) -> bool {
        true
    }
}

/// A node with the rows that outlive its processes.
struct Life {
    node: Node,
    rows: Arc<MemoryStore>,
    store: Arc<Mortal>,
}

impl Life {
    fn new(world: &World, node: Node, rng: &mut StdRng, commits: u64) -> Self {
        let rows = Arc::new(MemoryStore::new());
        let store = Arc::new(Mortal { rows: rows.clone(), left: AtomicU64::new(1), last_is_made: true });
        let mut life = Self { node, rows, store };
        life.start(world, rng, commits);
        life
    }

    /// Starts the process, which dies after about so many commits; 0 for never.
    fn start(&mut self, world: &World, rng: &mut StdRng, commits: u64) {
        loop {
            let left = if commits == 0 { u64::MAX } else { rng.random_range(1..=commits) };
            let last_is_made = rng.random();
            self.store =
                Arc::new(Mortal { rows: self.rows.clone(), left: AtomicU64::new(left), last_is_made });
            self.node.store = self.store.clone();
            if let Some((_, limits)) = self.node.cache {
                self.node.cache = Some((self.store.clone(), limits));
            }
            match world.try_start(&mut self.node) {
                Ok(()) => return,
                // It may die while it starts.
                Err(StartError::Store(StoreError::Ended)) => {}
                Err(error) => panic!("what it wrote cannot be read: {error}"),
            }
        }
    }
}

/// What a run has seen.
#[derive(Default)]
struct Seen {
    reported: Vec<u32>,
    acknowledged: Vec<u32>,
    deliveries: usize,
    deaths: usize,
}

async fn life_and_death(seed: u64) -> Seen {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new();
    let (mut sender, mut cache, mut recipient) = world.three();
    [&mut sender, &mut cache, &mut recipient].into_iter().for_each(|node| node.running = None);
    cache.cache =
        Some((Arc::new(MemoryStore::new()), CacheLimits { per_sender: 200_000, ..CacheLimits::default() }));
    // Room for one large message and a few small ones at a time.
    sender.limits.per_cache = 170_000;
    let commits = rng.random_range(3..20);
    let mut lives = [sender, cache, recipient].map(|node| Life::new(&world, node, &mut rng, commits));
    let mut seen = Seen::default();
    let mut next = 0;
    for round in 0..24 {
        for life in &mut lives {
            if life.store.is_dead() || rng.random_ratio(1, 12) {
                seen.deaths += 1;
                life.node.running = None;
                life.start(&world, &mut rng, commits);
            }
        }
        // Who meets whom in this round.
        for (first, second) in [(0, 1), (1, 2), (0, 2)] {
            let meets = if first == 0 && second == 2 { rng.random_ratio(1, 8) } else { rng.random() };
            if meets {
                connect(&lives[first].node, &lives[second].node);
            } else {
                disconnect(&lives[first].node, &lives[second].node);
            }
        }
        if round < 16 {
            for _ in 0..rng.random_range(0..4) {
                send(&lives, next, &mut seen, &mut rng).await;
                next += 1;
            }
        }
        receive(&lives[2].node, &mut seen, rng.random_range(0..6)).await;
        for _ in 0..rng.random_range(0..200) {
            tokio::task::yield_now().await;
        }
    }
    // Nobody dies any more.
    for life in &mut lives {
        life.node.running = None;
        life.start(&world, &mut rng, 0);
    }
    connect(&lives[0].node, &lives[1].node);
    connect(&lives[1].node, &lives[2].node);
    // What the cache evicts is offered again every hour.
    for _ in 0..40 {
        receive(&lives[2].node, &mut seen, usize::MAX).await;
        if lives[0].node.pending() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    }
    assert_eq!(lives[0].node.pending(), 0, "seed {seed}: everything has its receipt");
    seen
}

async fn send(lives: &[Life; 3], number: u32, seen: &mut Seen, rng: &mut StdRng) {
    let to = lives[2].node.hashname();
    let padding = if rng.random_ratio(1, 10) { 150_000 } else { rng.random_range(0..2_000) };
    let content = format!("{number} {}", "x".repeat(padding));
    if lives[0].node.boxes().outbox().send(&to, content).await.is_ok() {
        seen.reported.push(number);
    }
}

/// Reads up to so many messages, as many as come.
async fn receive(node: &Node, seen: &mut Seen, most: usize) {
    let mut inbox = node.boxes().inbox().unwrap();
    for _ in 0..most {
        let patience = Duration::from_millis(10);
        let Ok(Some(message)) = tokio::time::timeout(patience, inbox.next()).await else { return };
        let number: u32 = text(&message).split(' ').next().unwrap().parse().unwrap();
        seen.deliveries += 1;
        assert!(!seen.acknowledged.contains(&number), "{number} was acknowledged and came again");
        if let Some(last) = seen.acknowledged.last() {
            assert!(*last < number, "{number} came after {last}");
        }
        if message.ack().await.is_ok() {
            seen.acknowledged.push(number);
        } else {
            // Its endpoint is dead: whatever it reads now, nobody sees.
            return;
        }
    }
}

#[test]
fn nothing_that_was_sent_is_lost_and_nothing_that_was_acknowledged_comes_again() {
    let (mut deaths, mut sent, mut again) = (0, 0, 0);
    let one = std::env::var("TELEMESH_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in one.map_or(0..100, |seed: u64| seed..seed + 1) {
        let seen = run(life_and_death(seed));
        for number in &seen.reported {
            // An acknowledgement that failed may have been stored: then the message was read, and does not come again.
            assert!(
                seen.acknowledged.contains(number) || seen.deliveries > seen.acknowledged.len(),
                "seed {seed}: {number} was reported as sent and never came"
            );
        }
        let missing = seen.reported.iter().filter(|number| !seen.acknowledged.contains(number)).count();
        assert!(missing <= seen.deliveries - seen.acknowledged.len(), "seed {seed}: {missing} never came");
        deaths += seen.deaths;
        sent += seen.reported.len();
        again += seen.deliveries - seen.acknowledged.len();
    }
    if one.is_none() {
        assert!(
            deaths > 500 && sent > 1_000 && again > 10,
            "{deaths} deaths, {sent} sent, {again} cut short"
        );
    }
}
