//! Streams over the memory pair: bytes, taking, refusing, limits.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

mod run;

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};
use telemesh_channel::memory::{self, MemoryEndpoint, MemoryPair, pair};
use telemesh_channel::{Acceptor, Channel, HandleError, Incoming, Network, OpenError, Opener};
use telemesh_hashname::Hashname;
use telemesh_stream::{
    ENCODING_HEADER, Encoding, IncomingStream, STREAM, StreamAcceptor, StreamLimits, StreamOpener,
    WrongEncoding,
};
use telemesh_wire::{Open, Refusal, RefusalCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use run::run;

async fn refusal_of(channel: &mut Channel) -> Refusal {
    match channel.accepted().await {
        Err(OpenError::Refused(refusal)) => refusal,
        other => panic!("must be refused, not {other:?}"),
    }
}

/// Lets spawned handlers run until nothing is left to do.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn bytes_and_the_body_arrive_at_whoever_takes_the_stream() {
    run(async {
        let pair = pair();
        let mut streams = pair.right.on_stream().unwrap();
        let mut opened = pair.to_right.stream().body("what for").await.unwrap();
        opened.write_all(b"content").await.unwrap();
        opened.shutdown().await.unwrap();

        let IncomingStream { peer, body, encoding, mut channel, .. } = streams.next().await.unwrap();
        assert_eq!(peer, pair.left.hashname());
        assert_eq!(body, "what for");
        assert_eq!(encoding, None);
        let mut data = Vec::new();
        channel.read_to_end(&mut data).await.unwrap();
        assert_eq!(data, b"content");

        channel.write_all(b"answer").await.unwrap();
        channel.shutdown().await.unwrap();
        data.clear();
        opened.read_to_end(&mut data).await.unwrap();
        assert_eq!(data, b"answer");
    });
}

#[test]
fn a_stream_opens_through_any_kind_of_opener_and_acceptor() {
    run(async {
        let pair = pair();
        let acceptor: &dyn Acceptor = &*pair.right;
        let mut streams = acceptor.on_stream().unwrap();
        let opener: Arc<dyn Opener> = pair.left.link(&pair.right.hashname()).unwrap();
        let _first = opener.stream().await.unwrap();
        let by_reference: &dyn Opener = &*pair.to_right;
        let _second = by_reference.stream().priority(3).await.unwrap();
        streams.next().await.unwrap();
        streams.next().await.unwrap();
    });
}

