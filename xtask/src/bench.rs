//! Runs the comparison in `bench/`, a workspace of its own, and puts its tables into `docs/PERFORMANCE.md`.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Builds and runs the comparison with `arguments` and writes its tables into the page. Takes about an hour and
/// wants the machine for itself.
///
/// # Errors
/// When the comparison fails, prints nothing, or the page cannot be written.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let root = workspace::root()?;
    let line = format!("{COMMAND} {}", arguments.join(" "));
    let tables = workspace::output(&root, &line)?;
    if tables.trim().is_empty() {
        bail!("`{line}` printed no table");
    }
    let path = root.join(PAGE);
    let page = if path.is_file() { workspace::read(&path)? } else { format!("{HEAD}\n{BEGIN}\n{END}\n") };
    let page = replaced(&page, &tables).with_context(|| format!("{PAGE} needs `{BEGIN}` and `{END}`"))?;
    fs::write(&path, page).with_context(|| format!("writing {PAGE}"))?;
    println!("bench: wrote {PAGE}");
    Ok(())
}

/// `page` with `tables` between the two marks; `None` when it lacks them.
fn replaced(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", tables.trim()))
}

const COMMAND: &str = "cargo run --release --manifest-path bench/Cargo.toml -- --markdown";

const PAGE: &str = "docs/PERFORMANCE.md";

/// How the page begins when there is none yet.
const HEAD: &str = "\
# Performance

What `cargo xtask bench` measured last: telemesh beside other libraries doing the same work, in alternating runs on one
machine. Ratios travel, absolute figures do not. How the figures are taken stands in [bench](../bench/README.md).
";

const BEGIN: &str = "<!-- bench: begin -->";

const END: &str = "<!-- bench: end -->";

#[cfg(test)]
mod tests {
    //! Replacing the tables in the page and nothing else of it.

    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nThe end.\n");
        let new = replaced(&page, "| new |\n").unwrap();
        assert_eq!(new, format!("# Title\n\n{BEGIN}\n\n| new |\n\n{END}\n\nThe end.\n"));
        assert_eq!(replaced(&new, "| new |\n").unwrap(), new);
    }

    #[test]
    fn a_page_without_marks_is_left_alone() {
        assert_eq!(replaced("# Title\n", "| new |"), None);
        assert_eq!(replaced(&format!("# Title\n{BEGIN}\n"), "| new |"), None);
    }
}
