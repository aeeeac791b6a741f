//! One endpoint serves a folder, another one reads a file of it, and a part of it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use http::Request;
use http_body_util::BodyExt as _;
use telemesh_channel::{Opener as _, memory};
use telemesh_thtp::{Body, Folder, HttpOpener as _, HttpServer as _, SERVE};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("poem.txt"), "roses are red, violets are blue\n")?;

    let pair = memory::pair();
    pair.right.serve_http(Folder::new(folder.path()))?;
    pair.right.grant(pair.to_left.peer(), SERVE);

    for range in ["bytes=0-", "bytes=15-21"] {
        let request = Request::get("/poem.txt").header("range", range).body(Body::empty())?;
        let response = pair.to_right.http(request).await?;
        let (status, kind) = (response.status(), response.headers()["content-type"].clone());
        let text = response.into_body().collect().await?.to_bytes();
        println!("{range}: {status}, {kind:?}: {:?}", String::from_utf8_lossy(&text));
    }
    Ok(())
}
