//! Runs the fuzz targets of `fuzz/`, a workspace of its own, each for a while, and fails when one of them finds something.
//!
//! libFuzzer needs a nightly compiler and `cargo-fuzz`. As many targets run at a time as there are cores.

mod options;
mod outcome;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::workspace;
use options::{Options, Work};
use outcome::Outcome;

/// Does what `arguments` say: runs targets, or writes the seeds anew.
///
/// # Errors
/// When the arguments make no sense, the targets do not build, or one of them finds something.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let root = workspace::root()?;
    let targets = targets(&root)?;
    match options::parse(arguments, &targets)? {
        Work::Corpus => workspace::run(&root, SEEDS),
        Work::Fuzz(options) => fuzz(&root, &options),
    }
}

/// Why this cannot run here.
pub(crate) fn idle() -> Option<String> {
    if !cfg!(unix) {
        return Some("fuzzing is set up for Unix systems only".to_owned());
    }
    let root = workspace::root().ok()?;
    let missing = NEEDS.iter().find(|(probe, _)| !workspace::succeeds(&root, probe));
    missing.map(|(probe, install)| format!("`{probe}` does not work here; {install}"))
}

fn fuzz(root: &Path, options: &Options) -> Result<()> {
    if let Some(reason) = idle() {
        bail!("{reason}");
    }
    // `cargo fmt --all` knows nothing of a workspace within the workspace.
    workspace::run(root, "cargo fmt --manifest-path fuzz/Cargo.toml -- --check")?;
    // One build for all, or each target would wait for the others' to be done.
    workspace::run(root, &options.command("build", &[]))?;
    println!(
        "fuzz: {} targets, {} s each, {} at a time",
        options.targets.len(),
        options.seconds,
        options.jobs
    );
    let waiting = Mutex::new(options.targets.iter().collect::<VecDeque<_>>());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let outcome = run_target(root, options, target);
                    println!("{target:<14} {}", describe(&outcome));
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((target, outcome));
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::new();
    for (target, outcome) in outcomes {
        if let Outcome::Finding(finding) = outcome? {
            eprintln!("\n{}", finding.tell(options, target));
            found.push(target.as_str());
        }
    }
    if !found.is_empty() {
        bail!("something was found in: {}", found.join(", "));
    }
    Ok(())
}

/// Runs one target on its seeds and on what earlier runs have kept.
fn run_target(root: &Path, options: &Options, target: &str) -> Result<Outcome> {
    let corpus = format!("fuzz/corpus/{target}");
    fs::create_dir_all(root.join(&corpus)).with_context(|| format!("making {corpus}"))?;
    let line = options.command("run", &[target, &corpus, &format!("fuzz/seeds/{target}"), "--"]);
    let line = format!("{line} {}", options.limits());
    let output = workspace::command(root, &line)?.output().with_context(|| format!("starting `{line}`"))?;
    outcome::read(output.status.success(), &String::from_utf8_lossy(&output.stderr))
        .with_context(|| format!("`{line}` did not get as far as fuzzing"))
}

fn describe(outcome: &Result<Outcome>) -> String {
    match outcome {
        Ok(Outcome::Nothing { inputs }) => format!("nothing found with {inputs} inputs"),
        Ok(Outcome::Finding(_)) => "FOUND SOMETHING".to_owned(),
        Err(_) => "did not run".to_owned(),
    }
}

/// The names of all targets, as the manifest of `fuzz/` has them.
fn targets(root: &Path) -> Result<Vec<String>> {
    let manifest = workspace::read(&root.join("fuzz/Cargo.toml"))?;
    let bins = manifest.split("[[bin]]").skip(1);
    let names = bins.filter_map(|bin| {
        let name = bin.lines().find_map(|line| line.strip_prefix("name = "))?;
        Some(name.trim_matches('"').to_owned())
    });
    Ok(names.collect())
}

/// The compiler that can instrument; any version of it will do.
const NIGHTLY: &str = "rustup run nightly cargo";

/// What must be there: a command that shows it, and how to get it. `.ci/run` does the same.
const NEEDS: [(&str, &str); 3] = [
    ("rustup run nightly rustc --version", "run `rustup toolchain install nightly --profile minimal`"),
    ("cargo fuzz --version", "run `cargo install --locked cargo-fuzz --version 0.13.2`"),
    ("c++ --version", "libFuzzer is C++: install a compiler for that (Debian: g++)"),
];

const SEEDS: &str = "cargo run --quiet --manifest-path fuzz/Cargo.toml --example seeds";
