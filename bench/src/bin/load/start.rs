//! How long it takes to be there: from the start of the program to `ready`, its size, and building the facade from nothing.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use telemesh_bench::figures::median;

use crate::{begin, options, print, tell};

/// The cores that a build is given.
const JOBS: &str = "2";

/// Builds, starts, and prints a table.
pub(crate) fn run(task: &options::Start) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir()?;
    tell("building the program");
    cargo(&root, &["build", "--release", "--package", "telemesh-cli"])?;
    let built = target(&root)?.join("release/telemesh");
    let stripped = folder.path().join("telemesh");
    let strip = Command::new("strip").arg("-o").arg(&stripped).arg(&built).status();
    ensure!(strip.context("cannot run strip")?.success(), "strip has failed");

    begin();
    print("| being there | |\n|---|---|");
    let home = folder.path().join("home");
    let first = seconds_to_ready(&stripped, &home)?;
    print(&format!("| from process start to `ready`, a new home | {:.0} ms |", first * 1_000.0));
    let again = (0..task.runs).map(|_| seconds_to_ready(&stripped, &home)).collect::<Result<Vec<_>>>()?;
    let again = median(&again).context("no runs")?;
    print(&format!(
        "| the same, a home with keys and a store, median of {} | {:.0} ms |",
        task.runs,
        again * 1_000.0
    ));
    let size = fs::metadata(&stripped)?.len() as f64 / f64::from(1 << 20);
    print(&format!("| the stripped program | {size:.1} MiB |"));
    if !task.no_build {
        for (name, profile) in [("debug", "dev"), ("release", "release")] {
            tell(&format!("building the facade from nothing, profile {name}"));
            let (crates, seconds) = build_facade(&root, &folder.path().join(name), profile)?;
            print(&format!(
                "| the facade from nothing, profile {name}, two cores | {crates} crates, {seconds:.0} s |"
            ));
        }
    }
    Ok(())
}

/// Starts the program in this home and ends it when it says that it is ready.
fn seconds_to_ready(program: &Path, home: &Path) -> Result<f64> {
    let started = Instant::now();
    let mut child = Command::new(program)
        .arg("--home")
        .arg(home)
        .args(["--json", "up", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("the program has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let seconds = started.elapsed().as_secs_f64();
    child.kill()?;
    child.wait()?;
    let event: serde_json::Value = serde_json::from_str(&line).context("the program printed no event")?;
    ensure!(event.get("event").is_some_and(|event| event == "ready"), "it says {line}");
    Ok(seconds)
}

/// Builds the facade with everything it needs; how many crates that were, and how long it took.
fn build_facade(root: &Path, target: &Path, profile: &str) -> Result<(usize, f64)> {
    // What has to be downloaded first is not what is measured.
    cargo(root, &["fetch", "--locked"])?;
    let target = target.to_str().context("a folder whose name is no text")?;
    let arguments = [
        "build",
        "--offline",
        "--locked",
        "--package",
        "telemesh",
        "--profile",
        profile,
        "--jobs",
        JOBS,
        "--target-dir",
        target,
    ];
    let started = Instant::now();
    let told = cargo(root, &arguments)?;
    let seconds = started.elapsed().as_secs_f64();
    Ok((told.lines().filter(|line| line.trim_start().starts_with("Compiling ")).count(), seconds))
}

fn target(root: &Path) -> Result<PathBuf> {
    let metadata = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata.stdout).context("cargo has no metadata")?;
    Ok(metadata.get("target_directory").and_then(|path| path.as_str()).context("no target directory")?.into())
}

/// What cargo tells while it does this.
fn cargo(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("cargo")
        .args(arguments)
        .env("CARGO_TERM_COLOR", "never")
        .current_dir(root)
        .output()
        .context("cannot run cargo")?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "cargo {} has failed:\n{told}", arguments.join(" "));
    Ok(told)
}
