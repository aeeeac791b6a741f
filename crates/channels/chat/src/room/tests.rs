//! Rooms that exchange frames without a network: who brings what to whom, and what becomes of liars.

use std::time::Duration;

use super::*;
use crate::content::Text;
use crate::entry::{Entry, Fields};
use crate::error::Refused;
use crate::{ChatError, Content, EntryId, Hello, StoredChat};

/// Rooms of one chat, and which of them have links.
struct World {
    rooms: Vec<Room>,
    now: Instant,
    /// Frames of entries that have crossed, by receiver.
    entries: Vec<usize>,
}

fn hashname(n: usize) -> Hashname {
    Hashname::from_bytes([u8::try_from(n).unwrap() + 1; 32])
}

fn key(n: usize) -> ChatKey {
    ChatKey::from_seed(&[u8::try_from(n).unwrap() + 100; 32]).unwrap()
}

impl World {
    /// Everybody has joined by an invitation, over links with the leader alone.
    #[allow(clippy::disallowed_methods, reason = "a test's time starts somewhere")]
    fn new(participants: usize) -> Self {
        let leader = Room::create("room".parse().unwrap(), key(0), hashname(0), 0);
        let mut world = Self { rooms: vec![leader], now: Instant::now(), entries: Vec::new() };
        for n in 1..participants {
            world.invite_and_join(n);
        }
        world.run();
        for n in 1..participants {
            world.link(0, n, false);
        }
        world.events();
        world
    }

    fn invite_and_join(&mut self, n: usize) {
        self.rooms[0].invite(hashname(n)).unwrap();
        let (chat, first) = (self.rooms[0].id(), self.rooms[0].first_entry().unwrap());
        self.rooms.push(Room::join(chat, first, key(n), hashname(n)).unwrap());
        self.entries.resize(self.rooms.len(), 0);
        self.link(0, n, true);
    }

    fn link(&mut self, one: usize, other: usize, up: bool) {
        self.rooms[one].handle_link(hashname(other), up, self.now);
        self.rooms[other].handle_link(hashname(one), up, self.now);
    }

    fn link_all(&mut self) {
        for one in 0..self.rooms.len() {
            for other in 0..one {
                self.link(one, other, true);
            }
        }
    }

