//! Proof that the tests would notice: a suite is run with one guard of the protocol taken out at a time, and each
//! time it must fail. The guards are taken out by a cargo feature that nothing turns on but this.

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A command that passes as the code stands, and the same with one guard missing, which must not pass.
#[derive(Debug)]
struct Suite {
    /// Built with the feature on and every guard in place. When this one fails, the others prove nothing.
    intact: &'static str,
    mutations: &'static [Mutation],
}

#[derive(Debug)]
struct Mutation {
    /// What is taken out.
    guard: &'static str,
    command: &'static str,
}

/// Why the CI step has nothing to do, while no suite is declared.
pub(crate) fn idle() -> Option<String> {
    SUITES.is_empty().then(|| "no crate has declared a mutation yet".to_owned())
}

/// Runs every suite whole and then once per guard without it.
///
/// # Errors
/// When a suite fails as it stands, or passes without one of its guards.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root()?;
    let survivors = survivors(SUITES, |line| {
        println!("--> {line}");
        let mut command = workspace::command(&root, line)?;
        Ok(command.status().with_context(|| format!("starting `{line}`"))?.success())
    })?;
    if !survivors.is_empty() {
        bail!("the tests still pass without: {}", survivors.join(", "));
    }
    let count: usize = SUITES.iter().map(|suite| suite.mutations.len()).sum();
    println!("mutations: {count} guards taken out one by one, and each time the tests failed as they should");
    Ok(())
}

/// The guards that no test misses. `passes` runs a command and says whether it passed.
fn survivors(suites: &[Suite], mut passes: impl FnMut(&str) -> Result<bool>) -> Result<Vec<&'static str>> {
    let mut survivors = Vec::new();
    for suite in suites {
        if !passes(suite.intact)? {
            bail!("`{}` must pass while all guards are in place", suite.intact);
        }
        for mutation in suite.mutations {
            if passes(mutation.command)? {
                survivors.push(mutation.guard);
            }
        }
    }
    Ok(survivors)
}

/// All suites. The commands differ only in what tells the suite which guard to take out, so that a mutated run
/// cannot fail for another reason than the intact one.
const SUITES: &[Suite] = &[];

#[cfg(test)]
mod tests {
    //! The runner itself: it must tell a caught mutation from one that nobody noticed.

    use super::*;

    const SUITE: Suite = Suite {
        intact: "intact",
        mutations: &[
            Mutation { guard: "replay window", command: "without window" },
            Mutation { guard: "path check", command: "without path" },
        ],
    };

    #[test]
    fn a_guard_that_no_test_misses_is_named() {
        let found = survivors(&[SUITE], |line| Ok(line != "without window")).unwrap();
        assert_eq!(found, ["path check"]);
    }

    #[test]
    fn all_is_well_when_every_mutation_fails() {
        assert!(survivors(&[SUITE], |line| Ok(line == "intact")).unwrap().is_empty());
    }

    #[test]
    fn a_suite_that_always_fails_proves_nothing() {
        assert!(survivors(&[SUITE], |_| Ok(false)).is_err());
    }
}
