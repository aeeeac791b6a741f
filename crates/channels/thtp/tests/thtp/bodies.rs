//! Bodies in both directions: as they are sent, at the pace of the reader, to the end or not at all.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::run::{all_closed, run};
use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get, post};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use telemesh_channel::memory::{self, MemoryPair};
use telemesh_channel::{Acceptor as _, ChannelError, Incoming};
use telemesh_thtp::limits::CONTINUE_TIMEOUT;
use telemesh_thtp::{Body, BodyError, HttpOpener as _, HttpServer as _, RequestError, THTP};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, mpsc, oneshot};

/// A body that a test feeds; each piece is counted when it is taken.
struct Fed {
    pieces: mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>,
    taken: Arc<AtomicUsize>,
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let piece = std::task::ready!(self.pieces.poll_recv(cx));
        self.taken.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(piece)
    }
}

type Feed = mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>;

fn fed() -> (Feed, Fed, Arc<AtomicUsize>) {
    let (feed, pieces) = mpsc::channel(1);
    let taken = Arc::new(AtomicUsize::new(0));
    (feed, Fed { pieces, taken: taken.clone() }, taken)
}

fn data(bytes: &'static [u8]) -> Result<Frame<Bytes>, std::io::Error> {
    Ok(Frame::data(Bytes::from_static(bytes)))
}

/// `count` pieces of 1 KiB.
fn kilobytes(count: usize, made: Arc<AtomicUsize>) -> Body {
    let pieces = stream::iter(0..count).map(move |_| {
        made.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[7; 1024])))
    });
    Body::new(StreamBody::new(pieces))
}

fn get_(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[test]
fn a_body_comes_back_as_it_was_sent() {
    run(|pair: MemoryPair| async move {
        let echo = |request: AxumRequest| async { request.into_body() };
        pair.right.serve_http(Router::new().route("/", post(echo))).unwrap();
        // Around what is copied, what goes with the open message, one frame, and what a channel holds.
        for size in [0_usize, 1, 4095, 4096, 4097, 61_000, 65_536, 262_144, 262_145, 1_000_000] {
            let bytes: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            let request = Request::post("/").body(Body::from(bytes.clone())).unwrap();
            let response = pair.to_right.http(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(response.into_body().collect().await.unwrap().to_bytes() == bytes, "{size}");
        }
    });
}

#[test]
fn a_service_sees_how_long_a_body_is() {
    run(|pair: MemoryPair| async move {
        let length = |headers: HeaderMap| async move { format!("{:?}", headers.get("content-length")) };
        pair.right.serve_http(Router::new().route("/", any(length))).unwrap();
        let said = |request| async {
            let body = pair.to_right.http(request).await.unwrap().into_body().collect().await.unwrap();
            String::from_utf8(body.to_bytes().to_vec()).unwrap()
        };
        assert_eq!(said(Request::post("/").body(Body::from("four")).unwrap()).await, "Some(\"4\")");
        assert_eq!(said(Request::post("/").body(Body::empty()).unwrap()).await, "Some(\"0\")");
        assert_eq!(said(get_("/")).await, "None");
        let unknown = kilobytes(1, Arc::default());
        assert_eq!(said(Request::post("/").body(unknown).unwrap()).await, "None");
    });
}

#[test]
fn trailers_pass_in_both_directions() {
    run(|pair: MemoryPair| async move {
        let echo = |request: AxumRequest| async { Response::new(request.into_body()) };
        pair.right.serve_http(Router::new().route("/", post(echo))).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        // These would change what the message was, and are left out.
        trailers.insert("content-length", "7".parse().unwrap());
        trailers.insert("connection", "close".parse().unwrap());
        let frames =
            [Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(stream::iter(frames));
        let response = pair.to_right.http(Request::post("/").body(body).unwrap()).await.unwrap();
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().unwrap();
        assert_eq!((trailers.len(), &trailers["grpc-status"]), (1, &"0".parse().unwrap()));
        assert_eq!(collected.to_bytes(), "x");
    });
}

#[test]
fn events_arrive_when_they_are_sent_and_not_later() {
    run(|pair: MemoryPair| async move {
        let (send, mut events) = mpsc::channel::<u32>(1);
        let events = stream::poll_fn(move |cx| events.poll_recv(cx))
            .map(|number| Ok::<_, Infallible>(Event::default().data(number.to_string())));
        let events = std::sync::Mutex::new(Some(Sse::new(events)));
        let events = Arc::new(events);
        let app =
            Router::new().route("/", get(move || async move { events.lock().unwrap().take().unwrap() }));
        pair.right.serve_http(app).unwrap();
        let mut response = pair.to_right.http(get_("/")).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        for number in 0..3 {
            send.send(number).await.unwrap();
            // Before the next one is made.
            let frame = response.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), format!("data: {number}\n\n"));
        }
        drop(send);
        assert!(response.body_mut().frame().await.is_none());
    });
}

#[test]
fn the_head_comes_before_the_body_is_made() {
    run(|pair: MemoryPair| async move {
        let (feed, body, _) = fed();
        let body = Arc::new(std::sync::Mutex::new(Some(body)));
        let serve = move || {
            let body = body.clone();
            async move { axum::body::Body::new(body.lock().unwrap().take().unwrap()) }
        };
        pair.right.serve_http(Router::new().route("/", get(serve))).unwrap();
        let response = pair.to_right.http(get_("/")).await.unwrap();
        feed.send(data(b"now")).await.unwrap();
        drop(feed);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "now");
    });
}

