//! Requests to an axum application over a link: what arrives, who is served, what goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::run::{Left as _, all_closed, run};
use axum::extract::{Extension, Path, Query};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use telemesh_channel::memory::MemoryPair;
use telemesh_channel::{Acceptor as _, ChannelError, Fault, HandleError, Incoming, Opener as _};
use telemesh_thtp::limits::MAX_REQUESTS;
use telemesh_thtp::{
    Body, Client, HttpOpener as _, HttpServer as _, Peer, RequestError, SERVE, Server, THTP,
};
use telemesh_wire::{Open, RefusalCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower_service::Service as _;

async fn text(body: Body) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn get_(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[test]
fn an_axum_router_is_served_unchanged() {
    #[derive(serde::Deserialize, serde::Serialize)]
    struct Note {
        text: String,
    }
    run(|pair: MemoryPair| async move {
        let app = Router::new()
            .route("/hello/{name}", get(|Path(name): Path<String>| async move { format!("hello {name}") }))
            .route("/notes", post(|Json(note): Json<Note>| async move { (StatusCode::CREATED, Json(note)) }))
            .route(
                "/query",
                get(|Query(query): Query<std::collections::BTreeMap<String, String>>| async move {
                    format!("{query:?}")
                }),
            )
            .route("/peer", get(|Extension(Peer(peer)): Extension<Peer>| async move { peer.to_string() }))
            .route(
                "/host",
                get(|headers: HeaderMap| async move { headers["host"].to_str().unwrap().to_owned() }),
            );
        pair.right.serve_http(app).unwrap();

        let response = pair.to_right.http(get_("/hello/bob")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-length"], "9");
        assert_eq!(text(response.into_body()).await, "hello bob");

        let request = Request::post("/notes")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(br#"{"text":"milk"}"#)))
            .unwrap();
        let response = pair.to_right.http(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(text(response.into_body()).await, r#"{"text":"milk"}"#);

        let response = pair.to_right.http(get_("/query?a=1&b=%20x")).await.unwrap();
        assert_eq!(text(response.into_body()).await, r#"{"a": "1", "b": " x"}"#);
        let response = pair.to_right.http(get_("/peer")).await.unwrap();
        assert_eq!(text(response.into_body()).await, pair.to_left_peer().to_string());
        let response = pair.to_right.http(get_("/host")).await.unwrap();
        assert_eq!(text(response.into_body()).await, format!("{}.mesh", pair.to_right.peer()));
        let response = pair.to_right.http(get_("/nothing")).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let request = Request::delete("/hello/bob").body(Body::empty()).unwrap();
        assert_eq!(pair.to_right.http(request).await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    });
}

#[test]
fn a_client_is_a_tower_service() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Router::new().route("/", get("hello"))).unwrap();
        let mut client = Client::new(pair.to_right.clone());
        let response = client.call(get_("/")).await.unwrap();
        assert_eq!(text(response.into_body()).await, "hello");
    });
}

#[test]
fn a_response_to_head_has_its_length_and_no_body() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Router::new().route("/", get("hello"))).unwrap();
        let request = Request::head("/").body(Body::empty()).unwrap();
        let response = pair.to_right.http(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "5");
        assert_eq!(text(response.into_body()).await, "");
    });
}

#[test]
fn statuses_without_a_body_have_none() {
    run(|pair: MemoryPair| async move {
        let app = Router::new()
            .route("/204", get(|| async { (StatusCode::NO_CONTENT, "not sent") }))
            .route("/304", get(|| async { (StatusCode::NOT_MODIFIED, [("content-length", "500")]) }));
        pair.right.serve_http(app).unwrap();
        for path in ["/204", "/304"] {
            let response = pair.to_right.http(get_(path)).await.unwrap();
            assert_eq!(response.status().as_str(), &path[1..]);
            assert_eq!(text(response.into_body()).await, "");
        }
    });
}

#[test]
fn only_those_with_the_grant_are_served() {
    run(|pair: MemoryPair| async move {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let service = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { "secret" }
        };
        pair.right.serve_http(Router::new().route("/", any(service))).unwrap();
        pair.right.revoke(pair.to_left_peer(), SERVE);
        let error = pair.to_right.http(get_("/")).await.unwrap_err();
        assert!(
            matches!(&error, RequestError::Refused(refusal) if refusal.code() == RefusalCode::NotAllowed),
            "{error}"
        );
        assert_eq!(error.fault(), Some(Fault::Peer));
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        // From the next request on, without a new link.
        pair.right.grant(pair.to_left_peer(), SERVE);
        assert_eq!(pair.to_right.http(get_("/")).await.unwrap().status(), StatusCode::OK);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn an_endpoint_that_serves_nothing_says_so() {
    run(|pair: MemoryPair| async move {
        let error = pair.to_right.http(get_("/")).await.unwrap_err();
        assert!(
            matches!(error, RequestError::Refused(refusal) if refusal.code() == RefusalCode::UnknownType)
        );
        let server = Server::of(&*pair.right).unwrap();
        let error = pair.to_right.http(get_("/")).await.unwrap_err();
        assert!(
            matches!(error, RequestError::Refused(refusal) if refusal.code() == RefusalCode::UnknownType)
        );
        server.serve(Router::new().route("/", get("hello"))).unwrap();
        assert_eq!(pair.to_right.http(get_("/")).await.unwrap().status(), StatusCode::OK);
        server.stop_serving();
        let error = pair.to_right.http(get_("/")).await.unwrap_err();
        assert!(
            matches!(error, RequestError::Refused(refusal) if refusal.code() == RefusalCode::UnknownType)
        );
    });
}

#[test]
fn one_service_at_a_time() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Router::new()).unwrap();
        let error = pair.right.serve_http(Router::new()).unwrap_err();
        assert_eq!(error, HandleError::Taken(THTP.to_owned()));
        pair.left.handle(THTP, Arc::new(|_: Incoming| async {})).unwrap();
        assert!(pair.left.serve_http(Router::new()).is_err());
    });
}

