//! Chores of the workspace, run as `cargo xtask <chore>`. This file only picks the chore; each one lives in
//! the module of its name. CI itself is `cargo xtask ci`, so that what runs there also runs on anybody's desk.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program talks on its terminal")]

mod codegen;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
usage: cargo xtask <chore>

  codegen [--check]   write the code generated from proto/, or check that it is up to date
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        [] | ["help" | "--help" | "-h"] => print!("{HELP}"),
        ["codegen"] => codegen::run(false)?,
        ["codegen", "--check"] => codegen::run(true)?,
        _ => bail!("unknown chore `{}`\n\n{HELP}", arguments.join(" ")),
    }
    Ok(())
}
