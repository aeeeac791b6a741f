//! The service: one per endpoint. It answers the `sock` channels that peers open, and takes the connections that come back from
//! listeners of ours.

use std::fmt;
use std::sync::Arc;

use telemesh_channel::{
    BoxFuture, GrantChanges, HandleError, Handler, Incoming, Network, Refusal, RefusalCode, WeakNetwork,
};

use crate::SOCK;
use crate::bindings::Bindings;
use crate::policy::{Granted, Policy};
use crate::request::Request;
use crate::resolve::{Checker, Resolve, SystemResolver};
use crate::serve;

/// Adds `on_sock` to the mesh, and to everything else that is a network.
pub trait SockNetwork: Network {
    /// Serves the `sock` channels of all links as the policy says. [`Granted::of`] goes by the grants of contacts, [`Nothing`]
    /// lets nobody do anything here. What it returns is needed to listen at peers; the service goes on without it.
    ///
    /// [`Nothing`]: crate::Nothing
    ///
    /// # Errors
    /// [`HandleError::Taken`] if `sock` channels are served already.
    fn on_sock(&self, policy: impl Policy) -> Result<Sock, HandleError> {
        self.on_sock_with(policy, SystemResolver)
    }

    /// As [`on_sock`](Self::on_sock), by the grants of contacts.
    ///
    /// # Errors
    /// As [`on_sock`](Self::on_sock).
    fn on_sock_granted(&self) -> Result<Sock, HandleError> {
        self.on_sock(Granted::of(self))
    }

    /// As [`on_sock`](Self::on_sock), with a resolver for the names that peers ask for.
    ///
    /// # Errors
    /// As [`on_sock`](Self::on_sock).
    fn on_sock_with(&self, policy: impl Policy, resolver: impl Resolve) -> Result<Sock, HandleError> {
        let service = Arc::new(Service {
            network: self.downgrade(),
            checker: Checker::new(Box::new(policy), Box::new(resolver)),
            bindings: Bindings::default(),
            changes: GrantChanges::of(self.downgrade()),
        });
        self.handle(SOCK, Arc::new(SockHandler(service.clone())))?;
        Ok(Sock { service })
    }
}

impl<N: Network + ?Sized> SockNetwork for N {}

/// The service of an endpoint. Clones are the same one.
#[derive(Clone)]
pub struct Sock {
    pub(crate) service: Arc<Service>,
}

/// See the module's page.
pub(crate) struct Service {
    pub(crate) network: Arc<dyn WeakNetwork>,
    pub(crate) checker: Checker,
    /// Listeners of ours at peers.
    pub(crate) bindings: Bindings,
    pub(crate) changes: GrantChanges,
}

struct SockHandler(Arc<Service>);

impl Handler for SockHandler {
    fn handle(&self, incoming: Incoming) -> BoxFuture<'static, ()> {
        let service = self.0.clone();
        match Request::read(incoming.kind(), incoming.open()) {
            // Each is a future of its own, so that a tunnel does not hold the largest of them.
            Ok(Request::Connect(target)) => Box::pin(serve::connect(service, incoming, target)),
            Ok(Request::Bind { at, number }) => Box::pin(serve::bind(service, incoming, at, number)),
            Ok(Request::Udp(target)) => Box::pin(serve::udp(service, incoming, target)),
            Ok(Request::UdpBind(at)) => Box::pin(serve::udp_bind(service, incoming, at)),
            Ok(Request::Accept { number, from }) => {
                service.bindings.hand_over(incoming, number, from);
                Box::pin(std::future::ready(()))
            }
            Err(reason) => {
                incoming.refuse(Refusal::new(RefusalCode::NotAllowed, reason));
                Box::pin(std::future::ready(()))
            }
        }
    }

    fn max_open(&self) -> usize {
        MAX_TUNNELS
    }
}

impl fmt::Debug for Sock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sock").field("listeners", &self.service.bindings.len()).finish_non_exhaustive()
    }
}

/// Tunnels that one link's peer may have open at once: as many streams as its engine permits. A browser has some hundred, a
/// gateway for many people thousands.
pub const MAX_TUNNELS: usize = 16_384;
