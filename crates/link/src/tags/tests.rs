//! Tests of how tags come out of a handshake, and which of them are accepted when.

use super::*;

fn session(number: u8) -> SessionTags {
    SessionTags::derive(&[number; 32], &[100; 32], true)
}

fn accepted(tags: &ReturnTags) -> Vec<NonZeroU64> {
    tags.accepted.iter().map(ReturnTag::id).collect()
}

#[test]
fn what_one_end_shows_is_what_the_other_accepts() {
    let [initiator, responder] = [true, false].map(|we| SessionTags::derive(&[1; 32], &[2; 32], we));
    assert_eq!(initiator.present, responder.accept);
    assert_eq!(initiator.accept, responder.present);
    assert_ne!(initiator.present.id, initiator.accept.id);
    assert_ne!(initiator.present.key, initiator.accept.key);
    let swapped = SessionTags::derive(&[2; 32], &[1; 32], true);
    assert_ne!(initiator.present, swapped.present);
}

#[test]
fn a_tag_is_spent_when_the_next_one_is_confirmed_and_not_before() {
    let mut tags = ReturnTags::default();
    let [first, second, third] = [1, 2, 3].map(session);
    tags.offer(first.accept.clone());
    tags.confirm(&first.accept);
    tags.offer(second.accept.clone());
    tags.offer(second.accept.clone());
    assert_eq!(accepted(&tags), [first.accept.id, second.accept.id]);
    tags.offer(third.accept.clone());
    tags.confirm(&second.accept);
    assert_eq!(accepted(&tags), [second.accept.id, third.accept.id], "the third may be on its way");
    tags.confirm(&first.accept);
    assert_eq!(accepted(&tags), [first.accept.id], "the peer went back to it");
}

#[test]
fn offers_that_are_never_confirmed_do_not_push_out_the_one_that_was() {
    let mut tags = ReturnTags::default();
    tags.confirm(&session(0).accept);
    for number in 1..100 {
        tags.offer(session(number).accept);
        assert!(tags.accepted.len() <= MAX_ACCEPTED_TAGS);
    }
    let ids = accepted(&tags);
    assert_eq!(ids.len(), MAX_ACCEPTED_TAGS);
    assert_eq!((ids.first(), ids.last()), (Some(&session(0).accept.id), Some(&session(99).accept.id)));
}

#[test]
fn a_tag_comes_back_from_its_bytes_and_zero_is_no_id() {
    let (tag, mut bytes) = (session(1).present, Vec::new());
    tag.write_to(&mut bytes);
    let mut bytes: [u8; TAG_BYTES] = bytes.try_into().unwrap();
    assert_eq!(ReturnTag::from_bytes(&bytes), Some(tag));
    bytes[..8].fill(0);
    assert_eq!(ReturnTag::from_bytes(&bytes), None);
}
