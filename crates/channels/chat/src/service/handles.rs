//! What applications hold: [`Chats`] for all chats of an endpoint, [`Chat`] for one.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use telemesh_channel::{HandleError, Network};
use telemesh_hashname::Hashname;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::driver::{Command, Driver, RoomCommand};
use super::{Events, Invitations};
use crate::content::{Profile, Text};
use crate::error::ChatError;
use crate::id::{ChatId, EntryId, ParticipantKey};
use crate::log::Message;
use crate::mailbox::Mailbox;
use crate::name::Name;
use crate::room::{Counters, Delivery};
use crate::store::{MemoryStore, Store};

/// How chats are kept and who we are in them.
pub struct Config {
    pub(super) name: Name,
    pub(super) link: String,
    pub(super) store: Arc<dyn Store>,
    pub(super) mailbox: Option<Arc<dyn Mailbox>>,
    pub(super) clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    pub(super) meet: Option<Meet>,
}

/// Hears of participants: who, and where they can be linked to, or nothing.
pub(super) type Meet = Arc<dyn Fn(Hashname, &str) + Send + Sync>;

impl Config {
    /// Chats in memory, under this name.
    #[must_use]
    pub fn new(name: Name) -> Self {
        Self {
            name,
            link: String::new(),
            store: Arc::new(MemoryStore::default()),
            mailbox: None,
            clock: Arc::new(system_clock),
            meet: None,
        }
    }

    /// Where chats are kept. Default: in memory.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    /// How those who are away are reached. Default: not at all, until they are back.
    #[must_use]
    pub fn mailbox(mut self, mailbox: Arc<dyn Mailbox>) -> Self {
        self.mailbox = Some(mailbox);
        self
    }

    /// Where other participants can link to us: a URI without a secret, at most [`MAX_LINK`](crate::MAX_LINK) bytes. It becomes
    /// part of our profile. Default: nothing.
    #[must_use]
    pub fn link(mut self, link: String) -> Self {
        self.link = link;
        self
    }

    /// Hears of each participant once when they join, and whenever they say where they can be linked to, which is empty in the
    /// first case. Participants link pairwise, so this is where they become contacts. Called by the task that owns all
    /// chats: it must not wait. Default: nobody hears of them.
    #[must_use]
    pub fn meet(mut self, meet: impl Fn(Hashname, &str) + Send + Sync + 'static) -> Self {
        self.meet = Some(Arc::new(meet));
        self
    }

    /// The wall clock, in milliseconds since 1970. It is shown beside messages and used for nothing. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Config").field("name", &self.name).finish_non_exhaustive()
    }
}

fn system_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Why chats were not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Somebody else takes chats at this endpoint.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// The store could not be read.
    #[error("the chats could not be read: {0}")]
    Store(#[from] io::Error),
}

/// The chats of one endpoint. Clones are the same; when the last one and all [`Chat`]s are gone, chats end.
#[derive(Clone)]
pub struct Chats {
    shared: Arc<Shared>,
}

struct Shared {
    commands: mpsc::Sender<Command>,
    driver: JoinHandle<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Chats {
    /// Starts chats at an endpoint: those of its store go on.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(network: Arc<dyn Network>, config: Config) -> Result<Self, StartError> {
        let (driver, commands) = Driver::new(network, config).await?;
        Ok(Self { shared: Arc::new(Shared { commands, driver: tokio::spawn(driver.run()) }) })
    }

    /// Begins a chat, which we lead.
    ///
    /// # Errors
    /// [`ChatError`].
    pub async fn create(&self, name: Name) -> Result<Chat, ChatError> {
        let id = self.ask(|reply| Command::Create { name, reply }).await??;
        Ok(self.handle(id))
    }

    /// The chats that there are.
    ///
    /// # Errors
    /// [`ChatError::Ended`].
    pub async fn list(&self) -> Result<Vec<ChatInfo>, ChatError> {
        self.ask(|reply| Command::List { reply }).await
    }

    /// One of them.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`].
    pub async fn open(&self, id: ChatId) -> Result<Chat, ChatError> {
        let known = self.list().await?.iter().any(|chat| chat.id == id);
        if known { Ok(self.handle(id)) } else { Err(ChatError::NoSuchChat) }
    }

    /// Invitations: those that wait for an answer, and those that come from now on.
    ///
    /// # Errors
    /// [`ChatError::Ended`].
    pub async fn invitations(&self) -> Result<Invitations, ChatError> {
        self.ask(|reply| Command::Invitations { reply }).await
    }

    /// Accepts an invitation. We are in the chat as soon as its leader is reached and has signed it.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`] if there is no such invitation.
    pub async fn accept(&self, chat: ChatId) -> Result<Chat, ChatError> {
        self.ask(|reply| Command::Accept { chat, reply }).await??;
        Ok(self.handle(chat))
    }

    /// Does not accept an invitation.
    ///
    /// # Errors
    /// [`ChatError::Ended`].
    pub async fn decline(&self, chat: ChatId) -> Result<(), ChatError> {
        self.ask(|reply| Command::Decline { chat, reply }).await
    }

    /// Forgets a chat with its history and our key for it.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`], [`ChatError::Store`].
    pub async fn forget(&self, chat: ChatId) -> Result<(), ChatError> {
        self.ask(|reply| Command::Forget { chat, reply }).await?
    }

    /// Puts what others have not acknowledged into their mailboxes now instead of in a while, and waits until the mailboxes have it
    /// or have not kept it: for an endpoint that is about to end.
    ///
    /// # Errors
    /// [`ChatError::Ended`].
    pub async fn mail(&self) -> Result<(), ChatError> {
        self.ask(|reply| Command::Mail { reply }).await
    }

