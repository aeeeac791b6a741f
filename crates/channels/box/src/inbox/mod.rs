//! Reading: [`Inbox`], and [`Message`]s to be acknowledged.

pub(crate) mod state;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt as _;
use telemesh_hashname::Hashname;

use crate::core::{Core, lock};
use crate::error::{InboxTaken, StoreError};
use crate::id::MessageId;
use crate::limits::PART;
use crate::store::keys::INBOX;
use crate::wire::label::Label;
use crate::wire::letter::{CONTEXT, Letter};
use state::Delivery;

/// The messages of one label as a `Stream`: each sender's in their order, and again after every restart until they are
/// acknowledged.
///
/// It ends with the boxes. When it is dropped, another one may be made, which begins with everything that is not
/// acknowledged. A sender's next messages wait while 512 of one stream are delivered and not acknowledged.
pub struct Inbox {
    messages: Pin<Box<dyn Stream<Item = Message> + Send>>,
    reader: Reader,
}

/// A message that has arrived.
pub struct Message {
    core: Arc<Core>,
    delivery: Delivery,
    content: Bytes,
}

/// A message that has arrived and is not acknowledged, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Names it.
    pub id: MessageId,
    /// Who sent it.
    pub from: Hashname,
    /// Which application it is for.
    pub label: Label,
    /// Bytes, sealed.
    pub size: u32,
    /// When it was sent by the sender's clock, in seconds since 1970.
    pub sent_at: u64,
}

/// Gives the label back when the inbox goes.
struct Reader {
    core: Arc<Core>,
    label: Label,
}

impl Inbox {
    pub(crate) fn new(core: Arc<Core>, label: Label) -> Result<Self, InboxTaken> {
        if !lock(&core.inbox).readers.insert(label.clone()) {
            return Err(InboxTaken);
        }
        let reader = Reader { core: core.clone(), label: label.clone() };
        let messages = futures_util::stream::unfold((core, label), |(core, label)| async move {
            let message = next(&core, &label).await?;
            Some((message, (core, label)))
        });
        Ok(Self { messages: messages.boxed(), reader })
    }

    /// Waits for the next message; `None` when the boxes have ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.next().await
    }
}

impl Stream for Inbox {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.messages.as_mut().poll_next(cx)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.core.inbox).reader_gone(&self.label);
    }
}

async fn next(core: &Arc<Core>, label: &Label) -> Option<Message> {
    let mut changes = core.changed.subscribe();
    let mut stop = core.stop.subscribe();
    loop {
        changes.borrow_and_update();
        if core.is_stopped() {
            return None;
        }
        let delivery = lock(&core.inbox).next(label, core.clock.seconds());
        match delivery {
            Some(delivery) => match open(core, &delivery).await {
                Ok(content) => return Some(Message { core: core.clone(), delivery, content }),
                // It stays unread until the next start; the ones behind it go on.
                Err(error) => tracing::error!(id = %delivery.id, %error, "a message could not be read"),
            },
            None => tokio::select! {
                changed = changes.changed() => changed.ok()?,
                _ = stop.wait_for(|stopped| *stopped) => return None,
            },
        }
    }
}

/// Reads a message's content from the store.
async fn open(core: &Arc<Core>, delivery: &Delivery) -> Result<Bytes, StoreError> {
    let sealed = core.own.whole(INBOX, delivery.row, delivery.size).await?;
    let damaged = || StoreError::Damaged("a message is not what was stored".to_owned());
    let sealed = sealed.filter(|sealed| MessageId::of(sealed) == delivery.id).ok_or_else(damaged)?;
    let sealer = core.sealer.clone();
    let opened = if sealed.len() <= PART {
        sealer.open(&sealed, CONTEXT)
    } else {
        tokio::task::spawn_blocking(move || sealer.open(&sealed, CONTEXT))
            .await
            .map_err(|_| StoreError::Ended)?
    };
    let (_, letter) = opened.ok_or_else(damaged)?;
    match Letter::decode(&letter) {
        Ok(Letter::Message(_, content)) => {
            let start = letter.len() - content.len();
            Ok(Bytes::from(letter).slice(start..))
        }
        _ => Err(damaged()),
    }
}

impl Message {
    /// Names it; the same in every delivery.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.delivery.id
    }

    /// Who sent it; proven by the seal.
    #[must_use]
    pub fn from(&self) -> Hashname {
        self.delivery.sender
    }

    /// Which application it is for.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.delivery.header.label
    }

    /// When it was sent by the sender's clock, in seconds since 1970.
    #[must_use]
    pub fn sent_at(&self) -> u64 {
        self.delivery.header.sent_at
    }

    /// What it says.
    #[must_use]
    pub fn content(&self) -> &Bytes {
        &self.content
    }

    /// What it says, which is not kept here any longer: for who keeps many messages until it acknowledges them.
    #[must_use]
    pub fn take_content(&mut self) -> Bytes {
        std::mem::take(&mut self.content)
    }

    /// The application is done with it. When this resolves, that is stored: the message never comes again, its sender gets a
    /// receipt and caches let it go. Without it the message comes again after a restart.
    ///
    /// # Errors
    /// [`StoreError`]: it may come again after a restart.
    pub async fn ack(self) -> Result<(), StoreError> {
        let core = self.core.clone();
        // In a task of its own, so that one who gives up waiting leaves nothing half done.
        let acknowledging = tokio::spawn(async move { acknowledge(&self.core, &self.delivery).await });
        let result = acknowledging.await.unwrap_or(Err(StoreError::Ended));
        core.tell();
        result
    }
}

async fn acknowledge(core: &Arc<Core>, delivery: &Delivery) -> Result<(), StoreError> {
    let (made, doomed, sources) = {
        let mut inbox = lock(&core.inbox);
        let Some(acknowledged) = inbox.acknowledge(delivery, core.clock.seconds()) else { return Ok(()) };
        let doomed = inbox.shelf.take_doomed();
        let mut changes = acknowledged.changes;
        changes.extend(crate::shelf::removals(INBOX, &doomed));
        // In line before anybody else acknowledges: what is stored last says the most.
        (core.own.commit(changes), doomed, acknowledged.sources)
    };
    if let Err(error) = made.await {
        lock(&core.inbox).shelf.doom(doomed);
        return Err(error);
    }
    for source in sources.iter().filter(|source| **source != delivery.sender) {
        lock(&core.peers).add_gone(source, delivery.id);
        core.kick(source);
    }
    lock(&core.receipts).add((delivery.sender, delivery.header.stream));
    core.reach(&delivery.sender);
    Ok(())
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("label", &self.reader.label).finish_non_exhaustive()
    }
}

/// Shows nothing of what it says.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.delivery.id)
            .field("from", &self.delivery.sender)
            .field("length", &self.content.len())
            .finish_non_exhaustive()
    }
}
