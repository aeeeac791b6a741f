//! `telemesh completions SHELL`: what a shell loads to complete the command line.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;
use crate::failure::Failure;

/// Prints the script.
pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    // Into memory first: the generator panics when its output is closed, as `head` does.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), env!("CARGO_BIN_NAME"), &mut script);
    let mut stdout = io::stdout();
    stdout.write_all(&script).and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error))
}