    /// Moves frames until there are no more.
    fn run(&mut self) {
        loop {
            let mut moved = false;
            for from in 0..self.rooms.len() {
                for to in 0..self.rooms.len() {
                    self.rooms[from].poll_write();
                    if let Some(frame) = self.rooms[from].next_frame(&hashname(to)) {
                        moved = true;
                        if let Ok(Frame::Entries(entries)) = Frame::decode(&frame) {
                            self.entries[to] += entries.len();
                        }
                        let now = self.now;
                        self.rooms[to].handle_frame(hashname(from), &frame, now);
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Lets time pass in steps, and moves frames.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(50);
            for room in &mut self.rooms {
                room.handle_timeout(self.now);
            }
            self.run();
        }
    }

    fn say(&mut self, who: usize, text: &str) -> EntryId {
        let now = self.now;
        self.rooms[who].say(Text::from(text), now).unwrap()
    }

    fn texts(&self, who: usize) -> Vec<String> {
        self.rooms[who].log().messages().map(|message| message.text.text).collect()
    }

    fn events(&mut self) -> Vec<Vec<Event>> {
        self.rooms.iter_mut().map(|room| std::iter::from_fn(|| room.poll_event()).collect()).collect()
    }

    fn refusals(&mut self, who: usize) -> Vec<Refused> {
        let refused = |event| if let Event::Refused { reason, .. } = event { Some(reason) } else { None };
        std::iter::from_fn(|| self.rooms[who].poll_event()).filter_map(refused).collect()
    }

    fn deliver(&mut self, from: usize, to: usize, entries: Vec<bytes::Bytes>) {
        let now = self.now;
        self.rooms[to].handle_frame(hashname(from), &Frame::Entries(entries).encode(), now);
        self.run();
    }
}

/// An entry as a participant could sign it that does not keep to the rules.
fn signed(room: &Room, n: usize, sequence: u64, previous: Option<EntryId>, text: &str) -> Entry {
    let key = key(n);
    let content = Content::Text(Text::from(text));
    let fields = Fields {
        sender: key.public(),
        sequence,
        previous,
        time: 0,
        after: room.log().after(&key.public()),
        content,
    };
    Entry::sign(&room.id(), &key, fields)
}

#[test]
fn those_who_are_invited_join_and_everybody_hears_everybody() {
    let mut world = World::new(3);
    world.link_all();
    world.run();
    for who in 0..3 {
        assert!(world.rooms[who].is_joined());
        world.say(who, &format!("from {who}"));
        world.run();
    }
    for who in 0..3 {
        assert_eq!(world.texts(who), ["from 0", "from 1", "from 2"]);
    }
    let digest = world.rooms[0].log().digest();
    assert!(world.rooms.iter().all(|room| room.log().digest() == digest));
}

#[test]
fn nobody_joins_without_an_invitation_or_with_somebody_elses_key() {
    let mut world = World::new(2);
    let now = world.now;
    let (chat, first) = (world.rooms[0].id(), world.rooms[0].first_entry().unwrap());
    let stranger = Accept::sign(&chat, &key(7), &hashname(7));
    world.rooms[0].handle_frame(hashname(7), &Frame::Accept(stranger.clone()).encode(), now);
    assert_eq!(world.refusals(0), [Refused::NotInvited]);
    // Nor with an acceptance that somebody else has signed.
    world.rooms[0].invite(hashname(8)).unwrap();
    world.rooms[0].handle_frame(hashname(8), &Frame::Accept(stranger).encode(), now);
    assert_eq!(world.refusals(0), [Refused::Forged]);
    assert_eq!(world.rooms[0].log().participants().len(), 2);
    // An invitation to a chat whose id is another leader's is none.
    let other = ChatId::of_leader(&key(5).public());
    assert!(Room::join(other, first, key(3), hashname(3)).is_err());
    // Whoever has not joined says nothing, and only the leader invites.
    assert_eq!(world.rooms[1].invite(hashname(9)), Err(ChatError::NotTheLeader));
}

#[test]
fn an_endpoint_that_is_no_participant_learns_nothing() {
    let mut world = World::new(2);
    let now = world.now;
    world.say(0, "secret");
    world.rooms[0].handle_link(hashname(9), true, now);
    let hello = Frame::Hello(Hello { answer: true, ..Hello::default() });
    world.rooms[0].handle_frame(hashname(9), &hello.encode(), now);
    let id = world.rooms[0].log().history().last().unwrap();
    world.rooms[0].handle_frame(hashname(9), &Frame::Want(vec![id]).encode(), now);
    world.rooms[0].handle_timeout(now + Duration::from_secs(60));
    assert_eq!(world.rooms[0].next_frame(&hashname(9)), None);
}

#[test]
fn whoever_was_away_catches_up_from_anybody() {
    let mut world = World::new(4);
    world.link(0, 1, true);
    world.run();
    for n in 0..500 {
        world.say(n % 2, &n.to_string());
        world.run();
    }
    // Number 2 gets it from 1, and 3 from 2, with neither of the senders there.
    world.link(0, 1, false);
    world.link(1, 2, true);
    world.run();
    world.link(1, 2, false);
    world.link(2, 3, true);
    world.run();
    assert_eq!(world.texts(3).len(), 500);
    assert_eq!(world.rooms[3].log().digest(), world.rooms[0].log().digest());
    assert_eq!(world.rooms[3].counters().duplicates, 0);
}

#[test]
fn somebody_whose_join_is_not_known_yet_shows_it() {
    let mut world = World::new(2);
    // 2 joins while 1 is away, and then the leader leaves.
    world.invite_and_join(2);
    world.run();
    world.link(0, 2, false);
    assert!(world.rooms[2].is_joined() && !world.rooms[1].wanted().contains(&hashname(2)));
    // 2 wants a channel to 1, who does not want one yet.
    let now = world.now;
    world.rooms[2].handle_link(hashname(1), true, now);
    world.pass(RELAY_DELAY + Duration::from_secs(1));
    assert!(world.rooms[1].wanted().contains(&hashname(2)));
    world.rooms[1].handle_link(hashname(2), true, now);
    world.say(2, "hello");
    world.run();
    assert_eq!(world.texts(1), ["hello"]);
}

#[test]
fn in_a_full_mesh_every_entry_crosses_once_to_each() {
    let mut world = World::new(6);
    world.link_all();
    world.run();
    world.entries = vec![0; 6];
    for who in 0..6 {
        world.say(who, "hello");
        world.pass(Duration::from_millis(300));
    }
    world.pass(Duration::from_secs(10));
    assert_eq!(world.entries, vec![5; 6]);
}

#[test]
fn those_without_a_link_hear_each_other_through_one_between_them() {
    let mut world = World::new(4);
    // 0 and 1 both have links with 2 and 3, who have none with each other.
    for (one, other) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)] {
        world.link(one, other, true);
    }
    world.run();
    world.entries = vec![0; 4];
    let id = world.say(2, "hello");
    world.run();
    assert_eq!(world.texts(3), ["hello"], "at once, without waiting for anything");
    assert_eq!(world.entries, [1, 1, 0, 1], "from one of the two only");
    // And its sender hears that it has arrived.
    world.pass(Duration::from_secs(1));
    world.rooms[3].read(&id).unwrap();
    world.run();
    let delivery = world.rooms[2].delivery(&id);
    let of_3 = delivery.iter().find(|delivery| delivery.key == key(3).public()).unwrap();
    assert!(of_3.received && of_3.read);
}

#[test]
fn what_a_sender_could_not_bring_others_do() {
    let mut world = World::new(3);
    world.link_all();
    world.run();
    // 1's link with 2 fails, and 2 says that it is there all the same.
    world.rooms[1].handle_link(hashname(2), false, world.now);
    let now = world.now;
    let presence = Frame::Presence(vec![hashname(0), hashname(1)]).encode();
    world.rooms[0].handle_frame(hashname(2), &presence, now);
    world.say(1, "hello");
    world.run();
    assert!(world.texts(2).is_empty());
    world.pass(RELAY_DELAY);
    assert_eq!(world.texts(2), ["hello"]);
}

#[test]
fn received_and_read_come_back_to_the_sender() {
    let mut world = World::new(3);
    world.link_all();
    world.run();
    let id = world.say(1, "hello");
    world.pass(Duration::from_secs(1));
    let state = |world: &World, who: usize| {
        let delivery = world.rooms[1].delivery(&id);
        let found = delivery.iter().find(|delivery| delivery.key == key(who).public());
        found.map(|delivery| (delivery.received, delivery.read)).unwrap()
    };
    assert_eq!((state(&world, 0), state(&world, 2)), ((true, false), (true, false)));
    assert_eq!(world.rooms[2].unread(), 1);
    world.rooms[2].read(&id).unwrap();
    world.run();
    assert_eq!((state(&world, 0), state(&world, 2)), ((true, false), (true, true)));
    assert_eq!(world.rooms[2].unread(), 0);
}

#[test]
fn forged_and_altered_entries_are_refused_and_shown() {
    let mut world = World::new(3);
    world.link_all();
    world.run();
    world.say(1, "pay bob 10");
    let id = world.rooms[1].log().history().last().unwrap();
    let raw = world.rooms[1].log().entry(&id).unwrap().raw().to_vec();
    world.link(1, 2, false);
    world.link(0, 1, false);
    world.events();
    // Altered in a catch-up: every byte of it.
    let mut refusals = 0;
    for at in 0..raw.len() {
        let mut altered = raw.clone();
        altered[at] ^= 1;
        world.deliver(0, 2, vec![altered.into()]);
        refusals += world.refusals(2).len();
    }
    assert_eq!(refusals, raw.len());
    // Signed by one participant in the name of another one.
    let mut forged = signed(&world.rooms[0], 0, 1, Some(id), "x").raw().to_vec();
    forged[1..33].copy_from_slice(key(1).public().as_bytes());
    world.deliver(0, 2, vec![forged.into()]);
    assert_eq!(world.refusals(2), [Refused::Forged]);
    // From another chat with the same people.
    let other = Room::create("other".parse().unwrap(), key(9), hashname(0), 0);
    let elsewhere = signed(&other, 1, 2, Some(id), "x");
    world.deliver(0, 2, vec![elsewhere.raw().clone()]);
    assert_eq!(world.refusals(2), [Refused::Forged]);
    // The true one is as welcome as before.
    world.deliver(0, 2, vec![raw.into()]);
    assert_eq!(world.texts(2).last().unwrap(), "pay bob 10");
}

#[test]
fn replays_change_nothing_and_are_counted() {
    let mut world = World::new(2);
    world.link_all();
    world.run();
    world.say(1, "once");
    world.run();
    let before = world.rooms[0].log().digest();
    let all: Vec<_> = world.rooms[1]
        .log()
        .history()
        .filter_map(|id| world.rooms[1].log().entry(&id).map(|entry| entry.raw().clone()))
        .collect();
    let count = u64::try_from(all.len()).unwrap();
    world.deliver(1, 0, all);
    assert_eq!(world.rooms[0].log().digest(), before);
    assert_eq!(world.rooms[0].counters().duplicates, count);
    assert_eq!(world.texts(0), ["once"]);
}

#[test]
fn what_was_skipped_is_shown_asked_for_and_taken_in_order() {
    let mut world = World::new(3);
    world.link_all();
    world.run();
    // 2 keeps back what 1 has said first.
    world.rooms[0].handle_link(hashname(1), false, world.now);
    world.rooms[1].handle_link(hashname(0), false, world.now);
    world.link(1, 2, false);
    world.say(1, "first");
    world.say(1, "second");
    let ids: Vec<EntryId> = world.rooms[1].log().history().collect();
    let raw = |id: &EntryId| world.rooms[1].log().entry(id).unwrap().raw().clone();
    let (first, second) = (raw(&ids[ids.len() - 2]), raw(&ids[ids.len() - 1]));
    world.events();
    world.deliver(2, 0, vec![second]);
    assert!(world.texts(0).is_empty());
    world.pass(GAP_DELAY + Duration::from_secs(1));
    let events: Vec<Event> = std::iter::from_fn(|| world.rooms[0].poll_event()).collect();
    assert!(events.contains(&Event::Gap { waiting: 1 }), "{events:?}");
    world.deliver(2, 0, vec![first]);
    assert_eq!(world.texts(0), ["first", "second"]);
    let events: Vec<Event> = std::iter::from_fn(|| world.rooms[0].poll_event()).collect();
    assert!(events.contains(&Event::GapClosed));
    // Another number or another previous entry than it has: no place.
    let last = *ids.last().unwrap();
    for (sequence, previous) in [(9, last), (2, ids[0])] {
        let entry = signed(&world.rooms[0], 1, sequence, Some(previous), "out of order");
        world.deliver(2, 0, vec![entry.raw().clone()]);
        assert_eq!(world.refusals(0), [Refused::BrokenChain]);
    }
}

#[test]
fn two_versions_of_one_message_are_shown_to_everybody_and_count_for_nobody() {
    let mut world = World::new(4);
    world.link_all();
    world.run();
    world.say(0, "before");
    world.run();
    // 3 tells 1 and 2 different things; all its own links are its own business.
    let (yes, no) = (signed(&world.rooms[0], 3, 0, None, "yes"), signed(&world.rooms[0], 3, 0, None, "no"));
    for n in 0..3 {
        world.link(3, n, false);
    }
    world.link(1, 2, false);
    world.link(0, 1, false);
    world.link(0, 2, false);
    world.deliver(3, 1, vec![yes.raw().clone()]);
    world.deliver(3, 2, vec![no.raw().clone()]);
    assert_eq!(world.texts(1), ["before", "yes"]);
    assert_eq!(world.texts(2), ["before", "no"]);
    world.say(1, "he said yes");
    world.events();
    world.link(0, 1, true);
    world.link(0, 2, true);
    world.pass(Duration::from_secs(5));
    let shown = world.events();
    for (who, shown) in shown.iter().enumerate().take(3) {
        assert_eq!(world.texts(who), ["before", "he said yes"], "at {who}");
        let told = shown.contains(&Event::TwoVersions { key: key(3).public(), sequence: 0 });
        assert!(told, "it is shown at {who}");
        assert_eq!(world.rooms[who].log().digest(), world.rooms[0].log().digest());
    }
}

#[test]
fn a_flood_of_entries_that_can_never_be_placed_takes_a_bounded_room() {
    let mut world = World::new(2);
    world.link_all();
    world.run();
    for n in 1..=3000_u32 {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let entry = signed(&world.rooms[0], 1, 5, Some(EntryId::from_bytes(id)), "x");
        world.rooms[0].handle_frame(
            hashname(1),
            &Frame::Entries(vec![entry.raw().clone()]).encode(),
            world.now,
        );
    }
    assert_eq!(world.rooms[0].pending.entries.len(), crate::MAX_PENDING);
    assert!(world.rooms[0].counters().overflowed >= 3000 - 1024);
}

#[test]
fn garbage_is_refused_and_breaks_nothing() {
    let mut world = World::new(2);
    world.link_all();
    world.run();
    world.events();
    let now = world.now;
    let megabyte = vec![0xff; 1 << 20];
    for bytes in [&b""[..], b"\x01", b"\x02\xff\xff\xff\xff", b"\x03\xff\xff", &megabyte] {
        world.rooms[0].handle_frame(hashname(1), &bytes::Bytes::copy_from_slice(bytes), now);
        assert_eq!(world.refusals(0).len(), 1, "{} bytes", bytes.len());
    }
    // Of a later version: nothing to complain about.
    world.rooms[0].handle_frame(hashname(1), &bytes::Bytes::from_static(b"\x63whatever"), now);
    assert!(world.refusals(0).is_empty());
    world.say(1, "fine");
    world.run();
    assert_eq!(world.texts(0), ["fine"]);
}

#[test]
fn a_text_has_64_kib_and_not_a_byte_more() {
    let mut world = World::new(1);
    let now = world.now;
    let longest = "x".repeat(crate::MAX_TEXT);
    assert!(world.rooms[0].say(Text::from(longest.clone()), now).is_ok());
    let error = world.rooms[0].say(Text::from(longest + "x"), now).unwrap_err();
    assert_eq!(error, ChatError::TooLong { length: crate::MAX_TEXT + 1 });
    assert_eq!(world.rooms[0].say(Text::from(""), now), Err(ChatError::Empty));
}

#[test]
fn what_was_written_goes_into_the_mailbox_of_whoever_is_away_and_is_enough_there() {
    let mut world = World::new(3);
    world.link(0, 1, true);
    world.run();
    world.say(0, "are you there?");
    world.say(1, "later");
    world.pass(MAIL_DELAY + Duration::from_secs(1));
    let mut mail = Vec::new();
    for (from, room) in world.rooms.iter_mut().enumerate() {
        while let Some(Letter { to, frame, .. }) = room.poll_mail() {
            // Those that accept an invitation write to the leader too, who knows them by now.
            if to == hashname(2) {
                mail.push((from, frame));
            }
        }
    }
    assert_eq!(mail.len(), 2, "one from each, and not from each what the other one wrote");
    // In any order.
    for (from, frame) in mail.into_iter().rev() {
        let now = world.now;
        world.rooms[2].handle_mail(hashname(from), &frame, now);
    }
    assert_eq!(world.texts(2), world.texts(0));
    // It is put there once.
    world.pass(MAIL_DELAY * 3);
    assert!(world.rooms.iter_mut().all(|room| room.poll_mail().is_none()));
}

#[test]
fn a_letter_that_no_mailbox_has_kept_is_made_again_and_one_that_was_kept_is_not_even_after_a_restart() {
    let mut world = World::new(2);
    world.link_all();
    world.run();
    world.link(0, 1, false);
    let letters = |room: &mut Room| {
        let mail = std::iter::from_fn(|| room.poll_mail());
        mail.filter(|letter| letter.to == hashname(1) && letter.entries.is_some()).collect::<Vec<_>>()
    };
    world.say(0, "one");
    world.pass(MAIL_DELAY + Duration::from_secs(1));
    let first = letters(&mut world.rooms[0]);
    assert_eq!(first.len(), 1);
    world.say(0, "two");
    world.pass(MAIL_DELAY + Duration::from_secs(1));
    assert!(letters(&mut world.rooms[0]).is_empty(), "not before it is known what became of the first");
    let now = world.now;
    world.rooms[0].mailed(hashname(1), 0, false, now);
    world.pass(MAIL_AGAIN + Duration::from_secs(1));
    let again = letters(&mut world.rooms[0]);
    assert_eq!(again.len(), 1);
    assert!(again[0].frame.len() > first[0].frame.len(), "with what was said meanwhile");
    let (now, entries) = (world.now, again[0].entries.unwrap());
    world.rooms[0].poll_write();
    world.rooms[0].mailed(hashname(1), entries, true, now);
    let writes = world.rooms[0].poll_write();
    let state = writes.into_iter().find_map(|write| match write {
        Write::State(state) => Some(state),
        _ => None,
    });
    let kept = super::state::State::decode(&state.expect("that it was kept is stored")).unwrap();
    assert_eq!(kept.mailed.unwrap().get(&hashname(1)), Some(&entries));
    world.pass(MAIL_AGAIN * 3);
    assert!(letters(&mut world.rooms[0]).is_empty());
}

#[test]
fn a_room_goes_on_where_it_was_after_a_restart() {
    let mut world = World::new(2);
    world.link_all();
    world.run();
    let mut stored = StoredChat::default();
    let keep = |stored: &mut StoredChat, room: &mut Room| {
        for write in room.poll_write() {
            match write {
                Write::State(state) => stored.state = state,
                Write::Entry(place, raw) => {
                    assert_eq!(place, stored.entries.len());
                    stored.entries.push(raw);
                }
                Write::Ack(ack) => stored.acks.push(ack),
            }
        }
    };
    let mut room = Room::create("kept".parse().unwrap(), key(0), hashname(0), 0);
    room.invite(hashname(1)).unwrap();
    keep(&mut stored, &mut room);
    room.say(Text::from("one"), world.now).unwrap();
    room.say(Text::from("two"), world.now).unwrap();
    keep(&mut stored, &mut room);
    let mut again = Room::restore(room.id(), stored, hashname(0)).unwrap();
    assert_eq!(again.log().digest(), room.log().digest());
    assert_eq!(again.invited(), room.invited());
    assert!(again.is_leader());
    // The next entry is the next one.
    let (one, other) = (again.say("three".into(), world.now), room.say("three".into(), world.now));
    assert_eq!(one, other);
}
