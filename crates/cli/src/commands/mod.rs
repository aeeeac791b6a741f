//! One file per command.

mod completions;
mod config;
mod demo;
mod id;
mod key;
mod man;
mod perf;
mod ping;
mod pipe;

use std::time::Duration;

use crate::args::Command;
use crate::context::Context;
use crate::failure::Failure;

/// How long a command waits for a link unless it has an option for it.
const LINK_LIMIT: Duration = Duration::from_secs(30);

/// Runs a command to its end.
pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(options) => demo::run(context, &options).await,
        Command::Id => id::run(context),
        Command::Pipe(options) => pipe::run(context, options).await,
        Command::Ping(options) => ping::run(context, options).await,
        Command::Perf(options) => perf::run(context, options).await,
        Command::Key(options) => key::run(context, &options),
        Command::Config(options) => config::run(context, &options),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { folder } => man::run(context, folder.as_deref()),
    }
}
