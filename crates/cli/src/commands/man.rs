//! `telemesh man [FOLDER]`: manual pages, made from the description of the command line.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;
use serde::Serialize;

use crate::args::Args;
use crate::context::Context;
use crate::failure::Failure;

/// The pages that were written.
#[derive(Debug, Serialize)]
struct ManObject {
    folder: String,
    pages: Vec<String>,
}

/// Prints the program's page, or writes a page per command.
pub(crate) fn run(context: &Context, folder: Option<&Path>) -> Result<(), Failure> {
    let mut program = Args::command();
    program.build();
    let Some(folder) = folder else {
        let page = page(program)?;
        let mut stdout = io::stdout();
        return stdout
            .write_all(&page)
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::output(&error));
    };
    let failed = |error| Failure::Failed(format!("could not write {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut pages = Vec::new();
    let mut commands = vec![program];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands().filter(|inner| inner.get_name() != "help").cloned());
        let name = format!("{}.1", command.get_display_name().unwrap_or_else(|| command.get_name()));
        fs::write(folder.join(&name), page(command)?).map_err(failed)?;
        pages.push(name);
    }
    pages.sort();
    context.output.line(format_args!("{} pages in {}", pages.len(), folder.display()))?;
    context.output.object(&ManObject { folder: folder.display().to_string(), pages })
}

fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let failed = |error| Failure::Failed(format!("could not make a manual page: {error}"));
    Man::new(command).render(&mut page).map_err(failed)?;
    Ok(page)
}
