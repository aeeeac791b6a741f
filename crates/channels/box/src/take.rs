//! Taking: one session in which a peer gives messages, for us or to be kept for others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use telemesh_channel::{BoxFuture, Channel, ChannelKind, Handler, Incoming, MessageError, Messages};
use telemesh_hashname::Hashname;
use telemesh_wire::{Refusal, RefusalCode};

use crate::VERSION;
use crate::bring::{Bringing, Done, Guard};
use crate::cache::GRANT;
use crate::core::{Core, lock};
use crate::id::{Keying, MessageId};
use crate::inbox::state::SELF;
use crate::limits::{LARGE_AT_ONCE, MAX_SESSIONS, PART, WINDOW};
use crate::shelf::{Admission, Offered};
use crate::wire::frames::{Answer, MAX_FRAME, Reason, Said};

/// Answers the channels of this crate. It does not keep the endpoint alive.
#[derive(Debug)]
pub(crate) struct Taker {
    pub(crate) core: Weak<Core>,
}

impl Handler for Taker {
    fn handle(&self, incoming: Incoming) -> BoxFuture<'static, ()> {
        let core = self.core.upgrade();
        Box::pin(async move {
            match core {
                Some(core) => answer(&core, incoming).await,
                None => incoming
                    .refuse(Refusal::new(RefusalCode::UnknownType, "there are no boxes here any more")),
            }
        })
    }

    fn max_open(&self) -> usize {
        MAX_SESSIONS
    }

    fn is_retired(&self) -> bool {
        self.core.upgrade().is_none_or(|core| core.is_stopped())
    }
}

