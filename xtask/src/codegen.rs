//! Code generation: compiles the `proto/` folder of every crate that has one into that crate's checked-in
//! `src/generated/mod.rs`, so that nobody who builds telemesh needs a protobuf compiler or a build script.
//! It does not decide what the messages mean; the checked types next to the generated code do that.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

/// Writes the generated code of all crates, or, with `check`, only compares it with what is checked in.
///
/// # Errors
/// When a .proto file does not compile, rustfmt fails, a file cannot be read or written, or, with `check`,
/// when any generated file is missing or not what its .proto files give today.
pub(crate) fn run(check: bool) -> Result<()> {
    run_in(&workspace::root()?, check)
}

fn run_in(root: &Path, check: bool) -> Result<()> {
    let crates = crates_with_protos(root)?;
    ensure!(!crates.is_empty(), "no crate below {} has a proto folder", root.join("crates").display());
    let mut stale = Vec::new();
    for folder in crates {
        let target = folder.join(TARGET);
        let shown = target.strip_prefix(root).unwrap_or(&target).display().to_string();
        let wanted = rustfmt(root, &generate(&folder)?).with_context(|| format!("formatting {shown}"))?;
        let current = fs::read_to_string(&target).unwrap_or_default();
        if current == wanted {
            println!("codegen: {shown} is up to date");
        } else if check {
            stale.push(shown);
        } else {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).with_context(|| format!("creating the folder of {shown}"))?;
            }
            fs::write(&target, wanted).with_context(|| format!("writing {shown}"))?;
            println!("codegen: wrote {shown}");
        }
    }
    if !stale.is_empty() {
        bail!("generated code is not up to date: {}; run `cargo xtask codegen`", stale.join(", "));
    }
    Ok(())
}

/// Crates are one or two levels below `crates/`.
fn crates_with_protos(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for outer in folders(&root.join("crates"))? {
        found.extend(folders(&outer)?.into_iter().filter(|inner| inner.join("proto").is_dir()));
        if outer.join("proto").is_dir() {
            found.push(outer);
        }
    }
    found.sort();
    Ok(found)
}

fn folders(of: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(of).with_context(|| format!("listing {}", of.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

/// The unformatted module for one crate: its .proto files share one package and become one file.
fn generate(crate_folder: &Path) -> Result<String> {
    let protos = crate_folder.join("proto");
    let entries = fs::read_dir(&protos).with_context(|| format!("listing {}", protos.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    files.sort();

    let descriptors = protox::compile(&files, [&protos])
        .with_context(|| format!("compiling the .proto files in {}", protos.display()))?;
    let packages: BTreeSet<&str> = descriptors.file.iter().map(|file| file.package()).collect();
    ensure!(
        packages.len() == 1,
        "the .proto files in {} must share one package, and name {packages:?}",
        protos.display()
    );

    let requests = descriptors
        .file
        .into_iter()
        .map(|file| (prost_build::Module::from_protobuf_package_name(file.package()), file))
        .collect();
    let mut config = prost_build::Config::new();
    // Without Debug on the raw messages nobody can print a secret by printing one.
    config.skip_debug(["."]);
    let code: String = config.generate(requests)?.into_values().collect();
    Ok(format!("{HEADER}{code}"))
}

fn rustfmt(root: &Path, code: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting rustfmt (`rustup component add rustfmt` installs it)")?;
    // rustfmt reads all of its input before it prints, so writing first cannot block for ever.
    child.stdin.take().context("rustfmt has no input")?.write_all(code.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "rustfmt failed with {}", output.status);
    String::from_utf8(output.stdout).context("rustfmt printed something that is not UTF-8")
}

const TARGET: &str = "src/generated/mod.rs";

const HEADER: &str = "\
//! Protobuf messages as prost reads and writes them. Generated from `proto/` by `cargo xtask codegen`:
//! do not edit. Nothing here is checked beyond protobuf's own syntax; the modules beside it do that.

";
