//! Alternating runs: every measurement is a fresh process of this program, so that no peer inherits another's memory,
//! threads or CPU time, and a peer that fails spoils only its own row.

use std::{
    io::{Write as _, stderr, stdout},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;

use crate::{
    machine::{self, QUIET_CORES},
    options::{Amounts, MeasureTask, Options, PeerName, Workload, name_of},
    peers,
    report::Report,
    sample::Sample,
};

/// Runs everything that the command line asks for, and prints the report.
///
/// # Errors
/// When the report cannot be printed, or a measurement failed; the others are reported nevertheless.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workloads = chosen(&options.only, Workload::value_variants());
    let peers = chosen(&options.peers, PeerName::value_variants());
    let mut report = Report::new(options.amounts);
    let mut failures = 0;
    for &workload in &workloads {
        for run in 1..=options.runs {
            for &peer in peers.iter().filter(|peer| peer.takes_part_in(workload)) {
                let task = MeasureTask { workload, peer, run, amounts: options.amounts };
                match if options.quiet_machine { measure_quietly(task) } else { measure_in_child(task) } {
                    Ok(sample) => {
                        tell(&format!(
                            "{} {} run {run}: {}",
                            name_of(workload),
                            name_of(peer),
                            brief(&sample)
                        ));
                        if options.json {
                            print(&serde_json::to_string(&sample)?)?;
                        }
                        report.add(sample);
                    }
                    Err(error) => {
                        failures += 1;
                        tell(&format!(
                            "{} {} run {run}: failed: {error:#}",
                            name_of(workload),
                            name_of(peer)
                        ));
                    }
                }
            }
        }
    }
    if options.json {
        for summary in report.summaries() {
            print(&serde_json::to_string(&summary)?)?;
        }
    }
    if options.markdown || !options.json {
        print(&report.markdown())?;
    }
    ensure!(failures == 0, "{failures} measurements failed");
    Ok(())
}

/// The wanted variants in their usual order, or all of them if none are named.
pub(crate) fn chosen<T: Copy + Ord>(wanted: &[T], all: &[T]) -> Vec<T> {
    all.iter().copied().filter(|one| wanted.is_empty() || wanted.contains(one)).collect()
}

/// Measures in this process, and prints the sample.
pub(crate) fn measure_here(task: &MeasureTask) -> Result<()> {
    let findings = peers::measure(*task)?;
    let sample = Sample {
        v: 1,
        event: "sample".to_owned(),
        workload: task.workload,
        peer: task.peer,
        run: task.run,
        figures: findings.figures,
        settings: findings.settings,
        other_cores: findings.other_cores,
    };
    print(&serde_json::to_string(&sample)?)
}

/// Measures while other programs are quiet. A sample that they disturbed is thrown away, except for the last attempt's:
/// its row says how much they did.
fn measure_quietly(task: MeasureTask) -> Result<Sample> {
    const ATTEMPTS: u32 = 5;
    let mut attempt = 1;
    loop {
        machine::wait_until_quiet()?;
        let sample = measure_in_child(task)?;
        if sample.other_cores.is_none_or(|cores| cores < QUIET_CORES) || attempt == ATTEMPTS {
            return Ok(sample);
        }
        attempt += 1;
    }
}

fn measure_in_child(task: MeasureTask) -> Result<Sample> {
    let Amounts { size_mib, requests, connections, links } = task.amounts;
    let output = Command::new(std::env::current_exe()?)
        .arg("measure")
        .args(["--workload", &name_of(task.workload)])
        .args(["--peer", &name_of(task.peer)])
        .args(["--run", &task.run.to_string()])
        .args(["--size-mib", &size_mib.to_string()])
        .args(["--requests", &requests.to_string()])
        .args(["--connections", &connections.to_string()])
        .args(["--links", &links.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the measuring process")?;
    ensure!(output.status.success(), "the measuring process ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("the measuring process printed no sample")
}

fn brief(sample: &Sample) -> String {
    let mut parts: Vec<String> =
        sample.figures.iter().map(|(name, value)| format!("{name} {value:.1}")).collect();
    parts.extend(sample.settings.iter().map(|(name, value)| format!("{name} {value}")));
    parts.extend(sample.other_cores.map(|cores| format!("others kept {cores:.2} cores busy")));
    parts.join(", ")
}

/// Prints one line, or several, on standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    Ok(writeln!(stdout(), "{text}")?)
}

/// Tells the user on standard error how it goes, so that standard output stays the report.
pub(crate) fn tell(line: &str) {
    // Nobody reads it: that is the user's choice, and no reason to stop.
    let _ = writeln!(stderr(), "{line}");
}
