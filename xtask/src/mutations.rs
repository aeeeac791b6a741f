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
}

/// Why the CI step has nothing to do, while no suite is declared.
pub(crate) fn idle() -> Option<String> {
    SUITES.is_empty().then(|| "no crate has declared a mutation yet".to_owned())
}

/// Runs every suite whole and then once per guard without it.
///
/// # Errors
/// When a suite fails as it stands, does not build, or passes without one of its guards.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root()?;
    let survivors = survivors(SUITES, |line, wanted| {
        println!("--> {line}");
        let mut command = workspace::command(&root, line)?;
        let started = || format!("starting `{line}`");
        if wanted == Wanted::Pass {
            return Ok(command.status().with_context(started)?.success());
        }
        // What a mutated test complains about is of no interest, only that it does.
        let output = command.output().with_context(started)?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().filter(|line| line.starts_with("test result")).for_each(|line| println!("    {line}"));
        Ok(output.status.success())
    })?;
    if !survivors.is_empty() {
        bail!("the tests still pass without: {}", survivors.join(", "));
    }
    let count: usize = SUITES.iter().map(|suite| suite.mutations.len()).sum();
    println!("mutations: {count} guards taken out one by one, and each time the tests failed as they should");
    Ok(())
}

/// What a command has to do for the proof to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Pass,
    Fail,
}

/// The guards that no test misses. `passes` runs a command, knowing what is wanted of it, and says whether it passed.
fn survivors(
    suites: &[Suite],
    mut passes: impl FnMut(&str, Wanted) -> Result<bool>,
) -> Result<Vec<&'static str>> {
    let mut survivors = Vec::new();
    for suite in suites {
        must_pass(&suite.command(""), &mut passes)?;
        for mutation in suite.mutations {
            let mutated = suite.command(&format!("--features {}", mutation.feature));
            // A feature that does not exist or does not compile would look like a test that fails.
            must_pass(&format!("{mutated} --no-run"), &mut passes)?;
            if passes(&mutated, Wanted::Fail)? {
                survivors.push(mutation.guard);
            }
        }
    }
    Ok(survivors)
}

fn must_pass(line: &str, mut passes: impl FnMut(&str, Wanted) -> Result<bool>) -> Result<()> {
    ensure!(passes(line, Wanted::Pass)?, "`{line}` must pass, or the mutations prove nothing");
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
        Mutation { guard: "the replay window", feature: "danger-no-replay-window" },
        Mutation { guard: "the check of `at`", feature: "danger-no-at-check" },
        Mutation { guard: "the probe of a new path", feature: "danger-no-probe-check" },
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
            Mutation { guard: "replay window", feature: "no-window" },
            Mutation { guard: "path check", feature: "no-path" },
        ],
    };

    #[test]
    fn each_guard_is_taken_out_once_after_the_suite_has_passed() {
        let mut ran = Vec::new();
        let found = survivors(&[SUITE], |line, _| {
            ran.push(line.to_owned());
            Ok(line.ends_with("--no-run") || !line.contains("--features"))
        });
        assert!(found.unwrap().is_empty());
        assert_eq!(
            ran,
            [
                "cargo test --package x --test sim",
                "cargo test --package x --features no-window --test sim --no-run",
                "cargo test --package x --features no-window --test sim",
                "cargo test --package x --features no-path --test sim --no-run",
                "cargo test --package x --features no-path --test sim",
            ]
        );
    }

    #[test]
    fn a_guard_that_no_test_misses_is_named() {
        let caught = "cargo test --package x --features no-window --test sim";
        assert_eq!(survivors(&[SUITE], |line, _| Ok(line != caught)).unwrap(), ["path check"]);
    }

    #[test]
    fn a_suite_that_always_fails_proves_nothing() {
        assert!(survivors(&[SUITE], |_, _| Ok(false)).is_err());
    }

    #[test]
    fn a_feature_that_does_not_build_is_no_caught_mutation() {
        assert!(survivors(&[SUITE], |line, _| Ok(!line.contains("--features"))).is_err());
    }
}
