//! Programs that run beside the steps, and what they say first.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// A process that is killed when it is dropped.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts a program whose output nobody needs.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("{command:?}"))?))
    }

    /// Starts a program, and gives this event of it.
    pub(super) fn until(command: &mut Command, event: &str) -> Result<(Self, Value)> {
        let (running, line) = Self::until_line(command, &format!("\"event\":\"{event}\""))?;
        Ok((running, serde_json::from_str(&line)?))
    }

    /// Starts a program, and gives the first line of it that has this in it.
    pub(super) fn until_line(command: &mut Command, wanted: &str) -> Result<(Self, String)> {
        // What it complains of is shown.
        let mut child = Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        let mut lines = BufReader::new(child.0.stdout.take().context("no output")?);
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                bail!("{command:?} has ended");
            }
        }
        // Read on, or the program would wait when the pipe is full.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Ok((child, line))
    }
}

/// Runs a program to its end, and gives what it has said.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?} has failed: {said}{errors}");
    Ok(said.into_owned())
}
