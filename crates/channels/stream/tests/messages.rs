//! Messages over streams: binary, JSON, protobuf, their limits, and values of any shape.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

mod run;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use telemesh_channel::memory::{MemoryConfig, pair, pair_with};
use telemesh_channel::{CANCELLED, ChannelError, MessageError};
use telemesh_stream::{Encoding, JsonMessages, ProtobufMessages, StreamAcceptor, StreamOpener, TypedError};

use run::run;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Value {
    Text(String),
    Numbers(Vec<i64>),
    Table(BTreeMap<String, u32>),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Note {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(uint64, repeated, tag = "2")]
    numbers: Vec<u64>,
    #[prost(bytes = "bytes", tag = "3")]
    content: Bytes,
}

async fn json_pair<T>() -> (JsonMessages<T>, JsonMessages<T>)
where
    T: Serialize + serde::de::DeserializeOwned,
{
    let pair = pair();
    let mut streams = pair.right.on_stream().unwrap();
    let opened = pair.to_right.stream().json().await.unwrap();
    (opened, streams.next().await.unwrap().json().unwrap())
}

#[test]
fn binary_messages_keep_their_bounds_in_both_directions() {
    run(async {
        let pair = pair();
        let mut streams = pair.right.on_stream().unwrap();
        let mut left = pair.to_right.stream().messages(Encoding::Binary).await.unwrap();
        let mut right = streams.next().await.unwrap().messages(Encoding::Binary).unwrap();
        for size in [0, 1, 5000] {
            left.send(vec![7; size].into()).await.unwrap();
        }
        left.finish().await.unwrap();
        let mut sizes = Vec::new();
        while let Some(message) = right.receive().await.unwrap() {
            sizes.push(message.len());
            right.send(message).await.unwrap();
        }
        assert_eq!(sizes, [0, 1, 5000]);
        right.finish().await.unwrap();
        let back: Vec<Bytes> = left.try_collect().await.unwrap();
        assert_eq!(back.len(), 3);
    });
}

#[test]
fn a_message_larger_than_the_window_passes() {
    run(async {
        let pair = pair_with(MemoryConfig { stream_capacity: 1000, ..MemoryConfig::default() });
        let mut streams = pair.right.on_stream().unwrap();
        let mut left = pair.to_right.stream().messages(Encoding::Binary).await.unwrap();
        let mut right = streams.next().await.unwrap().messages(Encoding::Binary).unwrap();
        let message = Bytes::from((0..100_000_u32).flat_map(u32::to_be_bytes).collect::<Vec<_>>());
        let sent = message.clone();
        let sender = tokio::spawn(async move {
            left.send(sent).await.unwrap();
            left.finish().await.unwrap();
        });
        assert_eq!(right.receive().await.unwrap().unwrap(), message);
        assert_eq!(right.receive().await.unwrap(), None);
        sender.await.unwrap();
    });
}

#[test]
fn each_side_has_its_own_limit() {
    run(async {
        let pair = pair();
        let mut streams = pair.right.on_stream().unwrap();
        let mut left = pair.to_right.stream().max_message_size(100).messages(Encoding::Binary).await.unwrap();
        let right = streams.next().await.unwrap().messages(Encoding::Binary).unwrap();
        let mut right = right.with_max_size(99);
        left.send(vec![0; 99].into()).await.unwrap();
        left.send(vec![0; 100].into()).await.unwrap();
        let error = left.send(vec![0; 101].into()).await.unwrap_err();
        assert!(matches!(error, MessageError::TooLarge { size: 101, max: 100 }));
        assert_eq!(right.receive().await.unwrap().unwrap().len(), 99);
        let error = right.receive().await.unwrap_err();
        assert!(matches!(error, MessageError::TooLarge { size: 100, max: 99 }));
    });
}

#[test]
fn a_peer_that_gives_up_inside_the_messages_is_not_taken_for_the_end() {
    run(async {
        let (mut left, mut right) = json_pair::<u32>().await;
        left.send(&1).await.unwrap();
        assert_eq!(right.receive().await.unwrap(), Some(1));
        drop(left);
        let error = right.receive().await.unwrap_err();
        let TypedError::Message(MessageError::Io(error)) = error else { panic!("not {error}") };
        assert_eq!(ChannelError::of(&error), Some(&ChannelError::Reset(CANCELLED)));
    });
}

