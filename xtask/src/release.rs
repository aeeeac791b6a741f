//! What must hold before a release, and the edits that make one. Nothing here publishes, tags or pushes: a person does,
//! as `docs/RELEASE.md` says.

mod changelog;
mod manifests;
#[cfg(test)]
mod tests;
mod version;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::semver::Version;
use cargo_metadata::{Metadata, MetadataCommand};

use crate::workspace;

/// Checks that a release could be made, or (with `--write`) makes the edits for one.
///
/// # Errors
/// When the arguments make no sense, or something is not as a release needs it.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let root = workspace::root()?;
    match arguments {
        ["--check"] => {
            finish(&[manifests(&root), package(&root, "--no-verify --allow-dirty --offline --quiet")])
        }
        [version] if !version.starts_with('-') => dry_run(&root, &parse(version)?),
        [version, "--write"] => write(&root, &parse(version)?),
        [version, "--notes"] => notes(&root, &parse(version)?),
        _ => bail!("usage: cargo xtask release VERSION [--write | --notes], or cargo xtask release --check"),
    }
}

fn parse(version: &str) -> Result<Version> {
    version.parse().with_context(|| format!("`{version}` is not a version such as 0.2.0"))
}

/// Everything that can be checked before the registry sees anything.
fn dry_run(root: &Path, version: &Version) -> Result<()> {
    let mut outcomes = vec![
        clean(root),
        bumped(root, version),
        described(root, version),
        manifests(root),
        semver(root, version)?,
    ];
    // Building every crate takes minutes, which are for nothing as long as something else is missing.
    outcomes.push(if outcomes.iter().all(|outcome| outcome.result.is_ok()) {
        package(root, "--allow-dirty")
    } else {
        let why = "first the others".to_owned();
        Outcome { name: "package", result: Ok(Verdict::Skipped(why)) }
    });
    finish(&outcomes)?;
    println!("\nThis was a dry run. What a person does now stands in docs/RELEASE.md.");
    Ok(())
}

/// Sets the version everywhere and gives the changelog a section for it.
fn write(root: &Path, version: &Version) -> Result<()> {
    finish(&[clean(root)])?;
    let date = workspace::output(root, "git log -1 --format=%cs")?;
    let (manifest, changelog) = (root.join("Cargo.toml"), root.join("CHANGELOG.md"));
    // Both before either is written, so that there is no half of it.
    let new_manifest = version::set(&workspace::read(&manifest)?, version)?;
    let new_changelog = changelog::release(&workspace::read(&changelog)?, version, date.trim())?;
    fs::write(&manifest, new_manifest).context("writing Cargo.toml")?;
    fs::write(&changelog, new_changelog).context("writing CHANGELOG.md")?;
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml", "bench/Cargo.toml"] {
        // Writes the new versions into the lock file beside it, and nothing else.
        let line = format!("cargo update --quiet --workspace --offline --manifest-path {manifest}");
        workspace::run(root, &line)?;
    }
    println!(
        "release: wrote {version}; look at `git diff`, commit it, and run `cargo xtask release {version}`"
    );
    Ok(())
}

/// Prints what is new in a version, for the page of the release.
fn notes(root: &Path, version: &Version) -> Result<()> {
    let section = changelog::section(&workspace::read(&root.join("CHANGELOG.md"))?, version)?;
    println!("{}", section.trim());
    Ok(())
}

/// One check: its name, and what came of it.
#[derive(Debug)]
struct Outcome {
    name: &'static str,
    result: Result<Verdict>,
}

/// What a check that found nothing wrong has to say.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passed(String),
    Skipped(String),
}

fn outcome(name: &'static str, check: impl FnOnce() -> Result<String>) -> Outcome {
    Outcome { name, result: check().map(Verdict::Passed) }
}

