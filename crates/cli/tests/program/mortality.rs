//! Sender, router and recipient are killed at random points in time while messages travel: nothing that was called sent is lost, nothing
//! that was acknowledged comes again, and all of it is in order.
//!
//! `TELEMESH_RUNS=100 cargo test -p telemesh-cli --test program mortality` for more runs than the usual few, `TELEMESH_SEED` for
//! others. Seeds decide who is killed and when; what the processes do at that time is the system's business.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tempfile::TempDir;

use super::boxes::{introduce, port};
use crate::support::{Running, file, folder, run, telemesh};

/// Kills of one run.
const KILLS: usize = 6;

/// Longer than links need to come up again on a busy machine, after both ends were killed.
const LIMIT: Duration = Duration::from_secs(120);

/// An endpoint whose home outlives it.
struct Endpoint {
    home: TempDir,
    options: String,
    up: Option<Running>,
}

impl Endpoint {
    fn new(options: &str) -> Self {
        let home = folder();
        let cache = home.path().join("cache.redb");
        let options =
            format!("up --listen 127.0.0.1:{} {}", port(), options.replace("CACHE", cache.to_str().unwrap()));
        Self { home, options, up: None }
    }

    fn start(&mut self) {
        self.up = Some(Running::start(&mut telemesh(&self.home, &self.options)));
    }

    /// It may have died before it was up: another command may have had the home for too long.
    fn ensure(&mut self) {
        if self.up.as_mut().is_none_or(Running::has_ended) {
            self.start();
        }
    }

    fn kill(&mut self) {
        if let Some(mut up) = self.up.take() {
            up.kill();
        }
    }
}

/// What was read, in the order in which it came.
#[derive(Default)]
struct Heard {
    texts: Vec<String>,
    acknowledged: BTreeSet<String>,
    again: Vec<String>,
}

impl Heard {
    /// What one `box read` has printed. Each message is acknowledged before the next one is printed, and the last one before it ends.
    fn take(&mut self, printed: Vec<String>, ended_well: bool) {
        let sure = printed.len().saturating_sub(usize::from(!ended_well));
        for (number, text) in printed.into_iter().enumerate() {
            if self.acknowledged.contains(&text) {
                self.again.push(text.clone());
            }
            if !self.texts.contains(&text) {
                self.texts.push(text.clone());
            }
            if number < sure {
                self.acknowledged.insert(text);
            }
        }
    }
}

/// Reads until it is told to stop.
fn reader(home: &TempDir, stop: &Arc<AtomicBool>, heard: &Arc<Mutex<Heard>>) -> thread::JoinHandle<()> {
    let (stop, heard) = (stop.clone(), heard.clone());
    let mut command = telemesh(home, "box read --json --wait 1");
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let ended = run(&mut command);
            // The last line may be cut off where the program was.
            let whole = ended.stdout.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let text = String::from_utf8(ended.stdout[..whole].to_vec()).unwrap();
            let objects = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let messages = objects.filter(|object| object["event"] == "message");
            let printed = messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect();
            heard.lock().unwrap().take(printed, ended.status.success());
        }
    })
}

/// Sends so many messages; those that the program called sent, and all that were tried.
fn sender(home: &TempDir, run_number: u64) -> thread::JoinHandle<(Vec<String>, Vec<String>)> {
    let texts: Vec<_> = (0..8).map(|number| format!("run {run_number} message {number}")).collect();
    let commands: Vec<_> = texts
        .iter()
        .map(|text| {
            let mut command = telemesh(home, "box send bob --json --wait 0.3");
            command.arg(file(home, &text.replace(' ', "-"), text));
            command
        })
        .collect();
    thread::spawn(move || {
        let mut sent = Vec::new();
        for (text, mut command) in texts.iter().zip(commands) {
            let ended = run(&mut command);
            if ended.status.success() {
                sent.push(text.clone());
            }
        }
        (sent, texts)
    })
}

#[test]
fn whoever_is_killed_whenever_what_was_sent_arrives_and_what_was_read_does_not_come_again() {
    let number =
        |name: &str, default| std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    let (runs, seed) = (number("TELEMESH_RUNS", 10), number("TELEMESH_SEED", 1));
    let mut endpoints = [Endpoint::new(""), Endpoint::new("--box CACHE"), Endpoint::new("")];
    for endpoint in &mut endpoints {
        // At the address at which the others look for it later.
        let (up, _) = Running::waiting(&mut telemesh(&endpoint.home, &endpoint.options));
        endpoint.up = Some(up);
    }
    {
        let [alice, router, bob] = &endpoints;
        introduce((&router.home, "router"), (&alice.home, "alice"), "--grant box");
        introduce((&router.home, "router"), (&bob.home, "bob"), "--grant box");
        introduce((&alice.home, "alice"), (&bob.home, "bob"), "");
    }
    for endpoint in &mut endpoints {
        endpoint.kill();
    }
    for at in [0, 2] {
        file(&endpoints[at].home, "home/telemesh.toml", "box_via = [\"router\"]\n");
    }
    endpoints.iter_mut().for_each(Endpoint::start);

    let (stop, heard) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Heard>>::default());
    let reading = reader(&endpoints[2].home, &stop, &heard);
    let (mut all_sent, mut all_tried) = (0, Vec::new());
    for run_number in 0..runs {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(run_number));
        let sending = sender(&endpoints[0].home, run_number);
        for _ in 0..KILLS {
            thread::sleep(Duration::from_millis(rng.random_range(0..400)));
            let who = rng.random_range(0..endpoints.len());
            endpoints[who].kill();
            thread::sleep(Duration::from_millis(rng.random_range(0..200)));
            endpoints[who].start();
        }
        let (sent, tried) = sending.join().unwrap();
        all_sent += sent.len();
        all_tried.extend(tried);
        let began = Instant::now();
        loop {
            endpoints.iter_mut().for_each(Endpoint::ensure);
            let missing: Vec<_> = {
                let heard = heard.lock().unwrap();
                assert!(
                    heard.again.is_empty(),
                    "run {run_number}: acknowledged, and again: {:?}",
                    heard.again
                );
                sent.iter().filter(|text| !heard.texts.contains(text)).cloned().collect()
            };
            if missing.is_empty() {
                break;
            }
            assert!(began.elapsed() < LIMIT, "run {run_number}: sent and not received: {missing:?}");
            thread::sleep(Duration::from_millis(100));
        }
        eprintln!(
            "run {run_number}: {} of {} called sent, all there after {:?}",
            sent.len(),
            8,
            began.elapsed()
        );
    }
    stop.store(true, Ordering::Relaxed);
    reading.join().unwrap();
    let heard = heard.lock().unwrap();
    assert!(heard.again.is_empty(), "acknowledged, and again: {:?}", heard.again);
    let place = |text: &String| all_tried.iter().position(|tried| tried == text).expect("only what was sent");
    let places: Vec<_> = heard.texts.iter().map(place).collect();
    assert!(places.is_sorted(), "in the order in which they were sent: {:?}", heard.texts);
    assert!(all_sent > 0, "nothing was sent at all");
    eprintln!(
        "{runs} runs, {} kills, {all_sent} called sent, {} received",
        runs * KILLS as u64,
        heard.texts.len()
    );
}
