//! `cargo xtask natlab`: NATs made of network namespaces and the kernel's own NAT, and the real program behind them.
//!
//! Reading order: [`namespace`], [`world`] (who is connected with what), [`kinds`] (the rules of the boxes), [`behaviour`],
//! [`agent`] and [`proof`] (the boxes are what they should be), [`endpoint`] and [`meeting`] (the program), [`matrix`],
//! [`birthday`], [`stream`], [`download`], [`mod@scenarios`], [`mod@idle`], [`gateway`] and [`mapping`].

mod agent;
mod behaviour;
mod birthday;
mod download;
mod endpoint;
mod gateway;
mod idle;
mod kinds;
mod mapping;
mod matrix;
mod meeting;
mod namespace;
mod proof;
mod scenarios;
mod stream;
mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

pub(crate) use agent::serve as serve_agent;
pub(crate) use download::play as play_download;
pub(crate) use gateway::serve as serve_gateway;

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

/// What to run.
#[derive(Debug, Default)]
struct Choice {
    /// Nothing but the proof.
    prove: bool,
    all: bool,
    /// So many meetings of the hardest pair that can meet, and nothing else.
    birthdays: Option<u32>,
    /// Scenarios whose names have this in them, and nothing else.
    only: Option<String>,
    /// An endpoint's program that is there already.
    program: Option<PathBuf>,
}

/// Proves the lab, then runs a handful of cells and scenarios, or all of them.
///
/// # Errors
/// When a kind of NAT does not behave as it should, a link does not end where it must, or the lab cannot be built.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    if let Some(reason) = idle() {
        bail!("{reason}");
    }
    let mut choice = Choice::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--prove" => choice.prove = true,
            "--all" => choice.all = true,
            "--birthday" => {
                choice.birthdays = Some(
                    words.next().and_then(|word| word.parse().ok()).context("`--birthday` wants a number")?,
                );
            }
            "--only" => choice.only = Some((*words.next().context("`--only` wants a word")?).to_owned()),
            "--program" => choice.program = Some(words.next().context("`--program` wants a path")?.into()),
            _ => bail!("unknown option `{word}`"),
        }
    }
    if choice.prove {
        return proof::run();
    }
    let program = match &choice.program {
        Some(program) => program.clone(),
        None => namespaces::build()?,
    };
    if let Some(runs) = choice.birthdays {
        return birthday::run(&program, runs);
    }
    if let Some(word) = &choice.only {
        return scenarios(&program, |name, _| name.contains(word.as_str()));
    }
    proof::run()?;
    if choice.all {
        matrix::run(&program)?;
    } else {
        for (a, b) in matrix::QUICK {
            println!("{a} x {b}: {}", matrix::cell(&program, a, b)?);
        }
    }
    scenarios(&program, |_, nth| choice.all || nth < scenarios::QUICK)
}

/// Runs those that are chosen by name and number; all of them, also when one fails.
fn scenarios(program: &Path, chosen: impl Fn(&str, usize) -> bool) -> Result<()> {
    let mut failures = Vec::new();
    for (nth, scenario) in scenarios::SCENARIOS.iter().enumerate() {
        if !chosen(scenario.name, nth) {
            continue;
        }
        let begin = Instant::now();
        let told = (scenario.run)(program).unwrap_or_else(|error| {
            failures.push(format!("{}: {error:#}", scenario.name));
            "FAILED".to_owned()
        });
        println!("{:<38}{told} ({:.0} s in all)", scenario.name, begin.elapsed().as_secs_f64());
    }
    ensure!(failures.is_empty(), "{} scenarios failed:\n{}", failures.len(), failures.join("\n"));
    Ok(())
}
