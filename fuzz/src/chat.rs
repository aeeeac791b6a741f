//! Chats: frames and entries from bytes, and a room that is sent them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use telemesh_chat::{ChatId, ChatKey, Entry, Fields, Frame, Room, Unverified};
use telemesh_hashname::Hashname;

/// What is decoded has one form, an entry that was changed is not taken, and a room takes anything from a participant without
/// growing beyond its limits or losing what it has.
pub fn chat(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(frame) = Frame::decode(&bytes)
        && !matches!(frame, Frame::Other(_))
    {
        assert_eq!(frame.encode(), bytes);
    }
    let (Some(leader), Some(member)) = (ChatKey::from_seed(&[1; 32]), ChatKey::from_seed(&[2; 32])) else {
        return;
    };
    let chat = ChatId::of_leader(&leader.public());
    if let Ok(read) = Unverified::read(&chat, bytes.clone())
        && let Ok(entry) = read.verify()
    {
        assert_eq!(entry.raw(), &bytes);
    }
    // The same content, signed by somebody who is in the chat.
    let (us, them) = (Hashname::from_bytes([1; 32]), Hashname::from_bytes([2; 32]));
    let Ok(name) = "room".parse() else { return };
    let mut room = Room::create(name, leader, us, 0);
    let Some(first) = room.first_entry() else { return };
    let Ok(mut other) = Room::join(chat, first, member, them) else { return };
    let now = Instant::now();
    let _ = room.invite(them);
    exchange(&mut room, &mut other, now);
    assert!(other.is_joined());
    let before = room.log().len();
    room.handle_frame(them, &bytes, now);
    if let Some(member) = ChatKey::from_seed(&[2; 32])
        && let Ok(read) = Unverified::read(&chat, [data, &[0; 64]].concat().into())
        && let Some(fields) = read_fields(&read, &member)
    {
        let entry = Entry::sign(&chat, &member, fields);
        room.handle_frame(them, &Frame::Entries(vec![entry.raw().clone()]).encode(), now);
    }
    room.handle_timeout(now + Duration::from_secs(60));
    while room.next_frame(&them).is_some() {}
    assert!(room.log().len() >= before && room.log().len() <= before + 1000);
    while room.poll_event().is_some() {}
}

fn read_fields(read: &Unverified, member: &ChatKey) -> Option<Fields> {
    (read.sender() == member.public()).then(|| read.fields().clone())
}

fn exchange(one: &mut Room, other: &mut Room, now: Instant) {
    let (here, there) = (Hashname::from_bytes([1; 32]), Hashname::from_bytes([2; 32]));
    one.handle_link(there, true, now);
    other.handle_link(here, true, now);
    loop {
        let (to, from) = (one.next_frame(&there), other.next_frame(&here));
        if let Some(frame) = &to {
            other.handle_frame(here, frame, now);
        }
        if let Some(frame) = &from {
            one.handle_frame(there, frame, now);
        }
        if to.is_none() && from.is_none() {
            return;
        }
    }
}
