//! The telemesh program: encrypted links between endpoints that trust each other, from the command line.
//!
//! [`args`] says what can be typed, [`commands`] has a file per command. A [`context::Context`] holds what all of them need:
//! the global options, the [`output`] and the endpoint. Everything that goes wrong becomes a [`failure::Failure`] with its
//! exit code.

mod args;
mod commands;
mod config;
mod context;
mod failure;
mod home;
mod interrupt;
mod log;
mod output;
mod stdio;
mod target;
mod waiting;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let runtime = match context::runtime(&args.command) {
        Ok(runtime) => runtime,
        Err(failure) => return output::Output::new(&args.global).fail(&failure),
    };
    let code = runtime.block_on(context::run(args));
    // A thread that still waits for standard input would hold up an orderly shutdown for ever.
    runtime.shutdown_background();
    code
}
