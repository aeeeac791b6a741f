//! Where the workspace is, which of its files the chores look at, and how a command is run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};

/// The workspace's root folder: the one above xtask's own.
pub(crate) fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(own.parent().context("xtask has no parent folder")?.to_path_buf())
}

/// All files below `folder` whose name ends with `ending`, sorted, without build output, hidden folders and
/// generated code. The paths start with `folder`. A folder that is not there has no files.
pub(crate) fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(current) = open.pop() {
        if !current.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&current).with_context(|| format!("listing {}", current.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // A link to a folder could lead out of the workspace or in circles, so only real folders count.
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && !NOT_OURS.contains(&name.as_ref()) {
                    open.push(entry.path());
                }
            } else if name.ends_with(ending) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a text file, naming it when that fails.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// `path` as it is shown to people: from the workspace's root on, with `/` on every system.
pub(crate) fn shown(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap_or(path);
    relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Makes a process out of a command line as a person would type it: words without quotes, the first ones
/// possibly `NAME=value`. Chores are run by this very program, so `cargo xtask …` needs no second build.
pub(crate) fn command(root: &Path, line: &str) -> Result<Command> {
    let mut words = line.split_whitespace().peekable();
    let mut variables = Vec::new();
    while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
        variables.push((name, value));
        words.next();
    }
    let program = words.next().with_context(|| format!("no program in the command `{line}`"))?;
    let mut command = if program == "cargo" && words.next_if_eq(&"xtask").is_some() {
        Command::new(PROGRAM.as_deref().context("finding this program's own file")?)
    } else {
        Command::new(program)
    };
    command.args(words).envs(variables).current_dir(root).stdin(Stdio::null());
    Ok(command)
}

/// Runs a command line, lets its output through, and fails when it does.
pub(crate) fn run(root: &Path, line: &str) -> Result<()> {
    let status = command(root, line)?.status().with_context(|| format!("starting `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// Runs a command line and returns what it prints; its complaints go to the terminal.
pub(crate) fn output(root: &Path, line: &str) -> Result<String> {
    let output = command(root, line)?
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something that is not UTF-8"))
}

/// Whether a command line can be run and ends well; what it says is nobody's business.
pub(crate) fn succeeds(root: &Path, line: &str) -> bool {
    let ended = command(root, line)
        .and_then(|mut command| Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).status()?));
    ended.is_ok_and(|status| status.success())
}

/// This program's file. `main` asks for it first of all: once a build has replaced the file, Linux no longer
/// gives its name.
pub(crate) static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::current_exe().ok());

/// Folders that hold no code of ours: build output, and code that a generator answers for.
const NOT_OURS: [&str; 2] = ["target", "generated"];
