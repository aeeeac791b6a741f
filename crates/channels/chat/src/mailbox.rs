//! Mailboxes: how something reaches a participant who is away.
//!
//! Chat names what it needs, and somebody else gives it: over a mesh the `box` channel, in tests [`MemoryMailboxes`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use telemesh_channel::BoxFuture;
use telemesh_hashname::Hashname;
use tokio::sync::Notify;

/// Takes messages for endpoints that are away, and gives those that were left for this one.
pub trait Mailbox: Send + Sync + 'static {
    /// Seals a message for an endpoint and hands it over. It resolves when it is kept somewhere, not when it is read.
    ///
    /// # Errors
    /// [`MailboxError`]: the message is not kept. Chat tries again in a while, as long as its recipient is away.
    fn send(&self, to: Hashname, message: Bytes) -> BoxFuture<'_, Result<(), MailboxError>>;

    /// Waits for the next message that was left for this endpoint; `None` when there will be no more. Dropping the future
    /// loses nothing. The messages of one sender come in the order in which they were sent.
    fn receive(&self) -> BoxFuture<'_, Option<Mail>>;
}

/// A message from a mailbox.
pub struct Mail {
    /// Who sealed it; the mailbox has proven that.
    pub from: Hashname,
    /// What was sealed.
    pub message: Bytes,
    acknowledge: Box<dyn FnOnce() + Send>,
}

impl Mail {
    /// A message with what is to be done when it is stored here: until then the mailbox keeps it.
    pub fn new(from: Hashname, message: Bytes, acknowledge: impl FnOnce() + Send + 'static) -> Self {
        Self { from, message, acknowledge: Box::new(acknowledge) }
    }

    /// The message is stored here and need not come again.
    pub fn acknowledge(self) {
        (self.acknowledge)();
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mail")
            .field("from", &self.from)
            .field("length", &self.message.len())
            .finish_non_exhaustive()
    }
}

/// Why a message is in no mailbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not kept in a mailbox: {0}")]
pub struct MailboxError(pub String);

/// The mailboxes of any number of endpoints, in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryMailboxes {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    boxes: Mutex<BTreeMap<Hashname, VecDeque<(Hashname, Bytes)>>>,
    changed: Notify,
}

impl MemoryMailboxes {
    /// The mailbox as one endpoint uses it.
    #[must_use]
    pub fn of(&self, owner: Hashname) -> MemoryMailbox {
        MemoryMailbox { owner, shared: Arc::clone(&self.shared) }
    }
}

/// See [`MemoryMailboxes::of`].
#[derive(Debug)]
pub struct MemoryMailbox {
    owner: Hashname,
    shared: Arc<Shared>,
}

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<Hashname, VecDeque<(Hashname, Bytes)>>) -> T) -> T {
        work(&mut self.boxes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Mailbox for MemoryMailbox {
    fn send(&self, to: Hashname, message: Bytes) -> BoxFuture<'_, Result<(), MailboxError>> {
        self.shared.with(|boxes| boxes.entry(to).or_default().push_back((self.owner, message)));
        self.shared.changed.notify_waiters();
        Box::pin(std::future::ready(Ok(())))
    }

    /// What was taken and not acknowledged does not come again.
    fn receive(&self) -> BoxFuture<'_, Option<Mail>> {
        Box::pin(async {
            loop {
                let changed = self.shared.changed.notified();
                let next = self.shared.with(|boxes| boxes.get_mut(&self.owner).and_then(VecDeque::pop_front));
                match next {
                    Some((from, message)) => return Some(Mail::new(from, message, || ())),
                    None => changed.await,
                }
            }
        })
    }
}
