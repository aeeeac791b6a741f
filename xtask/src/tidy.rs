//! The house rules that no compiler checks: what every source file, every crate and the root folder must have,
//! and what must not appear. Formatting is rustfmt's business and correctness clippy's; layers are `graph`'s.

mod crates;
mod root;
mod source;
#[cfg(test)]
mod tests;
mod tokens;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::workspace;

/// Checks the whole workspace and prints every problem.
///
/// # Errors
/// When there is a problem, or a file cannot be read.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root()?;
    let problems = check(&root)?;
    for problem in &problems {
        eprintln!("{problem}");
    }
    if !problems.is_empty() {
        bail!("tidy found {} problem(s)", problems.len());
    }
    println!("tidy: {} source files in order", workspace::files(&root, ".rs")?.len());
    Ok(())
}

/// Every problem in the workspace at `root`, file by file.
fn check(root: &Path) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for file in workspace::files(root, ".rs")? {
        problems.extend(source::check(&workspace::shown(root, &file), &workspace::read(&file)?));
    }
    problems.extend(crates::check(root)?);
    problems.extend(root::check(root)?);
    Ok(problems)
}

/// One broken rule: where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    path: String,
    /// Counted from one; zero when the problem is the whole file's.
    line: usize,
    message: String,
}

impl Problem {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.message),
            line => write!(formatter, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Folders of the crates that take time and randomness as parameters. Clippy's `disallowed-methods` forbids
/// the calls there by type; tidy sees them by name also where clippy does not look (behind a `cfg`, in macros).
const SANS_IO: [&str; 5] =
    ["crates/engine", "crates/hashname", "crates/link", "crates/simnet", "crates/wire"];
