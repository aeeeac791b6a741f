//! How many requests a link carries in a second, and how long each takes; messages over a WebSocket too, and how much memory a large
//! body needs. Two endpoints in one process, over UDP on loopback.
//!
//! `cargo run --release -p telemesh --example http_load [REQUESTS]`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body as AxumBody;
use axum::routing::get;
use futures_util::stream;
use http::Request;
use telemesh::thtp::{Body, SERVE};
use telemesh::ws::{Message, WebSocket};
use telemesh::{HttpOpener as _, HttpServer as _, Invite, Link, WsOpener as _, WsServer as _};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Requests at once, as many as h2load is told to have.
const AT_ONCE: usize = 64;

/// Bytes of the large body, in pieces of 64 KiB.
const LARGE: usize = 1 << 30;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let requests = arguments.first().map_or(Ok(100_000), |count| count.parse())?;
    let alice = telemesh::create(telemesh::generate_keys()?).await?;
    alice.serve_http(router())?;
    alice.on_ws("/echo", echo)?;
    let invite = alice.invite(Invite::once().grant(SERVE.parse()?))?;
    let bob = telemesh::create(telemesh::generate_keys()?).await?;
    let link = bob.link(invite.to_secret_string().as_str()).await?;

    for at_once in [1, AT_ONCE] {
        let share = if at_once == 1 { requests / 10 } else { requests };
        let (rate, times) = load(&link, share, at_once).await?;
        println!("thtp, {at_once} at once: {rate:.0} requests/s; {}", percentiles(times));
    }
    let (asked, count) = (link.clone(), requests);
    let (rate, times) = tokio::spawn(async move { messages(&asked, count).await }).await??;
    println!("ws, one at a time: {rate:.0} messages/s there and back; {}", percentiles(times));

    let began = Instant::now();
    let mut body = link.http(Request::get("/large").body(Body::empty())?).await?.into_body();
    let mut size = 0;
    while let Some(chunk) = body.chunk().await? {
        size += chunk.len();
    }
    println!("down: {} MiB/s; peak {} MiB", mib(size, began.elapsed()), peak()?);
    let began = Instant::now();
    let piece = bytes();
    let pieces = stream::iter((0..LARGE / piece.len()).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let mut answer = link.http(Request::post("/count").body(Body::from_stream(pieces))?).await?.into_body();
    let counted = answer.chunk().await?.unwrap_or_default();
    println!("up: {} MiB/s of {counted:?} bytes; peak {} MiB", mib(LARGE, began.elapsed()), peak()?);
    let _ = bob.close().await;
    Ok(())
}

fn router() -> Router {
    let large = || async {
        let piece = bytes();
        let pieces = (0..LARGE / piece.len()).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
        AxumBody::from_stream(stream::iter(pieces))
    };
    let count = |request: axum::extract::Request| async {
        use futures_util::StreamExt as _;
        let mut body = request.into_body().into_data_stream();
        let mut size = 0;
        while let Some(Ok(chunk)) = body.next().await {
            size += chunk.len();
        }
        size.to_string()
    };
    Router::new()
        .route("/", get("hello over the mesh"))
        .route("/large", get(large))
        .route("/count", axum::routing::post(count))
}

fn bytes() -> axum::body::Bytes {
    axum::body::Bytes::from(vec![7; 64 * 1024])
}

async fn load(link: &Link, requests: usize, at_once: usize) -> Result<(f64, Vec<Duration>)> {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (link, next) = (link.clone(), next.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while next.fetch_add(1, Ordering::Relaxed) < requests {
                    let began = Instant::now();
                    let response = link.http(Request::get("/").body(Body::empty())?).await?;
                    let mut body = response.into_body();
                    while body.chunk().await?.is_some() {}
                    times.push(began.elapsed());
                }
                Ok::<_, Box<dyn Error + Send + Sync>>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await??);
    }
    Ok((rate(requests, began.elapsed()), times))
}

async fn messages(link: &Link, count: usize) -> Result<(f64, Vec<Duration>)> {
    let mut socket = link.ws("/echo").await?;
    let (mut times, began) = (Vec::new(), Instant::now());
    for _ in 0..count {
        let began = Instant::now();
        socket.send("a message of sixty-four bytes, as somebody types it in a chat...").await?;
        socket.receive().await?;
        times.push(began.elapsed());
    }
    Ok((rate(count, began.elapsed()), times))
}

async fn echo(mut socket: WebSocket) {
    while let Ok(Some(message @ Message::Text(_))) = socket.receive().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

fn mib(bytes: usize, time: Duration) -> usize {
    bytes / (1 << 20) * 1_000 / usize::try_from(time.as_millis()).unwrap_or(1).max(1)
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default().as_micros();
    format!("median {} µs, p99 {} µs", at(50), at(99))
}

/// The most memory this process has used, in MiB, where the system says so.
fn peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
