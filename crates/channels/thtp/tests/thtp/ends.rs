//! Ends that come from outside: a direction that its client leaves open, and a grant that is taken away.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get, post};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::rt::TokioIo;
use telemesh_channel::memory::{self, MemoryEndpoint, MemoryPair};
use telemesh_channel::{ChannelError, Hashname, Network as _, Open, Opener as _};
use telemesh_thtp::limits::LINGER;
use telemesh_thtp::{
    Body, BodyError, Decision, HttpOpener as _, HttpServer as _, RequestError, SERVE, Server, THTP,
    UpgradeHandler, Upgraded, upgraded,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::requests::head;
use crate::run::{all_closed, run};
use crate::upgrades::{Echo, switch};

fn get_(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// The left endpoint is served no more.
fn withdraw(pair: &MemoryPair) {
    pair.right.revoke(pair.left.hashname(), SERVE);
}

fn is_reset(error: &BodyError) -> bool {
    matches!(error, BodyError::Io(io) if matches!(ChannelError::of(io), Some(ChannelError::Reset(_))))
}

/// Never ends.
fn endless() -> axum::body::Body {
    let piece = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[7; 1024])));
    axum::body::Body::new(StreamBody::new(stream::repeat_with(piece)))
}

#[test]
fn a_request_whose_direction_stays_open_is_kept_for_ten_seconds() {
    run(|pair: MemoryPair| async move {
        assert_eq!(LINGER, Duration::from_secs(10));
        pair.right.serve_http(Router::new().route("/", get("hello"))).unwrap();
        for ends_in_time in [true, false] {
            let fields = [(":method", "GET"), (":path", "/"), (":authority", "a")];
            let open = Open::reliable(THTP).with_body(head(&fields, true));
            let mut channel = pair.to_right.open(open).await.unwrap();
            let mut answer = Vec::new();
            channel.read_to_end(&mut answer).await.unwrap();
            assert!(answer.ends_with(b"hello"));
            sleep(LINGER - Duration::from_millis(2)).await;
            assert_eq!(pair.to_right.open_channels(THTP), 1);
            if ends_in_time {
                channel.shutdown().await.unwrap();
                all_closed(&pair).await;
            } else {
                sleep(Duration::from_millis(3)).await;
                assert_eq!(pair.to_right.open_channels(THTP), 0);
            }
        }
    });
}

#[test]
fn without_its_grant_a_peers_download_ends_and_nobody_elses() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Router::new().route("/", get(|| async { endless() }))).unwrap();
        let other = MemoryEndpoint::new(Hashname::from_bytes([77; 32]));
        let (from_other, _) = memory::connect(&other, &pair.right);
        pair.right.grant(other.hashname(), SERVE);
        let mut kept = from_other.http(get_("/")).await.unwrap();
        let mut response = pair.to_right.http(get_("/")).await.unwrap();
        response.body_mut().frame().await.unwrap().unwrap();
        // What it may do besides changes nothing.
        pair.right.grant(pair.left.hashname(), "box");
        pair.right.revoke(pair.left.hashname(), "box");
        for _ in 0..1_000 {
            response.body_mut().frame().await.unwrap().unwrap();
        }
        withdraw(&pair);
        let error = response.into_body().collect().await.unwrap_err();
        assert!(is_reset(&error), "{error:?}");
        all_closed(&pair).await;
        let refused = pair.to_right.http(get_("/")).await.unwrap_err();
        assert!(matches!(refused, RequestError::Refused(_)), "{refused}");
        for _ in 0..1_000 {
            kept.body_mut().frame().await.unwrap().unwrap();
        }
    });
}

#[test]
fn without_its_grant_a_peer_hears_of_no_more_events_and_the_service_knows() {
    run(|pair: MemoryPair| async move {
        let (send, mut events) = mpsc::channel::<u32>(1);
        let events = stream::poll_fn(move |cx| events.poll_recv(cx))
            .map(|number| Ok::<_, Infallible>(Event::default().data(number.to_string())));
        let events = Arc::new(Mutex::new(Some(Sse::new(events))));
        let serve = move || async move { events.lock().unwrap().take().unwrap() };
        pair.right.serve_http(Router::new().route("/", get(serve))).unwrap();
        let mut response = pair.to_right.http(get_("/")).await.unwrap();
        send.send(1).await.unwrap();
        response.body_mut().frame().await.unwrap().unwrap();
        withdraw(&pair);
        // Although nothing is said on it.
        let error = response.body_mut().frame().await.unwrap().unwrap_err();
        assert!(is_reset(&error), "{error:?}");
        send.closed().await;
        all_closed(&pair).await;
    });
}

