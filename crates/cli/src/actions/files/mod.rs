//! `send` and `receive`: files and folders, with progress, a word about each entry that made trouble, and an end.

mod away;
mod receive;
mod send;

use std::time::{Duration, Instant};

use telemesh::Hashname;
use telemesh::files::{Progress, Report};

use crate::endpoint::Endpoint;
use crate::event::{Happened, Trouble};
use crate::session::Session;

pub(super) use receive::{Wanted, receive};
pub(super) use send::{Absent, send};

/// How often the progress is told: often enough for the eye.
const TELL: Duration = Duration::from_millis(200);

/// Tells how far a transfer is, for as long as it is polled.
async fn tell(session: &Session, name: &str, progress: &Progress) -> std::convert::Infallible {
    let mut ticks = tokio::time::interval(TELL);
    loop {
        ticks.tick().await;
        let now = progress.now();
        session.say_if_room(Happened::Progress {
            what: name.to_owned(),
            bytes: now.bytes,
            total: Some(now.bytes_total),
            files: Some(now.files),
            files_total: Some(now.files_total),
        });
    }
}

/// What became of a transfer.
fn transferred(
    endpoint: &Endpoint,
    peer: &Hashname,
    transfer: &str,
    report: &Report,
    began: Instant,
) -> Happened {
    Happened::Transferred {
        hashname: peer.to_string(),
        name: endpoint.name_of(peer),
        transfer: transfer.to_owned(),
        files: report.files,
        already_there: report.files_already_there,
        folders: report.folders,
        links: report.links,
        bytes: report.bytes,
        transferred_bytes: report.bytes_transferred,
        ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        missing: report.problem_count,
        problems: report
            .problems
            .iter()
            .map(|problem| Trouble { path: problem.path.clone(), reason: problem.reason.to_string() })
            .collect(),
        renamed: report
            .renamed
            .iter()
            .map(|renamed| Trouble { path: renamed.path.clone(), reason: renamed.name.clone() })
            .collect(),
    }
}
