//! Chats over links in memory: invitations, messages, deliveries, people who are away, and stores that fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

mod people;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use telemesh_channel::{BoxFuture, Channel, Network as _, Open, Opener, RefusalCode};
use telemesh_chat::{
    CHAT, ChatError, ChatId, Event, MAIL_DELAY, MemoryMailboxes, MemoryStore, Profile, Refused, Store,
    StoredChat, Write,
};
use tokio::io::AsyncWriteExt as _;

use people::{Person, chat_of, cut, hear, joined, leave, link, pass, run};

#[test]
fn what_one_says_all_others_hear_and_the_sender_sees_it_delivered_and_read() {
    run(async {
        let mut people = [Person::new(1), Person::new(2), Person::new(3)];
        let id = chat_of(&mut people).await;
        let (alice, bob, carol) =
            (people[0].chat(id).await, people[1].chat(id).await, people[2].chat(id).await);
        let (mut at_alice, mut at_carol) = (alice.events().await.unwrap(), carol.events().await.unwrap());
        let said = bob.say("hello").await.unwrap();
        hear(&mut at_alice, "hello").await;
        hear(&mut at_carol, "hello").await;
        pass(1).await;
        let delivery = bob.delivery(said).await.unwrap();
        assert_eq!(delivery.len(), 2);
        assert!(delivery.iter().all(|delivery| delivery.received && !delivery.read));
        alice.read(said).await.unwrap();
        pass(1).await;
        let delivery = bob.delivery(said).await.unwrap();
        assert_eq!(delivery.iter().map(|delivery| delivery.read).collect::<Vec<_>>(), [true, false]);
        // And who is who.
        let names: Vec<_> = carol
            .members()
            .await
            .unwrap()
            .into_iter()
            .map(|member| member.name.unwrap().to_string())
            .collect();
        assert_eq!(names, ["person 1", "person 2", "person 3"]);
    });
}

#[test]
fn an_edit_takes_the_place_of_the_last_text_everywhere() {
    run(async {
        let mut people = [Person::new(1), Person::new(2)];
        let id = chat_of(&mut people).await;
        let (alice, bob) = (people[0].chat(id).await, people[1].chat(id).await);
        assert_eq!(bob.edit("x").await, Err(ChatError::NothingToEdit));
        let mut events = alice.events().await.unwrap();
        bob.say("tpyo").await.unwrap();
        hear(&mut events, "tpyo").await;
        bob.edit("typo").await.unwrap();
        hear(&mut events, "typo").await;
        let history = alice.history(10).await.unwrap();
        assert_eq!(history.len(), 1);
        assert!(history[0].edited && history[0].text.text == "typo");
    });
}

#[test]
fn typing_is_told_to_those_who_are_here_and_kept_nowhere() {
    run(async {
        let mut people = [Person::new(1), Person::new(2)];
        let id = chat_of(&mut people).await;
        let (alice, bob) = (people[0].chat(id).await, people[1].chat(id).await);
        let mut events = alice.events().await.unwrap();
        let (before, key) = (alice.digest().await.unwrap(), bob.info().await.unwrap().me);
        for typing in [true, false] {
            bob.set_typing(typing).await.unwrap();
            while events.next().await != Some(Event::Typing { key, typing }) {}
        }
        assert_eq!(alice.digest().await.unwrap(), before);
    });
}

#[test]
fn whoever_is_not_invited_is_refused_and_learns_nothing() {
    run(async {
        let mut people = [Person::new(1), Person::new(2)];
        let id = chat_of(&mut people).await;
        people[0].chat(id).await.say("secret").await.unwrap();
        let mut stranger = Person::new(9);
        let here = stranger.come().await;
        let network = here.endpoint.clone();
        link(&stranger, &people[0]);
        // It does not have the chat, so it does not accept it: this is what it would have to do.
        let to_alice = network.link(&people[0].hashname).unwrap();
        let body = [id.as_bytes().as_slice(), b""].concat();
        let mut channel = to_alice.open(Open::reliable(CHAT).with_body(body)).await.unwrap();
        let hello = telemesh_chat::Frame::Hello(telemesh_chat::Hello { answer: true, ..Default::default() });
        channel.write_all(&framed(&hello.encode())).await.unwrap();
        pass(60).await;
        assert_eq!(stranger.chats().list().await.unwrap(), []);
        assert_eq!(network_opened(&people[0], &stranger), 0, "nobody opens a channel to it");
        // A chat that nobody has is refused in the same words as any other mistake.
        let other = ChatId::from_bytes([7; 32]);
        let open = Open::reliable(CHAT).with_body(other.as_bytes().to_vec());
        let refused = to_alice.open(open).await.unwrap().accepted().await.unwrap_err();
        assert!(
            matches!(refused, telemesh_channel::OpenError::Refused(refusal) if refusal.code() == RefusalCode::NotAllowed)
        );
    });
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap().to_be_bytes(), frame].concat()
}

