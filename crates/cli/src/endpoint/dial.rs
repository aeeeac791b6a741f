//! `TO`: from what somebody wrote to a link that is up.
//!
//! Whoever is not a contact is trusted for as long as the command runs, and then no more. `accept` and `contacts add` are for
//! those who are to stay.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use telemesh::wire::Host;
use telemesh::{Hashname, Link, LinkError, LinkInfo, LinkTarget, Mesh, PathAddress};

use super::Endpoint;
use crate::failure::Failure;
use crate::secret::Secret;
use crate::target;

/// How long a guest's link may take to be done with what was said on it.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);

/// Peers that are trusted only while commands use them, with the number of those commands.
#[derive(Debug, Default)]
pub(super) struct Guests(Mutex<HashMap<Hashname, usize>>);

/// A link for one command.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) link: Link,
    /// Whether an invite was used.
    invited: bool,
    _guest: Option<Guest>,
}

/// Lets go of a guest when the command is over.
#[derive(Debug)]
struct Guest {
    guests: Arc<Guests>,
    mesh: Mesh,
    peer: Hashname,
    /// The endpoint ends with its command, and lets go of all guests then.
    last: bool,
}

impl Drop for Guest {
    fn drop(&mut self) {
        if !self.guests.leave(&self.peer) || self.last {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (guests, mesh, peer) = (self.guests.clone(), self.mesh.clone(), self.peer);
        runtime.spawn(async move {
            if let Some(link) = mesh.find(&peer) {
                // In order, so that the other end gets what it waits for, and does not take it for a matter of trust.
                link.settled(SETTLE_LIMIT).await;
            }
            guests.forget(&mesh, &peer);
        });
    }
}

impl Guests {
    fn lock(&self) -> MutexGuard<'_, HashMap<Hashname, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command needs the peer no more. Whether it was the last one.
    fn leave(&self, peer: &Hashname) -> bool {
        // Whoever has become a contact in the meantime is no guest any more.
        let mut guests = self.lock();
        let Some(commands) = guests.get_mut(peer) else { return false };
        *commands = commands.saturating_sub(1);
        *commands == 0
    }

    /// Trusts a guest no more, unless somebody needs it again.
    fn forget(&self, mesh: &Mesh, peer: &Hashname) {
        let mut guests = self.lock();
        if guests.get(peer) == Some(&0) {
            guests.remove(peer);
            if let Some(link) = mesh.find(peer) {
                link.close();
            }
            mesh.forget(peer);
        }
    }

    /// The peer is a contact from now on.
    pub(super) fn stays(&self, peer: &Hashname) {
        self.lock().remove(peer);
    }

    /// Whether the peer is trusted only because commands use it.
    pub(super) fn has(&self, peer: &Hashname) -> bool {
        self.lock().contains_key(peer)
    }

    /// The endpoint ends: lets go of all, once they have what they wait for. Whether they have.
    pub(super) async fn dismiss(&self, mesh: &Mesh, limit: Duration) -> bool {
        let guests: Vec<_> = self.lock().drain().map(|(peer, _)| peer).collect();
        let mut delivered = true;
        for peer in guests {
            if let Some(link) = mesh.find(&peer) {
                delivered &= link.settled(limit).await || link.drained(Duration::ZERO).await;
                link.close();
            }
            mesh.forget(&peer);
        }
        delivered
    }
}

impl Endpoint {
    /// The link that is meant, wanted from now on, but maybe not up yet.
    ///
    /// # Errors
    /// [`Failure`]: it makes no sense, or its address cannot be found.
    pub(crate) async fn meet(&self, to: &Secret) -> Result<Dialled, Failure> {
        let to = self.target(to)?;
        let invited = target::has_invite(&to);
        if target::is_by_router(&to) {
            // Who it leads to is known once the link is up; whoever it is has invited us, and stays.
            let link = self.mesh().link(to).await?;
            return Ok(Dialled { link, invited, _guest: None });
        }
        let resolved = resolve(&to).await?;
        let peer =
            target::hashname(&to).ok_or_else(|| Failure::Usage("TO: not a form that is known".into()))?;
        let (link, guest) = {
            let mut guests = self.guests().lock();
            let known = self.mesh().find(&peer).is_some();
            let link = self.mesh().add_contact(to)?;
            let guest = (!known || guests.contains_key(&peer)).then(|| {
                *guests.entry(peer).or_default() += 1;
                let last = self.running().is_none();
                Guest { guests: self.guests().clone(), mesh: self.mesh().clone(), peer, last }
            });
            (link, guest)
        };
        if let Some(info) = resolved {
            self.mesh().add_contact(info)?;
        }
        link.connect();
        Ok(Dialled { link, invited, _guest: guest })
    }

