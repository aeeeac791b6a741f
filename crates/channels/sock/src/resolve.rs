//! From a target to the addresses that may be used: resolved once, made plain, and each checked. What comes out is connected to
//! as it is, so that nothing can change between the check and the use.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use telemesh_channel::BoxFuture;
use telemesh_hashname::Hashname;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::address::normalised;
use crate::failure::SockError;
use crate::grant::Action;
use crate::policy::{Ask, Policy};
use crate::targets::{Host, Name, Target};

/// Finds the addresses of a name. [`SystemResolver`] asks the system.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name, in the order in which they should be tried. They are used once, and checked before.
    ///
    /// # Errors
    /// Any error means that the name has no address.
    fn resolve<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// Asks the system's resolver, as other programs do: `/etc/hosts`, name servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            // The port is of no consequence; the look-up wants one.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// What decides about requests: the policy, and the resolver with its limits.
pub(crate) struct Checker {
    policy: Box<dyn Policy>,
    resolver: Box<dyn Resolve>,
    lookups: Semaphore,
}

impl Checker {
    pub(crate) fn new(policy: Box<dyn Policy>, resolver: Box<dyn Resolve>) -> Self {
        Self { policy, resolver, lookups: Semaphore::new(MAX_LOOKUPS) }
    }

    /// The addresses of the target that the peer may use for this; at least one.
    ///
    /// # Errors
    /// [`SockError::NotAllowed`], [`SockError::NoAddress`].
    pub(crate) async fn check(
        &self,
        peer: Hashname,
        action: Action,
        target: &Target,
    ) -> Result<Vec<SocketAddr>, SockError> {
        let port = target.port();
        let (name, found) = match target.host() {
            Host::Address(ip) => (None, vec![*ip]),
            Host::Localhost => (None, vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
            Host::Name(name) => {
                if !self.policy.may_resolve(&peer, action, name, port) {
                    return Err(SockError::NotAllowed);
                }
                (Some(name), self.look_up(name).await?)
            }
        };
        let addresses = found.into_iter().map(|ip| SocketAddr::new(normalised(ip), port));
        let allowed: Vec<_> = addresses.filter(|address| self.allows(peer, action, name, *address)).collect();
        if allowed.is_empty() { Err(SockError::NotAllowed) } else { Ok(allowed) }
    }

    /// Whether the peer may use this address for this now.
    pub(crate) fn allows(
        &self,
        peer: Hashname,
        action: Action,
        name: Option<&Name>,
        address: SocketAddr,
    ) -> bool {
        self.policy.allows(&Ask { peer, action, name, address })
    }

    async fn look_up(&self, name: &Name) -> Result<Vec<IpAddr>, SockError> {
        let lookup = async {
            let _permit = self.lookups.acquire().await;
            self.resolver.resolve(name).await
        };
        match timeout(LOOKUP_TIME, lookup).await {
            Ok(Ok(mut found)) if !found.is_empty() => {
                found.truncate(MAX_ADDRESSES);
                Ok(found)
            }
            _ => Err(SockError::NoAddress),
        }
    }
}

/// Look-ups at a time: each takes a thread of the runtime's for as long as a name server likes.
const MAX_LOOKUPS: usize = 32;

/// How long a look-up may take: as long as a resolver takes that asks its servers twice.
const LOOKUP_TIME: Duration = Duration::from_secs(10);

/// Addresses of a name that are tried.
const MAX_ADDRESSES: usize = 16;
