//! One message on its way onto a shelf: its parts are stored as they come; with the last one it is looked at, and stored as
//! a whole.

use std::sync::Arc;

use bytes::Bytes;
use telemesh_channel::BoxFuture;
use telemesh_hashname::Hashname;

use crate::core::{Core, lock};
use crate::id::{Keying, MessageId};
use crate::inbox::state::{Delivery, Verdict, header_row};
use crate::limits::PART;
use crate::seal::random;
use crate::shelf::{Claim, Shelf, entry_row, removals};
use crate::store::disk::Disk;
use crate::store::keys::{CACHE, INBOX, Place, part};
use crate::store::{Change, StoreError};
use crate::wire::frames::{Answer, Reason};
use crate::wire::letter::{CONTEXT, Header, Letter};

/// What a session knows of a message that it has asked for.
pub(crate) struct Bringing {
    guard: Arc<Guard>,
    id: MessageId,
    pub(crate) size: u32,
    /// Bytes that have come, with those that were there before.
    came: u32,
}

/// A part is stored, or with the last one the message is decided upon.
pub(crate) struct Done {
    pub(crate) id: MessageId,
    pub(crate) answer: Option<Answer>,
}

/// The claim, given up when nobody works on it any more.
pub(crate) struct Guard {
    pub(crate) core: Arc<Core>,
    /// Who brings it.
    pub(crate) peer: Hashname,
    pub(crate) recipient: Hashname,
    pub(crate) for_us: bool,
    pub(crate) claim: Claim,
}

impl Bringing {
    pub(crate) fn new(guard: Guard, id: MessageId, size: u32) -> Self {
        let came = guard.claim.held;
        Self { guard: Arc::new(guard), id, size, came }
    }

    /// Takes the next part, and puts it in line for the store; `None` if it is another one, or has another length than it
    /// should. The future does the rest.
    pub(crate) fn part(&mut self, offset: u32, bytes: Bytes) -> Option<BoxFuture<'static, Done>> {
        let full = u32::try_from(PART).ok()?;
        let length = u32::try_from(bytes.len()).ok()?;
        if offset != self.came || length != self.size.checked_sub(offset)?.min(full) {
            return None;
        }
        self.came = offset.checked_add(length)?;
        let (guard, id, size, came) = (self.guard.clone(), self.id, self.size, self.came);
        if length == size {
            return Some(done(
                id,
                async move { guard.finish(id, bytes.clone(), Some(bytes)).await.map(Some) },
            ));
        }
        let row = guard.part_row(offset / full, bytes);
        let stored = if offset == 0 {
            guard.commit_entry(false, vec![row])
        } else {
            guard.commit(vec![row], Vec::new())
        };
        Some(done(id, async move {
            stored.await?;
            if !guard.with_shelf(|shelf| shelf.held(guard.claim, came)) {
                return Err(Reason::Failed);
            }
            if came < size {
                return Ok(None);
            }
            let whole = guard.disk().whole(guard.place(), guard.claim.number, size).await;
            let sealed = whole.ok().flatten().ok_or(Reason::Failed)?;
            guard.finish(id, sealed, None).await.map(Some)
        }))
    }
}

fn done(
    id: MessageId,
    work: impl Future<Output = Result<Option<Answer>, Reason>> + Send + 'static,
) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        let answer = work.await.unwrap_or_else(|reason| Some(Answer::Refused { id, reason }));
        Done { id, answer }
    })
}

impl Drop for Guard {
    fn drop(&mut self) {
        let claim = self.claim;
        self.with_shelf(|shelf| shelf.release(claim));
    }
}

impl Guard {
    fn place(&self) -> Place {
        if self.for_us { INBOX } else { CACHE }
    }

    fn disk(&self) -> &Disk {
        match &self.core.cache {
            Some(cache) if !self.for_us => &cache.disk,
            _ => &self.core.own,
        }
    }

    fn with_shelf<T>(&self, act: impl FnOnce(&mut Shelf) -> T) -> T {
        match &self.core.cache {
            Some(cache) if !self.for_us => act(&mut lock(&cache.shelf)),
            _ => act(&mut lock(&self.core.inbox).shelf),
        }
    }

    fn part_row(&self, index: u32, bytes: Bytes) -> Change {
        Change::Put(part(self.place(), self.claim.number, index), bytes)
    }

