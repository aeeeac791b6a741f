//! The commands that are more than one request.

mod completions;
mod config;
mod demo;
mod doctor;
mod key;
mod man;
mod stop;
pub(crate) mod up;

use crate::args::Command;
use crate::asked;
use crate::chat;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::request::Request;

/// Runs a command to its end.
pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(options) => demo::run(context, &options).await,
        // With its interrupts it is run elsewhere.
        Command::Up(options) => {
            let mut interrupts = Interrupts::new().map_err(|error| Failure::Failed(error.to_string()))?;
            up::run(context, &options, &mut interrupts).await
        }
        Command::Status => context.request(&Request::Status {}, &[]).await,
        Command::Stop => stop::run(context).await,
        Command::Reload => context.request(&Request::Reload {}, &[]).await,
        Command::Invite(options) => context.request(&asked::invite(options), &[]).await,
        Command::Accept(options) => context.request(&asked::accept(options)?, &[]).await,
        Command::Contacts(options) => context.request(&asked::contacts(options)?, &[]).await,
        Command::Id { .. } => context.request(&Request::Id {}, &[]).await,
        Command::Pipe(options) => context.request(&asked::pipe(&options)?, &options.listen.listen).await,
        Command::Ping(options) => context.request(&asked::ping(&options)?, &[]).await,
        Command::Explain(options) => context.request(&asked::explain(&options)?, &[]).await,
        Command::Discover(options) => context.request(&asked::discover(&options), &[]).await,
        Command::Send(options) => context.request(&asked::send(&options)?, &[]).await,
        Command::Boxes(options) => context.request(&asked::boxes(&options)?, &[]).await,
        Command::Receive(options) => context.request(&asked::receive(&options)?, &options.listen).await,
        Command::Forward(options) => context.request(&asked::forward(options)?, &[]).await,
        Command::Socks(options) => context.request(&asked::socks(&options)?, &[]).await,
        Command::Chat(options) => chat::run(context, &options).await,
        Command::Perf(options) => {
            context.request(&asked::perf(&options, context.output)?, &options.listen.listen).await
        }
        Command::Gateway(options) => context.request(&asked::gateway(&options), &[]).await,
        Command::Http(options) => context.request(&asked::http(&options)?, &[]).await,
        Command::Doctor { config } => doctor::run(context, config.as_deref()).await,
        Command::Key(options) => key::run(context, &options).await,
        Command::Config(options) => config::run(context, &options),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { folder } => man::run(context, folder.as_deref()),
    }
}
