//! What happens in a chat, as its users hear of it.

use telemesh_hashname::Hashname;

use crate::error::Refused;
use crate::id::{ChatId, ParticipantKey};
use crate::log::Message;
use crate::name::Name;

/// See the module's page.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A text is new, or reads differently now: [`Message::edited`] tells which. Its place in the history need not be the
    /// last one.
    Message(Message),
    /// Somebody is a participant from now on; maybe we.
    Joined {
        /// Their key.
        key: ParticipantKey,
        /// Their endpoint.
        hashname: Hashname,
    },
    /// A participant says who they are.
    Profile {
        /// Who.
        key: ParticipantKey,
        /// Their endpoint.
        hashname: Hashname,
        /// Their name.
        name: Name,
        /// Where they can be linked to, as they say; empty if they do not.
        link: String,
    },
    /// Somebody has received or read more.
    Acknowledged {
        /// Who.
        key: ParticipantKey,
        /// Whose entries.
        about: ParticipantKey,
        /// So many of them are there.
        received: u64,
        /// So many were read.
        read: u64,
    },
    /// Somebody types, or has stopped.
    Typing {
        /// Who.
        key: ParticipantKey,
        /// Whether they type.
        typing: bool,
    },
    /// A participant can be reached over a link, or not any more.
    Presence {
        /// Who.
        hashname: Hashname,
        /// Whether they can.
        here: bool,
    },
    /// Something that a peer sent was refused.
    Refused {
        /// Who sent it.
        via: Hashname,
        /// Whose it was said to be, as far as that could be read.
        sender: Option<ParticipantKey>,
        /// Why.
        reason: Refused,
    },
    /// A participant has signed two versions of an entry. From it on, nothing of theirs counts.
    TwoVersions {
        /// Who.
        key: ParticipantKey,
        /// The number of the entry.
        sequence: u64,
    },
    /// Entries wait for others that nobody has sent.
    Gap {
        /// How many wait.
        waiting: usize,
    },
    /// The gap is closed.
    GapClosed,
    /// So many events were dropped, because they were not read: look at the history again.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// An invitation to a chat. It is accepted with [`Chats::accept`](crate::Chats::accept).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The chat.
    pub chat: ChatId,
    /// What its leader calls it.
    pub name: Name,
    /// The leader, who sends the invitation.
    pub leader: Hashname,
}
