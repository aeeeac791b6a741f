//! Reliable channels over the memory pair: order, ends, resets, back-pressure, refusals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

mod run;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use telemesh_channel::memory::{MemoryConfig, MemoryPair, pair, pair_with};
use telemesh_channel::{
    Acceptor, CANCELLED, Channel, ChannelError, Incoming, Open, OpenError, Opener, Refusal, RefusalCode,
};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use run::run;

const THING: &str = "org.example.thing";

/// A pair whose right end hands accepted channels out.
fn accepting(pair: &MemoryPair) -> mpsc::UnboundedReceiver<Channel> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let handler = move |incoming: Incoming| {
        let sender = sender.clone();
        async move {
            let _ = sender.send(incoming.accept().unwrap());
        }
    };
    pair.right.handle(THING, Arc::new(handler)).unwrap();
    receiver
}

async fn both_ends(pair: &MemoryPair) -> (Channel, Channel) {
    let mut accepted = accepting(pair);
    let opened = pair.to_right.open(Open::reliable(THING)).await.unwrap();
    (opened, accepted.recv().await.unwrap())
}

fn error_of<T: std::fmt::Debug>(result: io::Result<T>) -> ChannelError {
    ChannelError::of(&result.unwrap_err()).unwrap().clone()
}

/// Writes until there is no room, and says how much there was.
fn fill(channel: &mut Channel) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut written = 0;
    while let Poll::Ready(count) = Pin::new(&mut *channel).poll_write(&mut cx, &[7; 1000]) {
        let count = count.unwrap();
        assert!(count > 0, "a writer without room waits");
        written += count;
        assert!(written < 1_000_000, "the writer never has to wait");
    }
    written
}

#[test]
fn bytes_go_both_ways_in_order_and_both_sides_know_the_other() {
    run(async {
        let pair = pair();
        let (mut left, mut right) = both_ends(&pair).await;
        assert_eq!(left.peer(), telemesh_channel::Network::hashname(&pair.right));
        assert_eq!(right.peer(), telemesh_channel::Network::hashname(&pair.left));
        assert_eq!((left.channel_type(), right.channel_type()), (THING, THING));
        left.accepted().await.unwrap();
        right.accepted().await.unwrap();

        left.write_all(b"hello ").await.unwrap();
        left.write_all(b"world").await.unwrap();
        left.shutdown().await.unwrap();
        let mut text = String::new();
        right.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello world");

        right.write_all(b"and back").await.unwrap();
        right.shutdown().await.unwrap();
        text.clear();
        left.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "and back", "the other direction stays open after one has ended");
    });
}

#[test]
fn the_other_side_sees_an_open_before_anything_is_written() {
    run(async {
        let pair = pair();
        let mut accepted = accepting(&pair);
        let _opened = pair.to_right.open(Open::reliable(THING)).await.unwrap();
        assert_eq!(accepted.recv().await.unwrap().channel_type(), THING);
    });
}

#[test]
fn the_open_message_arrives_with_its_headers_and_body() {
    run(async {
        let pair = pair();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let handler = move |incoming: Incoming| {
            sender.send((incoming.peer(), incoming.open().clone())).unwrap();
            async {}
        };
        pair.right.handle(THING, Arc::new(handler)).unwrap();
        let open = Open::reliable(THING).with_header("purpose", "test").with_body("body");
        let _channel = pair.to_right.open(open.clone()).await.unwrap();
        assert_eq!(receiver.recv().await.unwrap(), (pair.to_left.peer(), open));
    });
}

#[test]
fn data_written_before_the_answer_is_there_when_it_is_accepted() {
    run(async {
        let pair = pair();
        let mut accepted = accepting(&pair);
        let mut opened = pair.to_right.open(Open::reliable(THING)).await.unwrap();
        opened.write_all(b"early").await.unwrap();
        opened.shutdown().await.unwrap();
        let mut data = Vec::new();
        accepted.recv().await.unwrap().read_to_end(&mut data).await.unwrap();
        assert_eq!(data, b"early");
    });
}

#[test]
fn a_channel_dropped_after_its_shutdown_still_delivers() {
    run(async {
        let (mut left, mut right) = both_ends(&pair()).await;
        left.write_all(b"the tail").await.unwrap();
        left.shutdown().await.unwrap();
        drop(left);
        let mut data = Vec::new();
        right.read_to_end(&mut data).await.unwrap();
        assert_eq!(data, b"the tail");
    });
}

