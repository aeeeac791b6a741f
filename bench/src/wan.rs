//! Bad lines: every peer on every line, alternating, each measurement a fresh process; medians and ratios as a table.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

use crate::{
    driver::{chosen, print, tell},
    machine,
    options::{PeerName, WanOptions, WanTask, name_of},
    peers,
    sample::{Figures, median},
};

/// What a child process found out.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    figures: Figures,
    other_cores: Option<f64>,
}

/// KiB/s by line and peer. A line is its round trip in milliseconds and its number among the losses.
type Samples = BTreeMap<(u64, usize), BTreeMap<PeerName, Vec<f64>>>;

/// Measures every peer on every line, and prints the table.
///
/// # Errors
/// When the table cannot be printed, or a measurement failed; the others are reported nevertheless.
pub(crate) fn run(options: &WanOptions) -> Result<()> {
    let able = |peer: &PeerName| !matches!(name_of(*peer).as_str(), "floor" | "libp2p-tcp");
    let peers: Vec<PeerName> =
        chosen(&options.peers, PeerName::value_variants()).into_iter().filter(able).collect();
    let island = Island::new();
    if let Err(error) = &island {
        tell(&format!("whoever finds a way around the line fails: {error:#}"));
    }
    let (mut samples, mut failures) = (Samples::new(), 0);
    for &rtt in &options.rtt {
        for (number, &loss) in options.loss.iter().enumerate() {
            for run in 1..=options.runs {
                for &peer in &peers {
                    let (mbit, seconds) = (options.mbit, options.seconds);
                    let task = WanTask { peer, loss, rtt, mbit, seconds, seed: run.into() };
                    let told = format!("{rtt} ms, {loss}% lost, {} run {run}", name_of(peer));
                    match measure_in_child(task, island.as_ref().ok()) {
                        Ok(found) => {
                            let figure = |name: &str| found.figures.get(name).copied().unwrap_or_default();
                            let (rate, late) = (figure("kib_per_s"), figure("late_us"));
                            let others = found.other_cores.unwrap_or_default();
                            tell(&format!(
                                "{told}: {rate:.0} KiB/s; the line {late:.0} µs late, others kept {others:.2} cores busy"
                            ));
                            samples.entry((rtt, number)).or_default().entry(peer).or_default().push(rate);
                        }
                        Err(error) => {
                            failures += 1;
                            tell(&format!("{told}: failed: {error:#}"));
                        }
                    }
                }
            }
        }
    }
    print(&table(options, &peers, &samples))?;
    ensure!(failures == 0, "{failures} measurements failed");
    Ok(())
}

/// Measures in this process, and prints the sample.
pub(crate) fn measure_here(task: &WanTask) -> Result<()> {
    let findings = peers::measure_wan(*task)?;
    let found = Found { figures: findings.figures, other_cores: findings.other_cores };
    print(&serde_json::to_string(&found)?)?;
    // Some peers wait for their last packets, which the line may never deliver.
    std::process::exit(0)
}

/// A network namespace in which nothing goes from one end to the other but over the line. Some peers look for better paths
/// than the one they were given, and on loopback there always is one.
struct Island(String);

impl Island {
    /// It takes root, and `ip` and `nft`.
    fn new() -> Result<Self> {
        let island = Self(format!("telemesh-bench-{}", std::process::id()));
        let name = island.0.as_str();
        ip(&["netns", "add", name])?;
        ip(&["-netns", name, "link", "set", "lo", "up"])?;
        for rule in [
            "add table ip line",
            "add chain ip line input { type filter hook input priority 0; policy accept; }",
            "add rule ip line input ip saddr 127.0.0.1 ip daddr 127.0.0.1 udp dport != 0 drop",
        ] {
            ip(&["netns", "exec", name, "nft", rule])?;
        }
        Ok(island)
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = ip(&["netns", "delete", &self.0]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("there is no `ip`")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`ip {}`: {}", arguments.join(" "), complaint.trim());
    Ok(())
}

fn measure_in_child(task: WanTask, island: Option<&Island>) -> Result<Found> {
    let own = std::env::current_exe()?;
    let mut command = match island {
        Some(Island(name)) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name]).arg(own);
            command
        }
        None => Command::new(own),
    };
    let output = command
        .arg("measure-wan")
        .args(["--peer", &name_of(task.peer)])
        .args(["--loss", &task.loss.to_string()])
        .args(["--rtt", &task.rtt.to_string()])
        .args(["--mbit", &task.mbit.to_string()])
        .args(["--seconds", &task.seconds.to_string()])
        .args(["--seed", &task.seed.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the measuring process")?;
    ensure!(output.status.success(), "the measuring process ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("the measuring process printed no sample")
}

fn table(options: &WanOptions, peers: &[PeerName], samples: &Samples) -> String {
    let WanOptions { mbit, seconds, runs, .. } = options;
    let mut text = format!(
        "Measured on {}. One stream, {seconds} s from its first byte, {mbit} Mbit/s with a queue of 100 ms; KiB/s, median of \
         {runs}. More is better.\n\n",
        machine::describe()
    );
    let mut head = vec!["round trip".to_owned(), "loss".to_owned()];
    head.extend(peers.iter().map(|peer| name_of(*peer)));
    let others: Vec<PeerName> = peers.iter().copied().filter(|peer| *peer != PeerName::Telemesh).collect();
    head.extend(others.iter().map(|peer| format!("telemesh / {}", name_of(*peer))));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
    for ((rtt, number), by_peer) in samples {
        let of = |peer: &PeerName| by_peer.get(peer).and_then(|rates| median(rates));
        let mut cells =
            vec![format!("{rtt} ms"), format!("{}%", options.loss.get(*number).copied().unwrap_or_default())];
        cells.extend(peers.iter().map(|peer| of(peer).map_or("-".to_owned(), |rate| format!("{rate:.0}"))));
        cells.extend(others.iter().map(|peer| {
            let ratio = of(&PeerName::Telemesh).zip(of(peer)).filter(|(_, other)| *other > 0.0);
            ratio.map_or("-".to_owned(), |(own, other)| format!("{:.1}", own / other))
        }));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_line_and_shows_medians_and_ratios() {
        let options = WanOptions {
            peers: Vec::new(),
            loss: vec![1.0, 5.0],
            rtt: vec![50],
            mbit: 100,
            seconds: 10,
            runs: 3,
        };
        let peers = [PeerName::Telemesh, PeerName::Quinn];
        let rates = BTreeMap::from([
            (PeerName::Telemesh, vec![300.0, 100.0, 200.0]),
            (PeerName::Quinn, vec![50.0, 100.0, 150.0]),
        ]);
        let text = table(&options, &peers, &Samples::from([((50, 1), rates)]));
        assert!(text.contains("| 50 ms | 5% | 200 | 100 | 2.0 |"), "{text}");
    }
}
