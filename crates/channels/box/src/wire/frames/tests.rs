//! Frames and letters: what was written is read, anything else is refused.

use proptest::prelude::*;

use super::*;
use crate::runs::Runs;
use crate::wire::letter::{Header, Letter, Receipt};

fn id() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId::from_bytes)
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        (id(), any::<[u8; 32]>(), any::<u32>()).prop_map(|(id, recipient, size)| {
            Said::Offer { id, recipient: Hashname::from_bytes(recipient), size }
        }),
        (id(), any::<u32>(), prop::collection::vec(any::<u8>(), 1..200))
            .prop_map(|(id, offset, bytes)| Said::Part { id, offset, bytes: bytes.into() }),
        id().prop_map(|id| Said::Gone { id }),
        prop::collection::vec(any::<[u8; 32]>().prop_map(Hashname::from_bytes), 0..=MAX_TOLD)
            .prop_map(|caches| Said::Caches { caches }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        (id(), any::<u32>()).prop_map(|(id, offset)| Answer::Want { id, offset }),
        id().prop_map(|id| Answer::Stored { id }),
        id().prop_map(|id| Answer::Done { id }),
        (id(), 1..6_u8)
            .prop_map(|(id, reason)| Answer::Refused { id, reason: Reason::from_number(reason).unwrap() }),
    ]
}

proptest! {
    #[test]
    fn what_was_said_is_heard_and_nothing_shorter_or_longer(said in said(), answer in answer()) {
        let bytes = said.encode();
        prop_assert_eq!(Said::decode(&bytes), Ok(said.clone()));
        if !matches!(said, Said::Part { .. }) {
            prop_assert_eq!(Said::decode(&[&bytes[..], &[0]].concat().into()), Err(Truncated));
            prop_assert_eq!(Said::decode(&bytes.slice(..bytes.len() - 1)), Err(Truncated));
        }
        let bytes = answer.encode();
        prop_assert_eq!(Answer::decode(&bytes), Ok(answer));
        prop_assert_eq!(Answer::decode(&[&bytes[..], &[0]].concat()), Err(Truncated));
        prop_assert_eq!(Answer::decode(&bytes[..bytes.len() - 1]), Err(Truncated));
    }

    #[test]
    fn a_letter_is_read_as_it_was_written(
        numbers in any::<[u64; 4]>(),
        number in 0..u64::MAX,
        settled: u64,
        label in "[a-z0-9._-]{0,64}",
        content in prop::collection::vec(any::<u8>(), 0..100),
        runs in prop::collection::vec(0..50_u64, 0..20),
    ) {
        let [stream, gaps_end, sent_at, expires] = numbers;
        let settled = settled.min(number);
        let header =
            Header { stream, number, settled, gaps_end, sent_at, expires, label: label.parse().unwrap() };
        let bytes = [header.encode(), content.clone()].concat();
        prop_assert_eq!(Letter::decode(&bytes), Ok(Letter::Message(header, &content)));

        let mut settled = Runs::default();
        runs.into_iter().for_each(|number| settled.insert(number));
        let receipt = Receipt { stream, settled };
        let bytes = receipt.encode();
        prop_assert_eq!(Letter::decode(&bytes), Ok(Letter::Receipt(receipt)));
        prop_assert_eq!(Letter::decode(&bytes[..bytes.len() - 1]), Err(Truncated));
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_have_one_form(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(said) = Said::decode(&bytes.clone().into()) {
            prop_assert_eq!(&said.encode()[..], &bytes[..]);
        }
        if let Ok(answer) = Answer::decode(&bytes) {
            prop_assert_eq!(&answer.encode()[..], &bytes[..]);
        }
        let _ = Letter::decode(&bytes);
    }
}

#[test]
fn a_part_has_at_least_one_byte_and_at_most_as_many_as_a_part() {
    let part = |length| Said::Part { id: MessageId::of(b""), offset: 0, bytes: vec![0; length].into() };
    assert_eq!(Said::decode(&part(0).encode()), Err(Truncated));
    assert_eq!(Said::decode(&part(PART).encode()), Ok(part(PART)));
    assert_eq!(Said::decode(&part(PART + 1).encode()), Err(Truncated));
    assert!(part(PART).encode().len() <= MAX_FRAME);
}

#[test]
fn a_message_that_settles_itself_or_has_the_last_number_is_refused() {
    let header = |number, settled| Header {
        stream: 1,
        number,
        settled,
        gaps_end: 0,
        sent_at: 0,
        expires: 0,
        label: "".parse().unwrap(),
    };
    assert!(Letter::decode(&header(4, 4).encode()).is_ok());
    assert_eq!(Letter::decode(&header(4, 5).encode()), Err(Truncated));
    assert_eq!(Letter::decode(&header(u64::MAX, 0).encode()), Err(Truncated));
    assert_eq!(Letter::decode(&[]), Err(Truncated));
}

#[test]
fn four_caches_are_heard_and_five_are_refused() {
    let with = |count: u8| Bytes::from([vec![CACHES, count], vec![7; 32 * usize::from(count)]].concat());
    assert!(matches!(Said::decode(&with(4)), Ok(Said::Caches { caches }) if caches.len() == 4));
    assert_eq!(Said::decode(&with(5)), Err(Truncated));
}
