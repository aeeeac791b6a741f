//! `send TO FILE…`: offers files and folders, and goes on after an interruption.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use telemesh::files::{Offer, Progress, Report, SendError};
use telemesh::wire::CloseReason;
use telemesh::{ChannelError, DownReason, Link, OpenError, State};

use crate::endpoint::Endpoint;
use crate::event::Happened;
use crate::failure::Failure;
use crate::request::LINK_LIMIT;
use crate::secret::Secret;
use crate::session::Session;
use crate::target;

use super::{away, tell, transferred};

/// What becomes of files for somebody who is away.
#[derive(Debug, Clone, Copy)]
pub(in crate::actions) struct Absent {
    /// They are not left in their box.
    pub(in crate::actions) direct: bool,
    /// How long to wait for them before that.
    pub(in crate::actions) wait: Duration,
}

/// How long an interrupted transfer waits for the other end to come back: time to start a machine anew.
const PATIENCE: Duration = Duration::from_secs(600);

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// How long one attempt waits for the link before it is asked for anew.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Sends everything, or says what was left out and why.
pub(in crate::actions) async fn send(
    endpoint: &Endpoint,
    session: &Session,
    to: &Secret,
    files: Vec<PathBuf>,
    absent: Absent,
) -> Result<(), Failure> {
    let offer = Offer::scan(files.clone()).await.map_err(|error| Failure::Usage(error.to_string()))?;
    let limit = if absent.direct { LINK_LIMIT } else { absent.wait };
    let dialled = match endpoint.dial(to, limit).await {
        Err(Failure::Unreachable(why)) if !absent.direct => {
            // A box is for contacts, whose keys are known.
            let contact = target::hashname(&endpoint.target(to)?)
                .filter(|peer| endpoint.mesh().contact(peer).is_some());
            let Some(contact) = contact else { return Err(Failure::Unreachable(why)) };
            return away::leave(endpoint, session, contact, offer.name(), files).await;
        }
        dialled => dialled?,
    };
    let (link, began) = (&dialled.link, Instant::now());
    session
        .happened(Happened::Transfer {
            hashname: link.hashname().to_string(),
            name: endpoint.name_of(&link.hashname()),
            transfer: offer.name().to_owned(),
            files: offer.files(),
            bytes: offer.bytes(),
        })
        .await?;
    let report = persist(session, link, &offer).await?;
    session.happened(transferred(endpoint, &link.hashname(), offer.name(), &report, began)).await?;
    if !report.is_complete() {
        let missing = report.problem_count;
        let all = offer.entries() + offer.left_out_count();
        return Err(Failure::Failed(format!("{missing} of {all} entries are not there")));
    }
    endpoint.delivered(link).await
}

/// Sends until it is done, or until the other end has been away for too long.
async fn persist(session: &Session, link: &Link, offer: &Offer) -> Result<Report, Failure> {
    let mut waits_since = None;
    let mut told = None;
    loop {
        let progress = Progress::new();
        let error = tokio::select! {
            result = telemesh::files::send(link, offer, &progress) => match result {
                Ok(report) => return Ok(report),
                Err(error) => error,
            },
            never = tell(session, offer.name(), &progress) => match never {},
        };
        // Whoever comes back may need a moment to say `receive` again.
        let refused = matches!(error, SendError::Refused(_)) && waits_since.is_some();
        if !refused && !may_go_on(&error, link) {
            return Err(failure(error));
        }
        if progress.now().bytes_transferred > 0 {
            waits_since = None;
        }
        let since = *waits_since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            return Err(failure(error));
        }
        let reason = error.to_string();
        if told.as_ref() != Some(&reason) {
            let transfer = offer.name().to_owned();
            session.happened(Happened::Interrupted { transfer, reason: reason.clone() }).await?;
            told = Some(reason);
        }
        come_back(link, since).await?;
    }
}

/// Waits for the link. Each attempt asks for it anew: the other end may have said that it goes, and be there again.
async fn come_back(link: &Link, since: Instant) -> Result<(), Failure> {
    loop {
        tokio::time::sleep(PAUSE).await;
        link.connect();
        match link.up(ATTEMPT).await {
            Ok(()) => return Ok(()),
            Err(error) if since.elapsed() > PATIENCE || is_over(link) => return Err(error.into()),
            Err(_) => {}
        }
    }
}

/// Whether the same offer may get through later without anybody changing anything.
fn may_go_on(error: &SendError, link: &Link) -> bool {
    let ended = match error {
        SendError::Channel(error) => ChannelError::of(error),
        SendError::Open(OpenError::Channel(error)) => Some(error),
        _ => None,
    };
    match ended {
        Some(ChannelError::LinkClosed(CloseReason::ShuttingDown)) => !is_over(link),
        Some(ChannelError::LinkClosed(_) | ChannelError::Refused(_)) => false,
        _ => error.is_interruption() && !is_over(link),
    }
}

/// Whether either end does not trust the other any more.
fn is_over(link: &Link) -> bool {
    let reason = match link.state().state {
        State::Down(DownReason::Closed(reason) | DownReason::ClosedByPeer(reason)) => reason,
        _ => return false,
    };
    reason != CloseReason::ShuttingDown
}

fn failure(error: SendError) -> Failure {
    match error {
        SendError::Open(error) => error.into(),
        SendError::Refused(refusal) => ChannelError::Refused(refusal).into(),
        SendError::Channel(error) => Failure::channel(&error),
        other => Failure::Failed(other.to_string()),
    }
}
