//! `explain`: which paths were tried to reach an endpoint, which one is in use, and why not another.

use std::time::Duration;

use telemesh::{PathState, PathStatus};

use super::{path, state};
use crate::endpoint::Endpoint;
use crate::event::{Event, Explain, ExplainPath, micros};
use crate::failure::Failure;
use crate::secret::Secret;
use crate::session::Session;

/// Wants the link, waits until it is up or its time is over, and says what happened.
pub(super) async fn run(
    endpoint: &Endpoint,
    session: &Session,
    to: &Secret,
    limit: Duration,
) -> Result<(), Failure> {
    let dialled = endpoint.meet(to).await?;
    let up = endpoint.wait(&dialled, limit).await;
    let link = &dialled.link;
    let explain = link.explain();
    let (word, reason) = state(explain.state);
    let used = explain.paths.iter().find(|path| path.in_use);
    let event = Explain {
        hashname: link.hashname().to_string(),
        name: endpoint.name_of(&link.hashname()),
        state: word.to_owned(),
        reason,
        path: path(link),
        paths: explain.paths.iter().map(|path| shown(path, used)).collect(),
        initiations_sent: explain.initiations_sent,
        attempts_failed: explain.attempts_failed,
        retry_in_s: explain.retry_in.map(|time| time.as_secs_f64()),
        birthday: explain.birthday.map(|birthday| birthday.to_string()),
    };
    session.say(Event::Explain(event)).await?;
    up
}

fn shown(path: &PathStatus, used: Option<&PathStatus>) -> ExplainPath {
    let (state, why) = match path.state {
        PathState::Candidate => ("candidate", "it was not tried yet".to_owned()),
        PathState::Proving => ("proving", "no answer has come from it yet".to_owned()),
        PathState::Proven => ("proven", proven(path, used)),
        PathState::Suspect => ("suspect", "it worked, and has been silent for too long since".to_owned()),
        PathState::Dead => ("dead", format!("{} probes in a row had no answer", path.unanswered)),
        // A state of a later version of the library.
        _ => ("unknown", String::new()),
    };
    ExplainPath {
        path: path.address.to_string(),
        state: state.to_owned(),
        rtt_us: path.rtt.map(micros),
        in_use: path.in_use,
        why,
    }
}

/// Why a path that works is used or not.
fn proven(path: &PathStatus, used: Option<&PathStatus>) -> String {
    if path.in_use {
        return "it works, and no other is better by enough to change".to_owned();
    }
    match used.and_then(|used| Some((used.rtt?, path.rtt?))) {
        Some((used, own)) if own > used => {
            let ms = (own - used).as_secs_f64() * 1_000.0;
            format!("it works, and is slower than the one in use by {ms:.1} ms")
        }
        _ => "it works, and is not better by enough than the one in use".to_owned(),
    }
}
