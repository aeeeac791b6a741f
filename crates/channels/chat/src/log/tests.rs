//! What is let into a history, in which order it stands, and what becomes of those who tell two versions.

use proptest::prelude::*;
use telemesh_hashname::Hashname;

use super::*;
use crate::content::{Profile, Text};
use crate::entry::Fields;
use crate::key::ChatKey;

/// Participants with logs of their own.
struct World {
    chat: ChatId,
    keys: Vec<ChatKey>,
}

impl World {
    /// The leader's key is the first one.
    fn new(participants: u8) -> Self {
        let keys: Vec<ChatKey> =
            (0..participants).map(|n| ChatKey::from_seed(&[n + 1; 32]).unwrap()).collect();
        Self { chat: ChatId::of_leader(&keys[0].public()), keys }
    }

    fn hashname(n: usize) -> Hashname {
        Hashname::from_bytes([u8::try_from(n).unwrap(); 32])
    }

    /// What a participant writes next, as its own log has it.
    fn write(&self, log: &Log, who: usize, content: Content) -> Entry {
        let key = &self.keys[who];
        let participant = log.participant(&key.public());
        let last = participant.and_then(Participant::last).and_then(|index| log.node(index));
        let fields = Fields {
            sender: key.public(),
            sequence: participant.map_or(0, Participant::count),
            previous: last.map(|node| node.entry.id()),
            time: 0,
            after: log.after(&key.public()),
            content,
        };
        Entry::sign(&self.chat, key, fields)
    }

    /// A log in which everybody has joined.
    fn joined(&self) -> Log {
        let mut log = Log::new(self.chat);
        let name = "room".parse().unwrap();
        let first = self.write(&log, 0, Content::Create { name, hashname: Self::hashname(0) });
        add(&mut log, first);
        for who in 1..self.keys.len() {
            let join = Content::Join { hashname: Self::hashname(who), key: self.keys[who].public() };
            let entry = self.write(&log, 0, join);
            add(&mut log, entry);
        }
        log
    }
}

fn add(log: &mut Log, entry: Entry) -> usize {
    match log.insert(entry) {
        Ok(Insert::New { index, forked: false }) => index,
        other => panic!("{other:?}"),
    }
}

fn text(text: &str) -> Content {
    Content::Text(Text::from(text))
}

fn texts(log: &Log) -> Vec<String> {
    log.messages().map(|message| message.text.text).collect()
}

#[test]
fn an_answer_stands_after_what_it_answers_whatever_the_clocks_say() {
    let world = World::new(3);
    let mut log = world.joined();
    for (who, word) in [(1, "one"), (2, "two"), (0, "three"), (1, "four")] {
        let entry = world.write(&log, who, text(word));
        add(&mut log, entry);
    }
    assert_eq!(texts(&log), ["one", "two", "three", "four"]);
}

#[test]
fn what_was_written_apart_has_the_same_order_everywhere() {
    let world = World::new(3);
    let (mut left, mut right) = (world.joined(), world.joined());
    let one: Vec<Entry> = (0..3)
        .map(|n| {
            let entry = world.write(&left, 1, text(&format!("left {n}")));
            add(&mut left, entry.clone());
            entry
        })
        .collect();
    let other: Vec<Entry> = (0..3)
        .map(|n| {
            let entry = world.write(&right, 2, text(&format!("right {n}")));
            add(&mut right, entry.clone());
            entry
        })
        .collect();
    for entry in other {
        add(&mut left, entry);
    }
    for entry in one {
        add(&mut right, entry);
    }
    assert_eq!(texts(&left).len(), 6);
    assert_eq!(texts(&left), texts(&right));
    assert_eq!(left.digest(), right.digest());
    // And whoever goes on names both ends.
    assert_eq!(left.after(&world.keys[0].public()).len(), 2);
}

#[test]
fn entries_wait_for_what_they_follow_and_for_their_senders_join() {
    let world = World::new(3);
    let mut log = world.joined();
    let first = world.write(&log, 1, text("first"));
    let mut ahead = world.joined();
    add(&mut ahead, first.clone());
    let second = world.write(&ahead, 1, text("second"));
    assert_eq!(log.insert(second.clone()), Ok(Insert::Missing(vec![first.id()])));
    add(&mut log, first.clone());
    assert_eq!(log.insert(first), Ok(Insert::Known));
    add(&mut log, second);

    let mut empty = Log::new(world.chat);
    let early = world.write(&ahead, 2, text("hello"));
    assert_eq!(empty.insert(early), Ok(Insert::Stranger));
}

