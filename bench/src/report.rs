//! From samples to medians, ratios and tables.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use crate::{
    machine,
    options::{Amounts, PeerName, Workload, name_of},
    sample::{Sample, median},
};

/// One column of a workload's table.
struct Column {
    figure: &'static str,
    heading: &'static str,
    decimals: usize,
}

/// The columns of a workload. The first one is what the workload is about: ratios are taken of it.
fn columns(workload: Workload) -> &'static [Column] {
    match workload {
        Workload::Throughput => &[
            Column { figure: "mib_per_s", heading: "MiB/s", decimals: 0 },
            Column { figure: "cpu_s_per_gib", heading: "CPU s/GiB, both ends", decimals: 2 },
        ],
        Workload::Rtt => &[
            Column { figure: "p50_us", heading: "p50 µs", decimals: 1 },
            Column { figure: "p99_us", heading: "p99 µs", decimals: 1 },
        ],
        Workload::Connect => &[
            Column { figure: "cpu_us", heading: "CPU µs, both ends", decimals: 0 },
            Column { figure: "wall_p50_us", heading: "wall p50 µs", decimals: 0 },
            Column { figure: "again_cpu_us", heading: "again: CPU µs", decimals: 0 },
            Column { figure: "again_wall_p50_us", heading: "again: wall p50 µs", decimals: 0 },
        ],
        Workload::Memory => &[
            Column { figure: "idle_kib", heading: "KiB idle", decimals: 1 },
            Column { figure: "with_stream_kib", heading: "KiB with a stream", decimals: 1 },
        ],
    }
}

/// The yardsticks: the name of the ratio, and the peer that it is taken to.
fn yardsticks() -> Vec<(&'static str, PeerName)> {
    vec![
        #[cfg(feature = "iroh")]
        ("iroh", PeerName::Iroh),
        ("floor", PeerName::Floor),
    ]
}

/// All samples so far.
#[derive(Debug)]
pub(crate) struct Report {
    amounts: Amounts,
    samples: BTreeMap<(Workload, PeerName), Vec<Sample>>,
}

/// Medians of one peer under one workload, and their ratios to the yardsticks.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    v: u32,
    event: &'static str,
    workload: Workload,
    peer: PeerName,
    runs: usize,
    medians: BTreeMap<String, f64>,
    ratios: BTreeMap<String, f64>,
}

impl Report {
    /// A report without samples.
    pub(crate) fn new(amounts: Amounts) -> Self {
        Self { amounts, samples: BTreeMap::new() }
    }

    /// Adds a sample.
    pub(crate) fn add(&mut self, sample: Sample) {
        self.samples.entry((sample.workload, sample.peer)).or_default().push(sample);
    }

    /// One summary per workload and peer.
    pub(crate) fn summaries(&self) -> Vec<Summary> {
        let summary = |(&(workload, peer), samples): (&(Workload, PeerName), &Vec<Sample>)| Summary {
            v: 1,
            event: "summary",
            workload,
            peer,
            runs: samples.len(),
            medians: columns(workload)
                .iter()
                .filter_map(|column| {
                    Some((column.figure.to_owned(), self.median(workload, peer, column.figure)?))
                })
                .collect(),
            ratios: yardsticks()
                .into_iter()
                .filter_map(|(name, yardstick)| {
                    Some((name.to_owned(), self.ratio(workload, peer, yardstick)?))
                })
                .collect(),
        };
        self.samples.iter().map(summary).collect()
    }

