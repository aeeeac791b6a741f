//! Giving: one session with one peer, in which it is offered all there is for it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use telemesh_channel::{Channel, MessageError, Messages, Open, OpenError};
use telemesh_hashname::Hashname;

use crate::core::{Core, lock};
use crate::id::MessageId;
use crate::limits::{PART, WINDOW};
use crate::receipts::Key;
use crate::store::StoreError;
use crate::store::keys::{CACHE, OUTBOX};
use crate::wire::frames::{Answer, MAX_FRAME, Reason, Said};
use crate::wire::letter::{CONTEXT, Receipt};
use crate::{BOX, VERSION};

/// Why a session ended early. The peer is offered everything again later.
#[derive(Debug, thiserror::Error)]
enum GiveError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Channel(#[from] MessageError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the peer answers something that is no answer")]
    Nonsense,
    #[error("the peer left before it had answered")]
    Left,
}

/// One message on offer.
struct OnOffer {
    id: MessageId,
    recipient: Hashname,
    size: u32,
    source: Source,
}

/// Where its bytes are.
enum Source {
    Own(u64),
    Cached(u64),
    Receipt(Key, u64, Bytes),
}

/// Gives to this peer until there is nothing left.
pub(crate) async fn run(core: Arc<Core>, peer: Hashname, generation: u64) {
    let mut stop = core.stop.subscribe();
    let giving = async {
        loop {
            match session(&core, peer, generation).await {
                Ok(()) if lock(&core.peers).end(&peer, generation) => return,
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(peer = %peer.short(), %error, "a session of box has failed");
                    lock(&core.receipts).not_sent(&peer);
                    lock(&core.peers).failed(&peer, generation);
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = giving => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
}

async fn session(core: &Arc<Core>, peer: Hashname, generation: u64) -> Result<(), GiveError> {
    let Some(more) = lock(&core.peers).more(&peer, generation) else { return Ok(()) };
    let mut gone = lock(&core.peers).take_gone(&peer);
    let caches = if lock(&core.peers).take_untold(&peer) { core.to_tell() } else { None };
    let first = next(core, &peer);
    if first.is_none() && gone.is_empty() && caches.is_none() {
        return Ok(());
    }
    let mut frames = open(core, peer).await?;
    if let Some(caches) = caches {
        tell_caches(core, &mut frames, caches).await?;
    }
    let Some(first) = first else {
        tell_gone(&mut frames, gone).await?;
        return Ok(frames.finish().await?);
    };
    let mut offered = HashMap::new();
    let mut waiting = Some(first);
    loop {
        tell_gone(&mut frames, std::mem::take(&mut gone)).await?;
        while offered.len() < WINDOW
            && let Some(offer) = waiting.take().or_else(|| next(core, &peer))
        {
            // The same message from two givers: the other one is offered another time, if it is then still needed.
            if offered.contains_key(&offer.id) {
                continue;
            }
            let said = Said::Offer { id: offer.id, recipient: offer.recipient, size: offer.size };
            frames.send(said.encode()).await?;
            offered.insert(offer.id, offer);
        }
        if offered.is_empty() {
            return Ok(frames.finish().await?);
        }
        tokio::select! {
            answer = frames.receive() => {
                let answer = answer?.ok_or(GiveError::Left)?;
                let answer = Answer::decode(&answer).map_err(|_| GiveError::Nonsense)?;
                hear(core, peer, &mut frames, &mut offered, answer).await?;
            }
            () = more.notified() => gone = lock(&core.peers).take_gone(&peer),
        }
    }
}

async fn open(core: &Core, peer: Hashname) -> Result<Messages<Channel>, GiveError> {
    let link = core.network.link(&peer).ok_or(GiveError::Left)?;
    let mut channel = link.open(Open::reliable(BOX).with_body(&[VERSION][..])).await?;
    channel.set_priority(PRIORITY);
    Ok(Messages::new(channel).with_max_size(MAX_FRAME))
}

async fn tell_caches(
    core: &Core,
    frames: &mut Messages<Channel>,
    caches: Vec<Hashname>,
) -> Result<(), GiveError> {
    let first_time = lock(&core.choice.told).tell();
    if let Some(row) = first_time {
        core.own.commit(vec![row]).await?;
    }
    Ok(frames.send(Said::Caches { caches }.encode()).await?)
}

async fn tell_gone(frames: &mut Messages<Channel>, gone: Vec<MessageId>) -> Result<(), GiveError> {
    for id in gone {
        frames.send(Said::Gone { id }.encode()).await?;
    }
    Ok(())
}

/// Does what an answer asks for.
async fn hear(
    core: &Arc<Core>,
    peer: Hashname,
    frames: &mut Messages<Channel>,
    offered: &mut HashMap<MessageId, OnOffer>,
    answer: Answer,
) -> Result<(), GiveError> {
    lock(&core.peers).set_silent(&peer, false);
    let id = match answer {
        Answer::Want { id, .. }
        | Answer::Stored { id }
        | Answer::Done { id }
        | Answer::Refused { id, .. } => id,
    };
    if let Answer::Want { offset, .. } = answer {
        let offer = offered.get(&id).ok_or(GiveError::Nonsense)?;
        return send_parts(core, frames, offer, offset).await;
    }
    let offer = offered.remove(&id).ok_or(GiveError::Nonsense)?;
    match (&offer.source, answer) {
        (_, Answer::Refused { reason, .. }) => refused(core, peer, &offer, reason),
        (Source::Receipt(key, version, _), _) => lock(&core.receipts).sent(key, *version),
        (Source::Own(_), _) => {
            if lock(&core.outbox).stored_at(&id, &peer) {
                core.tell();
            }
        }
        (Source::Cached(number), Answer::Done { .. }) => {
            if let Some(cache) = &core.cache {
                lock(&cache.shelf).remove(*number);
                cache.clean().await?;
            }
        }
        (Source::Cached(_), _) => {}
    }
    core.tell();
    Ok(())
}

fn refused(core: &Arc<Core>, peer: Hashname, offer: &OnOffer, reason: Reason) {
    tracing::debug!(peer = %peer.short(), id = %offer.id, ?reason, "a message was refused");
    if reason.is_passing() {
        lock(&core.peers).retry(&peer);
    }
    let is_news = reason == Reason::NotAllowed && peer != offer.recipient;
    if is_news && lock(&core.peers).set_unwilling(&peer) {
        // What its owner's word has led to it goes to others now.
        core.kick_caches_of(&offer.recipient);
        core.reach(&offer.recipient);
    }
}

/// Sends a message from this byte on. If it is gone meanwhile, the session ends, and the peer forgets it.
async fn send_parts(
    core: &Core,
    frames: &mut Messages<Channel>,
    offer: &OnOffer,
    offset: u32,
) -> Result<(), GiveError> {
    let full = u32::try_from(PART).unwrap_or(u32::MAX);
    if offset >= offer.size || !offset.is_multiple_of(full) {
        return Err(GiveError::Nonsense);
    }
    let mut offset = offset;
    while offset < offer.size {
        let part = part(core, &offer.source, offset / full).await?.ok_or(GiveError::Left)?;
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        if length != (offer.size - offset).min(full) {
            return Err(StoreError::Damaged("a part has another length".to_owned()).into());
        }
        frames.send(Said::Part { id: offer.id, offset, bytes: part }.encode()).await?;
        offset += length;
    }
    Ok(())
}

async fn part(core: &Core, source: &Source, index: u32) -> Result<Option<Bytes>, StoreError> {
    match source {
        Source::Own(row) => core.own.part(OUTBOX, *row, index).await,
        Source::Cached(number) => match &core.cache {
            Some(cache) => cache.disk.part(CACHE, *number, index).await,
            None => Ok(None),
        },
        // Receipts have one part.
        Source::Receipt(.., sealed) => Ok(Some(sealed.clone())),
    }
}

/// What this peer is offered next: receipts, then what it left with us to be kept, then our own.
fn next(core: &Core, peer: &Hashname) -> Option<OnOffer> {
    next_receipt(core, peer).or_else(|| next_cached(core, peer)).or_else(|| next_own(core, peer))
}

fn next_receipt(core: &Core, peer: &Hashname) -> Option<OnOffer> {
    loop {
        if lock(&core.receipts).is_empty() {
            return None;
        }
        // Asked before the lock is taken, because the answer needs another one.
        let senders = lock(&core.receipts).senders();
        let led: Vec<_> = senders.into_iter().filter(|sender| core.leads(peer, sender)).collect();
        let (key, version) = lock(&core.receipts).next(peer, |sender| led.contains(sender))?;
        let (recipient, stream) = key;
        let settled = lock(&core.inbox).done(&recipient, stream);
        let sealed = settled.and_then(|settled| {
            core.sealer.seal(&recipient, &Receipt { stream, settled }.encode(), CONTEXT).ok()
        });
        let Some(sealed) = sealed.map(Bytes::from) else {
            // Without the stream or the sender's keys there is nothing to be said.
            lock(&core.receipts).drop_due(&key);
            continue;
        };
        let size = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        let id = MessageId::of(&sealed);
        return Some(OnOffer { id, recipient, size, source: Source::Receipt(key, version, sealed) });
    }
}

fn next_cached(core: &Core, peer: &Hashname) -> Option<OnOffer> {
    let cache = core.cache.as_ref()?;
    let mut cursor = lock(&core.peers).cursor(peer)?;
    let tag = cache.keying.recipient(peer);
    let (id, size, number) = {
        let shelf = lock(&cache.shelf);
        let (number, entry) = shelf.next_for(tag, cursor.cached)?;
        (entry.id, entry.size, number)
    };
    cursor.cached = number + 1;
    lock(&core.peers).advance(peer, cursor);
    Some(OnOffer { id, recipient: *peer, size, source: Source::Cached(number) })
}

fn next_own(core: &Core, peer: &Hashname) -> Option<OnOffer> {
    let now = core.clock.seconds();
    loop {
        let mut cursor = lock(&core.peers).cursor(peer)?;
        let (row, offer, expired, arrived) = {
            let state = lock(&core.outbox);
            let (row, outgoing) = state.rows.range(cursor.own..).next()?;
            let source = Source::Own(*row);
            let (id, recipient, size) = (outgoing.id, outgoing.recipient, outgoing.size);
            let arrived = outgoing.stage == crate::Stage::Arrived;
            (*row, OnOffer { id, recipient, size, source }, outgoing.expires <= now, arrived)
        };
        let direct = *peer == offer.recipient;
        // What has arrived needs no cache, but its recipient is asked again: it may have lost it.
        let wanted = direct || !(arrived || lock(&core.peers).holds_back(peer, row));
        let wanted = wanted && !expired && core.leads(peer, &offer.recipient);
        if wanted && !direct {
            let size = u64::from(offer.size);
            if cursor.left > 0 && cursor.left + size > core.limits.per_cache {
                cursor.limited = true;
                lock(&core.peers).advance(peer, cursor);
                return None;
            }
            cursor.left += size;
        }
        cursor.own = row + 1;
        lock(&core.peers).advance(peer, cursor);
        if wanted {
            return Some(offer);
        }
    }
}

/// Behind everything that people wait for.
const PRIORITY: i32 = -1;
