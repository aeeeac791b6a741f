//! What is wrong with a configuration file, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::Serialize;

/// Something wrong in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// Counted from 1.
    pub(crate) line: usize,
    /// In characters, counted from 1.
    pub(crate) column: usize,
    /// The setting with those around it, like `contacts.bob.link`; empty when the text itself is malformed.
    pub(crate) key: String,
    /// What is wrong and what is wanted, on one line.
    pub(crate) problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// The file could not be read.
    #[error("configuration file {path}: {error}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why, with the repair where there is one.
        error: io::Error,
    },
    /// The file was read and makes no sense.
    #[error("configuration file {path}: {}", summary(.problems), path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// At least one, in the order of the lines.
        problems: Vec<Problem>,
    },
}

/// The first problem, and how to see the others.
fn summary(problems: &[Problem]) -> String {
    let first = problems.first().map(ToString::to_string).unwrap_or_default();
    match problems.len() {
        0 | 1 => first,
        count => format!("{first}; `telemesh config check` shows all {count} problems"),
    }
}
