//! The rules for the root folder and `docs/adr`: the files every project has, an index that names every
//! decision, and a reason for each dependency.

use std::path::Path;

use anyhow::Result;

use super::Problem;
use super::crates::{section, setting};
use crate::workspace;

/// Everything missing at the root.
pub(super) fn check(root: &Path) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for name in EXPECTED {
        let path = root.join(name);
        if !path.is_file() || workspace::read(&path)?.trim().is_empty() {
            problems.push(Problem::new(name, 0, "is missing or empty"));
        }
    }
    let text = |name: &str| {
        let path = root.join(name);
        if path.is_file() { workspace::read(&path) } else { Ok(String::new()) }
    };
    if !text("CHANGELOG.md")?.lines().any(|line| line.trim() == "## [Unreleased]") {
        problems.push(Problem::new("CHANGELOG.md", 0, "has no `## [Unreleased]` section"));
    }
    let index = text(INDEX)?;
    for decision in workspace::files(&root.join("docs/adr"), ".md")? {
        let path = workspace::shown(root, &decision);
        let name = path.rsplit('/').next().unwrap_or_default();
        if path != INDEX && !index.contains(&format!("({name})")) {
            problems.push(Problem::new(INDEX, 0, format!("does not list {name}")));
        }
    }
    let reasons = text(DEPENDENCIES)?;
    for line in section(&text("Cargo.toml")?, "workspace.dependencies") {
        let Some((name, value)) = setting(line) else { continue };
        if !value.contains("path =") && !reasons.contains(&format!("`{name}`")) {
            problems.push(Problem::new(
                DEPENDENCIES,
                0,
                format!("gives no reason for the dependency `{name}`"),
            ));
        }
    }
    Ok(problems)
}

const EXPECTED: [&str; 8] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "deny.toml",
    INDEX,
];

/// The list of all decisions.
const INDEX: &str = "docs/adr/README.md";

/// Where each library is named, in back quotes, with the reason why it is here.
const DEPENDENCIES: &str = "docs/adr/0002-dependencies.md";
