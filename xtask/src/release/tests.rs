//! Versions, changelogs and manifests: what a release needs passes, and each thing that is missing is named.

use super::manifests::{Crate, Need, order, problems};
use super::*;

const MANIFEST: &str = r#"[workspace]
members = ["a"]

[workspace.package]
version = "0.1.0"

[workspace.dependencies]
telemesh-a = { path = "a", version = "0.1.0" }
other = { version = "0.1.0" }
"#;

const CHANGELOG: &str =
    "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Wings.\n\n## [0.1.0] - 2025-01-01\n\n- Legs.\n";

fn version(text: &str) -> Version {
    parse(text).unwrap()
}

fn good(name: &str, needs: &[(&str, &str, bool)]) -> Crate {
    let need = |(name, version, dev): &(&str, &str, bool)| Need {
        name: (*name).to_owned(),
        version: version.parse().unwrap(),
        dev: *dev,
    };
    Crate {
        name: name.to_owned(),
        version: version("0.1.0"),
        private: false,
        missing: Vec::new(),
        keywords: vec!["mesh".to_owned()],
        categories: 2,
        needs: needs.iter().map(need).collect(),
    }
}

#[track_caller]
fn assert_problem(crates: &[Crate], wanted: &str) {
    let found = problems(crates);
    assert!(found.len() == 1 && found.iter().all(|text| text.contains(wanted)), "{found:#?}");
}

#[test]
fn a_version_is_set_where_it_is_ours() {
    assert_eq!(version::read(MANIFEST).unwrap(), version("0.1.0"));
    let set = version::set(MANIFEST, &version("0.2.0-rc.1")).unwrap();
    assert_eq!(version::read(&set).unwrap(), version("0.2.0-rc.1"));
    assert!(set.contains(r#"path = "a", version = "0.2.0-rc.1""#), "{set}");
    assert!(set.contains(r#"other = { version = "0.1.0" }"#), "{set}");
    assert_eq!(version::set(MANIFEST, &version("0.1.0")).unwrap(), MANIFEST);
    for old in ["0.0.9", "0.1.0-rc.1"] {
        assert!(version::set(MANIFEST, &version(old)).is_err(), "{old} is not after 0.1.0");
    }
    assert!(parse("1.0").is_err() && parse("v1.0.0").is_err());
}

#[test]
fn what_was_not_released_becomes_the_section_of_the_version() {
    let changelog = changelog::release(CHANGELOG, &version("0.2.0"), "2025-06-01").unwrap();
    assert!(changelog.contains("## [Unreleased]\n\n## [0.2.0] - 2025-06-01\n\n### Added"), "{changelog}");
    let section = changelog::section(&changelog, &version("0.2.0")).unwrap();
    assert!(section.contains("Wings") && !section.contains("Legs"), "{section}");
    // And again: nothing is new now.
    assert!(changelog::release(&changelog, &version("0.3.0"), "2025-06-01").is_err());
    assert!(changelog::release(CHANGELOG, &version("0.1.0"), "2025-06-01").is_err());
    assert!(changelog::section(CHANGELOG, &version("0.2.0")).is_err());
}

#[test]
fn the_workspace_has_a_version_and_a_changelog_that_could_be_released() {
    let root = workspace::root().unwrap();
    let manifest = workspace::read(&root.join("Cargo.toml")).unwrap();
    let next = Version { major: version::read(&manifest).unwrap().major + 1, ..version("0.0.0") };
    let set = version::set(&manifest, &next).unwrap();
    let own = set.lines().filter(|line| line.contains("path = \"crates/"));
    for line in own {
        assert!(line.contains(&format!("version = \"{next}\"")), "{line}");
    }
}

#[test]
fn a_crate_goes_to_the_registry_after_those_that_it_needs() {
    let crates = [
        good("top", &[("middle", "0.1.0", false), ("base", "0.1.0", false)]),
        good("middle", &[("base", "0.1.0", true), ("kit", "*", true)]),
        good("base", &[]),
        Crate { private: true, ..good("kit", &[("top", "0.1.0", false)]) },
    ];
    assert_eq!(order(&crates).unwrap(), ["base", "middle", "top"]);
    assert!(problems(&crates).is_empty(), "{:?}", problems(&crates));
}

#[test]
fn crates_that_need_each_other_cannot_be_published() {
    let crates = [good("a", &[("b", "0.1.0", false)]), good("b", &[("a", "0.1.0", true)])];
    assert!(order(&crates).unwrap_err().to_string().contains("circle: a, b"));
    // By its path alone a dependency of tests is left out of the package.
    assert!(order(&[good("a", &[("b", "0.1.0", false)]), good("b", &[("a", "*", true)])]).is_ok());
}

#[test]
fn what_the_registry_would_refuse_is_named() {
    assert_problem(&[Crate { missing: vec!["license"], ..good("a", &[]) }], "a: has no `license`");
    assert_problem(&[Crate { categories: 0, ..good("a", &[]) }], "0 categories");
    assert_problem(&[Crate { categories: 6, ..good("a", &[]) }], "6 categories");
    let keywords = vec!["a-word-of-more-letters".to_owned()];
    assert_problem(&[Crate { keywords, ..good("a", &[]) }], "keywords");
    let base = good("base", &[]);
    assert_problem(&[good("a", &[("base", "*", false)]), base.clone()], "by its path only");
    assert_problem(
        &[good("a", &[("base", "0.2.0", false)]), base.clone()],
        "wants `base` ^0.2.0, which is 0.1.0",
    );
    let kit = Crate { private: true, ..base };
    assert_problem(&[good("a", &[("base", "0.1.0", true)]), kit], "which is not published");
}

#[test]
fn a_check_that_fails_is_named_and_one_that_was_skipped_is_no_failure() {
    let skipped = || Outcome { name: "semver", result: Ok(Verdict::Skipped("no tool".to_owned())) };
    assert!(finish(&[outcome("tree", || Ok("clean".to_owned())), skipped()]).is_ok());
    let failed = finish(&[outcome("tree", || bail!("dirt")), skipped()]);
    assert!(failed.unwrap_err().to_string().contains("not ready for a release: tree"));
}

#[test]
fn arguments_that_make_no_sense_are_errors() {
    for arguments in [&[][..], &["--write"], &["0.2.0", "--publish"], &["--check", "0.2.0"], &["next"]] {
        assert!(run(arguments).is_err(), "{arguments:?}");
    }
}
