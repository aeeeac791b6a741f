//! Chat's mailboxes on the `box` channel: what is written for somebody who is away waits where all their messages do.

use std::fmt;

use bytes::Bytes;
use telemesh_box::{Boxes, Inbox, InboxTaken, Label, Outbox};
use telemesh_channel::BoxFuture;
use telemesh_chat::{Mail, Mailbox, MailboxError};
use telemesh_hashname::Hashname;
use tokio::sync::Mutex;

/// Under which label chat's messages travel.
const LABEL: &str = "chat";

/// The boxes of an endpoint as chat uses them, one for each endpoint. What it gives comes again until chat has stored it.
///
/// ```no_run
/// use std::sync::Arc;
/// use telemesh::chat::{BoxMailbox, Config};
/// use telemesh::{MeshBoxes as _, MeshChats as _};
/// # async fn example(mesh: telemesh::Mesh) -> Result<(), Box<dyn std::error::Error>> {
/// let boxes = mesh.boxes().start()?;
/// let config = Config::new("alice".parse()?).mailbox(Arc::new(BoxMailbox::new(&boxes)?));
/// let chats = mesh.chats(config).await?;
/// # Ok(())
/// # }
/// ```
pub struct BoxMailbox {
    outbox: Outbox,
    inbox: Mutex<Inbox>,
}

impl BoxMailbox {
    /// The label of chat's messages, for those who look at what waits.
    #[must_use]
    pub fn label() -> Label {
        LABEL.parse().unwrap_or_default()
    }

    /// Takes chat's part of these boxes.
    ///
    /// # Errors
    /// [`InboxTaken`]: somebody has it.
    pub fn new(boxes: &Boxes) -> Result<Self, InboxTaken> {
        let inbox = Mutex::new(boxes.inbox_of(Self::label())?);
        Ok(Self { outbox: boxes.outbox().labelled(Self::label()), inbox })
    }
}

impl Mailbox for BoxMailbox {
    fn send(&self, to: Hashname, message: Bytes) -> BoxFuture<'_, Result<(), MailboxError>> {
        Box::pin(async move {
            let sent = self.outbox.send(&to, message).await;
            sent.map(|_| ()).map_err(|error| MailboxError(error.to_string()))
        })
    }

    fn receive(&self) -> BoxFuture<'_, Option<Mail>> {
        Box::pin(async {
            let message = self.inbox.lock().await.next().await?;
            let (from, content) = (message.from(), message.content().clone());
            let acknowledge = move || {
                // Chat does not wait for it: a message that is not acknowledged comes again, and says nothing new.
                tokio::spawn(async move {
                    if let Err(error) = message.ack().await {
                        tracing::warn!(%error, "a message of chat was not acknowledged and comes again");
                    }
                });
            };
            Some(Mail::new(from, content, acknowledge))
        })
    }
}

impl fmt::Debug for BoxMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxMailbox").finish_non_exhaustive()
    }
}