#[test]
fn a_slow_reader_slows_the_writer() {
    run(|pair: MemoryPair| async move {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let serve = move || std::future::ready(axum::body::Body::new(kilobytes(10_000, counted.clone())));
        pair.right.serve_http(Router::new().route("/", get(serve))).unwrap();
        let response = pair.to_right.http(get_("/")).await.unwrap();
        // Time passes only when nobody can go on.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let ahead = made.load(Ordering::Relaxed);
        // The channel holds 64 KiB, and one piece waits.
        assert!((60..=70).contains(&ahead), "{ahead} pieces were made for a reader that does not read");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!((body.len(), made.load(Ordering::Relaxed)), (10_000 * 1024, 10_000));
    });
}

#[test]
fn a_slow_service_slows_the_client() {
    run(|pair: MemoryPair| async move {
        let go_on = Arc::new(Notify::new());
        let waits = go_on.clone();
        let slow = move |request: AxumRequest| async move {
            waits.notified().await;
            request.into_body().collect().await.unwrap().to_bytes().len().to_string()
        };
        pair.right.serve_http(Router::new().route("/", post(slow))).unwrap();
        let made = Arc::new(AtomicUsize::new(0));
        let request = Request::post("/").body(kilobytes(10_000, made.clone())).unwrap();
        let response = tokio::spawn(async move { pair.to_right.http(request).await });
        tokio::time::sleep(Duration::from_secs(60)).await;
        let ahead = made.load(Ordering::Relaxed);
        assert!((60..=70).contains(&ahead), "{ahead} pieces were made for a service that does not read");
        go_on.notify_one();
        let body = response.await.unwrap().unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, (10_000 * 1024).to_string());
    });
}

#[test]
fn both_directions_flow_at_once() {
    run(|pair: MemoryPair| async move {
        let echo = |request: AxumRequest| async { request.into_body() };
        pair.right.serve_http(Router::new().route("/", post(echo))).unwrap();
        let (feed, body, _) = fed();
        feed.send(data(b"0")).await.unwrap();
        let mut response = pair.to_right.http(Request::post("/").body(body).unwrap()).await.unwrap();
        for piece in [&b"1"[..], b"2", b"3"] {
            let frame = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(frame, [piece[0] - 1][..]);
            feed.send(data(piece)).await.unwrap();
        }
        drop(feed);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "3");
    });
}

