//! One handler's panic or stall harms no other channel; links that go down take their channels with them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

mod run;

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use telemesh_channel::memory::{self, MemoryEndpoint, MemoryPair, pair};
use telemesh_channel::{
    Acceptor, CANCELLED, ChannelError, CloseReason, Hashname, Incoming, LinkEvent, Network, Open, OpenError,
    Opener, RefusalCode, limited,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use run::run;

/// Registers a handler at the right end that sends back what it reads.
fn echo_at(pair: &MemoryPair) {
    let echo = |incoming: Incoming| async move {
        let (mut reader, mut writer) = incoming.accept().unwrap().into_split();
        while let Ok(Some(chunk)) = reader.read_chunk().await {
            writer.write_chunk(chunk).await.unwrap();
        }
        let _ = writer.finish().await;
    };
    pair.right.handle("org.example.echo", Arc::new(echo)).unwrap();
}

async fn assert_echo(opener: &dyn Opener) {
    let mut channel = opener.open(Open::reliable("org.example.echo")).await.unwrap();
    channel.write_all(b"are you there").await.unwrap();
    channel.finish().await.unwrap();
    let mut answer = Vec::new();
    channel.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"are you there");
}

#[test]
fn a_handler_that_panics_fails_its_own_channel_only() {
    run(async {
        let pair = pair();
        echo_at(&pair);
        let panicking = |incoming: Incoming| {
            assert_ne!(incoming.open().body, "before any await", "expected by the test");
            async move {
                let accept = incoming.open().body == "after acceptance";
                let _channel = accept.then(|| incoming.accept().unwrap());
                panic!("expected by the test");
            }
        };
        pair.right.handle("org.example.panic", Arc::new(panicking)).unwrap();

        let mut other = pair.to_right.open(Open::reliable("org.example.echo")).await.unwrap();
        for body in ["before any await", "before acceptance"] {
            let open = Open::reliable("org.example.panic").with_body(body);
            let mut channel = pair.to_right.open(open).await.unwrap();
            let Err(OpenError::Refused(refusal)) = channel.accepted().await else {
                panic!("must be refused")
            };
            assert_eq!(refusal.code(), RefusalCode::Internal);
        }
        let open = Open::reliable("org.example.panic").with_body("after acceptance");
        let mut channel = pair.to_right.open(open).await.unwrap();
        let error = channel.read_u8().await.unwrap_err();
        assert_eq!(ChannelError::of(&error), Some(&ChannelError::Reset(CANCELLED)));

        other.write_all(b"!").await.unwrap();
        assert_eq!(other.read_u8().await.unwrap(), b'!', "a channel from before goes on");
        assert_echo(&pair.to_right).await;
        assert_eq!(pair.to_right.open_channels("org.example.panic"), 0, "the places are free again");
    });
}

#[test]
fn handlers_that_stall_hold_their_own_channels_only() {
    run(async {
        let pair = pair();
        echo_at(&pair);
        let stalled = |incoming: Incoming| async move {
            let _channel = incoming.accept();
            pending::<()>().await;
        };
        pair.right.handle("org.example.stall", Arc::new(limited(8, stalled))).unwrap();

        let mut stuck = Vec::new();
        for _ in 0..8 {
            let mut channel = pair.to_right.open(Open::reliable("org.example.stall")).await.unwrap();
            channel.accepted().await.unwrap();
            let task = tokio::spawn(async move { channel.write_chunk(vec![0; 10_000_000].into()).await });
            stuck.push(task);
        }
        tokio::task::yield_now().await;
        assert!(stuck.iter().all(|task| !task.is_finished()), "nobody reads, so the writers wait");
        assert_echo(&pair.to_right).await;

        let mut ninth = pair.to_right.open(Open::reliable("org.example.stall")).await.unwrap();
        let Err(OpenError::Refused(refusal)) = ninth.accepted().await else { panic!("must be refused") };
        assert_eq!(refusal.code(), RefusalCode::Busy);
        assert_echo(&pair.to_right).await;
    });
}