#[test]
fn a_service_that_fails_or_panics_harms_one_request() {
    run(|pair: MemoryPair| async move {
        let service = tower_fn(|request: Request<Body>| async move {
            match request.uri().path() {
                "/fail" => Err("no".into()),
                "/panic" => panic!("this is what the test wants"),
                "/interim" => Ok(http::Response::builder().status(102).body(Body::empty()).unwrap()),
                "/large" => {
                    let large = "x".repeat(20_000);
                    Ok(http::Response::builder().header("x", large).body(Body::empty()).unwrap())
                }
                _ => Ok(http::Response::new(Body::from("fine"))),
            }
        });
        pair.right.serve_http(service).unwrap();
        for path in ["/fail", "/interim", "/large"] {
            let response = pair.to_right.http(get_(path)).await.unwrap();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            assert_eq!(text(response.into_body()).await, "");
        }
        assert!(matches!(pair.to_right.http(get_("/panic")).await, Err(RequestError::Response(_))));
        assert_eq!(text(pair.to_right.http(get_("/")).await.unwrap().into_body()).await, "fine");
        all_closed(&pair).await;
    });
}

#[test]
fn requests_that_cannot_be_sent_never_leave() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Router::new().route("/", any("hello"))).unwrap();
        let connect = Request::connect("a:1").body(Body::empty()).unwrap();
        let error = pair.to_right.http(connect).await.unwrap_err();
        assert_eq!(error.fault(), Some(Fault::Ours));
        assert_eq!(error.to_string(), "the request has an unusable method");
        let large = Request::get("/").header("x", "v".repeat(17_000)).body(Body::empty()).unwrap();
        assert!(matches!(pair.to_right.http(large).await, Err(RequestError::Request(_))));
    });
}

/// What a peer sends that keeps no rules, straight to the server.
async fn answer_to(pair: &MemoryPair, bytes: &[u8]) -> ChannelError {
    let open = Open::reliable(THTP).with_body(bytes.to_vec());
    let mut channel = pair.to_right.open(open).await.unwrap();
    let mut read = Vec::new();
    let error = channel.read_to_end(&mut read).await.unwrap_err();
    assert!(read.is_empty(), "a bad request gets no answer");
    ChannelError::of(&error).unwrap().clone()
}

/// A frame of a head.
pub(crate) fn head(fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        for part in [name, value] {
            block.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
            block.extend(part.as_bytes());
        }
    }
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    [&[if end { 0x81 } else { 1 }], &length[1..], &block].concat()
}

#[test]
fn a_peer_that_breaks_the_rules_is_reset_and_the_service_hears_nothing() {
    run(|pair: MemoryPair| async move {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let service = tower_fn(move |_: Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok(http::Response::new(Body::empty())) }
        });
        pair.right.serve_http(service).unwrap();
        let get = [(":method", "GET"), (":path", "/")];
        let with = |more: &[(&str, &str)]| head(&[&get[..], more].concat(), true);
        let bad = [
            with(&[("content-length", "0"), ("transfer-encoding", "chunked")]),
            with(&[("content-length", "0"), ("content-length", "0")]),
            with(&[("x", "a\r\nb: c")]),
            with(&[("X", "a")]),
            with(&[(":authority", "a"), ("host", "b")]),
            // It announces more than it has.
            with(&[("content-length", "1")]),
            head(&[(":method", "GET"), (":path", "http://a/")], true),
            head(&[(":method", "CONNECT"), (":path", "/")], true),
            vec![0x80, 0, 0, 0],
            vec![0x81, 1, 0, 1],
            vec![0x17, 0, 0, 0],
        ];
        for bytes in &bad {
            assert_eq!(answer_to(&pair, bytes).await, ChannelError::Reset(1), "{bytes:?}");
        }
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        all_closed(&pair).await;
    });
}