/// Prints all outcomes and fails when one of them is bad.
fn finish(outcomes: &[Outcome]) -> Result<()> {
    let mut failed = Vec::new();
    for Outcome { name, result } in outcomes {
        match result {
            Ok(Verdict::Passed(what)) => println!("{name:<10} passed   {what}"),
            Ok(Verdict::Skipped(why)) => println!("{name:<10} skipped  ({why})"),
            Err(error) => {
                println!("{name:<10} FAILED   {error:#}");
                failed.push(*name);
            }
        }
    }
    ensure!(failed.is_empty(), "not ready for a release: {}", failed.join(", "));
    Ok(())
}

fn clean(root: &Path) -> Outcome {
    outcome("tree", || {
        let changes = workspace::output(root, "git status --porcelain")?;
        ensure!(changes.is_empty(), "there are uncommitted changes:\n{}", changes.trim_end());
        Ok("nothing is uncommitted".to_owned())
    })
}

fn bumped(root: &Path, version: &Version) -> Outcome {
    outcome("version", || {
        let found = version::read(&workspace::read(&root.join("Cargo.toml"))?)?;
        ensure!(
            found == *version,
            "the workspace says {found}; `cargo xtask release {version} --write` sets it"
        );
        let tag = format!("v{version}");
        let (all, here) = (tags(root, "--list v*")?, tags(root, "--points-at HEAD")?);
        ensure!(!all.contains(&tag) || here.contains(&tag), "{tag} has been released, and is not this");
        Ok(format!("{version}, for every crate"))
    })
}

fn described(root: &Path, version: &Version) -> Outcome {
    outcome("changelog", || {
        changelog::section(&workspace::read(&root.join("CHANGELOG.md"))?, version)?;
        Ok(format!("it says what is new in {version}"))
    })
}

fn manifests(root: &Path) -> Outcome {
    outcome("manifests", || {
        let crates = manifests::read(&metadata(root)?);
        let problems = manifests::problems(&crates);
        ensure!(problems.is_empty(), "\n{}", problems.join("\n"));
        let order = manifests::order(&crates)?;
        Ok(format!("{} crates, to be published in this order: {}", order.len(), order.join(", ")))
    })
}

/// Puts the crates into packages as the registry gets them. Cargo lays those of a workspace over the registry, so that a
/// crate finds its siblings though they are not published yet; unless it is told otherwise it builds each from its package.
fn package(root: &Path, options: &str) -> Outcome {
    outcome("package", || {
        let metadata = metadata(root)?;
        let private = metadata.packages.iter().filter(|package| manifests::is_private(package));
        let excluded: String = private.map(|package| format!(" --exclude {}", package.name)).collect();
        workspace::run(root, &format!("cargo package --workspace{excluded} {options}"))?;
        Ok(format!("packed ({options})"))
    })
}

/// Compares the public interfaces with those of the last release.
fn semver(root: &Path, version: &Version) -> Result<Outcome> {
    let tags = tags(root, "--list v* --sort=-version:refname")?;
    let skip = |why: &str| Ok(Outcome { name: "semver", result: Ok(Verdict::Skipped(why.to_owned())) });
    let Some(last) = tags.iter().find(|tag| **tag != format!("v{version}")) else {
        return skip("nothing was released yet to compare with");
    };
    if !workspace::succeeds(root, "cargo semver-checks --version") {
        return skip("cargo-semver-checks is not there; `cargo install --locked cargo-semver-checks`");
    }
    Ok(outcome("semver", || {
        workspace::run(root, &format!("cargo semver-checks --workspace --baseline-rev {last}"))?;
        Ok(format!("nothing breaks that {last} promised, unless the version says so"))
    }))
}

fn tags(root: &Path, which: &str) -> Result<Vec<String>> {
    let tags = workspace::output(root, &format!("git tag {which}"))?;
    Ok(tags.lines().map(str::to_owned).collect())
}

fn metadata(root: &Path) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.current_dir(root).no_deps().exec().context("reading the workspace with `cargo metadata`")
}
