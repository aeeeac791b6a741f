//! The telemesh program: encrypted links between endpoints that trust each other, from the command line.
//!
//! [`args`] says what can be typed, [`commands`] has the commands that are more than a request. Most are: what was
//! [`asked`] becomes a [`request::Request`], which [`actions`] carry out on an [`endpoint`], in this process or through the
//! [`control`] socket of the one that is up. What happens comes back as [`event`]s, which [`render`] shows. A
//! [`context::Context`] holds the global options and the [`output`]. Everything that goes wrong becomes a
//! [`failure::Failure`] with its exit code.

mod actions;
mod args;
mod asked;
mod chat;
mod commands;
mod config;
mod console;
mod context;
#[cfg(unix)]
mod control;
mod data;
mod descriptors;
mod endpoint;
mod ends;
mod event;
mod failure;
mod grants;
mod home;
mod interrupt;
mod listen;
mod lock;
mod log;
#[cfg(unix)]
mod notify;
mod output;
mod quotas;
mod render;
mod request;
mod running;
mod secret;
mod session;
mod settings;
mod stdio;
mod target;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    descriptors::raise();
    let runtime = match context::runtime(&args.command) {
        Ok(runtime) => runtime,
        Err(failure) => return output::Output::new(&args.global).fail(&failure),
    };
    let code = runtime.block_on(context::run(args));
    // A thread that still waits for standard input would hold up an orderly shutdown for ever.
    runtime.shutdown_background();
    code
}
