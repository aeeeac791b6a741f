//! How the steps went: a line each for people, an object each for scripts.

use std::error::Error;
use std::time::Instant;

use serde::Serialize;

use super::STEP_LIMIT;
use crate::failure::Failure;
use crate::output::Output;

/// What a step gives to those after it, and what is worth saying about it; or what went wrong.
pub(super) type Outcome<T> = Result<(T, String), Box<dyn Error + Send + Sync>>;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Report<'a> {
    output: &'a Output,
    steps: u32,
    failed: u32,
}

#[derive(Debug, Serialize)]
struct StepObject<'a> {
    step: &'a str,
    ok: bool,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> Report<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        Self { output, steps: 0, failed: 0 }
    }

    /// Runs a step and says how it went. What it gives is `None` if it failed.
    ///
    /// # Errors
    /// When it could not be said.
    pub(super) async fn step<T>(
        &mut self,
        name: &str,
        title: &str,
        run: impl Future<Output = Outcome<T>>,
    ) -> Result<Option<T>, Failure> {
        let spinner = self.output.spinner(title);
        let started = Instant::now();
        let outcome =
            tokio::time::timeout(STEP_LIMIT, run).await.unwrap_or_else(|_| Err("it takes too long".into()));
        let ms = (started.elapsed().as_secs_f64() * 10_000.0).round() / 10.0;
        spinner.finish_and_clear();
        self.steps += 1;
        match outcome {
            Ok((value, detail)) => {
                self.output.line(format_args!("ok      {ms:8.1} ms  {title}: {detail}"))?;
                self.output.object(&StepObject { step: name, ok: true, ms, error: None })?;
                Ok(Some(value))
            }
            Err(error) => {
                self.failed += 1;
                let error = error.to_string();
                self.output.line(format_args!("FAILED  {ms:8.1} ms  {title}: {error}"))?;
                self.output.object(&StepObject { step: name, ok: false, ms, error: Some(&error) })?;
                Ok(None)
            }
        }
    }

    /// # Errors
    /// When a step has failed.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if self.failed > 0 {
            return Err(Failure::Failed(format!("{} of {} steps failed", self.failed, self.steps)));
        }
        self.output.note(format_args!("All {} steps worked.", self.steps));
        Ok(())
    }
}
