//! The list of steps, quick ones first, so that a slip is reported in seconds.

use std::path::Path;

use super::Step;
use crate::{fuzz, mutations, namespaces, natlab, workspace};

/// What `cargo xtask ci` runs, in this order.
pub(crate) const STEPS: &[Step] = &[
    step("fmt", "cargo fmt --all -- --check"),
    step("tidy", "cargo xtask tidy"),
    step("graph", "cargo xtask graph"),
    step("codegen", "cargo xtask codegen --check"),
    step("release", "cargo xtask release --check"),
    // Licences, sources and banned crates need no compiling either.
    Step {
        needs: Some((
            "cargo deny --version",
            // `.ci/run` installs the same version.
            "cargo install --locked cargo-deny --version 0.20.2",
        )),
        ..step("deny", "cargo deny check bans licenses sources")
    },
    step("clippy", "cargo clippy --workspace --all-targets -- -D warnings"),
    // What only Windows compiles stays whole. That it works there, nothing here shows.
    Step {
        idle: windows_idle,
        ..step("windows", "cargo clippy -p telemesh-cli --target x86_64-pc-windows-gnu -- -D warnings")
    },
    // Doc tests are part of it. The README promises exactly this command.
    step("test", "cargo test --workspace"),
    step("doc", "RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --workspace"),
    step("readme", "cargo xtask readme"),
    Step { idle: mutations::idle, ..step("mutations", "cargo xtask mutations") },
    // Last, because a release build takes long; the README promises this command too.
    step("demo", "cargo run --release -- demo"),
    Step { idle: namespaces::idle, ..step("namespaces", "cargo xtask namespaces") },
    Step { idle: natlab::idle, ..step("natlab", "cargo xtask natlab") },
    step("services", "cargo xtask services"),
    // About six minutes on two cores, and what it finds has rarely to do with the change at hand.
    Step { idle: fuzz::idle, ..step("fuzz", "cargo xtask fuzz") },
];

const fn step(name: &'static str, command: &'static str) -> Step {
    Step { name, command, needs: None, idle: never_idle }
}

fn never_idle() -> Option<String> {
    None
}

/// Why nothing can be compiled for Windows, when that is so.
fn windows_idle() -> Option<String> {
    let root = workspace::root().ok()?;
    let libraries = workspace::output(&root, "rustc --print target-libdir --target x86_64-pc-windows-gnu");
    if !libraries.is_ok_and(|path| Path::new(path.trim()).is_dir()) {
        return Some("`rustup target add x86_64-pc-windows-gnu` was not run here".to_owned());
    }
    // ring has some C in it.
    let compiler = workspace::succeeds(&root, "x86_64-w64-mingw32-gcc --version");
    (!compiler).then(|| "there is no `x86_64-w64-mingw32-gcc` here (package gcc-mingw-w64-x86-64)".to_owned())
}
