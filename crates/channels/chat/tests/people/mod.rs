//! Endpoints in memory with chats, under virtual time.

#![allow(dead_code, reason = "each test uses some of it")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::memory::{self, MemoryEndpoint};
use telemesh_channel::{ChannelError, Network};
use telemesh_chat::{Chat, ChatId, Chats, Config, Event, Events, MemoryMailboxes, MemoryStore, Store};
use telemesh_hashname::Hashname;

/// Runs a scenario to its end on one thread. The clock is virtual: it moves only when every task waits, and then jumps to
/// the next deadline, so a scenario that waits for something that never happens fails at once.
pub(crate) fn run<F: Future>(scenario: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let limit = Duration::from_secs(24 * 60 * 60);
        tokio::time::timeout(limit, scenario).await.expect("every task waits for ever")
    })
}

/// Somebody with an endpoint, who may leave and come back.
pub(crate) struct Person {
    pub(crate) hashname: Hashname,
    name: String,
    store: Arc<dyn Store>,
    mailboxes: Option<MemoryMailboxes>,
    /// How far the clock is off, in milliseconds.
    clock_off: i64,
    pub(crate) here: Option<Here>,
}

/// What somebody has while they are there.
pub(crate) struct Here {
    pub(crate) endpoint: Arc<MemoryEndpoint>,
    pub(crate) chats: Chats,
}

impl Person {
    pub(crate) fn new(n: u8) -> Self {
        Self {
            hashname: Hashname::from_bytes([n; 32]),
            name: format!("person {n}"),
            store: Arc::new(MemoryStore::default()),
            mailboxes: None,
            clock_off: 0,
            here: None,
        }
    }

    pub(crate) fn with_store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    pub(crate) fn with_mailboxes(mut self, mailboxes: &MemoryMailboxes) -> Self {
        self.mailboxes = Some(mailboxes.clone());
        self
    }

    pub(crate) fn with_clock_off(mut self, milliseconds: i64) -> Self {
        self.clock_off = milliseconds;
        self
    }

    pub(crate) async fn come(&mut self) -> &Here {
        let endpoint = MemoryEndpoint::new(self.hashname);
        let off = self.clock_off;
        let started = tokio::time::Instant::now();
        let clock = move || {
            let passed = i64::try_from(started.elapsed().as_millis()).unwrap();
            u64::try_from(1_700_000_000_000 + passed + off).unwrap()
        };
        let mut config = Config::new(self.name.parse().unwrap()).store(Arc::clone(&self.store)).clock(clock);
        if let Some(mailboxes) = &self.mailboxes {
            config = config.mailbox(Arc::new(mailboxes.of(self.hashname)));
        }
        let network: Arc<dyn Network> = endpoint.clone();
        let chats = Chats::start(network, config).await.unwrap();
        self.here.insert(Here { endpoint, chats })
    }

    pub(crate) fn chats(&self) -> &Chats {
        &self.here.as_ref().unwrap().chats
    }

    pub(crate) async fn chat(&self, id: ChatId) -> Chat {
        self.chats().open(id).await.unwrap()
    }
}

pub(crate) fn link(one: &Person, other: &Person) {
    if let (Some(one), Some(other)) = (&one.here, &other.here) {
        memory::connect(&one.endpoint, &other.endpoint);
    }
}

pub(crate) fn cut(one: &Person, other: &Person) {
    if let (Some(one), Some(other)) = (&one.here, &other.here) {
        memory::disconnect(&one.endpoint, &other.endpoint, &ChannelError::LinkDown);
    }
}

/// Somebody goes: links end, and what only they had in memory is gone.
pub(crate) fn leave(people: &mut [Person], who: usize) {
    for other in 0..people.len() {
        if other != who {
            cut(&people[who], &people[other]);
        }
    }
    people[who].here = None;
}

/// A chat of all of these, who have links with each other.
pub(crate) async fn chat_of(people: &mut [Person]) -> ChatId {
    for person in people.iter_mut() {
        person.come().await;
    }
    for one in 0..people.len() {
        for other in 0..one {
            link(&people[one], &people[other]);
        }
    }
    let chat = people[0].chats().create("room".parse().unwrap()).await.unwrap();
    for person in &people[1..] {
        let mut invitations = person.chats().invitations().await.unwrap();
        chat.invite(person.hashname).await.unwrap();
        let invitation = invitations.next().await.unwrap();
        assert_eq!((invitation.leader, invitation.name.as_str()), (people[0].hashname, "room"));
        let theirs = person.chats().accept(invitation.chat).await.unwrap();
        joined(&theirs).await;
    }
    chat.id()
}

/// Waits until the leader has signed our join.
pub(crate) async fn joined(chat: &Chat) {
    let mut events = chat.events().await.unwrap();
    while !chat.info().await.unwrap().joined {
        events.next().await.unwrap();
    }
}

/// Waits for a text.
pub(crate) async fn hear(events: &mut Events, text: &str) {
    loop {
        if let Event::Message(message) = events.next().await.unwrap()
            && message.text.text == text
        {
            return;
        }
    }
}

/// A little later.
pub(crate) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
