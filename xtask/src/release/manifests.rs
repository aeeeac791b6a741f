//! What the registry wants to know of a crate, and in which order crates that depend on each other go there.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use cargo_metadata::semver::{Version, VersionReq};
use cargo_metadata::{DependencyKind, Metadata, Package};

/// A crate of the workspace, as far as the registry cares.
#[derive(Debug, Clone)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) private: bool,
    /// Fields that the registry wants and that are not there.
    pub(super) missing: Vec<&'static str>,
    pub(super) keywords: Vec<String>,
    pub(super) categories: usize,
    /// Crates of the workspace that it depends on.
    pub(super) needs: Vec<Need>,
}

#[derive(Debug, Clone)]
pub(super) struct Need {
    pub(super) name: String,
    pub(super) version: VersionReq,
    /// Only for tests, benches and examples.
    pub(super) dev: bool,
}

/// Whether a package never goes to the registry.
pub(super) fn is_private(package: &Package) -> bool {
    package.publish.as_ref().is_some_and(Vec::is_empty)
}

/// The crates of the workspace.
pub(super) fn read(metadata: &Metadata) -> Vec<Crate> {
    metadata.packages.iter().map(read_package).collect()
}

fn read_package(package: &Package) -> Crate {
    let fields = [
        ("description", package.description.is_some()),
        ("license", package.license.is_some()),
        ("repository", package.repository.is_some()),
        ("readme", package.readme().is_some_and(|readme| readme.is_file())),
        ("rust-version", package.rust_version.is_some()),
    ];
    let own = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
    Crate {
        name: package.name.to_string(),
        version: package.version.clone(),
        private: is_private(package),
        missing: fields.into_iter().filter(|(_, there)| !there).map(|(field, _)| field).collect(),
        keywords: package.keywords.clone(),
        categories: package.categories.len(),
        needs: own
            .map(|dependency| Need {
                name: dependency.name.clone(),
                version: dependency.req.clone(),
                dev: dependency.kind == DependencyKind::Development,
            })
            .collect(),
    }
}

/// Everything for which the registry, or somebody who uses a crate from there, would complain.
pub(super) fn problems(crates: &[Crate]) -> Vec<String> {
    let mut problems = Vec::new();
    for one in crates.iter().filter(|one| !one.private) {
        let mut wrong = |what: String| problems.push(format!("{}: {what}", one.name));
        for field in &one.missing {
            wrong(format!("has no `{field}`"));
        }
        if !(1..=MOST).contains(&one.categories) {
            wrong(format!("has {} categories; the registry takes one to {MOST}", one.categories));
        }
        if one.keywords.len() > MOST || one.keywords.iter().any(|word| word.len() > LONGEST_KEYWORD) {
            wrong(format!(
                "has keywords that the registry does not take: {MOST} of {LONGEST_KEYWORD} letters"
            ));
        }
        for need in &one.needs {
            let Some(needed) = crates.iter().find(|other| other.name == need.name) else { continue };
            let path_only = need.version == VersionReq::STAR;
            if path_only && need.dev {
                // Cargo leaves it out of the package.
                continue;
            }
            if path_only {
                wrong(format!("depends on `{}` by its path only", need.name));
            } else if needed.private {
                wrong(format!("depends on `{}`, which is not published", need.name));
            } else if !need.version.matches(&needed.version) {
                wrong(format!("wants `{}` {}, which is {}", need.name, need.version, needed.version));
            }
        }
    }
    problems
}

/// The published crates, each after those that it depends on.
///
/// # Errors
/// When some depend on each other in a circle, for tests maybe.
pub(super) fn order(crates: &[Crate]) -> Result<Vec<String>> {
    let mut waiting: Vec<&Crate> = crates.iter().filter(|one| !one.private).collect();
    let mut order: Vec<String> = Vec::new();
    while !waiting.is_empty() {
        let names: BTreeSet<String> = waiting.iter().map(|one| one.name.clone()).collect();
        let is_ready = |one: &&Crate| {
            let mut needed = one.needs.iter().filter(|need| !need.dev || need.version != VersionReq::STAR);
            needed.all(|need| !names.contains(&need.name))
        };
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
        if ready.is_empty() {
            bail!(
                "these depend on each other in a circle: {}",
                names.into_iter().collect::<Vec<_>>().join(", ")
            );
        }
        order.extend(ready.into_iter().map(|one| one.name.clone()));
        waiting = rest;
    }
    Ok(order)
}

/// Keywords and categories of one crate, at crates.io.
const MOST: usize = 5;

/// Letters of a keyword, at crates.io.
const LONGEST_KEYWORD: usize = 20;