fn network_opened(from: &Person, to: &Person) -> usize {
    let (from, to) = (from.here.as_ref().unwrap(), to.here.as_ref().unwrap());
    let (link, _) = telemesh_channel::memory::connect(&from.endpoint, &to.endpoint);
    link.open_channels(CHAT)
}

#[test]
fn an_oversized_frame_ends_its_channel_and_is_shown() {
    run(async {
        let mut people = [Person::new(1), Person::new(2)];
        let id = chat_of(&mut people).await;
        let alice = people[0].chat(id).await;
        let mut events = alice.events().await.unwrap();
        let bob = people[1].here.as_ref().unwrap();
        let to_alice = bob.endpoint.link(&people[0].hashname).unwrap();
        let mut channel: Channel =
            to_alice.open(Open::reliable(CHAT).with_body(id.as_bytes().to_vec())).await.unwrap();
        channel.write_all(&(64_u32 << 20).to_be_bytes()).await.unwrap();
        loop {
            if let Event::Refused { via, reason, .. } = events.next().await.unwrap() {
                assert_eq!((via, reason), (people[1].hashname, Refused::TooLarge));
                break;
            }
        }
    });
}

#[test]
fn invitations_wait_and_can_be_declined() {
    run(async {
        let mut people = [Person::new(1), Person::new(2)];
        for person in &mut people {
            person.come().await;
        }
        let chat = people[0].chats().create("room".parse().unwrap()).await.unwrap();
        chat.invite(people[1].hashname).await.unwrap();
        link(&people[0], &people[1]);
        pass(5).await;
        // Whoever asks late is told of it all the same.
        let mut invitations = people[1].chats().invitations().await.unwrap();
        let invitation = invitations.next().await.unwrap();
        assert_eq!(invitation.chat, chat.id());
        people[1].chats().decline(invitation.chat).await.unwrap();
        assert_eq!(people[1].chats().accept(invitation.chat).await.unwrap_err(), ChatError::NoSuchChat);
        pass(200).await;
        assert!(invitations.try_next().is_none(), "it is not repeated to who has declined");
        assert_eq!(chat.members().await.unwrap().iter().filter(|member| member.key.is_none()).count(), 1);
    });
}

#[test]
fn somebody_away_gets_what_was_said_from_the_mailbox_with_nobody_there() {
    run(async {
        let mailboxes = MemoryMailboxes::default();
        let mut people = [1, 2, 3].map(|n| Person::new(n).with_mailboxes(&mailboxes));
        let id = chat_of(&mut people).await;
        leave(&mut people, 2);
        people[0].chat(id).await.say("from alice").await.unwrap();
        let mut at_bob = people[1].chat(id).await.events().await.unwrap();
        pass(1).await;
        people[1].chat(id).await.say("from bob").await.unwrap();
        pass(MAIL_DELAY.as_secs() + 1).await;
        assert!(at_bob.try_next().is_some());
        leave(&mut people, 0);
        leave(&mut people, 1);
        people[2].come().await;
        pass(1).await;
        let history = people[2].chat(id).await.history(10).await.unwrap();
        let texts: Vec<_> = history.iter().map(|message| message.text.text.as_str()).collect();
        assert_eq!(texts, ["from alice", "from bob"]);
    });
}

#[test]
fn an_invitation_reaches_somebody_away_and_the_acceptance_too() {
    run(async {
        let mailboxes = MemoryMailboxes::default();
        let mut people = [1, 2].map(|n| Person::new(n).with_mailboxes(&mailboxes));
        people[0].come().await;
        let chat = people[0].chats().create("room".parse().unwrap()).await.unwrap();
        chat.invite(people[1].hashname).await.unwrap();
        pass(1).await;
        people[1].come().await;
        let mut invitations = people[1].chats().invitations().await.unwrap();
        let invitation = invitations.next().await.unwrap();
        let theirs = people[1].chats().accept(invitation.chat).await.unwrap();
        // The two never have a link.
        joined(&theirs).await;
        assert_eq!(chat.members().await.unwrap().len(), 2);
    });
}

