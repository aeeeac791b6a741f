//! `cargo xtask natlab`: NATs made of network namespaces and the kernel's own NAT.

mod agent;
mod behaviour;
mod kinds;
mod namespace;
mod proof;
mod world;

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

pub(crate) use agent::serve as serve_agent;

use crate::namespaces;

/// Why this cannot run here.
pub(crate) fn idle() -> Option<String> {
    namespaces::idle().or_else(|| {
        for (program, package) in [("nft", "nftables"), ("conntrack", "conntrack")] {
            let found =
                Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if found.is_err() {
                return Some(format!("there is no `{program}` here (package {package})"));
            }
        }
        None
    })
}

/// Proves the lab.
///
/// # Errors
/// When a kind of NAT does not behave as it should, or the lab cannot be built.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    if let Some(reason) = idle() {
        bail!("{reason}");
    }
    match arguments {
        [] | ["--prove"] => proof::run(),
        _ => bail!("unknown options `{}`", arguments.join(" ")),
    }
}