#[test]
fn a_body_that_fails_is_never_taken_for_a_whole_one() {
    run(|pair: MemoryPair| async move {
        let (seen, mut was_seen) = mpsc::channel(1);
        let serve = move |request: AxumRequest| {
            let seen = seen.clone();
            async move { seen.send(request.into_body().collect().await.is_err()).await.unwrap() }
        };
        let (feed_response, failing, _) = fed();
        let failing = Arc::new(std::sync::Mutex::new(Some(failing)));
        let fails = move || async move { axum::body::Body::new(failing.lock().unwrap().take().unwrap()) };
        pair.right.serve_http(Router::new().route("/", post(serve).get(fails))).unwrap();

        let (feed, body, _) = fed();
        let request = Request::post("/").body(body).unwrap();
        let sending = tokio::spawn(async move { (pair.to_right.http(request).await, pair) });
        feed.send(data(b"half")).await.unwrap();
        feed.send(Err(std::io::Error::other("the disk is gone"))).await.unwrap();
        let (result, pair) = sending.await.unwrap();
        assert!(matches!(&result, Err(RequestError::Body(error)) if error.to_string() == "the disk is gone"));
        assert!(was_seen.recv().await.unwrap());

        feed_response.send(data(b"half")).await.unwrap();
        let response = pair.to_right.http(get_("/")).await.unwrap();
        feed_response.send(Err(std::io::Error::other("the disk is gone"))).await.unwrap();
        let error = response.into_body().collect().await.unwrap_err();
        assert!(
            matches!(&error, BodyError::Io(io) if ChannelError::of(io) == Some(&ChannelError::Reset(3))),
            "{error}"
        );
    });
}

#[test]
fn a_body_of_another_length_than_announced_is_an_error() {
    run(|pair: MemoryPair| async move {
        let short =
            || async { ([("content-length", "5")], axum::body::Body::new(kilobytes(0, Arc::default()))) };
        let long =
            || async { ([("content-length", "5")], axum::body::Body::new(kilobytes(1, Arc::default()))) };
        pair.right.serve_http(Router::new().route("/short", get(short)).route("/long", get(long))).unwrap();
        for path in ["/short", "/long"] {
            let body = match pair.to_right.http(get_(path)).await {
                Ok(response) => response.into_body().collect().await.map(|_| ()),
                Err(RequestError::Response(error)) => Err(error),
                Err(error) => panic!("{error}"),
            };
            assert!(matches!(body, Err(BodyError::Length)), "{path}");
        }
    });
}

#[test]
fn a_link_that_goes_down_cuts_a_body() {
    run(|pair: MemoryPair| async move {
        let endless = || std::future::ready(axum::body::Body::new(kilobytes(usize::MAX, Arc::default())));
        pair.right.serve_http(Router::new().route("/", get(endless))).unwrap();
        let mut response = pair.to_right.http(get_("/")).await.unwrap();
        response.body_mut().frame().await.unwrap().unwrap();
        memory::disconnect(&pair.left, &pair.right, &ChannelError::LinkDown);
        let error = response.into_body().collect().await.unwrap_err();
        assert!(matches!(&error, BodyError::Io(io) if ChannelError::of(io) == Some(&ChannelError::LinkDown)));
    });
}

#[test]
fn a_client_that_goes_ends_what_is_done_for_it() {
    struct Told(Option<oneshot::Sender<()>>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(());
        }
    }
    run(|pair: MemoryPair| async move {
        let (started, mut has_started) = mpsc::channel(1);
        let (tell, told) = oneshot::channel();
        let guard = Arc::new(std::sync::Mutex::new(Some(Told(Some(tell)))));
        let hang = move || async move {
            let _guard = guard.lock().unwrap().take();
            started.send(()).await.unwrap();
            std::future::pending::<()>().await;
        };
        pair.right.serve_http(Router::new().route("/", get(hang))).unwrap();
        {
            let mut request = Box::pin(pair.to_right.http(get_("/")));
            tokio::select! {
                _ = &mut request => panic!("it hangs"),
                _ = has_started.recv() => {}
            }
        }
        told.await.unwrap();
        all_closed(&pair).await;
    });
}

