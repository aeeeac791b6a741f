//! A child process of this program that answers questions: one line of JSON each.

use std::io::{BufRead as _, BufReader, Write as _, stdin, stdout};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program with these arguments, and waits for its first line.
    ///
    /// # Errors
    /// When it cannot be started, or ends at once.
    pub fn start<T: DeserializeOwned>(arguments: &[&str], chatty: bool) -> Result<(Self, T)> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if chatty { Stdio::inherit() } else { Stdio::null() })
            .spawn()
            .context("cannot start the child process")?;
        let questions = child.stdin.take().context("the child process has no input")?;
        let answers = BufReader::new(child.stdout.take().context("the child process has no output")?);
        let mut process = Self { child, questions, answers };
        let first = process.read().context("the child process did not start")?;
        Ok((process, first))
    }

    /// What the system calls it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When the child has ended, or says that it failed.
    pub fn ask<T: DeserializeOwned>(&mut self, question: &impl Serialize) -> Result<T> {
        self.begin(question)?;
        self.read()
    }

    /// Asks; the answer comes with [`Process::read`].
    ///
    /// # Errors
    /// When the child has ended.
    pub fn begin(&mut self, question: &impl Serialize) -> Result<()> {
        writeln!(self.questions, "{}", serde_json::to_string(question)?)?;
        Ok(())
    }

    /// The next answer.
    ///
    /// # Errors
    /// When the child has ended, or says that it failed.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the child process has ended");
        let answer: Result<T, String> = serde_json::from_str(&line).context("an answer that is none")?;
        answer.map_err(|error| anyhow!("the child process: {error}"))
    }

    /// Ends it without a word, as a power cut would.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended already, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The child's side: gives `first`, and then an answer to each question until there are no more.
///
/// # Errors
/// When the parent does not read.
pub fn serve<Q: DeserializeOwned, A: Serialize>(
    first: impl Serialize,
    mut answer: impl FnMut(Q) -> Result<A>,
) -> Result<()> {
    write(&Ok(first))?;
    for line in stdin().lock().lines() {
        let question = serde_json::from_str(&line?).context("a question that is none")?;
        write(&answer(question).map_err(|error| format!("{error:#}")))?;
    }
    Ok(())
}

fn write<T: Serialize>(answer: &Result<T, String>) -> Result<()> {
    let mut output = stdout().lock();
    writeln!(output, "{}", serde_json::to_string(answer)?)?;
    Ok(output.flush()?)
}
