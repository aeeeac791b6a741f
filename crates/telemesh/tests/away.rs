//! Chat with boxes on the simulated network: what is said to somebody who is away waits in a router's box, and is all there when they
//! come, whoever else is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

use std::sync::Arc;
use std::time::Duration;

use telemesh::boxes::{Boxes, CacheLimits, CacheSecret, Caches, GRANT, MemoryStore};
use telemesh::chat::{self, BoxMailbox, Chat, ChatId, Chats, Config, Event};
use telemesh::{Contact, Grants, LinkInfo, MeshBoxes as _, MeshChats as _};
use telemesh_testkit::{Node, World};
use tokio::time::{sleep, timeout};

/// Somebody whose stores outlive a crash.
struct Person {
    node: Node,
    name: &'static str,
    boxes: Arc<MemoryStore>,
    chats: Arc<chat::MemoryStore>,
    cache: Caches,
    here: Option<(Boxes, Chats)>,
}

impl Person {
    fn new(world: &World, name: &'static str) -> Self {
        let cache = Caches::none();
        Self { node: world.node(name), name, boxes: Arc::default(), chats: Arc::default(), cache, here: None }
    }

    async fn come(&mut self) -> &Chats {
        let mesh = self.node.try_mesh().unwrap_or_else(|| self.node.start());
        let boxes = mesh.boxes().store(self.boxes.clone()).caches(self.cache.clone()).start().unwrap();
        let mailbox = Arc::new(BoxMailbox::new(&boxes).unwrap());
        let config = Config::new(self.name.parse().unwrap()).store(self.chats.clone()).mailbox(mailbox);
        let chats = mesh.chats(config).await.unwrap();
        &self.here.insert((boxes, chats)).1
    }

    /// Ends it without a word.
    async fn crash(&mut self) {
        self.here = None;
        self.node.crash();
        sleep(Duration::from_secs(1)).await;
    }

    fn chats(&self) -> &Chats {
        &self.here.as_ref().expect("they are here").1
    }

    async fn chat(&self, id: ChatId) -> Chat {
        self.chats().open(id).await.unwrap()
    }

    /// What is said is with the cache.
    async fn hand_over(&self) {
        let (boxes, chats) = self.here.as_ref().expect("they are here");
        chats.mail().await.unwrap();
        assert!(
            boxes.handed_over(&BoxMailbox::label(), Duration::from_secs(30)).await,
            "the router takes it"
        );
    }
}

/// Alice and bob in a chat that alice leads, with a router that keeps messages for both.
async fn three(world: &World) -> (Node, Boxes, [Person; 2], ChatId) {
    let router = world.node("router");
    let secret = CacheSecret::from_bytes([7; 32]);
    let cache = router.mesh().boxes().cache(Arc::<MemoryStore>::default(), secret, CacheLimits::default());
    let cache = cache.start().unwrap();
    let mut people = ["alice", "bob"].map(|name| Person::new(world, name));
    for person in &mut people {
        let mut grants = Grants::link();
        grants.insert(GRANT.parse().unwrap()).unwrap();
        let keys = LinkInfo::new(person.node.info().keys().clone()).unwrap();
        router.mesh().set_contact(Contact::new(keys).with_grants(grants)).unwrap();
        person.node.mesh().link(router.info()).await.unwrap();
        person.cache = Caches::for_all([router.hashname()]);
        person.come().await;
    }
    let [alice, bob] = &people;
    world.link(&alice.node, &bob.node).await;
    let chat = alice.chats().create("lunch".parse().unwrap()).await.unwrap();
    let mut invitations = bob.chats().invitations().await.unwrap();
    chat.invite(bob.node.hashname()).await.unwrap();
    let invitation = invitations.next().await.unwrap();
    let theirs = bob.chats().accept(invitation.chat).await.unwrap();
    let mut events = theirs.events().await.unwrap();
    while !theirs.info().await.unwrap().joined {
        events.next().await.unwrap();
    }
    chat.say("hello").await.unwrap();
    heard(&theirs, &["hello"]).await;
    (router, cache, people, chat.id())
}

/// Waits until exactly this was said, in this order.
async fn heard(chat: &Chat, texts: &[&str]) {
    let mut events = chat.events().await.unwrap();
    let all = async {
        loop {
            let history = chat.history(100).await.unwrap();
            let said: Vec<_> = history.iter().map(|message| message.text.text.as_str()).collect();
            if said == texts {
                return;
            }
            assert!(said.len() < texts.len(), "{said:?}");
            while !matches!(events.next().await, Some(Event::Message(_))) {}
        }
    };
    timeout(Duration::from_secs(120), all).await.expect("it does not come");
}

#[test]
fn what_is_said_to_somebody_away_is_there_when_they_come_and_the_one_who_said_it_has_gone() {
    World::run(61, |world| async move {
        let (router, cache, [mut alice, mut bob], id) = three(&world).await;
        bob.crash().await;
        let chat = alice.chat(id).await;
        for text in ["one", "two", "three"] {
            chat.say(text).await.unwrap();
        }
        alice.hand_over().await;
        let digest = chat.digest().await.unwrap();
        // Whoever holds a chat holds the endpoint.
        drop(chat);
        alice.crash().await;
        assert!(cache.cache_use().unwrap().messages > 0);

        bob.come().await;
        bob.node.mesh().link(router.info()).await.unwrap();
        let theirs = bob.chat(id).await;
        heard(&theirs, &["hello", "one", "two", "three"]).await;
        assert_eq!(theirs.digest().await.unwrap(), digest, "the same history, by hash");
        assert_eq!(theirs.counters().await.unwrap().refused, 0);
        // What bob says meanwhile waits for alice.
        theirs.say("back").await.unwrap();
        bob.hand_over().await;
        drop(theirs);
        bob.crash().await;
        alice.come().await;
        alice.node.mesh().link(router.info()).await.unwrap();
        let chat = alice.chat(id).await;
        heard(&chat, &["hello", "one", "two", "three", "back"]).await;
    });
}

#[test]
fn what_was_said_before_a_crash_and_is_in_no_box_yet_gets_there_after_it() {
    World::run(62, |world| async move {
        let (router, cache, [mut alice, mut bob], id) = three(&world).await;
        bob.crash().await;
        alice.chat(id).await.say("one").await.unwrap();
        // Long before anything is put into a mailbox.
        alice.crash().await;
        assert_eq!(cache.cache_use().unwrap().messages, 0);
        alice.come().await;
        alice.node.mesh().link(router.info()).await.unwrap();
        sleep(chat::MAIL_DELAY * 2).await;
        let kept = cache.cache_use().unwrap().messages;
        assert!(kept > 0);
        // What is in a box is not put there again.
        alice.crash().await;
        alice.come().await;
        alice.node.mesh().link(router.info()).await.unwrap();
        sleep(chat::MAIL_DELAY * 2).await;
        assert_eq!(cache.cache_use().unwrap().messages, kept);
        alice.crash().await;
        bob.come().await;
        bob.node.mesh().link(router.info()).await.unwrap();
        heard(&bob.chat(id).await, &["hello", "one"]).await;
    });
}