    /// One table per workload.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("Measured on {}.\n", machine::describe());
        let mut workloads: Vec<Workload> = self.samples.keys().map(|(workload, _)| *workload).collect();
        workloads.dedup();
        for workload in workloads {
            self.table(workload, &mut text);
        }
        text
    }

    fn table(&self, workload: Workload, text: &mut String) {
        let rows: Vec<(PeerName, &Vec<Sample>)> = self
            .samples
            .iter()
            .filter(|((of, _), _)| *of == workload)
            .map(|((_, peer), samples)| (*peer, samples))
            .collect();
        let columns = columns(workload);
        let mut head = vec!["peer".to_owned()];
        head.extend(columns.iter().map(|column| column.heading.to_owned()));
        head.extend(yardsticks().iter().map(|(name, _)| format!("x {name}")));
        head.extend([
            "UDP payload".to_owned(),
            "runs".to_owned(),
            "other programs, cores at worst".to_owned(),
        ]);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n### {}\n\n{}\n", name_of(workload), self.explain(workload));
        let _ = writeln!(text, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
        for (peer, samples) in rows {
            let mut cells = vec![name_of(peer)];
            cells.extend(columns.iter().map(|column| self.cell(workload, peer, column)));
            cells.extend(yardsticks().into_iter().map(|(_, yardstick)| {
                self.ratio(workload, peer, yardstick)
                    .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
            }));
            let payload = samples.iter().find_map(|sample| sample.settings.get("udp_payload").cloned());
            cells.push(payload.unwrap_or_else(|| "-".to_owned()));
            cells.push(samples.len().to_string());
            let worst = samples.iter().filter_map(|sample| sample.other_cores).max_by(f64::total_cmp);
            cells.push(worst.map_or_else(|| "-".to_owned(), |cores| format!("{cores:.2}")));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }

    fn explain(&self, workload: Workload) -> String {
        let Amounts { size_mib, requests, connections, links } = self.amounts;
        match workload {
            Workload::Throughput => {
                format!("{size_mib} MiB on one stream; median (least to most). More is better.")
            }
            Workload::Rtt => {
                format!("{requests} round trips of 64 bytes on one open stream. Less is better.")
            }
            Workload::Connect => {
                format!(
                    "{connections} new connections of clients that the server has never met, each with one 64-byte echo, \
                     then closed; then as many again of one client that it knows. Less is better."
                )
            }
            Workload::Memory => {
                format!(
                    "Resident memory of the server process for each of {links} connections. Less is better."
                )
            }
        }
    }

    fn cell(&self, workload: Workload, peer: PeerName, column: &Column) -> String {
        let values = self.values(workload, peer, column.figure);
        let Some(median) = median(&values) else { return "-".to_owned() };
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let decimals = column.decimals;
        format!("{median:.decimals$} ({least:.decimals$} to {most:.decimals$})")
    }

    fn values(&self, workload: Workload, peer: PeerName, figure: &str) -> Vec<f64> {
        let samples = self.samples.get(&(workload, peer)).map(Vec::as_slice).unwrap_or_default();
        samples.iter().filter_map(|sample| sample.figures.get(figure).copied()).collect()
    }

    fn median(&self, workload: Workload, peer: PeerName, figure: &str) -> Option<f64> {
        median(&self.values(workload, peer, figure))
    }

    /// How the first figure of `peer` compares with that of `yardstick`, if both were measured.
    fn ratio(&self, workload: Workload, peer: PeerName, yardstick: PeerName) -> Option<f64> {
        let figure = columns(workload).first()?.figure;
        let to = self.median(workload, yardstick, figure)?;
        self.median(workload, peer, figure).filter(|_| to > 0.0).map(|median| median / to)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Report;
    use crate::{
        options::{Amounts, PeerName, Workload},
        sample::Sample,
    };

    fn sample(peer: PeerName, p50_us: f64) -> Sample {
        Sample {
            v: 1,
            event: "sample".to_owned(),
            workload: Workload::Rtt,
            peer,
            run: 1,
            figures: BTreeMap::from([("p50_us".to_owned(), p50_us)]),
            settings: BTreeMap::new(),
            other_cores: Some(0.0),
        }
    }

    #[test]
    fn a_row_shows_the_median_the_range_and_the_ratio_to_the_floor() {
        let mut report = Report::new(Amounts { size_mib: 1, requests: 1, connections: 1, links: 1 });
        for p50_us in [50.0, 40.0, 60.0] {
            report.add(sample(PeerName::Floor, p50_us));
            report.add(sample(PeerName::Quinn, p50_us * 2.0));
        }
        let text = report.markdown();
        assert!(text.contains("| quinn | 100.0 (80.0 to 120.0) | - |"), "{text}");
        let quinn = report.summaries().into_iter().find(|summary| summary.peer == PeerName::Quinn).unwrap();
        assert_eq!(quinn.ratios.get("floor"), Some(&2.0));
        assert_eq!(quinn.runs, 3);
    }
}
