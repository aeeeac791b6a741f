//! Messages, fragments, and what a peer may do with them.

use proptest::prelude::*;
use telemesh_channel::{Acceptor as _, Incoming, Open, Opener as _, memory};

use super::*;

fn places() -> impl Strategy<Value = Option<Target>> {
    let targets = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(octets).to_string()),
        any::<[u8; 16]>().prop_map(|octets| format!("[{}]", std::net::Ipv6Addr::from(octets))),
        "[a-z]{1,9}(\\.[a-z]{1,9}){0,3}",
    ];
    prop_oneof![
        Just(None),
        (targets, 1u16..).prop_map(|(host, port)| Some(format!("{host}:{port}").parse().unwrap())),
    ]
}

fn datagram(place: Option<&str>, size: usize) -> Datagram {
    let data = (0..size).map(|at| (at % 251) as u8).collect::<Vec<_>>();
    Datagram { place: place.map(|place| place.parse().unwrap()), data: data.into() }
}

fn fragments(number: u16, whole: &Datagram, count: u8) -> Vec<Message> {
    let size = whole.data.len();
    let at = |index: u8| usize::from(index) * size / usize::from(count);
    let part = |index: u8| whole.data.slice(at(index)..at(index + 1));
    (0..count)
        .map(|index| Message::Fragment {
            number,
            index,
            count,
            part: Datagram { place: whole.place.clone(), data: part(index) },
        })
        .collect()
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(place in places(), data: Vec<u8>, number: u16, index in 0u8..64, more in 1u8..64) {
        let whole = Datagram { place, data: data.into() };
        let message = Message::Whole(whole.clone());
        prop_assert_eq!(Message::decode(message.encode()), Ok(message));
        if !whole.data.is_empty() && index + more <= 64 && index + more >= 2 {
            let message = Message::Fragment { number, index, count: index + more, part: whole };
            prop_assert_eq!(Message::decode(message.encode()), Ok(message));
        }
    }

    #[test]
    fn whatever_is_read_can_be_written_and_read_again(bytes: Vec<u8>) {
        if let Ok(message) = Message::decode(bytes.into()) {
            prop_assert_eq!(Message::decode(message.encode()), Ok(message));
        }
    }

    #[test]
    fn fragments_in_any_order_and_doubled_are_the_datagram_once(
        size in 64usize..9_000,
        count in 2u8..=64,
        order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..200),
    ) {
        let whole = datagram(Some("10.0.0.1:53"), size);
        let parts = fragments(1, &whole, count);
        let mut reassembly = Reassembly::new();
        let mut first = order.iter().map(|index| index.get(&parts).clone()).collect::<Vec<_>>();
        first.extend(parts.iter().rev().cloned());
        let complete = first.into_iter().find_map(|part| reassembly.take(part));
        prop_assert_eq!(complete, Some(whole));
        prop_assert_eq!(reassembly.held(), 0);
    }

    #[test]
    fn what_is_held_is_bounded_whatever_comes(messages in proptest::collection::vec((0u16..40, 0u8..64, 2u8..=64, 1usize..1_400), 0..400)) {
        let mut reassembly = Reassembly::new();
        for (number, index, count, size) in messages {
            if index < count {
                reassembly.take(Message::Fragment { number, index, count, part: datagram(None, size) });
            }
            prop_assert!(reassembly.held() <= MAX_HELD && reassembly.partial.len() <= MAX_PARTIAL);
        }
    }
}

#[test]
fn what_is_no_message_is_refused() {
    for bytes in [
        &[][..],
        &[3],
        &[0x0f],
        &[0x42],                                                    // ready, with a place
        &[2, 0],                                                    // ready, with data
        &[0x40, 1, 2, 3, 4, 0, 80],                                 // an unknown form
        &[0x80],                                                    // a bit that is always zero
        &[0x10, 1, 2, 3, 4, 0],                                     // half a port
        &[0x10, 1, 2, 3, 4, 0, 0],                                  // port 0
        &[0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], // half a port
        &[0x30, 3, b'a', b'b'],                                     // a name that ends early
        &[0x30, 0, 0, 80],                                          // no name
        &[0x30, 2, 0xff, 0xfe, 0, 80],                              // not UTF-8
        &[0x30, 2, b'a', b' ', 0, 80],                              // not a name
        &[1, 0, 0, 0, 2],                                           // an empty fragment
        &[1, 0, 0, 0, 1, 9],                                        // the only one of its kind
        &[1, 0, 0, 2, 2, 9],                                        // one past the last
        &[1, 0, 0, 0, 65, 9],                                       // of too many
    ] {
        assert_eq!(Message::decode(Bytes::copy_from_slice(bytes)), Err(Malformed), "{bytes:?}");
    }
}

