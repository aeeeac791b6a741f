//! `forward`: a local socket that leads to one at the other end, or the other way round.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use telemesh::channel::BoxFuture;
use telemesh::sock::{Route, SockError, Target, Way, forward};
use telemesh::{Link, LinkState, SockOpener as _};
use tokio::sync::mpsc;

use super::link_up;
use crate::endpoint::Endpoint;
use crate::ends::Ends;
use crate::event::Happened;
use crate::failure::Failure;
use crate::request::LINK_LIMIT;
use crate::secret::Secret;
use crate::session::Session;

/// How long a connection waits for a link that is down: as long as a program mostly waits for an answer.
pub(super) const LINK_PATIENCE: Duration = Duration::from_secs(10);

/// Before a listener at the other end is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// Failures that nobody was told of yet; more are left out.
const UNTOLD: usize = 16;

/// Joins the two ends until somebody ends it, or the other end refuses.
pub(super) async fn run(
    endpoint: &Endpoint,
    session: &Session,
    to: &Secret,
    ends: Ends,
    udp: bool,
) -> Result<(), Failure> {
    let dialled = endpoint.dial(to, LINK_LIMIT).await?;
    let link = &dialled.link;
    session.happened(link_up(endpoint, link)).await?;
    let told = |listen: String, target: &Target, reverse| Happened::Forwarding {
        hashname: link.hashname().to_string(),
        name: endpoint.name_of(&link.hashname()),
        protocol: if udp { "udp" } else { "tcp" }.to_owned(),
        listen,
        target: target.to_string(),
        reverse,
    };
    match ends {
        Ends::Local { listen, target } => {
            let (failures, failed) = mpsc::channel(UNTOLD);
            let route = Arc::new(Through { link: link.clone(), failures });
            if udp {
                // A refusal is said now, and not only to the log when something is sent.
                link.sock().udp(Some(target.clone()))?.opened().await?;
                let socket = forward::listen_udp(listen).map_err(|error| taken(listen, &error))?;
                let listen = socket.local_addr().map_err(|error| taken(listen, &error))?;
                session.happened(told(listen.to_string(), &target, false)).await?;
                tokio::select! {
                    never = forward::udp(socket, route, target) => match never {},
                    result = tell(session, failed) => result,
                }
            } else {
                let listener = forward::listen(listen).map_err(|error| taken(listen, &error))?;
                let listen = listener.local_addr().map_err(|error| taken(listen, &error))?;
                session.happened(told(listen.to_string(), &target, false)).await?;
                tokio::select! {
                    never = forward::tcp(listener, route, target) => match never {},
                    result = tell(session, failed) => result,
                }
            }
        }
        Ends::Remote { listen, target } => loop {
            let event = told(listen.to_string(), &target, true);
            let error = if udp {
                reverse_udp(session, link, &listen, &target, event).await?
            } else {
                let listener = link.sock().bind(endpoint.hub().sock(), listen.clone()).await?;
                session.happened(event).await?;
                forward::remote_tcp(listener, target.clone()).await.err()
            };
            // The link was lost, or the other end was started anew: it is asked to listen again when it is there.
            let reason = error.map_or_else(|| "it listens no more".to_owned(), |error| error.to_string());
            session.say_if_room(Happened::NotForwarded { target: listen.to_string(), reason });
            tokio::time::sleep(PAUSE).await;
            come_back(link).await?;
        },
    }
}

async fn reverse_udp(
    session: &Session,
    link: &Link,
    listen: &Target,
    target: &Target,
    event: Happened,
) -> Result<Option<SockError>, Failure> {
    let host = target.host().to_string();
    let mut found = tokio::net::lookup_host((host.as_str(), target.port()))
        .await
        .map_err(|error| Failure::Usage(format!("LOCAL: {host} has no address: {error}")))?;
    let here = found.next().ok_or_else(|| Failure::Usage(format!("LOCAL: {host} has no address")))?;
    let mut tunnel = link.sock().udp_bind(listen.clone())?;
    tunnel.opened().await?;
    session.happened(event).await?;
    Ok(forward::remote_udp(tunnel, here).await.err())
}

/// Waits for as long as it takes.
async fn come_back(link: &Link) -> Result<(), Failure> {
    link.connect();
    let mut watch = link.watch();
    watch.wait_for(LinkState::is_up).await.map_err(|_| Failure::Interrupted)?;
    Ok(())
}

/// Says what has failed, for as long as it is polled.
pub(super) async fn tell(session: &Session, mut failed: mpsc::Receiver<Failed>) -> Result<(), Failure> {
    while let Some(Failed { target, reason }) = failed.recv().await {
        session.happened(Happened::NotForwarded { target, reason }).await?;
    }
    Err(Failure::Interrupted)
}

/// A connection that did not come about.
#[derive(Debug)]
pub(super) struct Failed {
    target: String,
    reason: String,
}

impl Failed {
    pub(super) fn new(target: &Target, error: &SockError) -> Self {
        Self { target: target.to_string(), reason: error.to_string() }
    }
}

pub(super) fn taken(listen: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot listen at {listen}: {error}"))
}

/// Everything goes over one link, which may be down for a while.
#[derive(Debug)]
struct Through {
    link: Link,
    failures: mpsc::Sender<Failed>,
}

impl Route for Through {
    fn route<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Way, SockError>> {
        Box::pin(async move {
            wait_for(&self.link).await?;
            Ok(Way::new(Arc::new(self.link.clone()), target.clone()))
        })
    }

    fn failed(&self, target: &Target, error: &SockError) {
        // The next one says the same.
        let _ = self.failures.try_send(Failed::new(target, error));
    }
}

/// Waits until a link is up, but not for ever.
pub(super) async fn wait_for(link: &Link) -> Result<(), SockError> {
    if link.state().is_up() {
        return Ok(());
    }
    link.connect();
    link.up(LINK_PATIENCE)
        .await
        .map_err(|_| SockError::NoRoute(format!("{}: the link is down", link.hashname().short())))
}