#[test]
fn nobody_but_the_leader_lets_people_in_or_begins_the_chat() {
    let world = World::new(2);
    let mut log = world.joined();
    let key = ChatKey::from_seed(&[9; 32]).unwrap().public();
    let hashname = World::hashname(9);
    let join = world.write(&log, 1, Content::Join { hashname, key });
    assert_eq!(log.insert(join), Err(Refused::NotTheLeader));
    let create = world.write(&log, 1, Content::Create { name: "mine".parse().unwrap(), hashname });
    assert_eq!(log.insert(create), Err(Refused::NotTheLeader));
    // Nor does the leader begin it twice.
    let again = world.write(&log, 0, Content::Create { name: "again".parse().unwrap(), hashname });
    assert_eq!(log.insert(again), Err(Refused::BrokenChain));
    // Or join a key under another hashname.
    let taken = world.write(&log, 0, Content::Join { hashname, key: world.keys[1].public() });
    assert_eq!(log.insert(taken), Err(Refused::KeyTaken));
}

#[test]
fn there_is_room_for_128_participants_and_not_for_one_more() {
    let world = World::new(128);
    let mut log = world.joined();
    assert_eq!(log.participants().len(), MAX_PARTICIPANTS);
    let key = ChatKey::from_seed(&[200; 32]).unwrap().public();
    let join = world.write(&log, 0, Content::Join { hashname: World::hashname(200), key });
    assert_eq!(log.insert(join), Err(Refused::Full));
}

#[test]
fn an_entry_must_follow_its_senders_previous_one() {
    let world = World::new(3);
    let mut log = world.joined();
    let first = world.write(&log, 1, text("first"));
    add(&mut log, first.clone());
    let forged = |sequence, previous| {
        let key = &world.keys[1];
        let fields =
            Fields { sender: key.public(), sequence, previous, time: 0, after: vec![], content: text("x") };
        Entry::sign(&world.chat, key, fields)
    };
    // A number is left out; the previous one is somebody else's.
    assert_eq!(log.insert(forged(2, Some(first.id()))), Err(Refused::BrokenChain));
    let genesis = log.node(0).unwrap().entry.id();
    assert_eq!(log.insert(forged(1, Some(genesis))), Err(Refused::BrokenChain));
}

#[test]
fn the_last_text_can_be_edited_and_no_other_one() {
    let world = World::new(2);
    let mut log = world.joined();
    let edit = |target, word: &str| Content::Text(Text { edits: Some(target), ..Text::from(word) });
    let old = world.write(&log, 1, text("old"));
    add(&mut log, old.clone());
    let typo = world.write(&log, 1, text("tpyo"));
    add(&mut log, typo.clone());
    for word in ["typ", "typo"] {
        let entry = world.write(&log, 1, edit(typo.id(), word));
        add(&mut log, entry);
    }
    assert_eq!(texts(&log), ["old", "typo"]);
    assert!(log.messages().nth(1).unwrap().edited);
    // The same words about an older one, or by somebody else, are texts of their own.
    let entry = world.write(&log, 1, edit(old.id(), "new"));
    add(&mut log, entry);
    let entry = world.write(&log, 0, edit(typo.id(), "mine"));
    add(&mut log, entry);
    assert_eq!(texts(&log), ["old", "typo", "new", "mine"]);
}

#[test]
fn whoever_tells_two_versions_is_not_heard_from_there_on_wherever_one_listens() {
    let world = World::new(3);
    let (mut left, mut right) = (world.joined(), world.joined());
    let good = world.write(&left, 1, text("good"));
    add(&mut left, good.clone());
    add(&mut right, good);
    let tell = |log: &mut Log, word: &str| {
        let one = world.write(log, 1, text(word));
        add(log, one.clone());
        let two = world.write(log, 1, text("and more"));
        add(log, two.clone());
        [one, two]
    };
    let to_left = tell(&mut left, "yes");
    let to_right = tell(&mut right, "no");
    // Somebody answers one of the versions.
    let answer = world.write(&left, 2, text("fine"));
    add(&mut left, answer.clone());
    assert_ne!(left.digest(), right.digest());

    let mut forks = 0;
    for entry in to_right {
        forks += usize::from(matches!(left.insert(entry), Ok(Insert::New { forked: true, .. })));
    }
    for entry in to_left.into_iter().chain([answer]) {
        forks += usize::from(matches!(right.insert(entry), Ok(Insert::New { forked: true, .. })));
    }
    assert_eq!(forks, 2, "each of them has noticed it once");
    assert_eq!(texts(&left), ["good", "fine"]);
    assert_eq!(texts(&right), texts(&left));
    assert_eq!(left.digest(), right.digest());
    let liar = left.participant(&world.keys[1].public()).unwrap();
    assert_eq!(liar.forked_at(), Some(1));
}

