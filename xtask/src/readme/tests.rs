//! Untrue pages: commands nobody runs, snippets that differ from their example, links that point nowhere.

use std::fs;

use super::*;

const GOOD: &str = "# x\n\n```sh\ncargo run --release -- demo\ncargo test --workspace   # all of it\n```\n";

#[test]
fn the_two_promised_commands_are_enough() {
    assert_eq!(command_problems(&blocks(GOOD)), [""; 0]);
}

#[test]
fn a_command_that_ci_does_not_run_is_caught_with_its_line() {
    let page = format!("{GOOD}\n```sh\n# A remark.\ncargo run -- dance\n```\n");
    let problems = command_problems(&blocks(&page));
    assert_eq!(problems, ["README.md:10: no step of `cargo xtask ci` runs `cargo run -- dance`"]);
}

#[test]
fn a_promised_command_that_is_missing_is_caught() {
    let problems = command_problems(&blocks("```sh\ncargo test --workspace\n```\n"));
    assert_eq!(problems, ["README.md: must show `cargo run --release -- demo`"]);
}

#[test]
fn what_a_program_prints_is_no_command() {
    assert_eq!(command_problems(&blocks(&format!("{GOOD}```text\ncargo dance\n```\n"))), [""; 0]);
}

#[test]
fn a_snippet_must_stand_in_the_example_it_names() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("crates/telemesh/examples");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hello.rs"), "//! Hello.\nfn main() {\n    one();\n    two();\n}\n").unwrap();
    let of = |source: &str, code: &str| {
        let page = format!("Text.\n\n{source}\n```rust,no_run\n{code}\n```\n");
        let blocks = blocks(&page);
        assert_eq!(blocks.len(), 1);
        example(root.path(), blocks.first().unwrap())
    };
    let from = "<!-- from crates/telemesh/examples/hello.rs -->";
    assert_eq!(
        of(from, "one();\ntwo();").unwrap(),
        "cargo run --quiet --manifest-path crates/telemesh/Cargo.toml --example hello"
    );
    assert!(of(from, "one();\nthree();").is_err());
    assert!(of(from, "two();\none();").is_err());
    assert!(of("", "one();").is_err());
    assert!(of("<!-- from crates/telemesh/examples/gone.rs -->", "one();").is_err());
    assert!(of("<!-- from crates/telemesh/src/lib.rs -->", "one();").is_err());
}

#[test]
fn a_link_to_a_file_that_is_not_there_is_caught() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("docs")).unwrap();
    fs::write(root.path().join("README.md"), "x").unwrap();
    let page = root.path().join("docs/A.md");
    let good = "[a](../README.md#part), [b](https://example.org/x), [c](#here), [d](crate::Link)\n\
                ```rust\nlet x = y[0](nowhere);\n```\n";
    assert_eq!(dead_links(root.path(), &page, good), [""; 0]);
    let bad = "Fine.\nSee [a](B.md) and [b](../README.md).\n";
    assert_eq!(dead_links(root.path(), &page, bad), ["docs/A.md:2: `B.md` points nowhere"]);
}
