//! One TCP connection through a tunnel: ours, iroh with a plain copy loop, `ssh -L`, and none.
//!
//! Both programs at the outside of the tunnel are threads of this process ([`work`]), both ends of the tunnel are processes of their own
//! ([`ends`], `through_iroh`, [`ssh`]), fresh for each run. What the ends use is read from the kernel ([`processes`]); this module alternates between
//! the ways and prints the table.

pub(crate) mod ends;
mod processes;
mod ssh;
#[cfg(feature = "iroh")]
mod through_iroh;
mod work;

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Result, ensure};
use clap::ValueEnum as _;

use crate::{
    driver::{chosen, print, tell},
    machine,
    options::{TunnelOptions, TunnelWay, name_of},
    sample::{Findings, median},
};

/// What was found in all runs, by way.
type Samples = BTreeMap<TunnelWay, Vec<Findings>>;

/// Measures every way, alternating, and prints the table.
///
/// # Errors
/// When the table cannot be printed, or a measurement failed; the others are reported nevertheless.
pub(crate) fn run(options: &TunnelOptions) -> Result<()> {
    let mut ways = chosen(&options.ways, TunnelWay::value_variants());
    if ways.contains(&TunnelWay::Ssh)
        && let Some(missing) = ssh::missing()
    {
        tell(&format!("ssh is left out: there is no {missing}"));
        ways.retain(|way| *way != TunnelWay::Ssh);
    }
    let (mut samples, mut failures) = (Samples::new(), 0);
    for run in 1..=options.runs {
        for &way in &ways {
            match measure(way, options) {
                Ok(findings) => {
                    let figures: Vec<_> =
                        findings.figures.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
                    tell(&format!(
                        "{} run {run}: {}; others kept {:.2} cores busy",
                        name_of(way),
                        figures.join(", "),
                        findings.other_cores.unwrap_or_default()
                    ));
                    samples.entry(way).or_default().push(findings);
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

/// One run through fresh ends.
fn measure(way: TunnelWay, options: &TunnelOptions) -> Result<Findings> {
    let server = work::serve()?;
    match way {
        TunnelWay::None => work::measure(server, options, || Ok(0.0)),
        TunnelWay::Ssh => {
            let tunnel = ssh::Tunnel::start(server)?;
            work::measure(tunnel.entrance(), options, || processes::cpu_seconds(tunnel.roots()))
        }
        _ => {
            let mut tunnel = ends::Tunnel::start(way, options.threads, server)?;
            let mut findings =
                work::measure(tunnel.entrance(), options, || processes::cpu_seconds(tunnel.roots()))?;
            findings.settings.insert(PAYLOAD.to_owned(), tunnel.payload()?);
            Ok(findings)
        }
    }
}

/// The setting that says how large the tunnel's datagrams are.
const PAYLOAD: &str = "udp_payload";

fn table(options: &TunnelOptions, samples: &Samples) -> String {
    let TunnelOptions { size_mib, requests, runs, threads, .. } = options;
    let mut text = format!(
        "Measured on {}. One TCP connection over loopback through the two ends of a tunnel: {size_mib} MiB there, {size_mib} MiB back, \
         {requests} round trips of one byte. Medians of {runs}, least to most in brackets; CPU is that of both ends; ends of telemesh and \
         iroh have {threads} thread(s).\n\n",
        machine::describe()
    );
    let head = [
        "through",
        "MiB/s there",
        "MiB/s back",
        "CPU s/GiB",
        "round trip p50 µs",
        "p99 µs",
        "added p50 µs",
        "UDP payload",
        "others' cores",
    ];
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
    for (way, found) in samples {
        let values = |way: TunnelWay, name: &str| -> Vec<f64> {
            let found = samples.get(&way).into_iter().flatten();
            found.filter_map(|findings| findings.figures.get(name).copied()).collect()
        };
        let shown = |name: &str, digits| range(&values(*way, name), digits);
        let none = median(&values(TunnelWay::None, P50)).filter(|_| *way != TunnelWay::None);
        let added = median(&values(*way, P50)).zip(none).map(|(own, none)| format!("{:.0}", own - none));
        let payload = found.iter().find_map(|findings| findings.settings.get(PAYLOAD).cloned());
        let others = found.iter().filter_map(|findings| findings.other_cores).fold(0.0, f64::max);
        let cells = [
            name_of(*way),
            shown(THERE, 0),
            shown(BACK, 0),
            if *way == TunnelWay::None { "-".to_owned() } else { shown(CPU, 2) },
            shown(P50, 0),
            shown(P99, 0),
            added.unwrap_or_else(|| "-".to_owned()),
            payload.unwrap_or_else(|| "-".to_owned()),
            format!("{others:.2}"),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// The median, and in brackets the least and the most.
fn range(values: &[f64], digits: usize) -> String {
    let Some(middle) = median(values) else { return "-".to_owned() };
    let (least, most) = values.iter().fold((middle, middle), |(a, b), value| (a.min(*value), b.max(*value)));
    format!("{middle:.digits$} ({least:.digits$} to {most:.digits$})")
}

/// The figures' names.
const THERE: &str = "there_mib_per_s";
const BACK: &str = "back_mib_per_s";
const CPU: &str = "ends_cpu_s_per_gib";
const P50: &str = "p50_us";
const P99: &str = "p99_us";

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> TunnelOptions {
        TunnelOptions { ways: Vec::new(), size_mib: 1, requests: 20, runs: 3, threads: 1 }
    }

    #[test]
    fn a_row_shows_medians_their_range_and_what_the_tunnel_adds() {
        let found = |p50: f64| {
            let mut findings = Findings::default();
            findings.figure(P50, p50).figure(CPU, p50 / 100.0);
            findings
        };
        let mut measured = found(220.0);
        measured.settings.insert(PAYLOAD.to_owned(), "1452".to_owned());
        measured.other_cores = Some(0.25);
        let samples = Samples::from([
            (TunnelWay::None, vec![found(50.0), found(40.0), found(45.0)]),
            (TunnelWay::Telemesh, vec![measured, found(200.0), found(210.0)]),
        ]);
        let text = table(&options(), &samples);
        assert!(text.contains("| none | - | - | - | 45 (40 to 50) | - | - | - | 0.00 |"), "{text}");
        let row = "| telemesh | - | - | 2.10 (2.00 to 2.20) | 210 (200 to 220) | - | 165 | 1452 | 0.25 |";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn without_a_tunnel_everything_is_measured_but_the_tunnel() {
        let findings = measure(TunnelWay::None, &options()).unwrap();
        for name in [THERE, BACK, P50, P99] {
            assert!(findings.figures[name] > 0.0, "{name}");
        }
        assert_eq!(findings.figures[CPU], 0.0);
    }
}
