//! What the gateway takes at once, and how long it waits: at the limit, and one past it.

use axum::Router;
use futures_util::FutureExt as _;
use telemesh_channel::Opener as _;
use telemesh_channel::memory::{MemoryPair, pair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::*;
use crate::{HttpServer as _, SERVE};

struct Everybody;

impl Contacts for Everybody {
    fn named(&self, _: &str) -> Option<Hashname> {
        None
    }

    fn contains(&self, _: &Hashname) -> bool {
        true
    }
}

/// A gateway to one peer, for so many connections at once.
async fn gateway(pair: &MemoryPair, count: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Gateway::new(pair.left.clone(), Everybody, Token::from_bytes([9; 32]), address);
    tokio::spawn(async move { gateway.serve_at_once(listener, count).await });
    address
}

/// The head of an answer, whatever it says.
async fn answer(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

const REQUEST: &[u8] = b"HEAD / HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n";

#[tokio::test]
async fn one_connection_more_than_there_may_be_waits_until_another_has_ended() {
    assert_eq!(MAX_CONNECTIONS, 1_024);
    let address = gateway(&pair(), 2).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        answer(&mut stream).await;
        open.push(stream);
    }
    let mut more = TcpStream::connect(address).await.unwrap();
    more.write_all(REQUEST).await.unwrap();
    for stream in &mut open {
        for _ in 0..8 {
            stream.write_all(REQUEST).await.unwrap();
            answer(stream).await;
        }
    }
    assert!(more.read_u8().now_or_never().is_none(), "nobody has taken it");
    open.pop();
    answer(&mut more).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_has_thirty_seconds_for_a_head() {
    let address = gateway(&pair(), 2).await;
    let (first, rest) = REQUEST.split_at(20);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(first).await.unwrap();
    sleep(Duration::from_millis(29_900)).await;
    stream.write_all(rest).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 "));
    let mut slow = TcpStream::connect(address).await.unwrap();
    let before = Instant::now();
    slow.write_all(first).await.unwrap();
    // With an answer that says so, or without one.
    let _ = slow.read_to_end(&mut Vec::new()).await;
    let waited = before.elapsed();
    assert!((30_000..30_010).contains(&waited.as_millis()), "{waited:?}");
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Kind, stream and payload of the next one.
async fn read_frame(stream: &mut TcpStream) -> (u8, u32, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let [a, b, c, kind, _, id @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]).try_into().unwrap()];
    stream.read_exact(&mut payload).await.unwrap();
    (kind, u32::from_be_bytes(id), payload)
}

#[tokio::test]
async fn a_connection_of_http_2_has_256_requests_and_one_more_is_refused() {
    let pair = pair();
    let (called, mut calls) = mpsc::unbounded_channel();
    let hang = move || {
        called.send(()).unwrap();
        std::future::pending::<()>()
    };
    pair.right.grant(pair.left.hashname(), SERVE);
    pair.right.serve_http(Router::new().fallback(hang)).unwrap();
    let address = gateway(&pair, 1).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let (kind, _, settings) = read_frame(&mut stream).await;
    assert_eq!(kind, SETTINGS);
    // SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, section 6.5.2).
    assert!(settings.chunks(6).any(|setting| setting == [0, 3, 0, 0, 1, 0]), "{settings:?}");
    // GET, http, / from the static table; literals without indexing (RFC 7541, section 6.2.2).
    let mut block = vec![0x82, 0x86, 0x84, 0x01];
    let host = format!("{}.localhost:{}", pair.to_right.peer(), address.port());
    let token = Token::from_bytes([9; 32]).to_secret_string();
    let mut text = |text: &str| {
        block.push(u8::try_from(text.len()).unwrap());
        block.extend(text.as_bytes());
    };
    text(&host);
    // Another literal, with its name.
    text("");
    text(TOKEN_HEADER.as_str());
    text(&token);
    for number in 0..257 {
        // The request ends with its head.
        stream.write_all(&frame(HEADERS, 0x05, number * 2 + 1, &block)).await.unwrap();
    }
    let (refused, code) = loop {
        match read_frame(&mut stream).await {
            (RST_STREAM, id, code) => break (id, code),
            (kind, ..) => assert_ne!(kind, HEADERS, "nobody answers"),
        }
    };
    assert_eq!((refused, &code[..]), (513, &[0, 0, 0, 7][..]), "REFUSED_STREAM (section 7)");
    for _ in 0..256 {
        calls.recv().await.unwrap();
    }
    assert!(calls.try_recv().is_err());
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
