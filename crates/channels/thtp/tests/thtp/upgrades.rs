//! Switching to another protocol: at a path of its own, and in services that were written for hyper.

use crate::run::{all_closed, run};
use axum::Router;
use axum::routing::any;
use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use telemesh_channel::memory::MemoryPair;
use telemesh_thtp::{
    Body, Decision, HttpOpener as _, HttpServer as _, Peer, Server, UpgradeHandler, Upgraded, upgraded,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) fn switch(path: &str) -> Request<Body> {
    let request = Request::get(path).header("connection", "upgrade").header("upgrade", "echo");
    request.header("x-key", "k").body(Body::empty()).unwrap()
}

/// Echoes in capitals.
pub(crate) struct Echo;

impl UpgradeHandler for Echo {
    fn decide(&self, request: Request<()>) -> Decision {
        if request.uri().query() == Some("no") {
            let mut response = Response::new(Body::from("no"));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return Decision::Refuse(response);
        }
        let Peer(peer) = *request.extensions().get().unwrap();
        let response = Response::builder().header("x-key", &request.headers()["x-key"]).body(()).unwrap();
        let serve = move |mut io: Upgraded| {
            async move {
                assert_eq!(io.peer(), peer);
                echo(&mut io).await;
            }
            .boxed()
        };
        Decision::Switch { response, serve: Box::new(serve) }
    }
}

async fn echo(io: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) {
    let mut buffer = [0; 16];
    loop {
        let count = io.read(&mut buffer).await.unwrap();
        if count == 0 {
            return io.shutdown().await.unwrap();
        }
        buffer[..count].make_ascii_uppercase();
        io.write_all(&buffer[..count]).await.unwrap();
    }
}

async fn talk(mut response: Response<Body>) {
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["upgrade"], "echo");
    assert_eq!(response.headers()["x-key"], "k");
    let mut io = upgraded(&mut response).unwrap();
    assert!(upgraded(&mut response).is_none());
    for word in ["hello", "world"] {
        io.write_all(word.as_bytes()).await.unwrap();
        let mut answer = [0; 5];
        io.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, word.to_uppercase().as_bytes());
    }
    io.shutdown().await.unwrap();
    assert_eq!(io.read(&mut [0; 1]).await.unwrap(), 0, "the other end has ended in order");
}

#[test]
fn a_path_switches_to_its_protocol() {
    run(|pair: MemoryPair| async move {
        let server = Server::of(&*pair.right).unwrap();
        server.upgrade("Echo", "/echo", Echo).unwrap();
        assert!(server.upgrade("echo", "/echo", Echo).is_err());
        talk(pair.to_right.http(switch("/echo")).await.unwrap()).await;
        let response = pair.to_right.http(switch("/echo?no")).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "no");
        assert_eq!(pair.to_right.http(switch("/other")).await.unwrap().status(), StatusCode::NOT_FOUND);
        let plain = Request::get("/echo").body(Body::empty()).unwrap();
        assert_eq!(pair.to_right.http(plain).await.unwrap().status(), StatusCode::NOT_FOUND);
        // A service may come later, and has everything else.
        pair.right.serve_http(Router::new().route("/echo", any("plain"))).unwrap();
        let plain = Request::get("/echo").body(Body::empty()).unwrap();
        assert_eq!(pair.to_right.http(plain).await.unwrap().status(), StatusCode::OK);
        talk(pair.to_right.http(switch("/echo")).await.unwrap()).await;
        all_closed(&pair).await;
    });
}

#[test]
fn a_service_that_was_written_for_hyper_switches_too() {
    run(|pair: MemoryPair| async move {
        let serve = |headers: HeaderMap, request: axum::extract::Request| async move {
            assert!(request.extensions().get::<Peer>().is_some());
            if !headers.contains_key("upgrade") {
                return Response::new(axum::body::Body::from("plain"));
            }
            tokio::spawn(async move {
                let io = hyper::upgrade::on(request).await.unwrap();
                echo(&mut TokioIo::new(io)).await;
            });
            let response = Response::builder().status(101).header("connection", "upgrade");
            let response = response.header("upgrade", "echo").header("x-key", &headers["x-key"]);
            response.body(axum::body::Body::empty()).unwrap()
        };
        pair.right.serve_http(Router::new().route("/", any(serve))).unwrap();
        talk(pair.to_right.http(switch("/")).await.unwrap()).await;
        let response = pair.to_right.http(switch("/missing")).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        drop(response);
        let response = pair.to_right.http(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "plain");
        all_closed(&pair).await;
    });
}

#[test]
fn an_upgrade_has_no_body() {
    run(|pair: MemoryPair| async move {
        Server::of(&*pair.right).unwrap().upgrade("echo", "/", Echo).unwrap();
        let request = switch("/").map(|_| Body::from("early"));
        assert!(pair.to_right.http(request).await.is_err());
    });
}
