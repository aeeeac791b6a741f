//! Everything that must hold before a change goes in, as one list of commands run in order. It stops at the first
//! that fails and says how to repeat it; at the end it says what ran, how long it took, and what did not run.

mod steps;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::workspace;
pub(crate) use steps::STEPS;

/// One thing to check. Its command is what a person would type, so that a failure can be repeated.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) command: &'static str,
    /// A command that shows whether the step's tool is there, and one that installs it.
    pub(crate) needs: Option<(&'static str, &'static str)>,
    /// Tells why the step has nothing to do, when that is so.
    pub(crate) idle: fn() -> Option<String>,
}

/// Runs the steps that `arguments` choose.
///
/// # Errors
/// When the arguments make no sense or a step fails.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let chosen = Choice::parse(arguments)?;
    let root = workspace::root()?;
    let report = run_steps(STEPS, &chosen, |step| {
        if let Some((probe, install)) = step.needs {
            let found = workspace::output(&root, probe);
            ensure!(found.is_ok(), "a tool is missing; install it with `{install}`");
        }
        workspace::run(&root, step.command)
    });
    println!("\n{report}");
    let failed = report.lines.iter().find(|line| matches!(line.outcome, Outcome::Failed(_)));
    if let Some(line) = failed {
        bail!("step `{}` failed; repeat it with:\n\n    {}\n", line.step.name, line.step.command);
    }
    Ok(())
}

/// Which steps the person asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    /// Empty means all.
    only: Vec<String>,
    from: Option<String>,
    skip: Vec<String>,
}

impl Choice {
    /// Reads `[STEP]… [--from STEP] [--skip STEP]…`.
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut choice = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = |option: &str| match words.next() {
                Some(name) => known(name),
                None => bail!("`{option}` wants the name of a step"),
            };
            match *word {
                "--from" => choice.from = Some(value("--from")?),
                "--skip" => choice.skip.push(value("--skip")?),
                name => choice.only.push(known(name)?),
            }
        }
        Ok(choice)
    }

    /// Why the step was not asked for, given whether the step of `--from` has been reached.
    fn leaves_out(&self, step: &Step, reached: bool) -> Option<&'static str> {
        if self.skip.iter().any(|name| name == step.name) {
            Some("left out with --skip")
        } else if !reached {
            Some("before the step of --from")
        } else if !self.only.is_empty() && !self.only.iter().any(|name| name == step.name) {
            Some("not among the steps asked for")
        } else {
            None
        }
    }
}

fn known(name: &str) -> Result<String> {
    if STEPS.iter().any(|step| step.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    bail!("there is no step `{name}`; there are: {}", names.join(", "))
}

/// Runs one step after the other with `execute` and stops at the first that fails.
fn run_steps(
    steps: &'static [Step],
    choice: &Choice,
    mut execute: impl FnMut(&Step) -> Result<()>,
) -> Report {
    let mut report = Report::default();
    let mut reached = choice.from.is_none();
    let mut failed = false;
    for step in steps {
        reached = reached || choice.from.as_deref() == Some(step.name);
        let begin = Instant::now();
        let outcome = if let Some(reason) = choice.leaves_out(step, reached) {
            Outcome::Skipped(reason.to_owned())
        } else if failed {
            Outcome::Skipped("an earlier step failed".to_owned())
        } else if let Some(reason) = (step.idle)() {
            Outcome::Skipped(reason)
        } else {
            println!("\n==> {}: {}", step.name, step.command);
            match execute(step) {
                Ok(()) => Outcome::Passed(begin.elapsed()),
                Err(error) => {
                    failed = true;
                    eprintln!("{}: {error:#}", step.name);
                    Outcome::Failed(begin.elapsed())
                }
            }
        };
        report.lines.push(Line { step, outcome });
    }
    report
}

/// What became of each step.
#[derive(Debug, Default)]
struct Report {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    step: &'static Step,
    outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed(Duration),
    Failed(Duration),
    Skipped(String),
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut total = Duration::ZERO;
        for line in &self.lines {
            let name = line.step.name;
            match &line.outcome {
                Outcome::Passed(time) => {
                    writeln!(formatter, "{name:<10} passed   {:>8.1} s", time.as_secs_f64())?
                }
                Outcome::Failed(time) => {
                    writeln!(formatter, "{name:<10} FAILED   {:>8.1} s", time.as_secs_f64())?
                }
                Outcome::Skipped(reason) => writeln!(formatter, "{name:<10} skipped  ({reason})")?,
            }
            if let Outcome::Passed(time) | Outcome::Failed(time) = line.outcome {
                total += time;
            }
        }
        write!(formatter, "{:<10}          {:>8.1} s", "total", total.as_secs_f64())
    }
}