#[test]
fn a_leader_who_tells_two_versions_lets_nobody_in_from_there_on() {
    let world = World::new(3);
    let mut log = Log::new(world.chat);
    let name = "room".parse().unwrap();
    let first = world.write(&log, 0, Content::Create { name, hashname: World::hashname(0) });
    add(&mut log, first);
    let join = |who: usize| Content::Join { hashname: World::hashname(who), key: world.keys[who].public() };
    let (one, other) = (world.write(&log, 0, join(1)), world.write(&log, 0, join(2)));
    add(&mut log, one);
    let hello = world.write(&log, 1, text("hello"));
    add(&mut log, hello);
    assert_eq!(texts(&log), ["hello"]);
    assert!(matches!(log.insert(other), Ok(Insert::New { forked: true, .. })));
    assert_eq!(texts(&log), Vec::<String>::new());
}

#[test]
fn two_devices_are_one_person_when_both_say_so() {
    let world = World::new(3);
    let mut log = world.joined();
    let key = |n: usize| world.keys[n].public();
    let profile =
        |name: &str, aka| Content::Profile(Profile { aka, ..Profile::named(name.parse().unwrap()) });
    let entry = world.write(&log, 1, profile("phone", vec![key(2), key(0)]));
    add(&mut log, entry);
    assert!(log.devices(log.participant(&key(1)).unwrap()).is_empty());
    let entry = world.write(&log, 2, profile("desk", vec![key(1)]));
    add(&mut log, entry);
    assert_eq!(log.devices(log.participant(&key(1)).unwrap()), [key(2)]);
    assert_eq!(log.devices(log.participant(&key(2)).unwrap()), [key(1)]);
    assert!(log.devices(log.participant(&key(0)).unwrap()).is_empty());
}

proptest! {
    /// Entries of five people who hear of each other now and then, put together in any order.
    #[test]
    fn the_same_entries_are_the_same_history_in_whatever_order_they_come(
        steps in prop::collection::vec((0usize..5, prop::option::of(0usize..5)), 1..40),
        shuffle in any::<u64>(),
    ) {
        let world = World::new(5);
        let mut logs: Vec<Log> = (0..5).map(|_| world.joined()).collect();
        let mut all = Vec::new();
        for (number, (who, heard)) in steps.into_iter().enumerate() {
            let entry = world.write(&logs[who], who, text(&number.to_string()));
            add(&mut logs[who], entry.clone());
            all.push(entry);
            if let Some(other) = heard {
                let known: Vec<Entry> = logs[other].nodes.iter().map(|node| node.entry.clone()).collect();
                for entry in known {
                    logs[who].insert(entry).unwrap();
                }
            }
        }
        let mut waiting = all.clone();
        let mut log = world.joined();
        let mut state = shuffle | 1;
        while !waiting.is_empty() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = usize::try_from(state >> 33).unwrap() % waiting.len();
            let entry = waiting.swap_remove(pick);
            if let Ok(Insert::Missing(_)) = log.insert(entry.clone()) {
                waiting.push(entry);
            }
        }
        let mut straight = world.joined();
        for entry in all {
            add(&mut straight, entry);
        }
        prop_assert_eq!(log.digest(), straight.digest());
        // Everything stands after what it names.
        let place: HashMap<EntryId, usize> = log.history().enumerate().map(|(at, id)| (id, at)).collect();
        for node in &log.nodes {
            let fields = node.entry.fields();
            for before in fields.previous.iter().chain(&fields.after) {
                prop_assert!(place[before] < place[&node.entry.id()]);
            }
        }
    }
}