#[test]
fn an_endpoint_has_256_chats_and_remembers_64_invitations_and_no_more() {
    run(async {
        let mut people = [Person::new(1), Person::new(2)];
        for person in &mut people {
            person.come().await;
        }
        let mut chats = Vec::new();
        for number in 0..256 {
            chats.push(people[0].chats().create(format!("room {number}").parse().unwrap()).await.unwrap());
        }
        let more = people[0].chats().create("one more".parse().unwrap()).await;
        assert_eq!(more.unwrap_err(), ChatError::TooMany);
        link(&people[0], &people[1]);
        for (number, chat) in chats.iter().enumerate().take(65) {
            chat.invite(people[1].hashname).await.unwrap();
            pass(1).await;
            let mut waiting = people[1].chats().invitations().await.unwrap();
            let count = std::iter::from_fn(|| waiting.try_next()).count();
            assert_eq!(count, (number + 1).min(64));
        }
        let mut waiting = people[1].chats().invitations().await.unwrap();
        assert_eq!(waiting.try_next().unwrap().name.as_str(), "room 1", "the oldest has gone");
    });
}

#[test]
fn a_leader_invites_up_to_128_participants_and_not_one_more() {
    run(async {
        let mut leader = Person::new(1);
        leader.come().await;
        let chat = leader.chats().create("room".parse().unwrap()).await.unwrap();
        for number in 2..=128 {
            chat.invite(telemesh_hashname::Hashname::from_bytes([number; 32])).await.unwrap();
        }
        let more = chat.invite(telemesh_hashname::Hashname::from_bytes([129; 32])).await;
        assert_eq!(more, Err(ChatError::Full), "with the leader that would be 129");
    });
}

#[test]
fn two_devices_of_one_person_are_shown_as_such() {
    run(async {
        let mut people = [Person::new(1), Person::new(2), Person::new(3)];
        let id = chat_of(&mut people).await;
        let (phone, desk) = (people[1].chat(id).await, people[2].chat(id).await);
        let (key_phone, key_desk) = (phone.info().await.unwrap().me, desk.info().await.unwrap().me);
        let profile = |aka| Profile { aka: vec![aka], ..Profile::named("bob".parse().unwrap()) };
        phone.set_profile(profile(key_desk)).await.unwrap();
        pass(1).await;
        let devices = async |key| {
            let members = people[0].chat(id).await.members().await.unwrap();
            members.into_iter().find(|member| member.key == Some(key)).unwrap().devices
        };
        assert!(devices(key_phone).await.is_empty(), "one of them alone can say what it wants");
        desk.set_profile(profile(key_phone)).await.unwrap();
        pass(1).await;
        assert_eq!((devices(key_phone).await, devices(key_desk).await), (vec![key_desk], vec![key_phone]));
    });
}

#[test]
fn chats_go_on_after_a_restart_and_a_forgotten_one_is_gone() {
    run(async {
        let mut people = [Person::new(1), Person::new(2)];
        let id = chat_of(&mut people).await;
        people[0].chat(id).await.say("before").await.unwrap();
        pass(1).await;
        leave(&mut people, 0);
        people[0].come().await;
        link(&people[0], &people[1]);
        let mut events = people[1].chat(id).await.events().await.unwrap();
        people[0].chat(id).await.say("after").await.unwrap();
        hear(&mut events, "after").await;
        assert_eq!(people[1].chat(id).await.history(10).await.unwrap().len(), 2);
        let chat = people[0].chat(id).await;
        people[0].chats().forget(id).await.unwrap();
        assert_eq!(people[0].chats().list().await.unwrap(), []);
        assert_eq!(chat.say("x").await, Err(ChatError::NoSuchChat));
    });
}

/// A store that fails from some time on.
#[derive(Debug, Default)]
struct Failing {
    store: MemoryStore,
    fails: AtomicBool,
}

