//! A channel that a peer opened and that waits for a decision.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use telemesh_hashname::Hashname;
use telemesh_wire::{ChannelKind, Open, Refusal, RefusalCode};

use crate::channel::Channel;
use crate::datagrams::Datagrams;
use crate::dispatch::{Permit, RefusalBudget};
use crate::error::{AcceptError, ChannelError, DatagramError};
use crate::raw::{Pending, RawDatagrams, RawStream};

/// A channel that a peer opened. Accept or refuse it; dropped undecided, it is refused as `Internal`.
///
/// Nothing was answered yet, so a handler can look at who opens and why before the peer sees success.
pub struct Incoming {
    peer: Hashname,
    open: Open,
    pending: Option<PendingKind>,
    /// Holds this channel's place in the type's limit; goes on into the channel.
    pub(crate) permit: Option<Permit>,
    /// Refusals beyond this are not sent.
    pub(crate) budget: Option<RefusalBudget>,
}

enum PendingKind {
    Reliable(Box<dyn Pending<Box<dyn RawStream>>>),
    Unreliable(Box<dyn Pending<Arc<dyn RawDatagrams>>>),
}

impl Incoming {
    /// A reliable channel, from its carrier.
    pub fn reliable(peer: Hashname, open: Open, pending: Box<dyn Pending<Box<dyn RawStream>>>) -> Self {
        Self { peer, open, pending: Some(PendingKind::Reliable(pending)), permit: None, budget: None }
    }

    /// An unreliable channel, from its carrier.
    pub fn unreliable(peer: Hashname, open: Open, pending: Box<dyn Pending<Arc<dyn RawDatagrams>>>) -> Self {
        Self { peer, open, pending: Some(PendingKind::Unreliable(pending)), permit: None, budget: None }
    }

    /// A channel that is over with its open message, see [`Opener::notify`](crate::Opener::notify): whatever is decided, nothing
    /// goes back.
    pub fn notice(peer: Hashname, open: Open) -> Self {
        Self::unreliable(peer, open, Box::new(Notice))
    }

    /// Who opened it. The link has authenticated this.
    pub fn peer(&self) -> Hashname {
        self.peer
    }

    /// The open message: type, headers, body.
    pub fn open(&self) -> &Open {
        &self.open
    }

    /// Which kind the peer opened. (The carrier's word, not the message's.)
    pub fn kind(&self) -> ChannelKind {
        match self.pending {
            Some(PendingKind::Unreliable(_)) => ChannelKind::Unreliable,
            _ => ChannelKind::Reliable,
        }
    }

    /// Accepts a reliable channel. The peer is told with the first bytes that are written, as soon as something is waited for from
    /// it, or after a few milliseconds.
    ///
    /// # Errors
    /// [`AcceptError::WrongKind`] if the peer opened an unreliable one; it is refused then.
    pub fn accept(mut self) -> Result<Channel, AcceptError> {
        match self.pending.take() {
            Some(PendingKind::Reliable(pending)) => {
                let channel_type = std::mem::take(&mut self.open.channel_type);
                Ok(Channel::new(self.peer, channel_type, pending.accept()).with_permit(self.permit.take()))
            }
            other => Err(self.wrong_kind(other)),
        }
    }

    /// Accepts an unreliable channel.
    ///
    /// # Errors
    /// [`AcceptError::WrongKind`] if the peer opened a reliable one; it is refused then.
    pub fn accept_datagrams(mut self) -> Result<Datagrams, AcceptError> {
        match self.pending.take() {
            Some(PendingKind::Unreliable(pending)) => {
                let channel_type = std::mem::take(&mut self.open.channel_type);
                Ok(Datagrams::new(self.peer, channel_type, pending.accept()).with_permit(self.permit.take()))
            }
            other => Err(self.wrong_kind(other)),
        }
    }

    /// Refuses with a reason that the peer reads. On a link with too many refusals the peer gets no answer at all.
    pub fn refuse(mut self, refusal: Refusal) {
        self.decide(refusal);
    }

    /// Refuses, or ignores if the link had its refusals; whether the peer gets an answer.
    pub(crate) fn refuse_within_budget(mut self, refusal: Refusal) -> bool {
        self.decide(refusal)
    }

    fn wrong_kind(&mut self, pending: Option<PendingKind>) -> AcceptError {
        self.pending = pending;
        let kind = self.kind();
        self.decide(Refusal::new(RefusalCode::NotAllowed, "the other kind of channel"));
        AcceptError::WrongKind(kind)
    }

    fn decide(&mut self, refusal: Refusal) -> bool {
        let answer = self.budget.as_ref().is_none_or(RefusalBudget::take);
        match self.pending.take() {
            Some(PendingKind::Reliable(pending)) if answer => pending.refuse(refusal),
            Some(PendingKind::Unreliable(pending)) if answer => pending.refuse(refusal),
            Some(PendingKind::Reliable(pending)) => pending.ignore(),
            Some(PendingKind::Unreliable(pending)) => pending.ignore(),
            None => {}
        }
        answer
    }
}

/// An unreliable channel on which nothing comes or goes.
struct Notice;

impl Pending<Arc<dyn RawDatagrams>> for Notice {
    fn accept(self: Box<Self>) -> Arc<dyn RawDatagrams> {
        Arc::new(Self)
    }

    fn refuse(self: Box<Self>, _: Refusal) {}

    fn ignore(self: Box<Self>) {}
}

impl RawDatagrams for Notice {
    fn max_size(&self) -> usize {
        0
    }

    fn try_send(&self, _: Bytes) -> Result<(), DatagramError> {
        Err(DatagramError::Closed)
    }

    fn poll_recv(&self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ChannelError>> {
        Poll::Ready(Ok(None))
    }

    fn close(&self) {}
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.pending.is_some() {
            self.decide(Refusal::new(RefusalCode::Internal, "the channel was not answered"));
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Incoming")
            .field("peer", &self.peer)
            .field("type", &self.open.channel_type)
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}
