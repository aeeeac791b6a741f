//! Sending: [`Outbox`].

pub(crate) mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use telemesh_hashname::Hashname;

use crate::core::{Core, lock};
use crate::error::SendError;
use crate::id::MessageId;
use crate::limits::{MAX_CONTENT, PART};
use crate::seal::random;
use crate::store::keys::{OUTBOX, part};
use crate::store::{Change, StoreError};
use crate::wire::label::Label;
use crate::wire::letter::{CONTEXT, Header};
pub use state::Stage;
use state::{Outgoing, numbers_row, outgoing_row};

/// Takes messages for endpoints, whether they are up or not. Clones are the same.
#[derive(Clone)]
pub struct Outbox {
    core: Arc<Core>,
    label: Label,
    expires_in: Option<Duration>,
}

/// A message that waits for its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// Names it.
    pub id: MessageId,
    /// Whom it is for.
    pub to: Hashname,
    /// Which application it is of.
    pub label: Label,
    /// Bytes, sealed.
    pub size: u32,
    /// When it was sent, in seconds since 1970.
    pub sent_at: u64,
    /// When it is given up, in seconds since 1970.
    pub expires: u64,
    /// How far it has come, as far as is known since the start.
    pub stage: Stage,
    /// The caches that have it, as far as is known since the start.
    pub caches: Vec<Hashname>,
}

impl Outbox {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, label: Label::default(), expires_in: None }
    }

    /// The same for the messages of one application.
    #[must_use]
    pub fn labelled(mut self, label: Label) -> Self {
        self.label = label;
        self
    }

    /// The same for messages that are worth nothing after this time. Without it, [`Limits::expires_in`](crate::Limits).
    #[must_use]
    pub fn expiring(mut self, time: Duration) -> Self {
        self.expires_in = Some(time);
        self
    }

    /// Sends a message. When this resolves it is sealed and in the endpoint's store, and will be offered to the recipient
    /// and to caches until there is a receipt or it expires, also after a restart. Dropping the future does not take it
    /// back.
    ///
    /// Messages of one label arrive in the order in which these calls were made, if they did not overlap.
    ///
    /// # Errors
    /// [`SendError`]; then nothing was sent.
    pub async fn send(&self, to: &Hashname, content: impl Into<Bytes>) -> Result<MessageId, SendError> {
        let (core, label, content) = (self.core.clone(), self.label.clone(), content.into());
        let to = *to;
        let time = self.expires_in.unwrap_or(core.limits.expires_in);
        // In a task of its own: dropped half-way, it would leave a number that is used and not counted.
        let sending = tokio::spawn(async move { send(&core, to, label, content, time).await });
        sending.await.unwrap_or(Err(SendError::Store(StoreError::Ended)))
    }

    /// All messages without a receipt, whatever their label, in the order they were sent in.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        let state = lock(&self.core.outbox);
        let show = |outgoing: &Outgoing| Pending {
            id: outgoing.id,
            to: outgoing.recipient,
            label: outgoing.label.clone(),
            size: outgoing.size,
            sent_at: outgoing.sent_at,
            expires: outgoing.expires,
            stage: outgoing.stage,
            caches: outgoing.at.clone(),
        };
        state.rows.values().map(show).collect()
    }

    /// Waits until a message has come this far, or until it has its receipt or is given up: then `None`. Ask with a
    /// timeout: nobody may ever come.
    pub async fn reached(&self, id: &MessageId, stage: Stage) -> Option<Stage> {
        let mut changes = self.core.changed.subscribe();
        loop {
            changes.borrow_and_update();
            match lock(&self.core.outbox).by_id(id) {
                None => return None,
                Some((_, outgoing)) if outgoing.stage >= stage => return Some(outgoing.stage),
                Some(_) => {}
            }
            changes.changed().await.ok()?;
        }
    }

    /// Takes a message back as far as that is possible: it is not offered any more. Whether it was still waiting. A cache
    /// or the recipient may have it already.
    ///
    /// # Errors
    /// [`StoreError`]; it then comes back after a restart.
    pub async fn withdraw(&self, id: &MessageId) -> Result<bool, StoreError> {
        let found = {
            let mut state = lock(&self.core.outbox);
            let row = state.by_id(id).map(|(row, _)| row);
            row.into_iter().for_each(|row| state.remove(row));
            row.is_some()
        };
        self.core.clean_outbox().await?;
        self.core.tell();
        Ok(found)
    }
}

