//! Code generation on a small workspace: what is stale is named, what is up to date passes.

use std::fs;
use std::path::Path;

use super::{TARGET, run_in};

const PROTO: &str = "syntax = \"proto3\"; package a.v1; message Ping { uint64 number = 1; }";

/// A workspace with one crate that has messages, two levels down, and one that has none.
fn workspace() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("rustfmt.toml"), "max_width = 100\n").unwrap();
    fs::create_dir_all(root.path().join("crates/plain/src")).unwrap();
    fs::create_dir_all(root.path().join("crates/channels/a/proto")).unwrap();
    write_proto(root.path(), "a.proto", PROTO);
    root
}

fn write_proto(root: &Path, name: &str, text: &str) {
    fs::write(root.join("crates/channels/a/proto").join(name), text).unwrap();
}

#[test]
fn missing_and_stale_code_fail_the_check_by_name() {
    let root = workspace();
    let target = root.path().join("crates/channels/a").join(TARGET);
    let missing = run_in(root.path(), true).unwrap_err().to_string();
    assert!(missing.contains("crates/channels/a/src/generated/mod.rs"), "{missing}");
    assert!(missing.contains("cargo xtask codegen"), "{missing}");
    assert!(!target.exists(), "a check writes nothing");

    run_in(root.path(), false).unwrap();
    run_in(root.path(), true).unwrap();
    let code = fs::read_to_string(&target).unwrap();
    assert!(code.starts_with("//!") && code.contains("pub struct Ping"), "{code}");

    write_proto(root.path(), "a.proto", &PROTO.replace("number", "count"));
    assert!(run_in(root.path(), true).is_err());
    assert_eq!(fs::read_to_string(&target).unwrap(), code, "a check writes nothing");

    write_proto(root.path(), "a.proto", PROTO);
    fs::write(&target, format!("{code}\n// edited by hand\n")).unwrap();
    assert!(run_in(root.path(), true).is_err());
}

#[test]
fn the_files_of_a_crate_share_a_package_and_become_one_module() {
    let root = workspace();
    write_proto(root.path(), "b.proto", &PROTO.replace("Ping", "Pong"));
    run_in(root.path(), false).unwrap();
    let code = fs::read_to_string(root.path().join("crates/channels/a").join(TARGET)).unwrap();
    assert!(code.contains("pub struct Ping") && code.contains("pub struct Pong"), "{code}");

    write_proto(root.path(), "b.proto", &PROTO.replace("a.v1", "b.v1"));
    let error = run_in(root.path(), false).unwrap_err().to_string();
    assert!(error.contains("share one package"), "{error}");
}

#[test]
fn a_proto_that_does_not_compile_and_a_workspace_without_any_are_errors() {
    let root = workspace();
    write_proto(root.path(), "a.proto", "message {");
    assert!(run_in(root.path(), true).unwrap_err().to_string().contains("compiling the .proto files"));
    fs::remove_dir_all(root.path().join("crates/channels/a/proto")).unwrap();
    assert!(run_in(root.path(), true).unwrap_err().to_string().contains("no crate"));
}
