//! Properties of what is signed and sent: it comes back as it was, nothing else is taken, and there is one form of each.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking, their helpers too")]

use bytes::Bytes;
use proptest::prelude::*;
use telemesh_chat::{
    Alternate, ChatId, ChatKey, Content, Entry, EntryId, Fields, Frame, Head, Hello, MAX_AFTER, MAX_AKA,
    MAX_ENTRY, MAX_FRAME, MAX_TEXT, ParticipantKey, Profile, Text, Unverified,
};
use telemesh_hashname::Hashname;

fn ids(most: usize) -> impl Strategy<Value = Vec<EntryId>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(EntryId::from_bytes), 0..=most)
}

fn content() -> impl Strategy<Value = Content> {
    let name = "[a-zäß会 ]{1,10}[a-z]".prop_filter_map("a name", |text| text.parse().ok());
    let aka = prop::collection::vec(any::<[u8; 32]>().prop_map(ParticipantKey::from_bytes), 0..=MAX_AKA);
    let alternates =
        prop::collection::vec(("[a-z]{1,8}/[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..64)), 0..=8);
    let hashname = any::<[u8; 32]>().prop_map(Hashname::from_bytes);
    prop_oneof![
        (name.clone(), hashname.clone()).prop_map(|(name, hashname)| Content::Create { name, hashname }),
        (hashname, any::<[u8; 32]>())
            .prop_map(|(hashname, key)| Content::Join { hashname, key: ParticipantKey::from_bytes(key) }),
        (name, ".{0,50}", aka).prop_map(|(name, link, aka)| Content::Profile(Profile { name, link, aka })),
        (".{0,200}", prop::option::of(any::<[u8; 32]>()), ids(16), alternates).prop_map(
            |(text, edits, refs, alternates)| {
                let alternates = alternates
                    .into_iter()
                    .map(|(media_type, bytes)| Alternate { media_type, bytes: bytes.into() })
                    .collect();
                Content::Text(Text { text, edits: edits.map(EntryId::from_bytes), refs, alternates })
            }
        ),
        (5_u8.., prop::collection::vec(any::<u8>(), 0..100))
            .prop_map(|(kind, bytes)| Content::Other { kind, bytes: bytes.into() }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (any::<u64>(), any::<[u8; 31]>(), any::<u64>(), ids(MAX_AFTER), content()).prop_map(
        |(sequence, previous, time, after, content)| {
            let mut id = [1; 32];
            id[1..].copy_from_slice(&previous);
            let previous = (sequence > 0).then(|| EntryId::from_bytes(id));
            let key = key();
            Entry::sign(
                &CHAT,
                &key,
                Fields { sender: key.public(), sequence, previous, time, after, content },
            )
        },
    )
}

const CHAT: ChatId = ChatId::from_bytes([3; 32]);

fn key() -> ChatKey {
    ChatKey::from_seed(&[5; 32]).unwrap()
}

proptest! {
    #[test]
    fn an_entry_is_read_as_it_was_signed(entry in entry()) {
        let read = Unverified::read(&CHAT, entry.raw().clone()).unwrap().verify().unwrap();
        prop_assert_eq!(&read, &entry);
        let again = Entry::sign(&CHAT, &key(), read.fields().clone());
        prop_assert_eq!(again.raw(), entry.raw());
        // In another chat it is nothing.
        let other = ChatId::from_bytes([4; 32]);
        prop_assert!(Unverified::read(&other, entry.raw().clone()).unwrap().verify().is_err());
    }

    #[test]
    fn a_changed_or_cut_entry_is_not_taken(entry in entry(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut raw = entry.raw().to_vec();
        let at = at.index(raw.len());
        raw[at] ^= 1_u8 << bit;
        let taken = Unverified::read(&CHAT, raw.clone().into()).map(|read| read.verify().is_ok());
        prop_assert!(!matches!(taken, Ok(true)));
        raw.truncate(at);
        let taken = Unverified::read(&CHAT, raw.into()).map(|read| read.verify().is_ok());
        prop_assert!(!matches!(taken, Ok(true)));
    }

    #[test]
    fn a_frame_is_read_as_it_was_written(
        heads in prop::collection::vec((any::<[u8; 32]>(), any::<u64>(), any::<[u8; 32]>()), 0..=128),
        linked in prop::collection::vec(any::<[u8; 32]>(), 0..=128),
        entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
        wants in ids(256),
        flag in any::<bool>(),
    ) {
        let heads = heads.into_iter().map(|(key, count, digest)| Head {
            key: ParticipantKey::from_bytes(key), count, digest: EntryId::from_bytes(digest),
        }).collect();
        let linked: Vec<Hashname> = linked.into_iter().map(Hashname::from_bytes).collect();
        for frame in [
            Frame::Hello(Hello { heads, linked: linked.clone(), answer: flag }),
            Frame::Entries(entries.into_iter().map(Bytes::from).collect()),
            Frame::Want(wants),
            Frame::Presence(linked),
            Frame::Typing(flag),
        ] {
            let bytes = frame.encode();
            prop_assert!(bytes.len() <= MAX_FRAME);
            prop_assert_eq!(Frame::decode(&bytes), Ok(frame));
        }
    }

    #[test]
    fn no_bytes_break_a_decoder_and_what_is_taken_has_one_form(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        if let Ok(frame) = Frame::decode(&bytes)
            && !matches!(frame, Frame::Other(_))
        {
            prop_assert_eq!(frame.encode(), bytes.clone());
        }
        let _ = Unverified::read(&CHAT, bytes);
    }
}

#[test]
fn the_longest_text_fits_and_one_byte_more_does_not() {
    let sign = |length: usize| {
        let content = Content::Text(Text::from("x".repeat(length)));
        let fields =
            Fields { sender: key().public(), sequence: 0, previous: None, time: 0, after: vec![], content };
        Entry::sign(&CHAT, &key(), fields)
    };
    assert!(Unverified::read(&CHAT, sign(MAX_TEXT).raw().clone()).is_ok());
    assert!(Unverified::read(&CHAT, sign(MAX_TEXT + 1).raw().clone()).is_err());
    assert!(Unverified::read(&CHAT, sign(MAX_ENTRY).raw().clone()).is_err());
    assert!(Frame::Entries(vec![sign(MAX_TEXT).raw().clone()]).encode().len() <= MAX_FRAME);
}

#[test]
fn names_and_texts_that_are_not_utf_8_or_deceive_are_refused() {
    let content = Content::Profile(Profile::named("mallory".parse().unwrap()));
    let fields =
        Fields { sender: key().public(), sequence: 0, previous: None, time: 0, after: vec![], content };
    let raw = Entry::sign(&CHAT, &key(), fields).raw().to_vec();
    let at = raw.windows(7).position(|window| window == b"mallory").unwrap();
    for name in [&b"mal\x1b[2J"[..], b"ma\xe2\x80\xaery", b"../../x", b"mal\xff\xfeyx"] {
        let mut raw = raw.clone();
        raw[at..at + 7].copy_from_slice(name);
        assert!(Unverified::read(&CHAT, raw.into()).is_err(), "{name:?}");
    }
}