impl Store for Failing {
    fn load(&self) -> BoxFuture<'_, io::Result<BTreeMap<ChatId, StoredChat>>> {
        self.store.load()
    }

    fn write(&self, chat: ChatId, writes: Vec<Write>) -> BoxFuture<'_, io::Result<()>> {
        if self.fails.load(Ordering::Relaxed) {
            return Box::pin(async { Err(io::Error::from(io::ErrorKind::StorageFull)) });
        }
        self.store.write(chat, writes)
    }

    fn forget(&self, chat: ChatId) -> BoxFuture<'_, io::Result<()>> {
        self.store.forget(chat)
    }
}

#[test]
fn what_cannot_be_stored_is_not_sent_and_not_acknowledged() {
    run(async {
        let failing = Arc::new(Failing::default());
        let mut people = [Person::new(1), Person::new(2).with_store(failing.clone())];
        let id = chat_of(&mut people).await;
        let (alice, bob) = (people[0].chat(id).await, people[1].chat(id).await);
        failing.fails.store(true, Ordering::Relaxed);
        assert!(matches!(bob.say("lost").await, Err(ChatError::Store(_))));
        assert!(matches!(bob.say("lost again").await, Err(ChatError::Store(_))));
        let said = alice.say("hello").await.unwrap();
        pass(10).await;
        assert_eq!(alice.history(10).await.unwrap().len(), 1);
        assert!(!alice.delivery(said).await.unwrap()[0].received);
        // With room on the disk and a new start it is as if nothing had been said.
        failing.fails.store(false, Ordering::Relaxed);
        leave(&mut people, 1);
        people[1].come().await;
        link(&people[0], &people[1]);
        pass(10).await;
        assert!(alice.delivery(said).await.unwrap()[0].received);
        people[1].chat(id).await.say("now").await.unwrap();
        pass(1).await;
        let texts: Vec<_> =
            alice.history(10).await.unwrap().into_iter().map(|message| message.text.text).collect();
        assert_eq!(texts, ["hello", "now"]);
        assert!(alice.members().await.unwrap().iter().all(|member| member.two_versions.is_none()));
    });
}

#[test]
fn a_file_keeps_chats_and_is_refused_when_others_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.redb");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let open = || Arc::new(telemesh_chat::FileStore::open(&path).unwrap());
        let id = {
            let mut people = [Person::new(1).with_store(open()), Person::new(2)];
            let id = chat_of(&mut people).await;
            let chat = people[0].chat(id).await;
            chat.say("kept").await.unwrap();
            leave(&mut people, 0);
            id
        };
        // The task that owned it ends a moment later.
        let store = loop {
            match telemesh_chat::FileStore::open(&path) {
                Ok(store) => break Arc::new(store),
                Err(telemesh_chat::OpenError::InUse { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        let mut again = Person::new(1).with_store(store);
        again.come().await;
        let chat = again.chat(id).await;
        assert_eq!(chat.history(10).await.unwrap()[0].text.text, "kept");
        assert_eq!(chat.members().await.unwrap().len(), 2);
        again.chats().forget(id).await.unwrap();
        assert!(again.chats().list().await.unwrap().is_empty());
    });
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let other = folder.path().join("open.redb");
        std::fs::write(&other, b"").unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = telemesh_chat::FileStore::open(&other).unwrap_err();
        assert!(matches!(error, telemesh_chat::OpenError::Permissions { .. }), "{error}");
        let content = folder.path().join("other.redb");
        std::fs::write(&content, Bytes::from(vec![7; 8192])).unwrap();
        std::fs::set_permissions(&content, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = telemesh_chat::FileStore::open(&content).unwrap_err();
        assert!(matches!(error, telemesh_chat::OpenError::Content { .. }), "{error}");
    }
}

#[test]
fn links_that_flap_lose_nothing() {
    run(async {
        let mut people = [Person::new(1), Person::new(2)];
        let id = chat_of(&mut people).await;
        let (alice, bob) = (people[0].chat(id).await, people[1].chat(id).await);
        for n in 0..50 {
            alice.say(format!("a{n}")).await.unwrap();
            if n % 3 == 0 {
                cut(&people[0], &people[1]);
            }
            bob.say(format!("b{n}")).await.unwrap();
            link(&people[0], &people[1]);
            if n % 7 == 0 {
                pass(1).await;
            }
        }
        pass(30).await;
        assert_eq!(alice.history(1000).await.unwrap().len(), 100);
        assert_eq!(alice.digest().await.unwrap(), bob.digest().await.unwrap());
    });
}