/// Why a session ended early.
#[derive(Debug, thiserror::Error)]
enum TakeError {
    #[error(transparent)]
    Channel(#[from] MessageError),
    #[error("the peer says something that makes no sense here")]
    Nonsense,
}

async fn answer(core: &Arc<Core>, incoming: Incoming) {
    let peer = incoming.peer();
    if incoming.kind() == ChannelKind::Unreliable || incoming.open().body[..] != [VERSION] {
        return incoming
            .refuse(Refusal::new(RefusalCode::NotAllowed, "another version of box, or no reliable channel"));
    }
    let Ok(channel) = incoming.accept() else { return };
    let mut session = Session {
        core: core.clone(),
        peer,
        frames: Messages::new(channel).with_max_size(MAX_FRAME),
        open: 0,
        bringing: HashMap::new(),
        later: VecDeque::new(),
        works: FuturesUnordered::new(),
    };
    let mut stop = core.stop.subscribe();
    tokio::select! {
        ended = session.run() => {
            if let Err(error) = ended {
                tracing::debug!(peer = %peer.short(), %error, "a session of box has failed");
            }
        }
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
}

/// An offer that waits until a large message before it is there.
struct Later {
    id: MessageId,
    recipient: Hashname,
    size: u32,
}

struct Session {
    core: Arc<Core>,
    peer: Hashname,
    frames: Messages<Channel>,
    /// Offers without their last answer.
    open: usize,
    /// What was asked for and is on its way.
    bringing: HashMap<MessageId, Bringing>,
    later: VecDeque<Later>,
    /// What is being opened and stored.
    works: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl Session {
    async fn run(&mut self) -> Result<(), TakeError> {
        loop {
            tokio::select! {
                Some(done) = self.works.next() => self.done(done).await?,
                frame = self.frames.receive(), if self.works.len() < WINDOW => match frame? {
                    Some(frame) => self.hear(&frame).await?,
                    None => break,
                },
            }
        }
        // The giver has heard all answers before it ends; what is left is what it gave up.
        Ok(self.frames.finish().await?)
    }

    async fn hear(&mut self, frame: &Bytes) -> Result<(), TakeError> {
        match Said::decode(frame).map_err(|_| TakeError::Nonsense)? {
            Said::Offer { id, recipient, size } => {
                self.open += 1;
                if self.open > WINDOW {
                    return Err(TakeError::Nonsense);
                }
                let offer = Later { id, recipient, size };
                if is_large(size) && self.large() >= LARGE_AT_ONCE {
                    self.later.push_back(offer);
                    return Ok(());
                }
                self.decide(offer).await
            }
            Said::Part { id, offset, bytes } => self.part(id, offset, bytes),
            Said::Caches { caches } => {
                self.core.hear_caches(self.peer, caches).await;
                Ok(())
            }
            Said::Gone { id } => {
                if let Some(cache) = &self.core.cache {
                    cache.let_go(&self.peer, id);
                    // If it fails it is tried again with the next one.
                    let _ = cache.clean().await;
                }
                Ok(())
            }
        }
    }

    fn large(&self) -> usize {
        self.bringing.values().filter(|bringing| is_large(bringing.size)).count()
    }

    /// Answers an offer.
    async fn decide(&mut self, offer: Later) -> Result<(), TakeError> {
        let Later { id, recipient, size } = offer;
        if self.bringing.contains_key(&id) {
            return Err(TakeError::Nonsense);
        }
        let (admission, for_us) = self.admit(&offer);
        let refused = |reason| Answer::Refused { id, reason };
        let answer = match admission {
            Some(Admission::Bring(claim)) => {
                let (core, peer) = (self.core.clone(), self.peer);
                let guard = Guard { core, peer, recipient, for_us, claim };
                self.bringing.insert(id, Bringing::new(guard, id, size));
                let want = Answer::Want { id, offset: claim.held };
                return Ok(self.frames.send(want.encode()).await?);
            }
            Some(Admission::Whole) => Answer::Stored { id },
            Some(Admission::Refused(reason)) => refused(reason),
            None => Answer::Done { id },
        };
        self.last_word(answer).await
    }

    /// What the shelf says, and whether it is our own. `None`: the message is not needed any more.
    fn admit(&self, offer: &Later) -> (Option<Admission>, bool) {
        let core = &self.core;
        let now = core.clock.seconds();
        if offer.recipient == core.me {
            let mut inbox = lock(&core.inbox);
            if let Some(stream) = inbox.remembered(&offer.id) {
                drop(inbox);
                lock(&core.receipts).add(stream);
                core.reach(&stream.0);
                return (None, true);
            }
            let tag = Keying::Plain.recipient(&SELF);
            let offered = Offered { id: offer.id, giver: tag, recipient: tag, size: offer.size };
            let admission = inbox.shelf.admit(offered, now);
            if admission == Admission::Whole {
                inbox.offered_by(offer.id, self.peer);
            }
            return (Some(admission), true);
        }
        // One answer whoever the recipient is: it says something about the giver only.
        let admission = match &core.cache {
            Some(cache) if core.network.has_grant(&self.peer, GRANT) => {
                let offered = Offered {
                    id: offer.id,
                    giver: cache.keying.giver(&self.peer),
                    recipient: cache.keying.recipient(&offer.recipient),
                    size: offer.size,
                };
                lock(&cache.shelf).admit(offered, now)
            }
            _ => Admission::Refused(Reason::NotAllowed),
        };
        (Some(admission), false)
    }

    fn part(&mut self, id: MessageId, offset: u32, bytes: Bytes) -> Result<(), TakeError> {
        // Of a message that was refused while its parts were on their way.
        let Some(bringing) = self.bringing.get_mut(&id) else { return Ok(()) };
        self.works.push(bringing.part(offset, bytes).ok_or(TakeError::Nonsense)?);
        Ok(())
    }

    async fn done(&mut self, done: Done) -> Result<(), TakeError> {
        let Some(answer) = done.answer else { return Ok(()) };
        // Only the first last word counts: parts behind one that could not be stored fail too.
        if self.bringing.remove(&done.id).is_some() {
            self.last_word(answer).await?;
        }
        Ok(())
    }

    async fn last_word(&mut self, answer: Answer) -> Result<(), TakeError> {
        self.open = self.open.saturating_sub(1);
        self.frames.send(answer.encode()).await?;
        if self.large() < LARGE_AT_ONCE
            && let Some(offer) = self.later.pop_front()
        {
            return Box::pin(self.decide(offer)).await;
        }
        Ok(())
    }
}

fn is_large(size: u32) -> bool {
    usize::try_from(size).is_ok_and(|size| size > PART)
}