    /// Puts changes in line, now. If they fail, what they would have removed is still to be removed.
    fn commit(
        self: &Arc<Self>,
        changes: Vec<Change>,
        doomed: Vec<(u64, u32)>,
    ) -> BoxFuture<'static, Result<(), Reason>> {
        let made = self.disk().commit(changes);
        let guard = self.clone();
        Box::pin(async move {
            made.await.map_err(|error| {
                tracing::warn!(%error, "a message could not be stored");
                guard.with_shelf(|shelf| shelf.doom(doomed));
                if matches!(error, StoreError::Full) { Reason::Full } else { Reason::Failed }
            })
        })
    }

    /// Puts the entry in line with these changes, and the removal of what had to go for it.
    fn commit_entry(
        self: &Arc<Self>,
        whole: bool,
        more: Vec<Change>,
    ) -> BoxFuture<'static, Result<(), Reason>> {
        let number = self.claim.number;
        let entry = self
            .with_shelf(|shelf| shelf.is_claimed(self.claim).then(|| shelf.entry(number).cloned()).flatten());
        let (Some(entry), Ok(nonce)) = (entry, random()) else {
            return Box::pin(std::future::ready(Err(Reason::Failed)));
        };
        let plain = Keying::Plain;
        let keying = match &self.core.cache {
            Some(cache) if !self.for_us => &cache.keying,
            _ => &plain,
        };
        let doomed = self.with_shelf(Shelf::take_doomed);
        let mut changes = removals(self.place(), &doomed);
        changes.push(entry_row(self.place(), keying, number, &entry, whole, nonce));
        changes.extend(more);
        self.commit(changes, doomed)
    }

    /// Decides about a message that is here as a whole. `part`: its only part, if it is not stored yet.
    async fn finish(
        self: &Arc<Self>,
        id: MessageId,
        sealed: Bytes,
        part: Option<Bytes>,
    ) -> Result<Answer, Reason> {
        if MessageId::of(&sealed) != id {
            self.with_shelf(|shelf| shelf.reject(self.claim));
            return Err(Reason::Damaged);
        }
        let part: Vec<_> = part.map(|bytes| self.part_row(0, bytes)).into_iter().collect();
        if self.for_us {
            return self.receive(id, sealed, part).await;
        }
        self.commit_entry(true, part).await?;
        if !self.with_shelf(|shelf| shelf.whole(self.claim)) {
            return Err(Reason::Failed);
        }
        self.core.kick(&self.recipient);
        self.core.tell();
        Ok(Answer::Stored { id })
    }

    /// Opens a message that is for us.
    async fn receive(
        self: &Arc<Self>,
        id: MessageId,
        sealed: Bytes,
        part: Vec<Change>,
    ) -> Result<Answer, Reason> {
        let core = &self.core;
        let size = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        let sealer = core.sealer.clone();
        let opened = if sealed.len() <= PART {
            sealer.open(&sealed, CONTEXT)
        } else {
            let opening = tokio::task::spawn_blocking(move || sealer.open(&sealed, CONTEXT));
            opening.await.map_err(|_| Reason::Failed)?
        };
        // Whoever is no contact (any more) has no say, whoever brought it.
        let known = opened.filter(|(sender, _)| core.network.link(sender).is_some());
        let letter =
            known.as_ref().and_then(|(sender, letter)| Some((*sender, Letter::decode(letter).ok()?)));
        let answer = match letter {
            Some((sender, Letter::Message(header, _))) => {
                return self.keep(id, size, sender, header, part).await;
            }
            Some((sender, Letter::Receipt(receipt))) => {
                lock(&core.outbox).settle(&sender, receipt.stream, &receipt.settled);
                core.clean_outbox().await.map_err(|_| Reason::Failed)?;
                core.has_room(&sender);
                core.tell();
                Ok(Answer::Done { id })
            }
            None => Ok(Answer::Done { id }),
        };
        self.with_shelf(|shelf| shelf.reject(self.claim));
        answer
    }

    async fn keep(
        self: &Arc<Self>,
        id: MessageId,
        size: u32,
        sender: Hashname,
        header: Header,
        part: Vec<Change>,
    ) -> Result<Answer, Reason> {
        let core = &self.core;
        let verdict = lock(&core.inbox).judge(&sender, &header, size, core.clock.seconds());
        match verdict {
            Verdict::Keep => {}
            Verdict::Done { receipt } => {
                self.with_shelf(|shelf| shelf.reject(self.claim));
                if receipt {
                    lock(&core.receipts).add((sender, header.stream));
                    core.reach(&sender);
                }
                return Ok(Answer::Done { id });
            }
            Verdict::Full => {
                self.with_shelf(|shelf| shelf.reject(self.claim));
                return Err(Reason::Full);
            }
        }
        let number = self.claim.number;
        let mut changes = lock(&core.inbox).forget_streams(&sender, header.stream);
        changes.push(header_row(number, &sender, &header));
        changes.extend(part);
        self.commit_entry(true, changes).await?;
        let verdict = {
            let mut inbox = lock(&core.inbox);
            if !inbox.shelf.whole(self.claim) {
                return Err(Reason::Failed);
            }
            let delivery = Delivery { sender, row: number, id, size, header };
            let verdict = inbox.add(delivery, self.peer, core.clock.seconds());
            if verdict != Verdict::Keep {
                inbox.shelf.remove(number);
            }
            verdict
        };
        core.tell();
        match verdict {
            Verdict::Keep => Ok(Answer::Stored { id }),
            Verdict::Done { .. } => Ok(Answer::Done { id }),
            Verdict::Full => Err(Reason::Full),
        }
    }
}
