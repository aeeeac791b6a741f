//! The changelog's sections: the one of a version, and making it from what was not released yet.

use anyhow::{Context, Result, ensure};
use cargo_metadata::semver::Version;

/// What is new in a version.
pub(super) fn section(changelog: &str, version: &Version) -> Result<String> {
    let found = lines_of(changelog, &format!("## [{version}] - "));
    let text = found.with_context(|| format!("there is no section `## [{version}] - <date>`"))?;
    ensure!(!text.trim().is_empty(), "the section of {version} is empty");
    Ok(text)
}

/// The changelog with everything that was not released yet as the section of a version.
pub(super) fn release(changelog: &str, version: &Version, date: &str) -> Result<String> {
    let unreleased = lines_of(changelog, UNRELEASED).context("there is no section `## [Unreleased]`")?;
    ensure!(!unreleased.trim().is_empty(), "nothing is new since the last release");
    ensure!(
        lines_of(changelog, &format!("## [{version}]")).is_none(),
        "there is a section for {version} already"
    );
    Ok(changelog.replacen(UNRELEASED, &format!("{UNRELEASED}\n\n## [{version}] - {date}"), 1))
}

/// What stands between the heading that starts like this and the next one of its kind.
fn lines_of(changelog: &str, heading: &str) -> Option<String> {
    let mut lines = changelog.lines();
    lines.find(|line| line.starts_with(heading))?;
    Some(lines.take_while(|line| !line.starts_with("## ")).collect::<Vec<_>>().join("\n"))
}

const UNRELEASED: &str = "## [Unreleased]";
