//! Over which link a connection goes.

use std::fmt;
use std::sync::Arc;

use telemesh_channel::{BoxFuture, Opener};

use crate::failure::SockError;
use crate::targets::Target;

/// Finds the way to a target. Asked for each connection, so that it may wait for a link, and decide anew.
pub trait Route: Send + Sync + 'static {
    /// The link to use, and what to ask for at its other end.
    ///
    /// # Errors
    /// [`SockError::NoRoute`] or why the link is not up; the connection is then refused.
    fn route<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Way, SockError>>;

    /// Hears of connections and tunnels that did not come about. Must not wait.
    fn failed(&self, target: &Target, error: &SockError) {
        let _ = (target, error);
    }
}

/// See [`Route`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Way {
    /// The link.
    pub link: Arc<dyn Opener>,
    /// What the other end is asked for: another spelling of what was asked for here, if the host names an endpoint.
    pub target: Target,
}

impl Way {
    /// Over this link, to that.
    pub fn new(link: Arc<dyn Opener>, target: Target) -> Self {
        Self { link, target }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("peer", &self.link.peer()).field("target", &self.target).finish()
    }
}

/// Everything goes over one link, as it was asked for.
pub struct Over(pub Arc<dyn Opener>);

impl Route for Over {
    fn route<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Way, SockError>> {
        Box::pin(std::future::ready(Ok(Way::new(self.0.clone(), target.clone()))))
    }
}

impl fmt::Debug for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Over").field(&self.0.peer()).finish()
    }
}
