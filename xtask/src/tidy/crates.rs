//! The rules for one crate of the workspace: a README, the workspace's lints and package fields, and for a
//! sans-IO crate a `clippy.toml` that forbids the clock.

use std::path::Path;

use anyhow::Result;

use super::{Problem, SANS_IO};
use crate::workspace;

/// Everything wrong with the crates below `root`. `bench` and `fuzz` are workspaces of their own: they cannot
/// inherit anything, so only their sources are checked.
pub(super) fn check(root: &Path) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for folder in ["crates", "xtask"] {
        for manifest in workspace::files(&root.join(folder), "Cargo.toml")? {
            check_crate(root, &manifest, &mut problems)?;
        }
    }
    for folder in SANS_IO {
        check_clippy(root, folder, &mut problems)?;
    }
    Ok(problems)
}

fn check_crate(root: &Path, manifest: &Path, problems: &mut Vec<Problem>) -> Result<()> {
    let path = workspace::shown(root, manifest);
    let text = workspace::read(manifest)?;
    if !section(&text, "lints").any(|line| setting(line) == Some(("workspace", "true"))) {
        problems.push(Problem::new(&path, 0, "must inherit the lints: `[lints]` with `workspace = true`"));
    }
    for field in INHERITED {
        let inherited = section(&text, "package")
            .any(|line| setting(line).is_some_and(|(name, _)| name == format!("{field}.workspace")));
        if !inherited {
            problems.push(Problem::new(&path, 0, format!("must inherit `{field}.workspace = true`")));
        }
    }
    let readme = manifest.with_file_name("README.md");
    if !readme.is_file() || workspace::read(&readme)?.trim().is_empty() {
        problems.push(Problem::new(
            &workspace::shown(root, &readme),
            0,
            "each crate has a README of one screen",
        ));
    }
    Ok(())
}

/// Clippy reads only the nearest `clippy.toml`, so the root's lines must be in the crate's own as well.
fn check_clippy(root: &Path, folder: &str, problems: &mut Vec<Problem>) -> Result<()> {
    if !root.join(folder).is_dir() {
        return Ok(());
    }
    let path = format!("{folder}/clippy.toml");
    let own = root.join(&path);
    let text = if own.is_file() { workspace::read(&own)? } else { String::new() };
    let general = root.join("clippy.toml");
    let general = if general.is_file() { workspace::read(&general)? } else { String::new() };
    for line in general.lines().filter(|line| setting(line).is_some()) {
        if !text.lines().any(|own| own == line) {
            problems.push(Problem::new(&path, 0, format!("must repeat the root's `{line}`")));
        }
    }
    for method in FORBIDDEN {
        if !text.contains(&format!("\"{method}\"")) {
            problems.push(Problem::new(&path, 0, format!("must disallow `{method}`: this crate is sans-IO")));
        }
    }
    Ok(())
}

/// The lines of one `[name]` table of a manifest.
pub(super) fn section<'a>(manifest: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let header = format!("[{name}]");
    let mut lines = manifest.lines();
    // Consumes everything up to the header; what is left belongs to it until the next one.
    let _ = lines.by_ref().any(|line| line.trim() == header);
    lines.take_while(|line| !line.trim_start().starts_with('['))
}

/// `name = value` of a manifest line, trimmed.
pub(super) fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    (!name.is_empty() && !name.starts_with('#')).then(|| (name, value.trim()))
}

/// What every crate takes from `[workspace.package]`.
const INHERITED: [&str; 4] = ["version", "edition", "rust-version", "license"];

/// What clippy must forbid in a sans-IO crate.
const FORBIDDEN: [&str; 3] = ["std::time::Instant::now", "std::time::SystemTime::now", "rand::rng"];