#[test]
fn a_link_that_goes_down_fails_its_channels_with_the_reason() {
    run(async {
        let pair = pair();
        echo_at(&pair);
        let mut channel = pair.to_right.open(Open::reliable("org.example.echo")).await.unwrap();
        channel.accepted().await.unwrap();
        let mut datagrams = pair.to_right.open_datagrams(Open::unreliable("org.example.unheard-of")).unwrap();
        let _ = datagrams.recv().await;
        let reader = tokio::spawn(async move { channel.read_u8().await });
        tokio::task::yield_now().await;

        let reason = ChannelError::LinkClosed(CloseReason::ShuttingDown);
        memory::disconnect(&pair.left, &pair.right, &reason);
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!(ChannelError::of(&error), Some(&reason));
        let result = pair.to_right.open(Open::reliable("org.example.echo")).await;
        assert!(matches!(result, Err(OpenError::Channel(ChannelError::LinkDown))));
        let result = pair.to_right.open_datagrams(Open::unreliable("org.example.echo"));
        assert!(matches!(result, Err(OpenError::Channel(ChannelError::LinkDown))));

        memory::connect(&pair.left, &pair.right);
        assert_echo(&pair.to_right).await;
    });
}

#[test]
fn what_arrived_before_the_link_went_down_can_still_be_read() {
    run(async {
        let pair = pair();
        let sending = |incoming: Incoming| async move {
            let mut channel = incoming.accept().unwrap();
            channel.write_all(b"in time").await.unwrap();
            pending::<()>().await;
        };
        pair.right.handle("org.example.sending", Arc::new(sending)).unwrap();
        let mut channel = pair.to_right.open(Open::reliable("org.example.sending")).await.unwrap();
        assert_eq!(channel.read_u8().await.unwrap(), b'i');
        memory::disconnect(&pair.left, &pair.right, &ChannelError::LinkDown);
        assert_eq!(channel.read_chunk().await.unwrap(), Some(Bytes::from_static(b"n time")));
        let error = channel.read_chunk().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    });
}

#[test]
fn a_network_tells_of_its_links() {
    run(async {
        let [a, b, c] = [1, 2, 3].map(|byte| MemoryEndpoint::new(Hashname::from_bytes([byte; 32])));
        let mut events = a.link_events();
        assert!(a.link(&b.hashname()).is_none());
        memory::connect(&a, &b);
        memory::connect(&c, &a);
        assert_eq!(events.next().await, Some(LinkEvent::Up { peer: b.hashname() }));
        assert_eq!(events.next().await, Some(LinkEvent::Up { peer: c.hashname() }));
        assert_eq!(a.peers(), [b.hashname(), c.hashname()]);
        assert_eq!(b.peers(), [a.hashname()]);

        memory::disconnect(&b, &a, &ChannelError::LinkDown);
        memory::disconnect(&b, &a, &ChannelError::LinkDown);
        let down = LinkEvent::Down { peer: b.hashname(), reason: ChannelError::LinkDown };
        assert_eq!(events.next().await, Some(down));
        assert_eq!(a.peers(), [c.hashname()]);
        assert!(a.link(&b.hashname()).is_some(), "the link is there, only not up");
        assert_eq!(a.link(&c.hashname()).unwrap().peer(), c.hashname());

        memory::connect(&a, &c);
        let down = LinkEvent::Down { peer: c.hashname(), reason: ChannelError::PeerRestarted };
        assert_eq!(events.next().await, Some(down));
        assert_eq!(events.next().await, Some(LinkEvent::Up { peer: c.hashname() }));
    });
}

#[test]
fn without_a_runtime_handlers_do_not_run_and_the_open_is_refused() {
    let pair = pair();
    pair.right.handle("org.example.echo", Arc::new(|_: Incoming| async {})).unwrap();
    let mut datagrams = pair.to_right.open_datagrams(Open::unreliable("org.example.echo")).unwrap();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(ChannelError::Refused(refusal))) = datagrams.poll_recv(&mut cx) else {
        panic!("must be refused")
    };
    assert_eq!(refusal.code(), RefusalCode::Internal);
}
