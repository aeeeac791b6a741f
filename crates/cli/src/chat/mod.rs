//! `telemesh chat`: what somebody who chats sees and types. At a terminal that is a screen, [`tui`]; otherwise, and with
//! `--json`, lines, [`lines`].
//!
//! Both get the events of a [`talk::Talk`] and ask it for things; it does not matter to them in which process the endpoint is.

mod command;
mod lines;
mod talk;
mod tui;

use std::io::IsTerminal as _;

use crate::args;
use crate::context::Context;
use crate::failure::Failure;
use crate::listen::ListenAddress;
use crate::request::Request;
use crate::target;

/// Runs the command.
pub(crate) async fn run(context: &Context, options: &args::Chat) -> Result<(), Failure> {
    if options.list {
        return context.request(&Request::Chats {}, &[]).await;
    }
    let to = options.to.iter().map(|to| target::read(to)).collect::<Result<_, _>>()?;
    let request = Request::Chat {
        to,
        room: options.room.clone(),
        name: options.name.clone(),
        invite: options.listen.invite,
    };
    let listen: &[ListenAddress] = &options.listen.listen;
    let talk = talk::Talk::begin(context, &request, listen).await?;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if terminal && !options.lines && !context.output.is_json() {
        tui::run(talk, context.output).await
    } else {
        lines::run(talk, context.output, options.stay).await
    }
}
