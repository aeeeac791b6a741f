//! The version of the workspace: where it stands in the root manifest, and how it is set.

use anyhow::{Context, Result, ensure};
use cargo_metadata::semver::Version;

/// The version that all crates share.
pub(super) fn read(manifest: &str) -> Result<Version> {
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        }
        if section == PACKAGE
            && let Some(value) = line.strip_prefix("version = ")
        {
            return value.trim_matches('"').parse().with_context(|| format!("`{value}` is not a version"));
        }
    }
    anyhow::bail!("there is no version in {PACKAGE}")
}

/// The manifest with another version, also where crates of the workspace name each other. It may be the one that is there:
/// so it is for the first release.
pub(super) fn set(manifest: &str, version: &Version) -> Result<String> {
    let old = read(manifest)?;
    ensure!(old <= *version, "the workspace has version {old} already");
    let (was, is) = (format!("version = \"{old}\""), format!("version = \"{version}\""));
    let mut section = "";
    let mut lines = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let own = section == PACKAGE || (section == DEPENDENCIES && line.contains("path = "));
        lines.push(if own { line.replace(&was, &is) } else { line.to_owned() });
    }
    Ok(lines.join("\n") + "\n")
}

const PACKAGE: &str = "[workspace.package]";

const DEPENDENCIES: &str = "[workspace.dependencies]";
