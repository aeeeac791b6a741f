//! What a check has found.

use std::fmt::Display;

use serde::Serialize;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// It works, but slower or for fewer peers than it could.
    Warning,
    /// Something will not work.
    Failed,
    /// It could not be looked at, for the reason that was found.
    Skipped,
}

/// One check.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// Its name, the same in every version.
    pub(super) check: &'static str,
    pub(super) status: Status,
    /// What is there.
    pub(super) found: String,
    /// What to do, if something should be done.
    pub(super) advice: Option<String>,
}

impl Check {
    pub(super) fn ok(check: &'static str, found: impl Display) -> Self {
        Self { check, status: Status::Ok, found: found.to_string(), advice: None }
    }

    pub(super) fn warning(check: &'static str, found: impl Display, advice: impl Display) -> Self {
        let (found, advice) = (found.to_string(), Some(advice.to_string()));
        Self { check, status: Status::Warning, found, advice }
    }

    pub(super) fn failed(check: &'static str, found: impl Display, advice: impl Display) -> Self {
        let (found, advice) = (found.to_string(), Some(advice.to_string()));
        Self { check, status: Status::Failed, found, advice }
    }

    pub(super) fn skipped(check: &'static str, why: impl Display) -> Self {
        Self { check, status: Status::Skipped, found: why.to_string(), advice: None }
    }

    /// With what can be done all the same.
    pub(super) fn with_advice(mut self, advice: impl Display) -> Self {
        self.advice = Some(advice.to_string());
        self
    }
}
