//! What one endpoint stands: ten thousand links, a flood of strangers, bad neighbours, and how long it takes to be there.
//!
//! The endpoint that is measured is a process of its own, an ordinary one made with the facade; what comes at it is made
//! here, over real UDP sockets on loopback. Reading order: [`options`] (the command line), [`endpoint`] (the measured
//! process and how it is asked), [`client`] (another ordinary endpoint), [`crowd`] (thousands of peers in one
//! loop), then what is measured: [`links`], [`mod@first_byte`], [`flood`], [`neighbours`],
//! [`start`].

mod channels;
mod client;
mod crowd;
mod endpoint;
mod first_byte;
mod flood;
mod flooder;
mod links;
mod neighbours;
mod options;
mod priority;
mod start;

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use clap::Parser as _;

use crate::options::{Options, What};

fn main() -> ExitCode {
    telemesh_bench::machine::raise_file_limit();
    let outcome = match Options::parse().what {
        What::Links(task) => links::run(&task),
        What::Flood(task) => flood::run(&task),
        What::Neighbours(task) => neighbours::run(&task),
        What::FirstByte(task) => first_byte::run(&task),
        What::Start(task) => start::run(&task),
        What::Endpoint(task) => endpoint::run(&task),
        What::Client(task) => client::run(&task),
        What::Spin(task) => neighbours::spin(task.core),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The head of a report. Call it before anything is pinned.
fn begin() {
    print(&format!("Measured on {}.\n", telemesh_bench::machine::describe()));
    if !priority::raise() {
        tell("no right to raise the priority: other programs will be seen in the figures");
    }
}

/// A line of the report.
fn print(line: &str) {
    // Nobody reads it: that is the user's choice, and no reason to stop.
    let _ = writeln!(stdout(), "{line}");
}

/// How it goes, so that standard output stays the report.
fn tell(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