#[test]
fn a_response_that_is_dropped_ends_its_body() {
    run(|pair: MemoryPair| async move {
        let (feed, body, _) = fed();
        let body = Arc::new(std::sync::Mutex::new(Some(body)));
        let serve = move || async move { axum::body::Body::new(body.lock().unwrap().take().unwrap()) };
        pair.right.serve_http(Router::new().route("/", get(serve))).unwrap();
        let response = pair.to_right.http(get_("/")).await.unwrap();
        drop(response);
        // Although nothing was written.
        feed.closed().await;
    });
}

#[test]
fn a_service_that_does_not_read_answers_all_the_same() {
    run(|pair: MemoryPair| async move {
        let refuse = || async { (StatusCode::PAYLOAD_TOO_LARGE, "too much") };
        pair.right.serve_http(Router::new().route("/", post(refuse))).unwrap();
        let made = Arc::new(AtomicUsize::new(0));
        let request = Request::post("/").body(kilobytes(usize::MAX, made.clone())).unwrap();
        let response = pair.to_right.http(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "too much");
        // The endless upload too.
        all_closed(&pair).await;
    });
}

#[test]
fn a_client_that_waits_for_100_sends_its_body_when_it_is_wanted() {
    run(|pair: MemoryPair| async move {
        let go_on = Arc::new(Notify::new());
        let waits = go_on.clone();
        let take = move |request: AxumRequest| async move {
            waits.notified().await;
            request.into_body().collect().await.unwrap().to_bytes()
        };
        let refuse = || async { StatusCode::FORBIDDEN };
        pair.right
            .serve_http(Router::new().route("/take", post(take)).route("/refuse", post(refuse)))
            .unwrap();

        let request = |path: &str, made: &Arc<AtomicUsize>| {
            let body = kilobytes(1, made.clone());
            Request::post(path).header("expect", "100-continue").body(body).unwrap()
        };
        let made = Arc::new(AtomicUsize::new(0));
        let sent = request("/take", &made);
        let response = tokio::spawn(async move { (pair.to_right.http(sent).await, pair) });
        tokio::time::sleep(CONTINUE_TIMEOUT / 2).await;
        assert_eq!(made.load(Ordering::Relaxed), 0, "nobody wants it yet");
        let before = tokio::time::Instant::now();
        go_on.notify_one();
        let (response, pair) = response.await.unwrap();
        assert_eq!(response.unwrap().into_body().collect().await.unwrap().to_bytes().len(), 1024);
        assert_eq!(before.elapsed(), Duration::ZERO, "it was told, and did not wait for its timer");

        let made = Arc::new(AtomicUsize::new(0));
        let response = pair.to_right.http(request("/refuse", &made)).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        drop(response);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(made.load(Ordering::Relaxed), 0, "the body of a refused request is never made");
    });
}

#[test]
fn a_server_that_knows_nothing_of_100_gets_the_body_after_a_while() {
    run(|pair: MemoryPair| async move {
        let handler = |incoming: Incoming| async move {
            let early = incoming.open().body.clone();
            let mut channel = incoming.accept().unwrap();
            let before = tokio::time::Instant::now();
            let body = channel.read_chunk().await.unwrap().unwrap();
            assert!(body.ends_with(&[7; 1024]) && !early.is_empty());
            assert_eq!(before.elapsed(), CONTINUE_TIMEOUT);
            // A response with the status 200 and nothing else.
            channel.write_all(b"\x81\0\0\x0e\0\x07:status\0\x03200").await.unwrap();
            channel.shutdown().await.unwrap();
            while channel.read_chunk().await.unwrap().is_some() {}
        };
        pair.right.handle(THTP, Arc::new(handler)).unwrap();
        let request = Request::post("/").header("expect", "100-continue");
        let response = pair.to_right.http(request.body(kilobytes(1, Arc::default())).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    });
}