    /// Trusts somebody for good, with the addresses that their URI's name stands for.
    ///
    /// # Errors
    /// It makes no sense, or its address cannot be found.
    pub(super) async fn resolve_and_add(&self, to: LinkTarget) -> Result<Link, Failure> {
        let resolved = resolve(&to).await?;
        let link = self.mesh().add_contact(to)?;
        self.guests().stays(&link.hashname());
        if let Some(info) = resolved {
            self.mesh().add_contact(info)?;
        }
        Ok(link)
    }

    /// The link that is meant, once it is up.
    ///
    /// # Errors
    /// As [`meet`](Self::meet), or nobody answers in time.
    pub(crate) async fn dial(&self, to: &Secret, limit: Duration) -> Result<Dialled, Failure> {
        let dialled = self.meet(to).await?;
        self.wait(&dialled, limit).await?;
        Ok(dialled)
    }

    /// Waits for a link.
    ///
    /// # Errors
    /// There is no way to it, or nobody answers in time.
    pub(crate) async fn wait(&self, dialled: &Dialled, limit: Duration) -> Result<(), Failure> {
        let link = &dialled.link;
        if !self.mesh().knows_way_to(&link.hashname()) {
            return Err(LinkError::NoIntroducer(link.hashname()).into());
        }
        let up = link.up(limit).await;
        let invited = dialled.invited;
        tracing::debug!(peer = %link.hashname(), invited, explain = ?link.explain(), "the link was dialled");
        match up {
            Err(LinkError::TimedOut(_)) => Err(no_answer(self.mesh(), link, invited, limit)),
            result => Ok(result?),
        }
    }
}

/// What a URI says about an endpoint whose address is a name, with the addresses that the name stands for.
async fn resolve(to: &LinkTarget) -> Result<Option<LinkInfo>, Failure> {
    let LinkTarget::Uri(uri) = to else { return Ok(None) };
    let Some(authority) = uri.authority() else { return Ok(None) };
    let Host::Name(host) = authority.host() else { return Ok(None) };
    let addresses = tokio::net::lookup_host((host.as_str(), authority.port()))
        .await
        .map_err(|error| Failure::Unreachable(format!("the name {host} has no address: {error}")))?;
    let known = uri.link().clone();
    Ok(Some(addresses.fold(known, |info, address| {
        // More addresses than an information has room for are left out.
        info.clone().with_path(PathAddress::Udp(address)).unwrap_or(info)
    })))
}

/// Nobody answered: says what was tried and what may be the reason.
fn no_answer(mesh: &Mesh, link: &Link, invited: bool, limit: Duration) -> Failure {
    let tried: Vec<String> = link.explain().paths.iter().map(|path| path.address.to_string()).collect();
    let reason = if invited {
        "it is not running, the invite is used up or expired, or the network is in between".to_owned()
    } else {
        format!("it is not running, does not know us ({}), or the network is in between", mesh.hashname())
    };
    let tried = if tried.is_empty() { String::new() } else { format!(" on {}", tried.join(", ")) };
    Failure::Unreachable(format!(
        "no answer from {} in {} s{tried}: {reason}",
        link.hashname().short(),
        limit.as_secs_f32()
    ))
}
