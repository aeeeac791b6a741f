//! `receive [DIR]`: takes the files that contacts send into a folder, as long as it runs or until one transfer is whole.

use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use telemesh::Network as _;
use telemesh::files::{Progress, ReceiveError, Request, Target};

use crate::actions::waiting;
use crate::endpoint::Endpoint;
use crate::event::Happened;
use crate::failure::Failure;
use crate::request::Existing;
use crate::session::Session;

use super::away::Left;
use super::{tell, transferred};

/// How long receipts may take to get away before a command ends.
const FLUSH: Duration = Duration::from_secs(3);

/// What is to be taken, and where to.
#[derive(Debug)]
pub(in crate::actions) struct Wanted {
    pub(in crate::actions) folder: PathBuf,
    pub(in crate::actions) existing: Existing,
    /// Only one transfer that arrives whole.
    pub(in crate::actions) once: bool,
    pub(in crate::actions) invite: bool,
}

/// Receives for as long as it is polled, or until one transfer is whole.
pub(in crate::actions) async fn receive(
    endpoint: &Endpoint,
    session: &Session,
    wanted: Wanted,
) -> Result<(), Failure> {
    let target = open(&wanted).await?;
    let mut requests = endpoint.hub().receive_files()?;
    let _invite = waiting::announce(endpoint, session, wanted.invite).await?;
    let mut links = pin!(waiting::report_links(endpoint, session));
    let mut transfers: FuturesUnordered<BoxFuture<'_, Result<bool, Failure>>> = FuturesUnordered::new();
    let mut left = Left::open(endpoint);
    if endpoint.running().is_none() {
        // Nobody else does: whoever keeps something for us tells us when the link is up.
        let mesh = endpoint.mesh();
        mesh.contacts().iter().for_each(|contact| mesh.connect(&contact.hashname()));
    }
    loop {
        tokio::select! {
            // The link comes up before its first transfer, and that is how it is told.
            biased;
            result = &mut links => return Err(result.err().unwrap_or(Failure::Interrupted)),
            Some(result) = transfers.next() => if result? && wanted.once {
                // So that who has left them, and whoever has kept them, know as well.
                endpoint.boxes().flush(FLUSH).await;
                return Ok(());
            },
            request = requests.next() => match request {
                Some(request) => transfers.push(Box::pin(take(endpoint, session, &target, request))),
                None => return Err(Failure::Interrupted),
            },
            whole = left.next() => transfers.push(Box::pin(whole.place(endpoint, session, &target))),
        }
    }
}

async fn open(wanted: &Wanted) -> Result<Target, Failure> {
    let (folder, existing) = (wanted.folder.clone(), wanted.existing.into());
    let opened = tokio::task::spawn_blocking(move || Target::open(folder)).await;
    let opened = opened.unwrap_or_else(|_| Err(std::io::Error::other("the thread has panicked")));
    match opened {
        Ok(target) => Ok(target.existing(existing)),
        Err(error) => Err(Failure::Failed(format!("cannot use {}: {error}", wanted.folder.display()))),
    }
}

/// Takes one transfer. Whether it has arrived whole; that it has not ends nothing, since it may be sent again.
async fn take(
    endpoint: &Endpoint,
    session: &Session,
    target: &Target,
    request: Request,
) -> Result<bool, Failure> {
    let (peer, transfer, began) = (request.peer(), request.name().to_owned(), Instant::now());
    session
        .happened(Happened::Transfer {
            hashname: peer.to_string(),
            name: endpoint.name_of(&peer),
            transfer: transfer.clone(),
            files: request.files(),
            bytes: request.bytes(),
        })
        .await?;
    let progress = Progress::new();
    let result = tokio::select! {
        result = request.receive(target, &progress) => result,
        never = tell(session, &transfer, &progress) => match never {},
    };
    match result {
        Ok(report) => {
            session.happened(transferred(endpoint, &peer, &transfer, &report, began)).await?;
            Ok(report.is_complete())
        }
        // Nothing of the next one would be kept either.
        Err(ReceiveError::Local(error)) => {
            Err(Failure::Failed(format!("cannot write to {}: {error}", target.path().display())))
        }
        Err(error) => {
            let reason = error.to_string();
            session.happened(Happened::Interrupted { transfer, reason }).await?;
            Ok(false)
        }
    }
}
