//! Unreliable channels over the memory pair.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

mod run;

use std::sync::Arc;

use bytes::Bytes;
use telemesh_channel::memory::{MemoryConfig, MemoryPair, pair, pair_with};
use telemesh_channel::{
    AcceptError, Acceptor, ChannelError, ChannelKind, DatagramError, Datagrams, Incoming, Open, OpenError,
    Opener, RefusalCode,
};
use tokio::sync::mpsc;

use run::run;

const THING: &str = "org.example.thing";

async fn both_ends(pair: &MemoryPair) -> (Datagrams, Datagrams) {
    let (sender, mut accepted) = mpsc::unbounded_channel();
    let handler = move |incoming: Incoming| {
        let _ = sender.send(incoming.accept_datagrams().unwrap());
        async {}
    };
    pair.right.handle(THING, Arc::new(handler)).unwrap();
    let opened = pair.to_right.open_datagrams(Open::unreliable(THING)).unwrap();
    (opened, accepted.recv().await.unwrap())
}

#[test]
fn messages_go_both_ways_whole() {
    run(async {
        let (mut left, mut right) = both_ends(&pair()).await;
        left.send(Bytes::from_static(b"one")).unwrap();
        left.send(Bytes::new()).unwrap();
        assert_eq!(right.recv().await.unwrap().unwrap(), "one");
        assert_eq!(right.recv().await.unwrap().unwrap(), "", "an empty message is one too");
        right.sender().send(Bytes::from_static(b"back")).unwrap();
        assert_eq!(left.recv().await.unwrap().unwrap(), "back");
        assert_eq!(left.channel_type(), THING);
    });
}

#[test]
fn a_message_of_the_largest_size_passes_and_one_past_it_does_not() {
    run(async {
        let (left, mut right) = both_ends(&pair()).await;
        let max = left.max_size();
        left.send(vec![1; max].into()).unwrap();
        assert_eq!(left.send(vec![1; max + 1].into()), Err(DatagramError::TooLarge { size: max + 1, max }));
        assert_eq!(right.recv().await.unwrap().unwrap().len(), max);
    });
}

#[test]
fn a_queue_nobody_reads_is_bounded() {
    run(async {
        let pair = pair_with(MemoryConfig { datagram_queue: 3, ..MemoryConfig::default() });
        let (left, mut right) = both_ends(&pair).await;
        for _ in 0..3 {
            left.send(Bytes::from_static(b"x")).unwrap();
        }
        assert_eq!(left.send(Bytes::from_static(b"x")), Err(DatagramError::Blocked));
        right.recv().await.unwrap();
        left.send(Bytes::from_static(b"x")).unwrap();
    });
}

#[test]
fn dropping_one_end_closes_the_other_after_what_was_sent() {
    run(async {
        let (left, mut right) = both_ends(&pair()).await;
        let sender = left.sender();
        left.send(Bytes::from_static(b"last")).unwrap();
        drop(left);
        assert_eq!(right.recv().await.unwrap().unwrap(), "last");
        assert_eq!(right.recv().await, Ok(None));
        assert_eq!(right.send(Bytes::new()), Err(DatagramError::Closed));
        assert_eq!(sender.send(Bytes::new()), Err(DatagramError::Closed));
        assert_eq!(right.max_size(), 0);
    });
}

#[test]
fn a_refusal_reaches_the_opener_s_receive() {
    run(async {
        let pair = pair();
        let mut opened = pair.to_right.open_datagrams(Open::unreliable("org.example.unheard-of")).unwrap();
        let Err(ChannelError::Refused(refusal)) = opened.recv().await else { panic!("must be refused") };
        assert_eq!(refusal.code(), RefusalCode::UnknownType);
        assert!(matches!(opened.send(Bytes::new()), Err(DatagramError::Channel(ChannelError::Refused(_)))));
    });
}

#[test]
fn messages_sent_before_the_answer_are_there_when_it_is_accepted() {
    run(async {
        let pair = pair();
        let (sender, mut accepted) = mpsc::unbounded_channel();
        let handler = move |incoming: Incoming| {
            let _ = sender.send(incoming.accept_datagrams().unwrap());
            async {}
        };
        pair.right.handle(THING, Arc::new(handler)).unwrap();
        let opened = pair.to_right.open_datagrams(Open::unreliable(THING)).unwrap();
        opened.send(Bytes::from_static(b"early")).unwrap();
        assert_eq!(accepted.recv().await.unwrap().recv().await.unwrap().unwrap(), "early");
    });
}

#[test]
fn the_wrong_kind_of_acceptance_refuses_and_says_so_on_both_sides() {
    run(async {
        let pair = pair();
        let (sender, mut errors) = mpsc::unbounded_channel();
        let handler = move |incoming: Incoming| {
            let result = match incoming.kind() {
                ChannelKind::Reliable => incoming.accept_datagrams().map(drop),
                ChannelKind::Unreliable => incoming.accept().map(drop),
            };
            sender.send(result).unwrap();
            async {}
        };
        pair.right.handle(THING, Arc::new(handler)).unwrap();

        let mut opened = pair.to_right.open_datagrams(Open::unreliable(THING)).unwrap();
        let Err(ChannelError::Refused(refusal)) = opened.recv().await else { panic!("must be refused") };
        assert_eq!(refusal.code(), RefusalCode::NotAllowed);
        assert_eq!(errors.recv().await.unwrap(), Err(AcceptError::WrongKind(ChannelKind::Unreliable)));

        let mut opened = pair.to_right.open(Open::reliable(THING)).await.unwrap();
        let Err(OpenError::Refused(refusal)) = opened.accepted().await else { panic!("must be refused") };
        assert_eq!(refusal.code(), RefusalCode::NotAllowed);
        assert_eq!(errors.recv().await.unwrap(), Err(AcceptError::WrongKind(ChannelKind::Reliable)));
    });
}

#[test]
fn an_open_message_that_fills_a_packet_passes_and_one_byte_more_does_not() {
    run(async {
        let pair = pair();
        let max = MemoryConfig::default().max_datagram_size;
        let overhead = Open::unreliable(THING).with_body(vec![0; 1000]).encoded_length() - 1000;
        let fits = Open::unreliable(THING).with_body(vec![0; max - overhead]);
        assert!(pair.to_right.open_datagrams(fits).is_ok());
        let past = Open::unreliable(THING).with_body(vec![0; max - overhead + 1]);
        assert_eq!(
            pair.to_right.open_datagrams(past).err(),
            Some(OpenError::TooLarge { size: max + 1, max })
        );
        let wrong = pair.to_right.open_datagrams(Open::reliable(THING));
        assert!(matches!(wrong, Err(OpenError::WrongKind(ChannelKind::Reliable))));
    });
}
