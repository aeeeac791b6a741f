//! Real programs through the real program: what people run all day, over a link between two endpoints on loopback. A program
//! that is not installed is skipped, and it is said which package has it.

mod autobahn;
mod endpoints;
mod http;
mod process;
mod sock;

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::workspace;
use endpoints::Endpoints;

/// The parts, in their order.
const PARTS: [&str; 3] = ["sock", "http", "autobahn"];

/// Runs these parts, or all of them, as far as their programs are there.
///
/// # Errors
/// When something does not work through a link that works without.
pub(crate) fn run(parts: &[&str]) -> Result<()> {
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        bail!("there is no `{unknown}` among the services: {}", PARTS.join(", "));
    }
    let is_wanted = |part| parts.is_empty() || parts.contains(&part);
    let root = workspace::root()?;
    workspace::run(&root, "cargo build --release --package telemesh-cli")?;
    if is_wanted("sock") {
        let mut endpoints = Endpoints::start(&root)?;
        sock::run(&mut endpoints)?;
    }
    if is_wanted("http") {
        http::run(&root)?;
    }
    if is_wanted("autobahn") {
        autobahn::run(&root)?;
    }
    Ok(())
}

/// Whether all these programs are here; says what is missing if not.
fn has(what: &str, programs: &[(&str, &str)]) -> bool {
    let missing = programs.iter().find(|(program, _)| {
        let found =
            Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
        !found.is_ok_and(|status| status.success())
    });
    if let Some((program, package)) = missing {
        println!("{what}: skipped, there is no `{program}` here (package {package})");
    }
    missing.is_none()
}
