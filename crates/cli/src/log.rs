//! What the program logs, on standard error: nothing, unless somebody asks for it with `--log`, `TELEMESH_LOG` or the
//! configuration file.
//!
//! The crates below redact secrets in whatever they print, and the subscriber escapes what a terminal would obey.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::args::Global;
use crate::failure::Failure;

/// What a filter may say of a target.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// How alike a word and a level are, from 0 to 1, for the word to be a mistyped level: `warning` and `warn` are at 0.57.
const ALIKE: f64 = 0.55;

/// The log of this process. What it lets through can be changed while it runs.
#[derive(Debug)]
pub(crate) struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Whether the command line or the environment says what to log, which counts more than the configuration file.
    chosen: bool,
}

impl Log {
    /// Starts logging what the command line or the environment asks for. To be called once.
    ///
    /// # Errors
    /// The filter makes no sense.
    pub(crate) fn start(global: &Global) -> Result<Self, Failure> {
        let asked = global.log.as_deref().filter(|text| !text.trim().is_empty());
        let initial =
            filter(asked.unwrap_or("off")).map_err(|error| Failure::Usage(format!("--log: {error}")))?;
        let (layer, handle) = reload::Layer::new(initial);
        let colours =
            io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        let lines = fmt::layer().with_writer(io::stderr).with_ansi(colours);
        tracing_subscriber::registry()
            .with(layer)
            .with(lines)
            .try_init()
            .map_err(|error| Failure::Failed(format!("could not start logging: {error}")))?;
        Ok(Self { filter: handle, chosen: asked.is_some() })
    }

    /// Logs what the configuration file asks for from now on, unless the command line or the environment has its own say.
    ///
    /// # Errors
    /// The filter makes no sense.
    pub(crate) fn configure(&self, asked: Option<&str>) -> Result<(), Failure> {
        if self.chosen {
            return Ok(());
        }
        let new = filter(asked.unwrap_or("off")).map_err(|error| Failure::Failed(format!("log: {error}")))?;
        self.filter
            .reload(new)
            .map_err(|error| Failure::Failed(format!("could not change what is logged: {error}")))
    }
}

/// Reads a filter: levels, targets with levels (`telemesh_link=debug`), several with commas between.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    for word in &words {
        // A bare word that is no level is the name of a crate, of which a mistyped level would be one that logs nothing.
        let level = word.rsplit('=').next().unwrap_or(word).to_lowercase();
        let alike = |known: &str| strsim::normalized_damerau_levenshtein(&level, known);
        let nearest = LEVELS.iter().copied().max_by(|one, other| alike(one).total_cmp(&alike(other)));
        if let Some(nearest) = nearest.filter(|known| *known != level && alike(known) >= ALIKE) {
            return Err(format!("there is no level `{level}`, did you mean `{nearest}`?"));
        }
    }
    EnvFilter::builder().parse(words.join(",")).map_err(|_| {
        "a filter is a level (error, warn, info, debug, trace) or has targets, like telemesh_link=debug,warn"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_and_targets() {
        for text in
            ["off", "info", "INFO", "telemesh_link=debug,warn", "telemesh_mesh", "error, quinn_proto=trace"]
        {
            assert!(filter(text).is_ok(), "{text}: {:?}", filter(text).err());
        }
    }

    #[test]
    fn a_mistyped_level_is_not_taken_for_a_crate() {
        for (text, nearest) in [("debgu", "debug"), ("warning", "warn"), ("telemesh_link=inf", "info")] {
            assert!(filter(text).unwrap_err().ends_with(&format!("`{nearest}`?")), "{text}");
        }
        assert!(filter("telemesh=loud").is_err());
    }
}