#[test]
fn streams_come_in_the_order_they_were_opened() {
    run(async {
        let pair = pair();
        let streams = pair.right.on_stream().unwrap();
        let mut opened = Vec::new();
        for number in 0..20_u8 {
            opened.push(pair.to_right.stream().body(vec![number]).await.unwrap());
        }
        let bodies: Vec<u8> = streams.take(20).map(|stream| stream.body[0]).collect().await;
        assert_eq!(bodies, (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn the_opener_sees_acceptance_only_when_the_stream_is_taken() {
    run(async {
        let pair = pair();
        let mut streams = pair.right.on_stream().unwrap();
        let mut opened = pair.to_right.stream().await.unwrap();
        settle().await;
        assert!(opened.accepted().now_or_never().is_none());
        let _taken = streams.next().await.unwrap();
        opened.accepted().await.unwrap();
    });
}

#[test]
fn requests_are_accepted_or_refused_before_the_opener_sees_success() {
    run(async {
        let pair = pair();
        let mut requests = pair.right.on_stream().unwrap().requests();
        let mut good = pair.to_right.stream().body("good").await.unwrap();
        let mut bad = pair.to_right.stream().body("bad").messages(Encoding::Json).await.unwrap();
        let mut ignored = pair.to_right.stream().body("ignored").await.unwrap();
        for _ in 0..3 {
            let request = requests.next().await.unwrap();
            assert_eq!(request.peer(), pair.left.hashname());
            match &request.body()[..] {
                b"good" => drop(request.accept().unwrap()),
                b"bad" => {
                    assert_eq!(request.encoding(), Some(Encoding::Json));
                    request.refuse(Refusal::new(RefusalCode::Application, "not this one"));
                }
                _ => drop(request),
            }
        }
        good.accepted().await.unwrap();
        let refusal = refusal_of(bad.io_mut()).await;
        assert_eq!((refusal.code(), refusal.reason()), (RefusalCode::Application, "not this one"));
        assert_eq!(refusal_of(&mut ignored).await.code(), RefusalCode::Internal);
    });
}

#[test]
fn a_peer_has_its_share_of_the_queue_and_no_more() {
    run(async {
        let [server, greedy, modest] =
            [1, 2, 3].map(|byte| MemoryEndpoint::new(Hashname::from_bytes([byte; 32])));
        let (greedy_link, _) = memory::connect(&greedy, &server);
        let (modest_link, _) = memory::connect(&modest, &server);
        let limits = StreamLimits { waiting: 5, waiting_per_peer: 3 };
        let mut streams = server.on_stream_with(limits).unwrap();

        let mut opened = Vec::new();
        for _ in 0..4 {
            opened.push(greedy_link.stream().await.unwrap());
        }
        let refusal = refusal_of(&mut opened[3]).await;
        assert_eq!(refusal.code(), RefusalCode::Busy);
        settle().await;
        assert!(opened[2].accepted().now_or_never().is_none(), "the third one waits");

        let mut others = Vec::new();
        for _ in 0..3 {
            others.push(modest_link.stream().await.unwrap());
        }
        assert_eq!(
            refusal_of(&mut others[2]).await.code(),
            RefusalCode::Busy,
            "five wait in all, the sixth does not"
        );

        let _first = streams.next().await.unwrap();
        let mut again = greedy_link.stream().await.unwrap();
        for _ in 0..5 {
            streams.next().await.unwrap();
        }
        again.accepted().await.unwrap();
    });
}

#[test]
fn the_default_limits_hold_at_32_of_one_peer() {
    run(async {
        let pair = pair();
        let _streams = pair.right.on_stream().unwrap();
        let mut opened = Vec::new();
        for _ in 0..=StreamLimits::default().waiting_per_peer {
            opened.push(pair.to_right.stream().await.unwrap());
        }
        settle().await;
        let refused: Vec<_> =
            opened.iter_mut().map(|channel| channel.accepted().now_or_never().is_some()).collect();
        assert_eq!(refused.iter().filter(|refused| **refused).count(), 1);
        assert!(refused[32]);
    });
}

#[test]
fn streams_have_one_taker_at_a_time() {
    run(async {
        let pair = pair();
        let streams = pair.right.on_stream().unwrap();
        assert_eq!(pair.right.on_stream().err(), Some(HandleError::Taken(STREAM.to_owned())));
        let mut waiting = pair.to_right.stream().await.unwrap();
        settle().await;
        drop(streams);
        assert_eq!(refusal_of(&mut waiting).await.code(), RefusalCode::UnknownType);
        let mut late = pair.to_right.stream().await.unwrap();
        assert_eq!(refusal_of(&mut late).await.code(), RefusalCode::UnknownType);

        let mut streams = pair.right.on_stream().unwrap();
        let _opened = pair.to_right.stream().await.unwrap();
        streams.next().await.unwrap();
    });
}

#[test]
fn the_streams_end_when_the_acceptor_is_gone() {
    run(async {
        let MemoryPair { right, to_right, to_left, left } = pair();
        let mut streams = right.on_stream().unwrap();
        let waiting = tokio::spawn(async move { streams.next().await.is_none() });
        tokio::task::yield_now().await;
        drop((left, right, to_right, to_left));
        assert!(waiting.await.unwrap());
    });
}

#[test]
fn an_unknown_encoding_and_an_unreliable_stream_are_refused() {
    run(async {
        let pair = pair();
        let mut streams = pair.right.on_stream().unwrap();
        let open = Open::reliable(STREAM).with_header(ENCODING_HEADER, "from the future");
        let mut channel = pair.to_right.open(open).await.unwrap();
        assert_eq!(refusal_of(&mut channel).await.code(), RefusalCode::Application);

        let mut datagrams = pair.to_right.open_datagrams(Open::unreliable(STREAM)).unwrap();
        let error = datagrams.recv().await.unwrap_err();
        assert!(error.to_string().contains("reliable"), "{error}");
        settle().await;
        assert!(streams.next().now_or_never().is_none());
    });
}

#[test]
fn reading_in_another_encoding_than_the_opener_chose_is_an_error() {
    run(async {
        let pair = pair();
        let mut streams = pair.right.on_stream().unwrap();
        let _bytes = pair.to_right.stream().await.unwrap();
        let _json = pair.to_right.stream().json::<u8>().await.unwrap();
        let error = streams.next().await.unwrap().messages(Encoding::Binary).unwrap_err();
        assert_eq!(error, WrongEncoding { found: None, wanted: Encoding::Binary });
        let error = streams.next().await.unwrap().protobuf::<String>().unwrap_err();
        assert_eq!(error, WrongEncoding { found: Some(Encoding::Json), wanted: Encoding::Protobuf });
    });
}

#[test]
fn a_handler_of_the_application_may_serve_the_type_itself() {
    run(async {
        let pair = pair();
        let handler = |incoming: Incoming| async move { drop(incoming.accept()) };
        pair.right.handle(STREAM, Arc::new(handler)).unwrap();
        assert!(pair.right.on_stream().is_err());
        pair.to_right.stream().await.unwrap().accepted().await.unwrap();
    });
}

#[test]
fn a_body_over_the_open_message_s_limit_fails_at_the_opener() {
    run(async {
        let pair = pair();
        let result = pair.to_right.stream().body(vec![0; 65_536]).await;
        assert!(matches!(result, Err(OpenError::Invalid(_))));
    });
}
