//! `socks`: a SOCKS5 server whose hosts are contacts, or whatever the other end can reach.

use std::net::SocketAddr;
use std::sync::Arc;

use telemesh::channel::BoxFuture;
use telemesh::sock::{Host, Name, Route, SockError, Target, Way, forward, socks};
use telemesh::{Hashname, Link};
use tokio::sync::mpsc;

use super::forward::{Failed, taken, tell, wait_for};
use super::link_up;
use crate::endpoint::Endpoint;
use crate::event::Happened;
use crate::failure::Failure;
use crate::request::LINK_LIMIT;
use crate::secret::Secret;
use crate::session::Session;

/// What hosts end in that are endpoints.
const MESH: &str = ".mesh";

/// Failures that nobody was told of yet; more are left out.
const UNTOLD: usize = 16;

/// Serves until somebody ends it.
pub(super) async fn run(
    endpoint: &Endpoint,
    session: &Session,
    to: Option<Secret>,
    listen: SocketAddr,
) -> Result<(), Failure> {
    let dialled = match &to {
        Some(to) => Some(endpoint.dial(to, LINK_LIMIT).await?),
        None => None,
    };
    if let Some(dialled) = &dialled {
        session.happened(link_up(endpoint, &dialled.link)).await?;
    }
    let exit = dialled.as_ref().map(|dialled| dialled.link.clone());
    let listener = forward::listen(listen).map_err(|error| taken(listen, &error))?;
    let listen = listener.local_addr().map_err(|error| taken(listen, &error))?;
    session.happened(Happened::Socks { listen: listen.to_string() }).await?;
    let (failures, failed) = mpsc::channel(UNTOLD);
    let route = Arc::new(Hosts { endpoint: endpoint.clone(), exit, failures });
    tokio::select! {
        never = socks::serve(listener, route) => match never {},
        result = tell(session, failed) => result,
    }
}

/// Which link a host means.
#[derive(Debug)]
struct Hosts {
    endpoint: Endpoint,
    /// Where hosts are reached that are no contacts.
    exit: Option<Link>,
    failures: mpsc::Sender<Failed>,
}

impl Hosts {
    /// The contact that a name means; an inner `None` if it means one and there is none.
    fn contact(&self, name: &Name) -> Option<Option<Link>> {
        let name = name.as_str();
        match name.strip_suffix(MESH) {
            Some(label) => Some(self.named(label)),
            // A bare name is a contact only if there is one: it may be a host of the other end's network too.
            None if !name.contains('.') => self.named(name).map(Some),
            None => None,
        }
    }

    fn named(&self, label: &str) -> Option<Link> {
        let mesh = self.endpoint.mesh();
        let hashname = match label.parse::<Hashname>() {
            Ok(hashname) => hashname,
            Err(_) => {
                let contacts = mesh.contacts();
                let named = |name: &telemesh::ContactName| name.as_str().eq_ignore_ascii_case(label);
                contacts.iter().find(|contact| contact.name().is_some_and(named))?.hashname()
            }
        };
        mesh.find(&hashname)
    }
}

impl Route for Hosts {
    fn route<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Way, SockError>> {
        Box::pin(async move {
            let no_route = || SockError::NoRoute(target.host().to_string());
            let contact = match target.host() {
                Host::Name(name) => self.contact(name),
                _ => None,
            };
            let (link, target) = match contact {
                Some(Some(link)) => (link, Target::new(Host::Localhost, target.port())?),
                Some(None) => return Err(no_route()),
                None => (self.exit.clone().ok_or_else(no_route)?, target.clone()),
            };
            wait_for(&link).await?;
            Ok(Way::new(Arc::new(link), target))
        })
    }

    fn failed(&self, target: &Target, error: &SockError) {
        // The next one says the same.
        let _ = self.failures.try_send(Failed::new(target, error));
    }
}
