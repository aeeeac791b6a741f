//! Proof that the tests would notice: a crate's tests are run with one guard of the protocol taken out at a time, and
//! each time they must fail. A cargo feature takes a guard out; nothing turns it on but this.

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

/// The tests of one crate, and the guards that they watch over.
#[derive(Debug)]
struct Suite {
    package: &'static str,
    /// Which of its tests, as options of `cargo test`; fewer tests make a quicker run.
    tests: &'static str,
    mutations: &'static [Mutation],
}

#[derive(Debug)]
struct Mutation {
    /// What is taken out.
    guard: &'static str,
    /// The cargo feature that does it.
    feature: &'static str,
    /// What the tests must say, so that they fail because of this guard and not of something else.
    complaint: &'static str,
}

/// Why the CI step has nothing to do, while no suite is declared.
pub(crate) fn idle() -> Option<String> {
    SUITES.is_empty().then(|| "no crate has declared a mutation yet".to_owned())
}

/// Runs every suite whole and then once per guard without it.
///
/// # Errors
/// When a suite fails as it stands, does not build, or does not notice that one of its guards is missing.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root()?;
    let survivors = survivors(SUITES, |line, wanted| {
        println!("--> {line}");
        let mut command = workspace::command(&root, line)?;
        let started = || format!("starting `{line}`");
        match wanted {
            Wanted::Pass => Ok(command.status().with_context(started)?.success()),
            Wanted::Complaint(complaint) => {
                let output = command.output().with_context(started)?;
                let caught = !output.status.success()
                    && String::from_utf8_lossy(&output.stdout).lines().any(|line| line.contains(complaint));
                println!("    {}: {complaint}", if caught { "noticed" } else { "NOT NOTICED" });
                Ok(caught)
            }
        }
    })?;
    if !survivors.is_empty() {
        bail!("the tests do not notice when this is missing: {}", survivors.join(", "));
    }
    let count: usize = SUITES.iter().map(|suite| suite.mutations.len()).sum();
    println!("mutations: {count} guards taken out one by one, and each time the tests failed as they should");
    Ok(())
}

/// What a command has to do for the proof to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted<'a> {
    Pass,
    /// Fail, and say this.
    Complaint(&'a str),
}

/// The guards that no test misses. `holds` runs a command and says whether it did what is wanted of it.
fn survivors(
    suites: &[Suite],
    mut holds: impl FnMut(&str, Wanted<'_>) -> Result<bool>,
) -> Result<Vec<&'static str>> {
    let mut survivors = Vec::new();
    for suite in suites {
        must_pass(&suite.command(""), &mut holds)?;
        for mutation in suite.mutations {
            let mutated = suite.command(&format!("--features {}", mutation.feature));
            // A feature that does not exist or does not compile would look like a test that fails.
            must_pass(&format!("{mutated} --no-run"), &mut holds)?;
            if !holds(&mutated, Wanted::Complaint(mutation.complaint))? {
                survivors.push(mutation.guard);
            }
        }
    }
    Ok(survivors)
}

fn must_pass(line: &str, mut holds: impl FnMut(&str, Wanted<'_>) -> Result<bool>) -> Result<()> {
    ensure!(holds(line, Wanted::Pass)?, "`{line}` must pass, or the mutations prove nothing");
    Ok(())
}

impl Suite {
    fn command(&self, features: &str) -> String {
        let words = ["cargo test --package", self.package, features, self.tests];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// All suites.
const SUITES: &[Suite] = &[Suite {
    package: "telemesh-link",
    tests: "--lib tests::simulation",
    mutations: &[
        Mutation {
            guard: "the replay window",
            feature: "danger-no-replay-window",
            complaint: "came out twice",
        },
        Mutation {
            guard: "the check of `at`",
            feature: "danger-no-at-check",
            complaint: "a stranger was answered",
        },
        Mutation {
            guard: "the probe of a new path",
            feature: "danger-no-probe-check",
            complaint: "data went to an address that proved nothing",
        },
    ],
}];

#[cfg(test)]
mod tests {
    //! The runner itself: it must tell a caught mutation from one that nobody noticed.

    use super::*;

    const SUITE: Suite = Suite {
        package: "x",
        tests: "--test sim",
        mutations: &[
            Mutation { guard: "replay window", feature: "no-window", complaint: "twice" },
            Mutation { guard: "path check", feature: "no-path", complaint: "leaked" },
        ],
    };

    #[test]
    fn each_guard_is_taken_out_once_after_the_suite_has_passed() {
        let mut ran = Vec::new();
        let found = survivors(&[SUITE], |line, wanted| {
            ran.push(format!("{wanted:?}: {line}"));
            Ok(true)
        });
        assert!(found.unwrap().is_empty());
        assert_eq!(
            ran,
            [
                "Pass: cargo test --package x --test sim",
                "Pass: cargo test --package x --features no-window --test sim --no-run",
                "Complaint(\"twice\"): cargo test --package x --features no-window --test sim",
                "Pass: cargo test --package x --features no-path --test sim --no-run",
                "Complaint(\"leaked\"): cargo test --package x --features no-path --test sim",
            ]
        );
    }

    #[test]
    fn a_guard_that_no_test_misses_is_named() {
        let found = survivors(&[SUITE], |_, wanted| Ok(wanted != Wanted::Complaint("leaked")));
        assert_eq!(found.unwrap(), ["path check"]);
    }

    #[test]
    fn a_suite_that_always_fails_proves_nothing() {
        assert!(survivors(&[SUITE], |line, _| Ok(line.contains("--features"))).is_err());
    }

    #[test]
    fn a_feature_that_does_not_build_is_no_caught_mutation() {
        assert!(survivors(&[SUITE], |line, _| Ok(!line.ends_with("--no-run"))).is_err());
    }
}