#[test]
fn a_channel_dropped_before_its_shutdown_never_looks_complete() {
    run(async {
        let (mut left, mut right) = both_ends(&pair()).await;
        left.write_all(b"half a sentence").await.unwrap();
        drop(left);
        assert_eq!(error_of(right.read_to_end(&mut Vec::new()).await), ChannelError::Reset(CANCELLED));
        assert_eq!(error_of(right.write_all(b"x").await), ChannelError::Stopped(CANCELLED));
    });
}

#[test]
fn a_reset_brings_its_code_and_wakes_who_waits() {
    run(async {
        let (left, mut right) = both_ends(&pair()).await;
        let reader = tokio::spawn(async move { (right.read_u8().await, right) });
        tokio::task::yield_now().await;
        left.reset(42);
        let (result, mut right) = reader.await.unwrap();
        let error = result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(ChannelError::of(&error), Some(&ChannelError::Reset(42)));
        assert_eq!(error_of(right.write_all(b"x").await), ChannelError::Stopped(42));
    });
}

#[test]
fn stopping_to_read_fails_the_writer_and_leaves_the_other_direction() {
    run(async {
        let (mut left, mut right) = both_ends(&pair()).await;
        right.stop_reading(9);
        assert_eq!(error_of(left.write_all(b"x").await), ChannelError::Stopped(9));
        assert_eq!(right.read(&mut [0; 8]).await.unwrap(), 0, "own reads are at the end");
        right.write_all(b"still here").await.unwrap();
        right.shutdown().await.unwrap();
        let mut data = Vec::new();
        left.read_to_end(&mut data).await.unwrap();
        assert_eq!(data, b"still here");
    });
}

#[test]
fn writing_after_the_end_is_an_error() {
    run(async {
        let (mut left, _right) = both_ends(&pair()).await;
        left.finish().await.unwrap();
        left.finish().await.unwrap();
        assert_eq!(error_of(left.write_all(b"x").await), ChannelError::ClosedHere);
        assert_eq!(error_of(left.write_chunk(Bytes::from_static(b"x")).await), ChannelError::ClosedHere);
    });
}

#[test]
fn reading_after_the_end_stays_at_the_end() {
    run(async {
        let (mut left, mut right) = both_ends(&pair()).await;
        left.shutdown().await.unwrap();
        for _ in 0..2 {
            assert_eq!(right.read(&mut [0; 8]).await.unwrap(), 0);
            assert_eq!(right.read_chunk().await.unwrap(), None);
        }
    });
}

#[test]
fn a_writer_waits_for_a_reader_that_does_not_read() {
    run(async {
        let (mut left, mut right) =
            both_ends(&pair_with(MemoryConfig { stream_capacity: 2500, ..MemoryConfig::default() })).await;
        assert_eq!(fill(&mut left), 2500, "exactly the capacity");
        let writer = tokio::spawn(async move {
            left.write_all(&[8; 500]).await.unwrap();
            left.shutdown().await.unwrap();
        });
        let mut data = Vec::new();
        right.read_to_end(&mut data).await.unwrap();
        assert_eq!(data.len(), 3000);
        assert_eq!((data[2499], data[2500]), (7, 8));
        writer.await.unwrap();
    });
}

#[test]
fn chunks_are_handed_over_without_a_copy() {
    run(async {
        let (mut left, mut right) = both_ends(&pair()).await;
        let chunk = Bytes::from(vec![3; 10_000]);
        left.write_chunk(chunk.clone()).await.unwrap();
        left.finish().await.unwrap();
        let received = right.read_chunk().await.unwrap().unwrap();
        assert_eq!(received, chunk);
        assert!(std::ptr::eq(received.as_ptr(), chunk.as_ptr()));
        assert_eq!(right.read_chunk().await.unwrap(), None);
    });
}

#[test]
fn a_chunk_larger_than_the_window_passes_in_parts() {
    run(async {
        let config = MemoryConfig { stream_capacity: 1000, ..MemoryConfig::default() };
        let (mut left, mut right) = both_ends(&pair_with(config)).await;
        let writer = tokio::spawn(async move {
            left.write_chunk(vec![1; 3500].into()).await.unwrap();
            left.finish().await.unwrap();
        });
        let mut sizes = Vec::new();
        while let Some(chunk) = right.read_chunk().await.unwrap() {
            sizes.push(chunk.len());
        }
        assert_eq!(sizes, [1000, 1000, 1000, 500]);
        writer.await.unwrap();
    });
}

