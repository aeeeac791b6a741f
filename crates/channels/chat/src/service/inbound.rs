//! Channels that peers open, and what they ask for: the chat, and with it maybe an invitation.

use std::future::ready;

use bytes::Bytes;
use telemesh_channel::{BoxFuture, Handler, Incoming, Refusal, RefusalCode};
use tokio::sync::mpsc;

use crate::id::ChatId;
use crate::limits::MAX_CHATS;

/// Channels that wait for the driver. Beyond that peers are refused as busy.
pub(super) const QUEUE: usize = 256;

/// Hands channels of type `chat` to the driver.
#[derive(Debug)]
pub(super) struct Inbound(pub(super) mpsc::Sender<Incoming>);

impl Handler for Inbound {
    fn handle(&self, incoming: Incoming) -> BoxFuture<'static, ()> {
        match self.0.try_send(incoming) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(incoming)) => {
                incoming.refuse(Refusal::new(RefusalCode::Busy, "too many chats at once"));
            }
            Err(mpsc::error::TrySendError::Closed(incoming)) => {
                incoming.refuse(Refusal::new(RefusalCode::UnknownType, "nobody chats here"));
            }
        }
        Box::pin(ready(()))
    }

    /// One for each chat, and one more while it is replaced.
    fn max_open(&self) -> usize {
        2 * MAX_CHATS
    }

    fn is_retired(&self) -> bool {
        self.0.is_closed()
    }
}

/// The body of an open message: which chat it is for, and for those who are invited its first entry.
pub(super) fn body(chat: &ChatId, first: Option<&Bytes>) -> Bytes {
    let first = first.map_or(&[][..], AsRef::as_ref);
    Bytes::from([chat.as_bytes(), first].concat())
}

/// The two parts of such a body.
pub(super) fn split(body: &Bytes) -> Option<(ChatId, Bytes)> {
    let (chat, first) = body.split_first_chunk::<32>()?;
    Some((ChatId::from_bytes(*chat), body.slice_ref(first)))
}
