//! Who may reach what: the decision that every request waits for.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use telemesh_channel::{Network, WeakNetwork};
use telemesh_hashname::Hashname;

use crate::address::is_special;
use crate::grant::{Action, SockGrant};
use crate::targets::Name;

/// What a peer asks for, with the one address that would be used. A name was resolved before; it is not resolved again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ask<'a> {
    /// Who asks. The link has authenticated this.
    pub peer: Hashname,
    /// What for.
    pub action: Action,
    /// The name that it asked for, if it was one.
    pub name: Option<&'a Name>,
    /// The address that would be connected to, sent to or listened at. IPv4 in every disguise is IPv4 here.
    pub address: SocketAddr,
}

impl Ask<'_> {
    /// Whether the address is one that must be named: loopback, link-local, a metadata service, unspecified, multicast,
    /// broadcast. A policy that allows all of a network should look at this first.
    pub fn is_special(&self) -> bool {
        is_special(self.address.ip())
    }
}

/// Decides on each request. Any `Fn(&Ask) -> bool` is one; [`Granted`] goes by the grants of contacts.
pub trait Policy: Send + Sync + 'static {
    /// Whether the peer may do this. Asked again for all that is open when [`LinkEvent::Granted`] says that somebody may do something
    /// else than before; what is not allowed any more ends at once.
    ///
    /// [`LinkEvent::Granted`]: telemesh_channel::LinkEvent::Granted
    fn allows(&self, ask: &Ask<'_>) -> bool;

    /// Whether a name may be resolved for the peer, so that [`allows`](Self::allows) can be asked about what is found. A look-up
    /// is seen by name servers, so peers who could not use the answer get none.
    fn may_resolve(&self, peer: &Hashname, action: Action, name: &Name, port: u16) -> bool {
        let _ = (peer, action, name, port);
        true
    }
}

impl<F: Fn(&Ask<'_>) -> bool + Send + Sync + 'static> Policy for F {
    fn allows(&self, ask: &Ask<'_>) -> bool {
        self(ask)
    }
}

/// Allows what the peer's grants say, and nothing else. The grants are looked up for every request, and again for all open tunnels
/// when they change.
pub struct Granted(Arc<dyn WeakNetwork>);

impl Granted {
    /// Goes by the grants of this endpoint's contacts, without keeping the endpoint.
    pub fn of<N: Network + ?Sized>(network: &N) -> Self {
        Self(network.downgrade())
    }

    fn any(&self, peer: &Hashname, action: Action, matches: impl Fn(&SockGrant) -> bool) -> bool {
        let Some(network) = self.0.upgrade() else { return false };
        // What does not read as a grant was written by another version of this program, and allows nothing.
        let grants = network.grants_of_kind(peer, action.kind());
        grants.iter().filter_map(|text| text.parse().ok()).any(|grant| matches(&grant))
    }
}

impl Policy for Granted {
    fn allows(&self, ask: &Ask<'_>) -> bool {
        self.any(&ask.peer, ask.action, |grant| grant.allows(ask.action, ask.name, ask.address))
    }

    fn may_resolve(&self, peer: &Hashname, action: Action, name: &Name, port: u16) -> bool {
        self.any(peer, action, |grant| grant.may_allow(action, name, port))
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").finish_non_exhaustive()
    }
}

/// Allows nothing: for an endpoint that only uses what others let it reach.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Policy for Nothing {
    fn allows(&self, _: &Ask<'_>) -> bool {
        false
    }

    fn may_resolve(&self, _: &Hashname, _: Action, _: &Name, _: u16) -> bool {
        false
    }
}
