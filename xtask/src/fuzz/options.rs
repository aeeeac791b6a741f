//! What the person wants fuzzed, for how long, and how; and the commands that do it.

use std::num::NonZero;
use std::thread;

use anyhow::{Result, bail};

use super::NIGHTLY;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    Fuzz(Options),
    /// Write the checked-in seeds anew.
    Corpus,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) targets: Vec<String>,
    /// For each target.
    pub(super) seconds: u64,
    /// Targets that run at the same time.
    pub(super) jobs: usize,
    pub(super) sanitizer: String,
    /// The person named targets, so no others have to be built.
    only: bool,
}

/// Reads `[TARGET]… [--seconds N] [--jobs N] [--sanitizer NAME]`, or `--corpus`.
pub(super) fn parse(arguments: &[&str], known: &[String]) -> Result<Work> {
    if arguments == ["--corpus"] {
        return Ok(Work::Corpus);
    }
    let mut options = Options {
        targets: Vec::new(),
        seconds: SECONDS,
        jobs: thread::available_parallelism().map_or(1, NonZero::get),
        sanitizer: "none".to_owned(),
        only: true,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().copied();
        match *word {
            "--seconds" => options.seconds = number(word, value())?,
            "--jobs" => options.jobs = number(word, value())?,
            "--sanitizer" => match value() {
                Some(name @ ("none" | "address" | "leak" | "thread")) => options.sanitizer = name.to_owned(),
                _ => bail!("`--sanitizer` wants none, address, leak or thread"),
            },
            name if known.iter().any(|target| target == name) => options.targets.push(name.to_owned()),
            name => bail!("there is no fuzz target `{name}`; there are: {}", known.join(", ")),
        }
    }
    if options.targets.is_empty() {
        options.only = false;
        options.targets = known.to_vec();
    }
    Ok(Work::Fuzz(options))
}

fn number<T: std::str::FromStr + PartialEq + Default>(option: &str, value: Option<&str>) -> Result<T> {
    match value.map(str::parse) {
        Some(Ok(number)) if number != T::default() => Ok(number),
        _ => bail!("`{option}` wants a number above zero"),
    }
}

impl Options {
    /// A command line of cargo-fuzz. Every command must have the same options, or it builds everything anew.
    pub(super) fn command(&self, verb: &str, rest: &[&str]) -> String {
        // `-O`: the manifest says which crates have assertions. No `cfg(fuzzing)`: what is fuzzed is what is shipped.
        let how = format!("-O --sanitizer {} --no-cfg-fuzzing", self.sanitizer);
        let mut words = vec![NIGHTLY, "fuzz", verb, &how];
        words.extend(rest);
        // A build takes one target or all.
        if let ("build", true, [target]) = (verb, self.only, self.targets.as_slice()) {
            words.push(target);
        }
        words.join(" ")
    }

    /// The limits of one run, in libFuzzer's words.
    pub(super) fn limits(&self) -> String {
        format!("-max_total_time={} -timeout={INPUT_SECONDS} -rss_limit_mb={MEGABYTES}", self.seconds)
    }
}

/// For each target, unless somebody says otherwise: enough to find what a change has broken. A nightly run is longer.
const SECONDS: u64 = 30;

/// An input that takes longer is a finding. The slowest take a tenth of a second, on a busy machine ten times that.
const INPUT_SECONDS: u64 = 20;

/// More memory is a finding. Targets need about 50 MiB, and several times that under the address sanitizer.
const MEGABYTES: u64 = 1_024;