#[test]
fn a_vectored_write_loses_nothing() {
    run(async {
        let (mut left, mut right) = both_ends(&pair()).await;
        let slices = [IoSlice::new(b""), IoSlice::new(b"first"), IoSlice::new(b"second")];
        let written = poll_fn(|cx| Pin::new(&mut left).poll_write_vectored(cx, &slices)).await.unwrap();
        left.shutdown().await.unwrap();
        let mut data = Vec::new();
        right.read_to_end(&mut data).await.unwrap();
        assert_eq!(data.len(), written);
        assert!(written > 0 && b"firstsecond".starts_with(&data));
    });
}

#[test]
fn the_halves_work_in_two_tasks_and_keep_the_codes() {
    run(async {
        let (left, mut right) = both_ends(&pair()).await;
        let (mut reader, mut writer) = left.into_split();
        let waiting = tokio::spawn(async move {
            let chunk = reader.read_chunk().await.unwrap().unwrap();
            (chunk, reader)
        });
        tokio::task::yield_now().await;
        writer.write_all(b"ping").await.unwrap();
        let mut data = [0; 4];
        right.read_exact(&mut data).await.unwrap();
        right.write_all(b"pong").await.unwrap();
        let (chunk, reader) = waiting.await.unwrap();
        assert_eq!(chunk, "pong");

        reader.stop(5);
        assert_eq!(error_of(right.write_all(b"x").await), ChannelError::Stopped(5));
        writer.reset(6);
        assert_eq!(error_of(right.read_u8().await), ChannelError::Reset(6));
    });
}

#[test]
fn a_writing_half_dropped_after_its_end_delivers_and_one_before_resets() {
    run(async {
        let (left, mut right) = both_ends(&pair()).await;
        let (reader, mut writer) = left.into_split();
        writer.write_chunk(Bytes::from_static(b"whole")).await.unwrap();
        writer.finish().await.unwrap();
        drop((reader, writer));
        let mut data = Vec::new();
        right.read_to_end(&mut data).await.unwrap();
        assert_eq!(data, b"whole");

        let (left, mut right) = both_ends(&pair()).await;
        let (_reader, writer) = left.into_split();
        drop(writer);
        assert_eq!(error_of(right.read_u8().await), ChannelError::Reset(CANCELLED));
    });
}

#[test]
fn a_refusal_tells_its_reason_everywhere() {
    run(async {
        let pair = pair();
        let refusal = Refusal::new(RefusalCode::NotAllowed, "not for you");
        let reason = refusal.clone();
        let handler = move |incoming: Incoming| {
            incoming.refuse(reason.clone());
            async {}
        };
        pair.right.handle(THING, Arc::new(handler)).unwrap();
        let mut channel = pair.to_right.open(Open::reliable(THING)).await.unwrap();
        assert_eq!(channel.accepted().await, Err(OpenError::Refused(refusal.clone())));
        let error = channel.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(ChannelError::of(&error), Some(&ChannelError::Refused(refusal.clone())));
        assert_eq!(error_of(channel.write_all(b"x").await), ChannelError::Refused(refusal));
    });
}

#[test]
fn a_type_nobody_answers_is_refused_as_unknown() {
    run(async {
        let pair = pair();
        let mut channel = pair.to_right.open(Open::reliable("org.example.unheard-of")).await.unwrap();
        let Err(OpenError::Refused(refusal)) = channel.accepted().await else { panic!("must be refused") };
        assert_eq!(refusal.code(), RefusalCode::UnknownType);
        assert!(!refusal.reason().is_empty());
    });
}

#[test]
fn a_channel_nobody_decides_upon_is_refused_as_internal() {
    run(async {
        let pair = pair();
        pair.right.handle(THING, Arc::new(|incoming: Incoming| async { drop(incoming) })).unwrap();
        let mut channel = pair.to_right.open(Open::reliable(THING)).await.unwrap();
        let Err(OpenError::Refused(refusal)) = channel.accepted().await else { panic!("must be refused") };
        assert_eq!(refusal.code(), RefusalCode::Internal);
    });
}

#[test]
fn unusable_open_messages_fail_at_the_opener() {
    run(async {
        let pair = pair();
        let result = pair.to_right.open(Open::reliable("NotAType")).await;
        assert!(matches!(result, Err(OpenError::InvalidType(_))));
        let result = pair.to_right.open(Open::unreliable(THING)).await;
        assert!(matches!(result, Err(OpenError::WrongKind(_))));
        let result = pair.to_right.open(Open::reliable(THING).with_body(vec![0; 65_536])).await;
        assert!(matches!(result, Err(OpenError::Invalid(_))));
    });
}
