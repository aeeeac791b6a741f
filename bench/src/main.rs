//! The comparison benchmark: telemesh, its peers, the machine's floor, and the same work for each of them.
//!
//! Reading order: [`options`] (the command line), [`driver`] (alternating runs, one fresh process per measurement),
//! [`peer`] (what an implementation offers), [`service`] (the work that every server does), [`workloads`] (what is
//! measured), [`peers`] and [`floor`] (who is measured), [`report`] (medians, ratios, tables); [`wan`] for bad lines,
//! [`mod@forwarding`] for what stands between two endpoints, [`tunnel`] for a TCP connection through two of them.
//!
//! What a single endpoint of ours stands is another program: `src/bin/load/`.

mod driver;
mod floor;
mod forwarding;
mod options;
mod payload;
mod peer;
mod peers;
mod report;
mod sample;
mod service;
mod tunnel;
mod wan;
mod workloads;

use std::process::ExitCode;

use clap::Parser;
use telemesh_bench::{cores, machine};

use crate::options::{Action, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.action {
        None => driver::run(&options),
        Some(Action::Wan(options)) => wan::run(options),
        Some(Action::MeasureWan(task)) => wan::measure_here(task),
        Some(Action::Forwarding(options)) => forwarding::run(options),
        Some(Action::MeasureForwarding(task)) => forwarding::measure_here(task),
        Some(Action::Middle(task)) => forwarding::middle::run(task),
        Some(Action::Tunnel(options)) => tunnel::run(options),
        Some(Action::TunnelEnd(task)) => tunnel::ends::run(task),
        Some(Action::Measure(task)) => driver::measure_here(task),
        Some(Action::Serve(task)) => peers::serve(task.peer),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            driver::tell(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
