//! Who may depend on whom. Reads the crates' manifests through `cargo metadata`, prints them layer by layer and
//! fails on an arrow that the table in `layers` does not allow; then looks at what the small crates compile.

mod compiled;
mod layers;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::workspace;
use layers::{DECLARED, LAYERS, Layer, TEST_ONLY};

/// Prints the layers and checks every arrow between crates of the workspace.
///
/// # Errors
/// When an arrow is not allowed, a crate has no layer, a small crate compiles what it must not, or cargo fails.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root()?;
    let metadata = MetadataCommand::new()
        .current_dir(&root)
        .no_deps()
        .exec()
        .context("reading the workspace with `cargo metadata`")?;
    let graph = Graph::read(&metadata);
    print!("{}", graph.drawing());
    let mut problems = graph.problems();
    problems.extend(compiled::problems(&root)?);
    for problem in &problems {
        eprintln!("{problem}");
    }
    if !problems.is_empty() {
        bail!("graph found {} problem(s); the rules are in xtask/src/graph/layers.rs", problems.len());
    }
    Ok(())
}

/// The crates of the workspace and the arrows between them.
#[derive(Debug, Default)]
struct Graph {
    crates: BTreeSet<String>,
    arrows: BTreeSet<Arrow>,
}

/// `from` depends on `to`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: String,
    to: String,
    kind: Kind,
}

/// What a dependency is for: the crate itself and its build script, or only its tests, benches and examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Built,
    Dev,
}

impl Graph {
    fn read(metadata: &Metadata) -> Self {
        let packages = metadata.workspace_packages();
        let crates: BTreeSet<String> = packages.iter().map(|package| package.name.to_string()).collect();
        let mut arrows = BTreeSet::new();
        for package in packages {
            for dependency in package.dependencies.iter().filter(|found| crates.contains(&found.name)) {
                arrows.insert(Arrow {
                    from: package.name.to_string(),
                    to: dependency.name.clone(),
                    kind: if dependency.kind == DependencyKind::Development {
                        Kind::Dev
                    } else {
                        Kind::Built
                    },
                });
            }
        }
        Self { crates, arrows }
    }

    /// One line per crate, the highest layer first: what it is built on, and in brackets what its tests use.
    fn drawing(&self) -> String {
        let mut text = String::new();
        for layer in LAYERS {
            for name in layer.crates.iter().filter(|name| self.crates.contains(**name)) {
                let mut words: Vec<String> = Vec::new();
                for arrow in self.arrows.iter().filter(|arrow| arrow.from == **name) {
                    let to = arrow.to.strip_prefix("telemesh-").unwrap_or(&arrow.to);
                    words.push(if arrow.kind == Kind::Dev { format!("[{to}]") } else { to.to_owned() });
                }
                let words = if words.is_empty() { "-".to_owned() } else { words.join(" ") };
                text.push_str(&format!("{:<12} {name:<20} {words}\n", layer.name));
            }
        }
        text
    }

    /// Every crate without a layer and every arrow that is not allowed.
    fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self
            .crates
            .iter()
            .filter(|name| layer_of(name).is_none())
            .map(|name| format!("{name} stands in no layer: give it one"))
            .collect();
        problems.extend(self.arrows.iter().filter_map(Arrow::problem));
        problems
    }
}

impl Arrow {
    /// Why this arrow is not allowed, if it is not.
    fn problem(&self) -> Option<String> {
        let Self { from, to, kind } = self;
        // A crate without a layer is reported once, not again with each of its arrows.
        let (upper, lower) = (layer_of(from)?, layer_of(to)?);
        let told = |why: String| Some(format!("{from} -> {to}: {why}"));
        if *kind == Kind::Dev && TEST_ONLY.contains(&to.as_str()) {
            return None;
        }
        if TEST_ONLY.contains(&to.as_str()) && !TEST_ONLY.contains(&from.as_str()) {
            return told(format!("{to} is for tests: only a dev-dependency may name it"));
        }
        if upper.height < lower.height {
            return told(format!("upward, from layer {} to {}", upper.layer.name, lower.layer.name));
        }
        // Tests may join parts that must not know each other, as long as nothing points upward.
        if *kind == Kind::Dev {
            return None;
        }
        if upper.height == lower.height && !DECLARED.contains(&(from.as_str(), to.as_str())) {
            return told(format!("sideways in layer {} and not declared", upper.layer.name));
        }
        if upper.layer.never.contains(&to.as_str()) {
            return told(format!("layer {} must not know {to}", upper.layer.name));
        }
        None
    }
}

/// A crate's place in the table.
struct Place {
    layer: &'static Layer,
    /// Zero for the lowest layer.
    height: usize,
}

fn layer_of(name: &str) -> Option<Place> {
    let found = LAYERS.iter().rev().enumerate().find(|(_, layer)| layer.crates.contains(&name));
    found.map(|(height, layer)| Place { layer, height })
}