#[test]
fn a_datagram_of_which_too_much_comes_is_none() {
    let mut reassembly = Reassembly::new();
    for index in 0..2 {
        let part = datagram(None, MAX_DATAGRAM / 2 + 1);
        assert_eq!(reassembly.take(Message::Fragment { number: 1, index, count: 2, part }), None);
    }
    assert_eq!(reassembly.held(), 0);
}

/// One part of two, of this size.
fn half(number: u16, index: u8, size: usize) -> Message {
    Message::Fragment { number, index, count: 2, part: datagram(None, size) }
}

#[test]
fn a_datagram_of_48_kib_in_parts_is_one_and_a_byte_more_is_none() {
    for (more, is_one) in [(0, true), (1, false)] {
        let mut reassembly = Reassembly::new();
        assert_eq!(reassembly.take(half(1, 0, 24 << 10)), None);
        let whole = reassembly.take(half(1, 1, (24 << 10) + more));
        assert_eq!(whole.map(|whole| whole.data.len()), is_one.then_some(48 << 10));
        assert_eq!(reassembly.held(), 0);
    }
}

#[test]
fn a_datagram_has_sixty_four_parts_and_no_more() {
    let at =
        |index: u8, count: u8| Message::decode(Bytes::copy_from_slice(&[FRAGMENT, 0, 0, index, count, 9]));
    let mut reassembly = Reassembly::new();
    let whole = (0..64).find_map(|index| reassembly.take(at(index, 64).unwrap()));
    assert_eq!(whole.map(|whole| whole.data.len()), Some(64));
    assert_eq!(at(0, 65), Err(Malformed));
}

#[test]
fn eight_datagrams_may_be_incomplete_and_then_the_oldest_is_lost() {
    for (count, first_is_there) in [(8, true), (9, false)] {
        let mut reassembly = Reassembly::new();
        for number in 0..count {
            assert_eq!(reassembly.take(half(number, 0, 1)), None);
        }
        assert_eq!(reassembly.held(), 8);
        assert!(reassembly.take(half(count - 1, 1, 1)).is_some());
        assert_eq!(reassembly.take(half(0, 1, 1)).is_some(), first_is_there, "{count}");
    }
}

#[test]
fn incomplete_datagrams_hold_128_kib_and_then_the_oldest_is_lost() {
    for (more, first_is_there) in [(0, true), (1, false)] {
        let mut reassembly = Reassembly::new();
        for number in 0..3 {
            assert_eq!(reassembly.take(half(number, 0, 40 << 10)), None);
        }
        assert_eq!(reassembly.take(half(3, 0, (8 << 10) + more)), None);
        assert_eq!(reassembly.held(), if first_is_there { 128 << 10 } else { (88 << 10) + more });
        assert_eq!(reassembly.take(half(0, 1, 1)).is_some(), first_is_there);
        assert!(reassembly.take(half(1, 1, 1)).is_some());
    }
}

#[test]
fn a_place_may_have_a_name_of_253_bytes_and_no_longer_one() {
    for (text, is_name) in
        [("a.".repeat(126) + "a", true), ("aa.".to_owned() + &"a.".repeat(125) + "a", false)]
    {
        let mut bytes = vec![WHOLE | 3 << 4, u8::try_from(text.len()).unwrap()];
        bytes.extend_from_slice(text.as_bytes());
        bytes.extend_from_slice(&[0, 80]);
        let message = Message::decode(bytes.clone().into());
        assert_eq!(
            message.clone().map(|message| message.encode()),
            if is_name { Ok(bytes.into()) } else { Err(Malformed) }
        );
    }
}

#[tokio::test]
async fn datagrams_larger_than_a_message_pass_and_those_over_the_limit_do_not() {
    let config = memory::MemoryConfig { datagram_queue: 64, ..memory::MemoryConfig::default() };
    let pair = memory::pair_with(config);
    let (sender, mut accepted) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |incoming: Incoming| {
        let _ = sender.send(incoming.accept_datagrams());
        std::future::ready(())
    };
    pair.right.handle("org.example.udp", std::sync::Arc::new(handler)).unwrap();
    let channel = pair.to_right.open_datagrams(Open::unreliable("org.example.udp")).unwrap();
    let mut received = accepted.recv().await.unwrap().unwrap();
    let (mut sending, mut reassembly) = (Sender::default(), Reassembly::new());
    for size in [0, 1, 1_180, 1_200, 1_232, 1_400, 4_096, MAX_DATAGRAM] {
        let sent = datagram(Some("host.example:53"), size);
        sending.send(&channel, sent.clone()).unwrap();
        let whole = loop {
            let bytes = received.recv().await.unwrap().unwrap();
            if let Some(whole) = reassembly.take(Message::decode(bytes).unwrap()) {
                break whole;
            }
        };
        assert_eq!(whole, sent);
    }
    let error = sending.send(&channel, datagram(None, MAX_DATAGRAM + 1)).unwrap_err();
    assert!(matches!(error, DatagramError::TooLarge { max: MAX_DATAGRAM, .. }));
}