async fn send(
    core: &Arc<Core>,
    to: Hashname,
    label: Label,
    content: Bytes,
    time: Duration,
) -> Result<MessageId, SendError> {
    let max = core.limits.max_content.min(MAX_CONTENT);
    if content.len() > max {
        return Err(SendError::TooLong { length: content.len(), max });
    }
    if to == core.me {
        return Err(SendError::Ourselves);
    }
    let numbers = lock(&core.outbox).numbers(to, &label);
    // Held until it is stored: the next message may only be sealed when this one's number is used or free again.
    let mut numbers = numbers.lock().await;
    let stream = match numbers.stream {
        Some(stream) => stream,
        None => random()?,
    };
    let number = numbers.next;
    let sent_at = core.clock.seconds();
    let expires = sent_at.saturating_add(time.as_secs());
    let (settled, gaps_end) = lock(&core.outbox).unsettled(&to, stream).unwrap_or((number, 0));
    let header = Header { stream, number, settled, gaps_end, sent_at, expires, label: label.clone() };
    let sealed = seal(core, to, &header, content).await?;
    let size = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
    let id = MessageId::of(&sealed);

    let outgoing = Outgoing {
        id,
        recipient: to,
        stream,
        number,
        size,
        sent_at,
        expires,
        label: label.clone(),
        stage: Stage::Kept,
        at: Vec::new(),
    };
    let row = reserve(core, &outgoing)?;
    let mut changes = vec![numbers_row(&to, &label, stream, number + 1), outgoing_row(row, &outgoing)];
    let parts = (0..).zip(sealed.chunks(PART));
    changes
        .extend(parts.map(|(index, bytes)| Change::Put(part(OUTBOX, row, index), sealed.slice_ref(bytes))));
    if let Err(error) = core.own.commit(changes).await {
        lock(&core.outbox).give_back(&to, size);
        return Err(error.into());
    }
    numbers.stream = Some(stream);
    numbers.next = number + 1;
    lock(&core.outbox).insert_at(row, outgoing);
    drop(numbers);
    core.reach(&to);
    Ok(id)
}

/// Takes room in the outbox, and a row.
fn reserve(core: &Core, outgoing: &Outgoing) -> Result<u64, SendError> {
    let mut state = lock(&core.outbox);
    let (for_one, for_all) = state.pending(&outgoing.recipient);
    let size = u64::from(outgoing.size);
    if for_one + size > core.limits.outbox_per_recipient {
        return Err(SendError::Full { pending: for_one });
    }
    if for_all + size > core.limits.outbox {
        return Err(SendError::Full { pending: for_all });
    }
    state.reserve(&outgoing.recipient, outgoing.size);
    Ok(state.next_row())
}

async fn seal(core: &Core, to: Hashname, header: &Header, content: Bytes) -> Result<Bytes, SendError> {
    let letter = [&header.encode()[..], &content].concat();
    let sealer = core.sealer.clone();
    let sealed = if letter.len() <= PART {
        sealer.seal(&to, &letter, CONTEXT)
    } else {
        let sealing = tokio::task::spawn_blocking(move || sealer.seal(&to, &letter, CONTEXT));
        sealing.await.map_err(|_| SendError::Store(StoreError::Ended))?
    };
    Ok(sealed?.into())
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("label", &self.label).finish_non_exhaustive()
    }
}
