//! What libFuzzer says about a run, and what to tell a person about it.

use anyhow::{Result, bail};

use super::options::Options;

/// What became of a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Nothing {
        /// How many were tried, as libFuzzer counts them.
        inputs: u64,
    },
    Finding(Finding),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The file that holds the input.
    input: String,
    /// The end of what the target said.
    words: String,
}

/// Reads the complaints of a run: `success` says how it ended.
pub(super) fn read(success: bool, complaints: &str) -> Result<Outcome> {
    if success {
        let done = complaints.lines().rev().find(|line| line.starts_with('#') && line.contains("DONE"));
        let inputs =
            done.and_then(|line| line.trim_start_matches('#').split_whitespace().next()?.parse().ok());
        // A target that ends well and tried nothing would look like one that found nothing.
        return match inputs {
            Some(inputs) => Ok(Outcome::Nothing { inputs }),
            None => bail!("it does not say how many inputs it has tried:\n{}", end_of(complaints)),
        };
    }
    let written = complaints.lines().find_map(|line| line.split_once(WRITTEN));
    match written {
        Some((_, input)) => {
            let said = complaints.split("stack backtrace:").next().unwrap_or_default();
            Ok(Outcome::Finding(Finding { input: input.trim().to_owned(), words: end_of(said) }))
        }
        None => bail!("it failed without an input:\n{}", end_of(complaints)),
    }
}

impl Finding {
    /// Everything that somebody needs who wants to see it again.
    pub(super) fn tell(&self, options: &Options, target: &str) -> String {
        let Self { input, words } = self;
        let repeat = options.command("run", &[target, input]);
        let shrink = options.command("tmin", &[target, input]);
        format!(
            "{target}: something was found\n\n{words}\n\nrepeat it with:\n\n    {repeat}\n\nmake it smaller with:\n\n    \
             {shrink}\n\nkeep it, and let every compiler repeat it:\n\n    cp {input} fuzz/seeds/{target}/found-<what it \
             shows>\n    cargo test --manifest-path fuzz/Cargo.toml\n"
        )
    }
}

/// The last lines of a text.
fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}

/// libFuzzer says so in front of the file's name.
const WRITTEN: &str = "Test unit written to ";

/// Enough for a panic's message and the inputs before it.
const LINES: usize = 12;