    fn handle(&self, id: ChatId) -> Chat {
        Chat { id, chats: self.clone() }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, ChatError> {
        let (reply, answer) = oneshot::channel();
        self.shared.commands.send(command(reply)).await.map_err(|_| ChatError::Ended)?;
        answer.await.map_err(|_| ChatError::Ended)
    }
}

impl fmt::Debug for Chats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Chats").finish_non_exhaustive()
    }
}

/// One chat, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChatInfo {
    /// Its id.
    pub id: ChatId,
    /// Its name.
    pub name: Name,
    /// Its leader's endpoint.
    pub leader: Hashname,
    /// Our key in it.
    pub me: ParticipantKey,
    /// Whether the leader has signed our join.
    pub joined: bool,
    /// Messages of others that were not read here.
    pub unread: usize,
}

/// One participant of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Their key; `None` for those who are invited.
    pub key: Option<ParticipantKey>,
    /// Their endpoint.
    pub hashname: Hashname,
    /// What they call themselves, once they have said so.
    pub name: Option<Name>,
    /// The same person's other devices: those that name this one too.
    pub devices: Vec<ParticipantKey>,
    /// Whether our channel to them is open.
    pub here: bool,
    /// The number of the first entry of which they have signed two versions.
    pub two_versions: Option<u64>,
}

/// One chat. Clones are the same.
#[derive(Clone)]
pub struct Chat {
    id: ChatId,
    chats: Chats,
}

impl Chat {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> ChatId {
        self.id
    }

    /// Says something. It resolves when it is stored here, and goes to everybody from then on.
    ///
    /// # Errors
    /// [`ChatError`]: too large, not joined yet, not stored.
    pub async fn say(&self, text: impl Into<Text>) -> Result<EntryId, ChatError> {
        let text = text.into();
        self.ask(|reply| RoomCommand::Say { text, edit: false, reply }).await?
    }

    /// Replaces the last text that we have said.
    ///
    /// # Errors
    /// As [`say`](Self::say), or there is none.
    pub async fn edit(&self, text: impl Into<Text>) -> Result<EntryId, ChatError> {
        let text = text.into();
        self.ask(|reply| RoomCommand::Say { text, edit: true, reply }).await?
    }

    /// Says who we are.
    ///
    /// # Errors
    /// As [`say`](Self::say).
    pub async fn set_profile(&self, profile: Profile) -> Result<(), ChatError> {
        self.ask(|reply| RoomCommand::Profile { profile, reply }).await?
    }

    /// What we have said about us; `None` before that.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`].
    pub async fn profile(&self) -> Result<Option<Profile>, ChatError> {
        self.ask(|reply| RoomCommand::OwnProfile { reply }).await
    }

    /// Invites an endpoint, which has to be a contact. Only the leader can.
    ///
    /// # Errors
    /// [`ChatError::NotTheLeader`], [`ChatError::Full`].
    pub async fn invite(&self, hashname: Hashname) -> Result<(), ChatError> {
        self.ask(|reply| RoomCommand::Invite { hashname, reply }).await?
    }

    /// All up to this message was read here.
    ///
    /// # Errors
    /// [`ChatError::Unknown`].
    pub async fn read(&self, id: EntryId) -> Result<(), ChatError> {
        self.ask(|reply| RoomCommand::Read { id, reply }).await?
    }

    /// Tells those who are here whether we type.
    ///
    /// # Errors
    /// [`ChatError::Ended`].
    pub async fn set_typing(&self, typing: bool) -> Result<(), ChatError> {
        self.ask(|reply| RoomCommand::Typing { typing, reply }).await
    }

    /// What happens from now on.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`].
    pub async fn events(&self) -> Result<Events, ChatError> {
        self.ask(|reply| RoomCommand::Events { reply }).await
    }

    /// The last `limit` messages, in their order.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`].
    pub async fn history(&self, limit: usize) -> Result<Vec<Message>, ChatError> {
        self.ask(|reply| RoomCommand::History { limit, reply }).await
    }

    /// Who is in it, and who is invited.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`].
    pub async fn members(&self) -> Result<Vec<Member>, ChatError> {
        self.ask(|reply| RoomCommand::Members { reply }).await
    }

    /// Who has received and read a message, all participants but its sender.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`].
    pub async fn delivery(&self, id: EntryId) -> Result<Vec<Delivery>, ChatError> {
        self.ask(|reply| RoomCommand::Delivery { id, reply }).await
    }

    /// A hash over the whole history: equal where the history is.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`].
    pub async fn digest(&self) -> Result<[u8; 32], ChatError> {
        self.ask(|reply| RoomCommand::Digest { reply }).await
    }

    /// What was counted since the endpoint has started.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`].
    pub async fn counters(&self) -> Result<Counters, ChatError> {
        self.ask(|reply| RoomCommand::Counters { reply }).await
    }

    /// The chat in short.
    ///
    /// # Errors
    /// [`ChatError::NoSuchChat`].
    pub async fn info(&self) -> Result<ChatInfo, ChatError> {
        self.ask(|reply| RoomCommand::Info { reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> RoomCommand) -> Result<T, ChatError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Room { chat: self.id, command: command(reply) };
        self.chats.shared.commands.send(command).await.map_err(|_| ChatError::Ended)?;
        // A chat that is not there answers nothing.
        answer.await.map_err(|_| ChatError::NoSuchChat)
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Chat").field("id", &self.id).finish_non_exhaustive()
    }
}