#[test]
fn a_message_that_is_no_such_value_leaves_the_others() {
    run(async {
        let pair = pair();
        let mut streams = pair.right.on_stream().unwrap();
        let mut left = pair.to_right.stream().messages(Encoding::Json).await.unwrap();
        let mut right = streams.next().await.unwrap().json::<Vec<u8>>().unwrap();
        for text in ["[1]", "[1", "", "\"text\"", "[256]", "\u{0}", "[2]"] {
            left.send(text.into()).await.unwrap();
        }
        left.finish().await.unwrap();
        let mut fine = Vec::new();
        let mut broken = 0;
        while let Some(value) = right.next().await {
            match value {
                Ok(value) => fine.push(value),
                Err(TypedError::Decode(_)) => broken += 1,
                Err(other) => panic!("not {other}"),
            }
        }
        assert_eq!((fine, broken), (vec![vec![1], vec![2]], 5));
    });
}

#[test]
fn deeply_nested_json_from_a_peer_is_an_error_and_no_crash() {
    run(async {
        let pair = pair();
        let mut streams = pair.right.on_stream().unwrap();
        let mut left = pair.to_right.stream().messages(Encoding::Json).await.unwrap();
        let mut right = streams.next().await.unwrap().json::<serde_json::Value>().unwrap();
        let nested = "[".repeat(50_000);
        left.send(nested.into()).await.unwrap();
        assert!(matches!(right.receive().await, Err(TypedError::Decode(_))));
        left.send("[]".into()).await.unwrap();
        assert_eq!(right.receive().await.unwrap(), Some(serde_json::json!([])));
    });
}

#[test]
fn a_value_without_a_message_concerns_only_itself() {
    run(async {
        // JSON has no objects with keys like these.
        let (mut left, mut right) = json_pair::<BTreeMap<String, f64>>().await;
        let (mut odd, _odd_right) = json_pair::<BTreeMap<(u8, u8), u8>>().await;
        assert!(matches!(odd.send(&BTreeMap::from([((1, 2), 3)])).await, Err(TypedError::Encode(_))));
        odd.send(&BTreeMap::new()).await.unwrap();
        left.send(&BTreeMap::from([("pi".to_owned(), 3.25)])).await.unwrap();
        assert_eq!(right.receive().await.unwrap().unwrap()["pi"].to_bits(), 3.25_f64.to_bits());
    });
}

#[test]
fn protobuf_messages_arrive_as_sent_empty_ones_too() {
    run(async {
        let pair = pair();
        let mut streams = pair.right.on_stream().unwrap();
        let mut left: ProtobufMessages<Note> = pair.to_right.stream().protobuf().await.unwrap();
        let mut right = streams.next().await.unwrap().protobuf::<Note>().unwrap();
        let note =
            Note { text: "note".to_owned(), numbers: vec![1, u64::MAX], content: vec![9; 2000].into() };
        left.send(&note).await.unwrap();
        left.send(&Note::default()).await.unwrap();
        left.finish().await.unwrap();
        assert_eq!(right.receive().await.unwrap(), Some(note));
        assert_eq!(right.receive().await.unwrap(), Some(Note::default()), "an empty message is one too");
        assert_eq!(right.receive().await.unwrap(), None);
    });
}

fn some_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::Text),
        prop::collection::vec(any::<i64>(), 0..50).prop_map(Value::Numbers),
        prop::collection::btree_map(any::<String>(), any::<u32>(), 0..10).prop_map(Value::Table),
    ]
}

fn some_note() -> impl Strategy<Value = Note> {
    (any::<String>(), prop::collection::vec(any::<u64>(), 0..50), prop::collection::vec(any::<u8>(), 0..2000))
        .prop_map(|(text, numbers, content)| Note { text, numbers, content: content.into() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_values_arrive_as_sent_through_json(values in prop::collection::vec(some_value(), 0..20)) {
        let received = run(async {
            let (mut left, right) = json_pair::<Value>().await;
            let sent = values.clone();
            let sender = tokio::spawn(async move {
                left.send_all(&mut futures_util::stream::iter(sent.into_iter().map(Ok))).await.unwrap();
                left.close().await.unwrap();
            });
            let received: Vec<Value> = right.try_collect().await.unwrap();
            sender.await.unwrap();
            received
        });
        prop_assert_eq!(received, values);
    }

    #[test]
    fn any_messages_arrive_as_sent_through_protobuf(notes in prop::collection::vec(some_note(), 0..20)) {
        let received = run(async {
            let pair = pair();
            let mut streams = pair.right.on_stream().unwrap();
            let mut left = pair.to_right.stream().protobuf::<Note>().await.unwrap();
            let right = streams.next().await.unwrap().protobuf::<Note>().unwrap();
            let sent = notes.clone();
            let sender = tokio::spawn(async move {
                for note in &sent {
                    left.send(note).await.unwrap();
                }
                left.finish().await.unwrap();
            });
            let received: Vec<Note> = right.try_collect().await.unwrap();
            sender.await.unwrap();
            received
        });
        prop_assert_eq!(received, notes);
    }
}
