//! A folder over a link: what is served of it, and what never is.

use std::fs;

use crate::run::run_on_the_clock as run;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use telemesh_channel::memory::MemoryPair;
use telemesh_thtp::{Body, Folder, HttpOpener as _, HttpServer as _};

/// A folder with a secret beside it.
fn folder() -> tempfile::TempDir {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.txt"), "secret").unwrap();
    let folder = outside.path().join("www");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::create_dir_all(folder.join(".git")).unwrap();
    fs::create_dir_all(folder.join(".well-known")).unwrap();
    fs::write(folder.join("index.html"), "<h1>hello</h1>").unwrap();
    fs::write(folder.join("data.txt"), "0123456789").unwrap();
    fs::write(folder.join("sub/a b.txt"), "spaces").unwrap();
    fs::write(folder.join(".git/config"), "secret").unwrap();
    fs::write(folder.join(".env"), "secret").unwrap();
    fs::write(folder.join(".well-known/x"), "known").unwrap();
    outside
}

async fn ask(pair: &MemoryPair, request: http::request::Builder) -> (Response<()>, Bytes) {
    let response = pair.to_right.http(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (Response::from_parts(parts, ()), body.collect().await.unwrap().to_bytes())
}

#[test]
fn files_are_served_with_type_length_and_time() {
    let outside = folder();
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Folder::new(outside.path().join("www"))).unwrap();
        let (response, body) = ask(&pair, Request::get("/")).await;
        assert_eq!(response.headers()["content-type"], "text/html");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(body, "<h1>hello</h1>");
        let (response, body) = ask(&pair, Request::get("/data.txt?x=y")).await;
        assert_eq!(response.headers()["content-length"], "10");
        assert_eq!(body, "0123456789");
        let modified = response.headers()["last-modified"].clone();
        let (response, body) =
            ask(&pair, Request::get("/data.txt").header("if-modified-since", modified)).await;
        assert_eq!((response.status(), body.len()), (StatusCode::NOT_MODIFIED, 0));
        let (response, body) = ask(&pair, Request::head("/data.txt")).await;
        assert_eq!((&response.headers()["content-length"], body.len()), (&"10".parse().unwrap(), 0));
        assert_eq!(ask(&pair, Request::get("/sub/a%20b.txt")).await.1, "spaces");
        assert_eq!(ask(&pair, Request::get("/.well-known/x")).await.1, "known");
        let (none, body) = ask(&pair, Request::get("/none")).await;
        assert_eq!((none.status(), &body[..]), (StatusCode::NOT_FOUND, b"404 Not Found\n".as_slice()));
        assert_eq!(ask(&pair, Request::post("/data.txt")).await.0.status(), StatusCode::METHOD_NOT_ALLOWED);
    });
}

#[test]
fn ranges_are_served() {
    let outside = folder();
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Folder::new(outside.path().join("www"))).unwrap();
        for (range, expected) in [("bytes=2-4", "234"), ("bytes=-3", "789"), ("bytes=8-", "89")] {
            let (response, body) = ask(&pair, Request::get("/data.txt").header("range", range)).await;
            assert_eq!((response.status(), &body[..]), (StatusCode::PARTIAL_CONTENT, expected.as_bytes()));
        }
        let (response, _) = ask(&pair, Request::get("/data.txt").header("range", "bytes=10-")).await;
        assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(response.headers()["content-range"], "bytes */10");
    });
}

#[test]
fn nothing_outside_and_nothing_hidden_is_served() {
    let outside = folder();
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Folder::new(outside.path().join("www"))).unwrap();
        for path in [
            "/../secret.txt",
            "/sub/../../secret.txt",
            "/%2e%2e/secret.txt",
            "/%2E%2E/secret.txt",
            "/.%2e/secret.txt",
            "/..%2fsecret.txt",
            "/sub%2f..%2f..%2fsecret.txt",
            "/..%5csecret.txt",
            "/%252e%252e/secret.txt",
            "//../secret.txt",
            "/./../secret.txt",
            "/sub/%00/../../secret.txt",
            "/.env",
            "/%2eenv",
            "/.git/config",
            "/sub/../.env",
            "/sub%2F..%2F.env",
        ] {
            let (response, body) = ask(&pair, Request::get(path)).await;
            assert!(response.status().is_client_error(), "{path}: {}", response.status());
            assert!(!body.windows(6).any(|part| part == b"secret"), "{path}");
        }
        let absolute = format!("/{}", outside.path().join("secret.txt").display());
        assert_eq!(ask(&pair, Request::get(absolute)).await.0.status(), StatusCode::NOT_FOUND);
    });
}
