//! Options, what is read from libFuzzer's words, and that the files about fuzzing agree.

use super::outcome::read;
use super::*;

fn known() -> Vec<String> {
    ["hello", "link"].map(str::to_owned).to_vec()
}

fn options(arguments: &[&str]) -> Options {
    match options::parse(arguments, &known()).unwrap() {
        Work::Fuzz(options) => options,
        Work::Corpus => panic!("{arguments:?} means fuzzing"),
    }
}

#[test]
fn all_targets_run_unless_some_are_named() {
    assert_eq!(options(&[]).targets, known());
    assert_eq!(options(&["link"]).targets, ["link"]);
    let options = options(&["link", "--seconds", "600", "hello", "--jobs", "3", "--sanitizer", "address"]);
    assert_eq!(options.targets, ["link", "hello"]);
    assert_eq!((options.seconds, options.jobs, options.sanitizer.as_str()), (600, 3, "address"));
    assert_eq!(options::parse(&["--corpus"], &known()).unwrap(), Work::Corpus);
}

#[test]
fn what_makes_no_sense_is_an_error() {
    for arguments in [
        &["lnik"][..],
        &["--seconds"],
        &["--seconds", "0"],
        &["--seconds", "soon"],
        &["--jobs", "0"],
        &["--sanitizer", "hand"],
        &["--corpus", "link"],
        &["--fast"],
    ] {
        assert!(options::parse(arguments, &known()).is_err(), "{arguments:?}");
    }
}

#[test]
fn one_target_is_built_alone_and_several_with_all_others() {
    assert!(options(&["link"]).command("build", &[]).ends_with("--no-cfg-fuzzing link"));
    assert!(options(&[]).command("build", &[]).ends_with("--no-cfg-fuzzing"));
    assert!(options(&["link", "hello"]).command("build", &[]).ends_with("--no-cfg-fuzzing"));
}

#[test]
fn a_run_without_a_finding_says_how_much_was_tried() {
    let complaints =
        "#2\tINITED cov: 3\n#4711\tDONE   cov: 641 ft: 1600 corp: 517/35Kb\nDone 4711 runs in 31 second(s)\n";
    assert_eq!(read(true, complaints).unwrap(), Outcome::Nothing { inputs: 4711 });
    assert!(read(true, "Executed nothing").is_err(), "a run that tried nothing proves nothing");
}

#[test]
fn a_finding_says_how_to_see_it_again() {
    let complaints = "thread '<unnamed>' panicked at src/wire.rs:7:5:\nit is not the same\nstack backtrace:\n   0: begin\n\
        artifact_prefix='/x/'; Test unit written to /x/crash-1a2b\n\nError: Fuzz target exited with exit status: 77\n";
    let Outcome::Finding(finding) = read(false, complaints).unwrap() else { panic!("it was found") };
    let told = finding.tell(&options(&[]), "hello");
    for part in
        ["it is not the same", "--no-cfg-fuzzing hello /x/crash-1a2b", "fuzz/seeds/hello/found-", "tmin"]
    {
        assert!(told.contains(part), "{part} is missing:\n{told}");
    }
    assert!(!told.contains("0: begin"), "{told}");
}

#[test]
fn a_target_that_does_not_start_is_no_finding() {
    assert!(read(false, "error: could not compile `telemesh-fuzz`").is_err());
}

#[test]
fn every_target_has_an_entry_and_seeds() {
    let root = workspace::root().unwrap();
    let targets = targets(&root).unwrap();
    assert!(targets.len() > 10, "{targets:?}");
    for target in targets {
        assert!(root.join(format!("fuzz/fuzz_targets/{target}.rs")).is_file(), "{target}");
        assert!(root.join(format!("fuzz/seeds/{target}")).is_dir(), "{target}");
    }
}

#[test]
fn the_script_of_ci_and_the_nightly_run_install_what_is_needed() {
    let root = workspace::root().unwrap();
    let script = workspace::read(&root.join(".ci/run")).unwrap();
    for (_, install) in NEEDS {
        let Some((_, command)) = install.split_once('`') else { continue };
        assert!(script.contains(command.trim_end_matches('`')), "`.ci/run` does not say {command}");
    }
}
