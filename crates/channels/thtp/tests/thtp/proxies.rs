//! A server on this machine, behind a proxy, asked over a link. On loopback, with real sockets.

use std::net::SocketAddr;

use crate::run::{Left as _, run_on_the_clock as run};
use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::routing::{any, get, post};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use telemesh_channel::Opener as _;
use telemesh_channel::memory::MemoryPair;
use telemesh_thtp::{Body, HttpOpener as _, HttpServer as _, Proxy, ProxyError, upgraded};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Serves an application on loopback, over HTTP/1.1 and HTTP/2.
async fn server(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn app() -> Router {
    let shown = |version: Version, headers: HeaderMap| async move {
        let of = |name: &str| {
            headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>().join("+")
        };
        format!(
            "{version:?} {} {} {} {}",
            of("host"),
            of("x-forwarded-host"),
            of("telemesh-peer"),
            of("x-forwarded-for")
        )
    };
    let echo = |request: AxumRequest| async { request.into_body() };
    Router::new().route("/show", get(shown)).route("/echo", post(echo)).route("/base/x", any("below"))
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[test]
fn a_server_sees_who_asks_and_not_what_peers_make_up() {
    for (scheme, http2) in [("http", false), ("h2c", true)] {
        run(|pair: MemoryPair| async move {
            let address = server(app()).await;
            pair.right.serve_http(Proxy::to(&format!("{scheme}://{address}")).unwrap()).unwrap();
            let request = Request::get("/show")
                .header("telemesh-peer", "somebody else")
                .header("x-forwarded-for", "127.0.0.1")
                .header("x-forwarded-host", "evil.example")
                .body(Body::empty())
                .unwrap();
            let shown = text(pair.to_right.http(request).await.unwrap()).await;
            let (host, peer) = (format!("{}.mesh", pair.to_right.peer()), pair.to_left_peer());
            let expected = match http2 {
                false => format!("HTTP/1.1 {host} {host} {peer} "),
                true => format!("HTTP/2.0  {host} {peer} "),
            };
            assert_eq!(shown, expected);
        });
    }
}

#[test]
fn bodies_pass_through_in_both_directions() {
    for scheme in ["http", "h2c"] {
        run(|pair: MemoryPair| async move {
            let address = server(app()).await;
            pair.right.serve_http(Proxy::to(&format!("{scheme}://{address}/")).unwrap()).unwrap();
            for size in [0, 1, 100_000, 3_000_000] {
                let bytes = vec![b'x'; size];
                let request = Request::post("/echo").body(Body::from(bytes.clone())).unwrap();
                let response = pair.to_right.http(request).await.unwrap();
                assert!(response.into_body().collect().await.unwrap().to_bytes() == bytes, "{size}");
            }
        });
    }
}

#[test]
fn a_path_is_put_in_front() {
    run(|pair: MemoryPair| async move {
        let address = server(app()).await;
        pair.right.serve_http(Proxy::to(&format!("http://{address}/base/")).unwrap()).unwrap();
        let request = Request::get("/x").body(Body::empty()).unwrap();
        assert_eq!(text(pair.to_right.http(request).await.unwrap()).await, "below");
    });
}

#[test]
fn a_server_that_is_not_there_is_a_bad_gateway() {
    run(|pair: MemoryPair| async move {
        // Nobody listens on a port that was just given back.
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        pair.right.serve_http(Proxy::to(&format!("http://{address}")).unwrap()).unwrap();
        let request = Request::get("/").body(Body::empty()).unwrap();
        assert_eq!(pair.to_right.http(request).await.unwrap().status(), StatusCode::BAD_GATEWAY);
    });
}

#[test]
fn an_upgrade_reaches_the_server() {
    run(|pair: MemoryPair| async move {
        let switch = |request: AxumRequest| async move {
            let protocol = request.headers()["upgrade"].clone();
            tokio::spawn(async move {
                let mut io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
                let mut word = [0; 5];
                io.read_exact(&mut word).await.unwrap();
                word.reverse();
                io.write_all(&word).await.unwrap();
                io.shutdown().await.unwrap();
            });
            let response =
                Response::builder().status(101).header("connection", "upgrade").header("upgrade", protocol);
            response.body(axum::body::Body::empty()).unwrap()
        };
        let address = server(Router::new().route("/", any(switch))).await;
        pair.right.serve_http(Proxy::to(&format!("http://{address}")).unwrap()).unwrap();
        let request = Request::get("/").header("connection", "upgrade").header("upgrade", "reverse");
        let mut response = pair.to_right.http(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut io = upgraded(&mut response).unwrap();
        io.write_all(b"hello").await.unwrap();
        let mut answer = String::new();
        io.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "olleh");
    });
}

#[test]
fn urls_that_name_no_server() {
    let error = |url| Proxy::to(url).err();
    assert_eq!(error("127.0.0.1:3000"), Some(ProxyError::Url));
    assert_eq!(error("/x"), Some(ProxyError::Url));
    assert_eq!(error(""), Some(ProxyError::Url));
    assert_eq!(error("https://127.0.0.1"), Some(ProxyError::Scheme));
    assert_eq!(error("http://127.0.0.1/?x"), Some(ProxyError::Extra));
    assert_eq!(error("http://a:b@127.0.0.1/"), Some(ProxyError::Extra));
    assert_eq!(error("http://[::1]:80/a"), None);
}
