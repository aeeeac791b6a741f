//! Requests on a link with a bad neighbour and on another link of the same endpoint, with and without it.
//!
//! The endpoint has a core of its own. Both clients share the other one: the client of the other link goes first there, the
//! thread that behaves badly last. A spinning process of the lowest priority on each core keeps it awake in all runs, so that a disturbance does not make
//! answers faster by that.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use telemesh_bench::cores::{self, CLIENT_CORE, SERVER_CORE};
use telemesh_bench::figures::median;

use crate::channels::Disturbance;
use crate::client::{Client, Times};
use crate::endpoint::Endpoint;
use crate::{begin, options, print, priority, tell};

/// What is compared, by name.
const DISTURBANCES: [(&str, &[Disturbance]); 6] = [
    ("a stalled reader: four full channels", &[Disturbance::StalledReader]),
    ("a handler that panics, 200 a second", &[Disturbance::PanickingHandler]),
    ("opens as fast as it can, keeps them", &[Disturbance::Opener]),
    ("opens what nobody answers, as fast as it can", &[Disturbance::Guesser]),
    (
        "all of these",
        &[
            Disturbance::StalledReader,
            Disturbance::PanickingHandler,
            Disturbance::Opener,
            Disturbance::Guesser,
        ],
    ),
    ("opens and ends as fast as it can, served", &[Disturbance::Churner]),
];

/// Time for a disturbance to get going, and for its traces to go.
const SETTLE: Duration = Duration::from_millis(500);

/// Runs all of it and prints a table.
pub(crate) fn run(task: &options::Neighbours) -> Result<()> {
    let _awake = [SERVER_CORE, CLIENT_CORE].map(Spinner::start);
    begin();
    let folder = tempfile::tempdir()?;
    let mut endpoint = Endpoint::start(folder.path(), "127.0.0.1:0", false)?;
    let invite = endpoint.invite()?;
    let (noisy, other) = (Client::start(&invite, false)?, Client::start(&invite, true)?);
    let mut street = Street { noisy, other, endpoint };

    print(
        "| beside | same link: p50 µs | p99 µs | ratio of p99 | other link: p50 µs | p99 µs | ratio of p99 | endpoint's core busy |",
    );
    print("|---|---|---|---|---|---|---|---|");
    let mut quiet_runs = Vec::new();
    let mut rows = Vec::new();
    for (name, disturbances) in DISTURBANCES {
        let (mut quiet, mut disturbed) = (Vec::new(), Vec::new());
        for run in 1..=task.runs {
            street.noisy.disturb(&[])?;
            std::thread::sleep(SETTLE);
            quiet.push(street.measure(task.requests)?);
            street.noisy.disturb(disturbances)?;
            std::thread::sleep(SETTLE);
            disturbed.push(street.measure(task.requests)?);
            tell(&format!("{name}, run {run}: {} without, {} with it", brief(&quiet), brief(&disturbed)));
        }
        rows.push(row(name, &disturbed, Some(&quiet))?);
        quiet_runs.extend(quiet);
    }
    print(&row("nothing", &quiet_runs, None)?);
    rows.iter().for_each(|row| print(row));
    let status = street.endpoint.status()?;
    tell(&format!("the endpoint holds {} KiB and has {} links", status.resident_kib, status.links_up));
    Ok(())
}

struct Street {
    noisy: Client,
    other: Client,
    endpoint: Endpoint,
}

/// One run on both links.
#[derive(Debug, Clone, Copy)]
struct Run {
    same: Times,
    other: Times,
    /// Share of its core that the endpoint used.
    busy: f64,
}

impl Street {
    fn measure(&mut self, requests: u32) -> Result<Run> {
        let (before, started) = (self.endpoint.status()?, Instant::now());
        self.noisy.begin_requests(requests)?;
        self.other.begin_requests(requests)?;
        let (same, other) = (self.noisy.times()?, self.other.times()?);
        let busy = self.endpoint.status()?.cpu_seconds - before.cpu_seconds;
        Ok(Run { same, other, busy: busy / started.elapsed().as_secs_f64() })
    }
}

fn of(runs: &[Run], figure: impl Fn(&Run) -> f64) -> Result<f64> {
    median(&runs.iter().map(figure).collect::<Vec<_>>()).context("no runs")
}

fn row(name: &str, runs: &[Run], quiet: Option<&[Run]>) -> Result<String> {
    let mut line = format!("| {name} |");
    let links: [fn(&Run) -> Times; 2] = [|run| run.same, |run| run.other];
    for link in links {
        let (p50, p99) = (of(runs, |run| link(run).p50)?, of(runs, |run| link(run).p99)?);
        let ratio = match quiet {
            Some(quiet) => format!("{:.2}", p99 / of(quiet, |run| link(run).p99)?),
            None => "1".to_owned(),
        };
        line += &format!(" {p50:.0} | {p99:.0} | {ratio} |");
    }
    Ok(line + &format!(" {:.0} % |", of(runs, |run| run.busy)? * 100.0))
}

fn brief(runs: &[Run]) -> String {
    runs.last().map_or_else(String::new, |run| {
        format!("p99 {:.0} and {:.0} µs, core {:.0} %", run.same.p99, run.other.p99, run.busy * 100.0)
    })
}

/// A process that keeps a core from sleeping and otherwise lets everybody else go first.
struct Spinner(Option<Child>);

impl Spinner {
    fn start(core: usize) -> Self {
        let program = std::env::current_exe().map(|program| {
            Command::new(program).args(["spin", "--core", &core.to_string()]).stdin(Stdio::null()).spawn()
        });
        Self(program.and_then(|started| started).ok())
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended already, which is just as well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Spins until it is killed.
pub(crate) fn spin(core: usize) -> Result<()> {
    /// Longer than any measurement: nobody's core is kept for ever if the parent dies.
    const LIMIT: Duration = Duration::from_secs(1_800);
    cores::pin(core)?;
    priority::lowest();
    let started = Instant::now();
    while started.elapsed() < LIMIT {
        std::hint::spin_loop();
    }
    Ok(())
}
