//! An axum application that only one contact can reach, and a request to it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use axum::extract::Extension;
use axum::{Router, routing::get};
use http::Request;
use http_body_util::BodyExt as _;
use telemesh::thtp::{Body, Peer, SERVE};
use telemesh::{HttpOpener as _, HttpServer as _, Invite};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alice = telemesh::create(telemesh::generate_keys()?).await?;
    let hello = |Extension(Peer(peer)): Extension<Peer>| async move { format!("hello {peer}\n") };
    alice.serve_http(Router::new().route("/hello", get(hello)))?;
    // Whoever bears this invite may ask; without the grant they would have a link and nothing else.
    let invite = alice.invite(Invite::once().grant(SERVE.parse()?))?;

    let bob = telemesh::create(telemesh::generate_keys()?).await?;
    let link = bob.link(invite.to_secret_string().as_str()).await?;
    let response = link.http(Request::get("/hello").body(Body::empty())?).await?;
    let text = response.into_body().collect().await?.to_bytes();
    print!("{}", String::from_utf8_lossy(&text));
    assert_eq!(text, format!("hello {}\n", bob.hashname()));
    let _ = bob.close().await;
    Ok(())
}
