//! What it costs to stand between two endpoints: a router of ours, iroh's relay, and a plain forwarder that makes the same socket
//! calls and looks nothing up but an address.
//!
//! Three roles: the *middle* is a process of its own on one core ([`middle`], [`plain`], [`relay`]), both *ends* share the other
//! ([`ends`], [`relay`]), and this module alternates between the ways and prints the table. Ends never find a way around the
//! middle: whether they did is read back from their paths.

mod ends;
pub(crate) mod middle;
mod plain;
#[cfg(feature = "iroh")]
mod relay;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

use crate::{
    cores::CLIENT_CORE,
    driver::{chosen, print, tell},
    machine::{self, Meter},
    options::{ForwardingOptions, ForwardingTask, MiddleTask, Way, name_of},
    payload,
    peer::Peer,
    sample::{Figures, Findings, median},
    service::{self, Echo},
    workloads::{pair_on, rtt},
};

/// What a child process found out.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    figures: Figures,
    other_cores: Option<f64>,
}

/// Figures of all runs by way.
type Samples = BTreeMap<Way, Vec<Figures>>;

/// Measures every way, alternating, and prints the table.
///
/// # Errors
/// When the table cannot be printed, or a measurement failed; the others are reported nevertheless.
pub(crate) fn run(options: &ForwardingOptions) -> Result<()> {
    let ways = chosen(&options.ways, Way::value_variants());
    let (mut samples, mut failures) = (Samples::new(), 0);
    for run in 1..=options.runs {
        for &way in &ways {
            let middle = MiddleTask { way, unpinned: options.unpinned };
            let task = ForwardingTask { middle, size_mib: options.size_mib, requests: options.requests };
            match measure_in_child(&task) {
                Ok(found) => {
                    let figures: Vec<_> =
                        found.figures.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
                    let others = found.other_cores.unwrap_or_default();
                    tell(&format!(
                        "{} run {run}: {}; others kept {others:.2} cores busy",
                        name_of(way),
                        figures.join(", ")
                    ));
                    samples.entry(way).or_default().push(found.figures);
                }
                Err(error) => {
                    failures += 1;
                    tell(&format!("{} run {run}: failed: {error:#}", name_of(way)));
                }
            }
        }
    }
    print(&table(options, &samples))?;
    ensure!(failures == 0, "{failures} measurements failed");
    Ok(())
}

