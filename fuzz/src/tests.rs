//! The targets with an ordinary compiler: every seed goes through the target that it is for, and nothing else is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{TARGETS, seeds};

#[test]
fn every_seed_passes() {
    for (target, name, bytes) in seeds::all() {
        let Some((_, run)) = TARGETS.iter().find(|(other, _)| *other == target) else {
            panic!("no target `{target}`")
        };
        println!("{target}/{name}");
        run(&bytes);
    }
}

#[test]
fn the_seeds_that_are_checked_in_are_these_and_no_others() {
    let mut expected = BTreeSet::new();
    for (target, name, bytes) in seeds::all() {
        let path = format!("{target}/{name}");
        assert!(fs::read(folder().join(&path)).ok() == Some(bytes), "seeds/{path} is not up to date");
        assert!(expected.insert(path.clone()), "two seeds are called {path}");
    }
    for target in fs::read_dir(folder()).unwrap() {
        let target = target.unwrap();
        for seed in fs::read_dir(target.path()).unwrap() {
            let name = seed.unwrap().file_name();
            let path = format!("{}/{}", target.file_name().display(), name.display());
            // A file named `found-…` is what a fuzzer once found.
            assert!(expected.contains(&path) || path.contains("/found-"), "seeds/{path} is of nobody");
        }
    }
}

#[test]
fn what_was_once_found_is_found_no_more() {
    for (target, run) in TARGETS {
        let Ok(seeds) = fs::read_dir(folder().join(target)) else { panic!("`{target}` has no seeds") };
        for seed in seeds {
            let path = seed.unwrap().path();
            println!("{}", path.display());
            run(&fs::read(path).unwrap());
        }
    }
}

#[test]
fn the_manifest_has_these_targets_and_no_others() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let (_, bins) = manifest.split_once("[[bin]]").unwrap();
    let names: Vec<_> = bins.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert_eq!(names, TARGETS.map(|(name, _)| format!("{name:?}")));
}

/// Where the seeds are.
fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}
