//! The order of steps, what stops them, and what the report says about those that did not run.

use anyhow::{Result, bail};

use super::*;

static MADE_UP: &[Step] = &[
    Step { name: "fmt", command: "first", needs: None, idle: || None },
    Step { name: "tidy", command: "second", needs: None, idle: || None },
    Step { name: "graph", command: "third", needs: None, idle: || Some("nothing to draw".to_owned()) },
    Step { name: "test", command: "fourth", needs: None, idle: || None },
];

/// Runs the made-up steps, the one called `broken` failing; gives the commands that ran and the report.
fn run_made_up(arguments: &[&str], broken: &str) -> (Vec<&'static str>, Report) {
    let mut ran = Vec::new();
    let choice = Choice::parse(arguments).unwrap();
    let report = run_steps(MADE_UP, &choice, |step| -> Result<()> {
        ran.push(step.command);
        if step.name == broken {
            bail!("it broke");
        }
        Ok(())
    });
    (ran, report)
}

/// What the report says of the step `name`.
fn outcome<'a>(report: &'a Report, name: &str) -> &'a Outcome {
    &report.lines.iter().find(|line| line.step.name == name).unwrap().outcome
}

#[test]
fn steps_run_in_order_and_an_idle_one_says_why_it_did_not() {
    let (ran, report) = run_made_up(&[], "");
    assert_eq!(ran, ["first", "second", "fourth"]);
    assert_eq!(outcome(&report, "graph"), &Outcome::Skipped("nothing to draw".to_owned()));
    assert!(report.to_string().contains("graph      skipped  (nothing to draw)"), "{report}");
}

#[test]
fn a_failure_stops_the_rest_and_the_report_says_so() {
    let (ran, report) = run_made_up(&[], "tidy");
    assert_eq!(ran, ["first", "second"]);
    assert!(matches!(outcome(&report, "fmt"), Outcome::Passed(_)));
    assert!(matches!(outcome(&report, "tidy"), Outcome::Failed(_)));
    assert_eq!(outcome(&report, "test"), &Outcome::Skipped("an earlier step failed".to_owned()));
}

#[test]
fn a_person_may_choose_steps() {
    assert_eq!(run_made_up(&["test", "fmt"], "").0, ["first", "fourth"]);
    assert_eq!(run_made_up(&["--from", "tidy"], "").0, ["second", "fourth"]);
    let (ran, report) = run_made_up(&["--skip", "fmt", "--skip", "test"], "");
    assert_eq!(ran, ["second"]);
    assert_eq!(outcome(&report, "test"), &Outcome::Skipped("left out with --skip".to_owned()));
}

#[test]
fn a_step_that_does_not_exist_is_an_error() {
    for arguments in [&["tset"][..], &["--from", "tset"], &["--skip", "tset"], &["--skip"], &["--form"]] {
        assert!(Choice::parse(arguments).is_err(), "{arguments:?}");
    }
}

#[test]
fn every_step_has_a_name_of_its_own() {
    for step in STEPS {
        assert_eq!(STEPS.iter().filter(|other| other.name == step.name).count(), 1, "{}", step.name);
    }
}

#[test]
fn the_script_of_ci_installs_the_tools_that_the_steps_name() {
    let script = workspace::read(&workspace::root().unwrap().join(".ci/run")).unwrap();
    for (_, install) in STEPS.iter().filter_map(|step| step.needs) {
        assert!(script.contains(install), "`.ci/run` does not say `{install}`");
    }
}
