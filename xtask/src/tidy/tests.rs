//! Bad examples of every rule, each of which must be caught, beside good ones that must not.

use std::fs;
use std::path::Path;

use super::{Problem, check, source};

/// A workspace that breaks no rule: one ordinary crate, one sans-IO crate, and all files at the root.
fn healthy() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let manifest = "[package]\nname = \"x\"\nversion.workspace = true\nedition.workspace = true\n\
                    rust-version.workspace = true\nlicense.workspace = true\n\n[lints]\nworkspace = true\n";
    for folder in ["crates/mesh", "crates/link", "xtask"] {
        write(root.path(), &format!("{folder}/Cargo.toml"), manifest);
        write(root.path(), &format!("{folder}/README.md"), "# x\n");
        write(root.path(), &format!("{folder}/src/lib.rs"), "//! Owns x.\n\npub fn x() {}\n");
    }
    write(root.path(), "clippy.toml", "# Tests may.\nallow-unwrap-in-tests = true\n");
    write(
        root.path(),
        "crates/link/clippy.toml",
        "allow-unwrap-in-tests = true\ndisallowed-methods = [\"std::time::Instant::now\", \
         \"std::time::SystemTime::now\", \"rand::rng\"]\n",
    );
    write(
        root.path(),
        "Cargo.toml",
        "[workspace.dependencies]\nown = { path = \"crates/own\" }\nbytes = \"1\"\n",
    );
    write(root.path(), "CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n");
    for name in ["CONTRIBUTING.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "SECURITY.md", "deny.toml"]
    {
        write(root.path(), name, "text\n");
    }
    write(root.path(), "docs/adr/README.md", "- [2](0002-dependencies.md)\n");
    write(root.path(), "docs/adr/0002-dependencies.md", "- `bytes`: shared buffers\n");
    root
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The problems of a healthy workspace in which one file has been replaced.
fn with(path: &str, text: &str) -> Vec<String> {
    let root = healthy();
    write(root.path(), path, text);
    check(root.path()).unwrap().iter().map(Problem::to_string).collect()
}

/// The problems of a healthy workspace from which one file has been taken.
fn without(path: &str) -> Vec<String> {
    let root = healthy();
    fs::remove_file(root.path().join(path)).unwrap();
    check(root.path()).unwrap().iter().map(Problem::to_string).collect()
}

/// The problems of one source file.
fn of(path: &str, text: &str) -> Vec<String> {
    source::check(path, text).iter().map(Problem::to_string).collect()
}

#[track_caller]
fn assert_one(problems: &[String], wanted: &str) {
    assert!(problems.len() == 1 && problems.iter().all(|text| text.contains(wanted)), "{problems:#?}");
}

#[test]
fn a_healthy_workspace_has_no_problem() {
    let root = healthy();
    assert_eq!(check(root.path()).unwrap(), []);
}

#[test]
fn a_file_without_a_first_line_is_caught_in_every_folder() {
    for path in
        ["crates/mesh/src/a.rs", "crates/mesh/tests/a.rs", "crates/mesh/benches/a.rs", "bench/src/a.rs"]
    {
        assert_one(&with(path, "fn a() {}\n"), &format!("{path}:1: the first line must be `//!`"));
    }
    assert_one(&with("crates/mesh/examples/a.rs", "// Not a doc comment.\nfn main() {}\n"), "the first line");
}

#[test]
fn generated_code_and_build_output_are_left_alone() {
    assert_eq!(with("crates/mesh/src/generated/mod.rs", "fn a() {}\n"), [""; 0]);
    assert_eq!(with("target/debug/build/a.rs", "fn a() {}\n"), [""; 0]);
}

#[test]
fn a_file_may_have_800_lines_and_not_one_more() {
    let text = |lines: usize| format!("//! A.\n{}", "// Line.\n".repeat(lines - 1));
    assert_eq!(of("crates/mesh/src/a.rs", &text(800)), [""; 0]);
    assert_one(&of("crates/mesh/src/a.rs", &text(801)), "801 lines");
}

#[test]
fn a_function_may_have_80_lines_and_not_one_more() {
    let text = |lines: usize| {
        format!("//! A.\nimpl A {{\npub fn a(\n) {{\n{}}}\n}}\n", "    b();\n".repeat(lines - 3))
    };
    assert_eq!(of("crates/mesh/src/a.rs", &text(80)), [""; 0]);
    assert_one(&of("crates/mesh/src/a.rs", &text(81)), "crates/mesh/src/a.rs:3: function `a` has 81 lines");
}

#[test]
fn a_long_function_inside_a_macro_call_is_seen() {
    let text = format!("//! A.\nproptest! {{\nfn a(x in 0..9) {{\n{}}}\n}}\n", "b();\n".repeat(90));
    assert_one(&of("crates/mesh/tests/a.rs", &text), "function `a` has 92 lines");
}

#[test]
fn the_doc_comment_of_a_function_does_not_count() {
    let text = format!("//! A.\n{}fn a() {{}}\n", "/// Explains.\n".repeat(100));
    assert_eq!(of("crates/mesh/src/a.rs", &text), [""; 0]);
}

#[test]
fn a_signature_or_a_pointer_type_is_no_function() {
    let filler = "// Line.\n".repeat(100);
    let text =
        format!("//! A.\ntrait A {{\nfn a(&self);\n{filler}}}\ntype B = fn(u8);\n{filler}struct C {{}}\n");
    assert_eq!(of("crates/mesh/src/a.rs", &text), [""; 0]);
}

#[test]
fn a_struct_may_have_15_fields_and_not_one_more() {
    let field =
        "    #[cfg(unix)]\n    pub(in crate::a) a: std::collections::HashMap<u8, std::sync::Arc<B>>,\n";
    let text = |fields: usize| format!("//! A.\nstruct A<B: Clone> {{\n{}}}\n", field.repeat(fields));
    assert_eq!(of("crates/mesh/src/a.rs", &text(15)), [""; 0]);
    assert_one(&of("crates/mesh/src/a.rs", &text(16)), "crates/mesh/src/a.rs:2: struct `A` has 16 fields");
}

#[test]
fn unsafe_code_is_caught_and_the_word_elsewhere_is_not() {
    assert_one(
        &of("crates/mesh/src/a.rs", "//! A.\nfn a() {\n    unsafe { b() }\n}\n"),
        "a.rs:3: no `unsafe`",
    );
    let harmless = "//! No unsafe here.\n#![forbid(unsafe_code)]\nconst A: &str = \"unsafe\"; // unsafe\n";
    assert_eq!(of("crates/mesh/src/a.rs", harmless), [""; 0]);
}

#[test]
fn left_overs_are_caught() {
    for word in [
        concat!("to", "do!()"),
        concat!("unimpl", "emented!()"),
        concat!("d", "bg!(x)"),
        concat!("// FIX", "ME: later"),
        concat!("// XX", "X"),
    ] {
        assert_one(&of("crates/mesh/src/a.rs", &format!("//! A.\nfn a() {{\n{word}\n}}\n")), "a.rs:3: `");
    }
    let harmless = concat!("//! A.\nfn a() { my_d", "bg!(1); }\nconst XX", "XX: u8 = 1;\n");
    assert_eq!(of("crates/mesh/src/a.rs", harmless), [""; 0]);
}

#[test]
fn the_clock_is_caught_in_a_sans_io_crate_only() {
    let text = "//! A.\nuse std::time;\nfn a() {\n    b(time::Instant::now());\n}\n";
    assert_one(
        &of("crates/link/src/a.rs", text),
        "crates/link/src/a.rs:4: `Instant::now` in a sans-IO crate",
    );
    assert_eq!(of("crates/mesh/src/a.rs", text), [""; 0]);
    // A folder whose name only begins like a sans-IO crate's is not one.
    assert_eq!(of("crates/linked/src/a.rs", text), [""; 0]);
}

#[test]
fn every_ambient_source_is_caught() {
    for call in
        ["SystemTime::now()", "rand::rng()", "rand::random::<u8>()", "thread_rng()", "StdRng::from_os_rng()"]
    {
        let text = format!("//! A.\nfn a() {{ c!({call}) }}\n");
        assert_one(&of("crates/engine/src/a.rs", &text), "in a sans-IO crate");
    }
}

#[test]
fn tests_of_a_sans_io_crate_may_start_from_the_clock() {
    let call = "fn a() { Instant::now(); }\n";
    assert_eq!(of("crates/link/src/link/tests.rs", &format!("//! A.\n{call}")), [""; 0]);
    assert_eq!(of("crates/link/examples/a.rs", &format!("//! A.\n{call}")), [""; 0]);
    assert_eq!(
        of("crates/link/src/a.rs", &format!("//! A.\n#[cfg(test)]\nmod tests {{ {call} }}\n")),
        [""; 0]
    );
    assert_eq!(of("crates/link/src/a.rs", &format!("//! A.\n#![cfg(test)]\n{call}")), [""; 0]);
}

#[test]
fn code_beside_tests_is_no_test() {
    let call = "fn a() { Instant::now(); }\n";
    for before in ["#[cfg(test)]\nmod tests;\n", "#[cfg(test)]\nmod tests {}\n", "#[cfg(not(test))]\n"] {
        assert_one(&of("crates/link/src/a.rs", &format!("//! A.\n{before}{call}")), "`Instant::now`");
    }
    assert_one(
        &of("crates/link/src/a.rs", &format!("//! A.\n#[cfg(feature = \"test\")]\n{call}")),
        "`Instant::now`",
    );
}

#[test]
fn a_file_that_is_not_rust_is_caught() {
    assert_one(&of("crates/mesh/src/a.rs", "//! A.\nfn a() {\n"), "cannot be read as Rust");
}

#[test]
fn a_crate_without_readme_is_caught() {
    assert_one(&without("crates/mesh/README.md"), "crates/mesh/README.md: each crate has a README");
    assert_one(&with("crates/mesh/README.md", "\n"), "crates/mesh/README.md: each crate has a README");
}

#[test]
fn a_crate_that_does_not_inherit_is_caught() {
    let package = "version.workspace = true\nedition.workspace = true\nrust-version.workspace = true\n";
    let license = "license.workspace = true\n";
    let lints = "[lints]\nworkspace = true\n";
    let path = "crates/mesh/Cargo.toml";
    assert_one(&with(path, &format!("[package]\n{package}{license}")), "must inherit the lints");
    assert_one(
        &with(path, &format!("[package]\n{package}{license}[lints.rust]\nworkspace = true\n")),
        "the lints",
    );
    assert_one(
        &with(path, &format!("[package]\n{package}license = \"MIT\"\n{lints}")),
        "`license.workspace = true`",
    );
}

#[test]
fn a_sans_io_crate_must_forbid_the_clock_and_keep_the_root_settings() {
    assert_eq!(without("crates/link/clippy.toml").len(), 4);
    let methods =
        "disallowed-methods = [\"std::time::Instant::now\", \"std::time::SystemTime::now\", \"rand::rng\"]";
    assert_one(
        &with("crates/link/clippy.toml", methods),
        "must repeat the root's `allow-unwrap-in-tests = true`",
    );
}

#[test]
fn a_missing_or_empty_file_at_the_root_is_caught() {
    assert_one(&without("SECURITY.md"), "SECURITY.md: is missing or empty");
    assert_one(&with("LICENSE-MIT", ""), "LICENSE-MIT: is missing or empty");
    assert_eq!(without("CHANGELOG.md").len(), 2);
    assert_one(&with("CHANGELOG.md", "# Changelog\n\n## 0.1.0\n"), "no `## [Unreleased]` section");
}

#[test]
fn a_decision_that_the_index_does_not_name_is_caught() {
    assert_one(&with("docs/adr/0003-engine.md", "# 3\n"), "docs/adr/README.md: does not list 0003-engine.md");
}

#[test]
fn a_dependency_without_a_reason_is_caught() {
    let text = "[workspace.dependencies]\n# Ours.\nown = { path = \"crates/own\" }\nbytes = \"1\"\nsha2 = \"0.10\"\n";
    assert_one(&with("Cargo.toml", text), "gives no reason for the dependency `sha2`");
}