fn measure_in_child(task: &ForwardingTask) -> Result<Found> {
    let output = Command::new(std::env::current_exe()?)
        .arg("measure-forwarding")
        .args(task.middle.arguments())
        .args(["--size-mib", &task.size_mib.to_string()])
        .args(["--requests", &task.requests.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the measuring process")?;
    ensure!(output.status.success(), "the measuring process ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("the measuring process printed no sample")
}

/// Measures one way in this process, with its middle in another, and prints the sample.
///
/// # Errors
/// Whatever goes wrong in the ends or in the middle.
pub(crate) fn measure_here(task: &ForwardingTask) -> Result<()> {
    middle::start(task.middle)?;
    let findings = match task.middle.way {
        Way::Plain => measure::<ends::AroundRouter>(task),
        Way::Router => measure::<ends::ThroughRouter>(task),
        #[cfg(feature = "iroh")]
        Way::IrohRelay => measure::<relay::ThroughRelay>(task),
    };
    middle::end();
    let findings = findings?;
    let found = Found { figures: findings.figures, other_cores: findings.other_cores };
    print(&serde_json::to_string(&found)?)
}

fn measure<P: Peer>(task: &ForwardingTask) -> Result<Findings> {
    let (size_mib, requests) = (task.size_mib, task.requests);
    let core = task.middle.core(CLIENT_CORE);
    pair_on::<P, _, _>(core, core, move |address| client::<P>(address, size_mib, requests))
}

/// A transfer and then round trips, both on the connection through the middle.
async fn client<P: Peer>(address: String, size_mib: u64, requests: u32) -> Result<Findings> {
    let block = payload::block();
    let total = size_mib << 20;
    let expected = payload::expected(&block, total);
    let mut dialer = P::dialer(&address).await?;
    let mut connection = P::connect(&mut dialer).await?;
    service::warm_up(&mut P::open(&mut connection).await?, &block).await?;
    let mut stream = P::open(&mut connection).await?;

    let (before, meter) = (middle::status()?, Meter::start());
    service::transfer(&mut stream, &block, total, expected).await?;
    let (used, after) = (meter.read(), middle::status()?);
    drop(stream);

    let cpu = after.cpu_seconds - before.cpu_seconds;
    let packets = after.packets.saturating_sub(before.packets) as f64;
    let mut findings = Findings::new(P::settings(&connection), &used);
    // What the middle uses is no other program's.
    findings.other_cores = Some((used.other_cores - cpu / used.wall_seconds).max(0.0));
    findings
        .figure("mib_per_s", size_mib as f64 / used.wall_seconds)
        .figure("middle_cpu_s_per_gib", cpu * 1024.0 / size_mib as f64)
        .figure("packets_per_cpu_s", packets / cpu)
        .figure("packets_per_mib", packets / size_mib as f64)
        .figure("lost", after.lost.saturating_sub(before.lost) as f64);

    let mut echo = Echo::start(P::open(&mut connection).await?).await?;
    let round_trips = rtt::round_trips(&mut echo, requests, || P::settings(&connection)).await?;
    echo.finish().await?;
    findings.figures.extend(round_trips.figures);
    for settings in [&findings.settings, &round_trips.settings] {
        let way = settings.get(WAY).map_or("?", String::as_str);
        ensure!(way == THROUGH, "the ends did not stay with the middle: {way}");
    }
    P::close(&mut dialer, connection).await?;
    Ok(findings)
}

/// The setting that says which way a connection takes, and what it has to be.
const WAY: &str = "way";
const THROUGH: &str = "through the middle";

fn table(options: &ForwardingOptions, samples: &Samples) -> String {
    let ForwardingOptions { size_mib, requests, runs, unpinned, .. } = options;
    let place = if *unpinned {
        "through a middle, all where the kernel puts them"
    } else {
        "on one core, through a middle on the other"
    };
    let mut text = format!(
        "Measured on {}. One stream of {size_mib} MiB and {requests} round trips of 64 bytes between two endpoints {place}; \
         medians of {runs}.\n\n",
        machine::describe()
    );
    let head = [
        "through",
        "its CPU s/GiB",
        "x plain",
        "packets per CPU second",
        "x plain",
        "packets per MiB",
        "lost",
        "MiB/s",
        "round trip p50 µs",
        "p99 µs",
    ];
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
    for way in samples.keys() {
        let of = |way: Way, name: &str| {
            let values = samples.get(&way)?.iter().filter_map(|figures| figures.get(name).copied());
            median(&values.collect::<Vec<_>>()).filter(|value| value.is_finite())
        };
        let shown = |name: &str, digits: usize| {
            of(*way, name).map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let ratio = |name: &str| {
            let ratio = of(*way, name).zip(of(Way::Plain, name)).map(|(own, plain)| own / plain);
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        // What iroh's relay calls a packet may be a batch of them.
        let comparable = matches!(way, Way::Plain | Way::Router);
        let packets = if comparable { ratio("packets_per_cpu_s") } else { "-".to_owned() };
        let cells = [
            name_of(*way),
            shown("middle_cpu_s_per_gib", 3),
            ratio("middle_cpu_s_per_gib"),
            shown("packets_per_cpu_s", 0),
            packets,
            shown("packets_per_mib", 0),
            shown("lost", 0),
            shown("mib_per_s", 0),
            shown("p50_us", 1),
            shown("p99_us", 1),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_medians_and_how_they_compare_with_the_plain_forwarder() {
        let options =
            ForwardingOptions { ways: Vec::new(), size_mib: 64, requests: 10, runs: 3, unpinned: false };
        let figures = |cpu: f64| {
            let packets = ("packets_per_cpu_s".to_owned(), 1_000.0 / cpu);
            Figures::from([("middle_cpu_s_per_gib".to_owned(), cpu), packets])
        };
        let samples = Samples::from([
            (Way::Plain, vec![figures(0.4), figures(0.1), figures(0.2)]),
            (Way::Router, vec![figures(0.25)]),
        ]);
        let text = table(&options, &samples);
        assert!(text.contains("| plain | 0.200 | 1.00 | 5000 |"), "{text}");
        assert!(text.contains("| router | 0.250 | 1.25 | 4000 |"), "{text}");
    }
}
