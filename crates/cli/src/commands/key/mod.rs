//! `telemesh key backup|restore`: the key of the home folder as a text that can be kept, and back.

mod backup;
mod passphrase;
mod restore;
mod seal;
mod text;

use crate::args::KeyCommand;
use crate::context::Context;
use crate::failure::Failure;

/// Runs one of the two.
pub(crate) async fn run(context: &Context, command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Backup(options) => backup::run(context, options).await,
        KeyCommand::Restore(options) => restore::run(context, options).await,
    }
}
