//! What the small crates compile, counted over the whole resolved tree: somebody who depends on one of them alone
//! gets no more than its README says.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::workspace;

/// Every package that one of the small crates compiles and must not.
pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for limit in LIMITS {
        // Feature resolution for this package alone, as a user gets it; the workspace's union would add some.
        let tree = workspace::output(
            root,
            &format!(
                "cargo tree -p {} -e normal,build --target all --prefix none --format {{p}}",
                limit.package
            ),
        )?;
        let compiled = packages(&tree);
        println!("{:<20} compiles {} packages", limit.package, compiled.len());
        problems.extend(limit.problems(&compiled));
    }
    Ok(problems)
}

/// The package names of a `cargo tree` listing, each once.
fn packages(tree: &str) -> BTreeSet<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

/// What one crate may compile.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) package: &'static str,
    pub(super) rule: Rule,
}

/// A whitelist for the smallest crates, a blacklist for the others.
#[derive(Debug)]
pub(super) enum Rule {
    /// Itself and these, nothing else.
    Only(&'static [&'static str]),
    /// No package whose name is one of these or starts with one and a dash.
    Without(&'static [&'static str]),
}

impl Limit {
    pub(super) fn problems(&self, compiled: &BTreeSet<&str>) -> Vec<String> {
        let in_family = |name: &str, family: &str| {
            name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let allowed = |name: &str| match self.rule {
            Rule::Only(names) => names.contains(&name),
            Rule::Without(families) => !families.iter().any(|family| in_family(name, family)),
        };
        let wrong = compiled.iter().filter(|name| **name != self.package && !allowed(name));
        wrong.map(|name| format!("{} compiles {name}, which it must not", self.package)).collect()
    }
}

pub(super) const LIMITS: &[Limit] = &[
    // SHA-256, base32, and the derive for its error types.
    Limit {
        package: "telemesh-hashname",
        rule: Rule::Only(&[
            "block-buffer",
            "cfg-if",
            "cpufeatures",
            "crypto-common",
            "data-encoding",
            "digest",
            "generic-array",
            "libc",
            "proc-macro2",
            "quote",
            "sha2",
            "syn",
            "thiserror",
            "thiserror-impl",
            "typenum",
            "unicode-ident",
            "version_check",
        ]),
    },
    // Depends on nothing of ours and needs nothing from outside.
    Limit { package: "telemesh-simnet", rule: Rule::Without(&["telemesh", "tokio", "quinn"]) },
    // Serves under any runtime; reliable streams are the engine's.
    Limit { package: "telemesh-link", rule: Rule::Without(&["tokio", "quinn", "async-std", "smol", "mio"]) },
    // Serves under any runtime too, but is made of quinn-proto.
    Limit {
        package: "telemesh-engine",
        rule: Rule::Without(&["tokio", "quinn-udp", "async-std", "smol", "mio"]),
    },
];