#[test]
fn a_peer_that_never_ends_its_head_is_given_up() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Router::new()).unwrap();
        let before = tokio::time::Instant::now();
        assert_eq!(answer_to(&pair, &[0x81, 0, 1, 0, 0]).await, ChannelError::Reset(1));
        assert_eq!(before.elapsed(), telemesh_thtp::limits::HEAD_TIMEOUT);
        all_closed(&pair).await;
    });
}

#[test]
fn a_peer_that_answers_without_end_or_sense_is_given_up() {
    run(|pair: MemoryPair| async move {
        let interim = head(&[(":status", "103")], false);
        let answers = [
            (interim.repeat(17), "the peer broke the protocol: too many interim responses"),
            (
                head(&[(":status", "100")], true),
                "the peer broke the protocol: an interim response was the last one",
            ),
            (
                head(&[(":status", "101"), (":protocol", "websocket")], false),
                "the peer broke the protocol: switched to a protocol that was not asked for",
            ),
            (head(&[(":status", "2000")], true), "no response: the peer sent an unusable status"),
            (
                head(&[(":status", "200"), ("content-length", "5")], true),
                "no response: the body is not as long as its content-length says",
            ),
            (vec![], "no response: the message was cut"),
        ];
        let next = Arc::new(AtomicUsize::new(0));
        let bytes: Vec<Vec<u8>> = answers.iter().map(|(bytes, _)| bytes.clone()).collect();
        let handler = move |incoming: Incoming| {
            let bytes = bytes[next.fetch_add(1, Ordering::Relaxed)].clone();
            async move {
                let mut channel = incoming.accept().unwrap();
                channel.write_all(&bytes).await.unwrap();
                channel.shutdown().await.unwrap();
            }
        };
        pair.right.handle(THTP, Arc::new(handler)).unwrap();
        for (_, message) in &answers {
            let error = pair.to_right.http(get_("/")).await.unwrap_err();
            assert_eq!(&error.to_string(), message);
            assert_eq!(error.fault(), Some(Fault::Peer));
        }
    });
}

#[test]
fn interim_responses_are_read_over() {
    run(|pair: MemoryPair| async move {
        let handler = |incoming: Incoming| async move {
            let mut channel = incoming.accept().unwrap();
            let bytes = [
                head(&[(":status", "103"), ("link", "</a>")], false).repeat(16),
                head(&[(":status", "200")], true),
            ];
            channel.write_all(&bytes.concat()).await.unwrap();
            channel.shutdown().await.unwrap();
        };
        pair.right.handle(THTP, Arc::new(handler)).unwrap();
        let response = pair.to_right.http(get_("/")).await.unwrap();
        assert_eq!((response.status(), response.headers().len()), (StatusCode::OK, 0));
    });
}

#[test]
fn as_many_requests_as_allowed_and_one_more() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Router::new().fallback(std::future::pending::<()>)).unwrap();
        let ask = || {
            let link = pair.to_right.clone();
            tokio::spawn(async move { link.http(get_("/")).await.map(drop) })
        };
        let mut waiting = Vec::new();
        for _ in 0..MAX_REQUESTS {
            waiting.push(ask());
            tokio::task::yield_now().await;
        }
        let refused = ask().await.unwrap().unwrap_err();
        assert!(
            matches!(&refused, RequestError::Refused(refusal) if refusal.code() == RefusalCode::Busy),
            "{refused}"
        );
        assert!(waiting.iter().all(|one| !one.is_finished()));
        // When one gives up there is room for another.
        waiting.pop().unwrap().abort();
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let another = ask();
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        assert!(!another.is_finished());
    });
}

#[test]
fn methods_of_ones_own_are_carried() {
    run(|pair: MemoryPair| async move {
        let echo = |method: Method| async move { method.to_string() };
        pair.right.serve_http(Router::new().fallback(echo)).unwrap();
        for method in ["PROPFIND", "X-OWN", "TRACE"] {
            let request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
            assert_eq!(text(pair.to_right.http(request).await.unwrap().into_body()).await, method);
        }
    });
}

/// A tower service from a function.
fn tower_fn<F, R>(
    function: F,
) -> impl tower_service::Service<
    Request<Body>,
    Response = http::Response<Body>,
    Error = Box<dyn std::error::Error + Send + Sync>,
    Future = R,
> + Clone
+ Send
+ 'static
where
    F: Fn(Request<Body>) -> R + Clone + Send + 'static,
    R: Future<Output = Result<http::Response<Body>, Box<dyn std::error::Error + Send + Sync>>> + Send,
{
    #[derive(Clone)]
    struct Function<F>(F);
    impl<F, R> tower_service::Service<Request<Body>> for Function<F>
    where
        F: Fn(Request<Body>) -> R,
        R: Future<Output = Result<http::Response<Body>, Box<dyn std::error::Error + Send + Sync>>>,
    {
        type Response = http::Response<Body>;
        type Error = Box<dyn std::error::Error + Send + Sync>;
        type Future = R;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, request: Request<Body>) -> R {
            (self.0)(request)
        }
    }
    Function(function)
}