#[test]
fn without_its_grant_a_peers_request_that_has_no_answer_yet_ends() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Router::new().fallback(std::future::pending::<()>)).unwrap();
        let link = pair.to_right.clone();
        let waiting = tokio::spawn(async move { link.http(get_("/")).await.map(drop) });
        sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        withdraw(&pair);
        let error = waiting.await.unwrap().unwrap_err();
        assert!(matches!(&error, RequestError::Response(error) if is_reset(error)), "{error:?}");
        all_closed(&pair).await;
    });
}

/// Says a word and hears it, then loses the grant: what comes instead of the next one.
async fn talk_until_withdrawn(pair: &MemoryPair) -> std::io::Error {
    let mut response = pair.to_right.http(switch("/echo")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = upgraded(&mut response).unwrap();
    io.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    io.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HELLO");
    withdraw(pair);
    io.read_exact(&mut answer).await.unwrap_err()
}

#[test]
fn without_its_grant_a_peers_upgraded_connections_end() {
    run(|pair: MemoryPair| async move {
        Server::of(&*pair.right).unwrap().upgrade("echo", "/echo", Echo).unwrap();
        assert_eq!(talk_until_withdrawn(&pair).await.kind(), ErrorKind::ConnectionReset);
        all_closed(&pair).await;
    });
}

#[test]
fn without_its_grant_a_peers_connections_to_services_for_hyper_end() {
    run(|pair: MemoryPair| async move {
        let (ended, mut has_ended) = mpsc::unbounded_channel();
        let serve = move |request: axum::extract::Request| async move {
            tokio::spawn(async move {
                let mut io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
                let mut word = [0; 5];
                io.read_exact(&mut word).await.unwrap();
                word.make_ascii_uppercase();
                io.write_all(&word).await.unwrap();
                // Nothing comes any more.
                let end = io.read(&mut word).await;
                ended.send(end.is_err() || end.is_ok_and(|size| size == 0)).unwrap();
            });
            let response = Response::builder().status(101).header("connection", "upgrade");
            response.header("upgrade", "echo").body(axum::body::Body::empty()).unwrap()
        };
        pair.right.serve_http(Router::new().route("/echo", any(serve))).unwrap();
        assert_eq!(talk_until_withdrawn(&pair).await.kind(), ErrorKind::ConnectionReset);
        assert!(has_ended.recv().await.unwrap());
        all_closed(&pair).await;
    });
}

#[test]
fn without_its_grant_a_peers_upload_ends_also_in_a_task_of_the_services_own() {
    run(|pair: MemoryPair| async move {
        let (tell, mut told) = mpsc::unbounded_channel();
        let serve = move |request: axum::extract::Request| async move {
            tokio::spawn(async move {
                let mut body = request.into_body();
                tell.send(body.frame().await.unwrap().map(drop)).unwrap();
                tell.send(body.frame().await.unwrap().map(drop)).unwrap();
            });
            std::future::pending::<()>().await;
        };
        pair.right.serve_http(Router::new().route("/", post(serve))).unwrap();
        let (feed, pieces) = mpsc::channel::<Result<Bytes, Infallible>>(1);
        let mut pieces = pieces;
        let body = Body::from_stream(stream::poll_fn(move |cx| pieces.poll_recv(cx)));
        let link = pair.to_right.clone();
        let request = Request::post("/").body(body).unwrap();
        let request = tokio::spawn(async move { link.http(request).await.map(drop) });
        feed.send(Ok(Bytes::from_static(b"a piece"))).await.unwrap();
        told.recv().await.unwrap().unwrap();
        withdraw(&pair);
        let error = told.recv().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("the grant of the peer was taken away"), "{error}");
        assert!(request.await.unwrap().is_err());
        feed.closed().await;
        all_closed(&pair).await;
    });
}

/// Gives its connections to somebody else.
struct Handing(mpsc::UnboundedSender<Upgraded>);

impl UpgradeHandler for Handing {
    fn decide(&self, _: Request<()>) -> Decision {
        let hand = self.0.clone();
        let serve = move |io| async move { hand.send(io).unwrap() }.boxed();
        Decision::Switch { response: Response::new(()), serve: Box::new(serve) }
    }
}

#[test]
fn without_its_grant_a_peers_connection_ends_whoever_has_it() {
    run(|pair: MemoryPair| async move {
        let (hand, mut handed) = mpsc::unbounded_channel();
        Server::of(&*pair.right).unwrap().upgrade("echo", "/", Handing(hand)).unwrap();
        let mut response = pair.to_right.http(switch("/")).await.unwrap();
        let mut client = upgraded(&mut response).unwrap();
        let (mut read, mut write) = tokio::io::split(handed.recv().await.unwrap());
        write.write_all(b"hello").await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        // One that waits already, in another task than the one that writes.
        let reading = tokio::spawn(async move { read.read_u8().await });
        sleep(Duration::from_secs(1)).await;
        withdraw(&pair);
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(write.write_all(b"more").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        drop(write);
        assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}
