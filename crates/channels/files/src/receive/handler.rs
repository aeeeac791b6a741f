//! [`Receiver`]: takes transfers by itself, as a channel handler.

use std::fmt;
use std::sync::Arc;

use telemesh_channel::{BoxFuture, Handler, Incoming};
use telemesh_wire::Refusal;

use super::Request;
use super::target::Target;
use crate::error::ReceiveError;
use crate::limits::MAX_TRANSFERS;
use crate::progress::Progress;
use crate::report::Report;

type Decide = dyn Fn(&Request) -> BoxFuture<'static, Result<Progress, Refusal>> + Send + Sync;
type Ended = dyn Fn(Ending) + Send + Sync;

/// Takes transfers into a target folder, as the handler of the channel type [`FILES`](crate::FILES).
///
/// Without [`decide`](Self::decide) it takes everything that a linked peer offers. Who needs more control handles the
/// channels and uses [`Request`] directly.
#[derive(Clone)]
pub struct Receiver {
    target: Target,
    decide: Option<Arc<Decide>>,
    ended: Option<Arc<Ended>>,
}

/// A transfer that a [`Receiver`] took or tried to take, at its end.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ending {
    /// Who sent it.
    pub peer: telemesh_channel::Hashname,
    /// What the sender calls it. Show it through [`escaped`](crate::escaped).
    pub name: String,
    /// How it went.
    pub result: Result<Report, ReceiveError>,
}

impl Receiver {
    /// Takes transfers into this folder.
    pub fn new(target: Target) -> Self {
        Self { target, decide: None, ended: None }
    }

    /// Asks `decide` about each transfer: it is taken with the [`Progress`] that is returned, or refused with a reason that
    /// the sender reads. The future may take as long as a person does.
    #[must_use]
    pub fn decide<D, F>(mut self, decide: D) -> Self
    where
        D: Fn(&Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Progress, Refusal>> + Send + 'static,
    {
        self.decide = Some(Arc::new(move |request| Box::pin(decide(request))));
        self
    }

    /// Tells `ended` of each transfer's end.
    #[must_use]
    pub fn on_end(mut self, ended: impl Fn(Ending) + Send + Sync + 'static) -> Self {
        self.ended = Some(Arc::new(ended));
        self
    }

    async fn serve(self, incoming: Incoming) {
        let Ok(request) = Request::read(incoming) else { return };
        let progress = match &self.decide {
            None => Progress::new(),
            Some(decide) => match decide(&request).await {
                Ok(progress) => progress,
                Err(refusal) => return request.refuse(refusal),
            },
        };
        let (peer, name) = (request.peer(), request.name().to_owned());
        let result = request.receive(&self.target, &progress).await;
        if let Some(ended) = &self.ended {
            ended(Ending { peer, name, result });
        }
    }
}

impl Handler for Receiver {
    fn handle(&self, incoming: Incoming) -> BoxFuture<'static, ()> {
        Box::pin(self.clone().serve(incoming))
    }

    fn max_open(&self) -> usize {
        MAX_TRANSFERS
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Receiver").field("target", &self.target).finish_non_exhaustive()
    }
}
