//! What programs see of WebSockets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message as AxumMessage, WebSocketUpgrade};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, StatusCode};
use telemesh_channel::memory::{self, MemoryPair};
use telemesh_channel::{ChannelError, HandleError, Opener as _};
use telemesh_thtp::{Body, HttpOpener as _, HttpServer as _, RequestError, SERVE};
use telemesh_ws::limits::{CLOSE_TIMEOUT, MAX_MESSAGE, MAX_REASON};
use telemesh_ws::{
    Close, ConnectError, Message, SocketError, WebSocket, WsOpener as _, WsServer as _, route,
};
use tokio::sync::{Notify, mpsc};

use crate::run::run;

/// Sends back what comes, until the end.
pub(crate) async fn echo(mut socket: WebSocket) {
    while let Ok(Some(message)) = socket.receive().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Neither reads nor goes.
async fn keep(socket: WebSocket) {
    let _socket = socket;
    std::future::pending::<()>().await;
}

#[test]
fn messages_come_back_as_they_were_sent() {
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/echo", echo).unwrap();
        let mut socket = pair.to_right.ws("/echo").await.unwrap();
        assert_eq!((socket.peer(), socket.protocol()), (pair.to_right.peer(), None));
        for size in [0, 1, 125, 126, 127, 65_535, 65_536, 300_000] {
            let (text, bytes) = ("ä".repeat(size / 2), vec![0x80; size]);
            socket.send(text.as_str()).await.unwrap();
            assert_eq!(socket.receive().await.unwrap(), Some(Message::from(text)));
            socket.send(bytes.clone()).await.unwrap();
            assert_eq!(socket.receive().await.unwrap(), Some(Message::from(bytes)));
        }
        socket.close(1000, "done").await.unwrap();
    });
}

#[test]
fn it_is_a_stream_and_a_sink() {
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/echo", echo).unwrap();
        let (mut sink, stream) = pair.to_right.ws("/echo").await.unwrap().split();
        for text in ["one", "two", "three"] {
            sink.feed(Message::from(text)).await.unwrap();
        }
        sink.flush().await.unwrap();
        let three: Vec<_> = stream.take(3).map(Result::unwrap).collect().await;
        assert_eq!(three, ["one", "two", "three"].map(Message::from));
    });
}

#[test]
fn either_side_closes_with_a_code_and_a_reason() {
    run(|pair: MemoryPair| async move {
        let (seen, mut closes) = mpsc::channel(1);
        let waits = move |mut socket: WebSocket| {
            let seen = seen.clone();
            async move {
                seen.send(socket.receive().await.unwrap()).await.unwrap();
                assert_eq!(socket.receive().await.unwrap(), None);
                assert!(matches!(socket.send("late").await, Err(SocketError::Closed)));
            }
        };
        pair.right.on_ws("/waits", waits).unwrap();
        pair.right
            .on_ws("/leaves", |socket: WebSocket| async { socket.close(4001, "tschüß").await.unwrap() })
            .unwrap();

        let socket = pair.to_right.ws("/waits").await.unwrap();
        let before = tokio::time::Instant::now();
        socket.close(3000, "done here").await.unwrap();
        assert_eq!(closes.recv().await.unwrap(), Some(Message::Close(Some(Close::new(3000, "done here")))));

        let mut socket = pair.to_right.ws("/leaves").await.unwrap();
        let close = Message::Close(Some(Close::new(4001, "tschüß")));
        assert_eq!(socket.receive().await.unwrap(), Some(close));
        assert_eq!(socket.receive().await.unwrap(), None);
        assert_eq!(before.elapsed(), Duration::ZERO, "nobody waited for a timer");
    });
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_not_waited_for_long() {
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/deaf", keep).unwrap();
        let socket = pair.to_right.ws("/deaf").await.unwrap();
        let before = tokio::time::Instant::now();
        socket.close(1000, "").await.unwrap();
        assert_eq!(before.elapsed(), CLOSE_TIMEOUT);
    });
}

#[test]
fn a_socket_that_is_cut_is_no_end() {
    run(|pair: MemoryPair| async move {
        pair.right
            .on_ws("/drops", |mut socket: WebSocket| async move { socket.send("last").await.unwrap() })
            .unwrap();
        pair.right.on_ws("/waits", keep).unwrap();
        let mut socket = pair.to_right.ws("/drops").await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Some(Message::from("last")), "what was sent arrives");
        assert!(socket.receive().await.is_err());
        let mut socket = pair.to_right.ws("/waits").await.unwrap();
        memory::disconnect(&pair.left, &pair.right, &ChannelError::LinkDown);
        let error = socket.receive().await.unwrap_err();
        assert!(
            matches!(&error, SocketError::Io(io) if ChannelError::of(io) == Some(&ChannelError::LinkDown))
        );
    });
}

#[test]
fn pings_are_answered_and_seen() {
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/echo", echo).unwrap();
        let mut socket = pair.to_right.ws("/echo").await.unwrap();
        let ping = Bytes::from_static(&[1; 125]);
        socket.send(Message::Ping(ping.clone())).await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Some(Message::Pong(ping)));
        let long = Message::Ping(Bytes::from_static(&[1; 126]));
        assert!(matches!(socket.send(long).await, Err(SocketError::Usage(_))));
        socket.send("still there").await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Some(Message::from("still there")));
    });
}

#[test]
fn a_message_at_the_limit_and_one_past_it() {
    run(|pair: MemoryPair| async move {
        route("/small", echo).max_message_size(1_000).serve(&*pair.right).unwrap();
        let mut socket = pair.to_right.ws("/small").await.unwrap();
        socket.send(vec![0; 1_000]).await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Some(Message::from(vec![0; 1_000])));
        socket.send(vec![0; 1_001]).await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Some(Message::Close(Some(Close::new(1009, "")))));
        assert_eq!(socket.receive().await.unwrap(), None);
        // Our own limit is found before anything is sent.
        let mut socket = pair.to_right.ws("/small").max_message_size(10).await.unwrap();
        assert!(matches!(socket.send(vec![0; 11]).await, Err(SocketError::TooLarge { size: 11, max: 10 })));
        socket.send("0123456789").await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Some(Message::from("0123456789")));
    });
}

#[test]
fn a_reason_at_the_limit_and_one_past_it() {
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/echo", echo).unwrap();
        for (size, fits) in [(MAX_REASON, true), (MAX_REASON + 1, false)] {
            let mut socket = pair.to_right.ws("/echo").await.unwrap();
            let close = Message::Close(Some(Close::new(1000, "r".repeat(size))));
            let sent = socket.send(close.clone()).await;
            assert_eq!(sent.is_ok(), fits, "{sent:?}");
            if fits {
                assert_eq!(socket.receive().await.unwrap(), Some(close));
            }
        }
    });
}

#[test]
fn sixteen_mebibytes_pass_and_a_byte_more_does_not() {
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/echo", echo).unwrap();
        let mut socket = pair.to_right.ws("/echo").await.unwrap();
        let (mut sink, mut stream) = pair.to_right.ws("/echo").await.unwrap().split();
        let largest = Bytes::from(vec![7; MAX_MESSAGE]);
        let (sent, received) = tokio::join!(sink.send(Message::from(largest.clone())), stream.next());
        sent.unwrap();
        assert!(received.unwrap().unwrap() == Message::from(largest));
        assert!(matches!(socket.send(vec![0; MAX_MESSAGE + 1]).await, Err(SocketError::TooLarge { .. })));
    });
}

#[test]
fn a_slow_reader_slows_the_writer() {
    run(|pair: MemoryPair| async move {
        let go_on = Arc::new(Notify::new());
        let waits = go_on.clone();
        let slow = move |socket: WebSocket| {
            let waits = waits.clone();
            async move {
                waits.notified().await;
                echo(socket).await;
            }
        };
        pair.right.on_ws("/slow", slow).unwrap();
        let (mut sink, mut stream) = pair.to_right.ws("/slow").await.unwrap().split();
        let (count, mut counted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for number in 0..1_000 {
                sink.send(Message::from(vec![0; 1024])).await.unwrap();
                count.send(number).unwrap();
            }
        });
        // Time passes only when nobody can go on.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!((60..80).contains(&counted.len()), "{} messages were sent to nobody", counted.len());
        go_on.notify_one();
        for _ in 0..1_000 {
            stream.next().await.unwrap().unwrap();
        }
        counted.close();
    });
}

#[test]
fn both_sides_agree_on_a_sub_protocol_or_on_none() {
    run(|pair: MemoryPair| async move {
        let tell = |mut socket: WebSocket| async move {
            let spoken = socket.protocol().unwrap_or("none").to_owned();
            socket.send(spoken).await.unwrap();
        };
        route("/", tell).protocols(["chat.v1", "chat.v2"]).serve(&*pair.right).unwrap();
        for (offered, taken) in [
            (vec!["chat.v2", "chat.v1"], Some("chat.v2")),
            (vec!["other", "chat.v1"], Some("chat.v1")),
            (vec!["other"], None),
            (vec![], None),
        ] {
            let mut socket = pair.to_right.ws("/").protocols(offered).await.unwrap();
            assert_eq!(socket.protocol(), taken);
            assert_eq!(socket.receive().await.unwrap(), Some(Message::from(taken.unwrap_or("none"))));
        }
        let error = pair.to_right.ws("/").protocols(["no, commas"]).await.unwrap_err();
        assert!(matches!(error, ConnectError::Usage("sub-protocol")));
    });
}

#[test]
fn what_is_no_websocket_is_answered_otherwise() {
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/echo", echo).unwrap();
        assert_eq!(pair.right.on_ws("/echo", echo).unwrap_err(), HandleError::Taken("thtp/echo".to_owned()));
        pair.right.serve_http(Router::new().route("/page", get("hello"))).unwrap();
        let status = |error: ConnectError| match error {
            ConnectError::Status(status) => status,
            error => panic!("{error}"),
        };
        assert_eq!(status(pair.to_right.ws("/none").await.unwrap_err()), StatusCode::NOT_FOUND);
        assert_eq!(status(pair.to_right.ws("/page").await.unwrap_err()), StatusCode::OK);
        assert!(matches!(pair.to_right.ws("echo").await, Err(ConnectError::Usage("path"))));
        assert!(matches!(pair.to_right.ws("http://a/echo").await, Err(ConnectError::Usage("path"))));

        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        for (version, key, expected) in
            [("13", "short", 400), ("13", "", 400), ("8", key, 426), ("", key, 426), ("13", key, 101)]
        {
            let request = Request::get("/echo")
                .header("connection", "Upgrade")
                .header("upgrade", "WebSocket")
                .header("sec-websocket-version", version)
                .header("sec-websocket-key", HeaderValue::from_static(key))
                .body(Body::empty())
                .unwrap();
            let response = pair.to_right.http(request).await.unwrap();
            assert_eq!(response.status().as_u16(), expected, "{version} {key}");
            match expected {
                // The example of RFC 6455, section 1.3.
                101 => {
                    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
                }
                426 => assert_eq!(response.headers()["sec-websocket-version"], "13"),
                _ => {}
            }
        }
    });
}

#[test]
fn only_those_with_the_grant_are_answered() {
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/echo", echo).unwrap();
        pair.right.revoke(pair.to_left.peer(), SERVE);
        let error = pair.to_right.ws("/echo").await.unwrap_err();
        assert!(matches!(error, ConnectError::Request(RequestError::Refused(_))), "{error}");
    });
}

#[test]
fn axums_websockets_are_reached_by_the_same_call() {
    run(|pair: MemoryPair| async move {
        let serve = |upgrade: WebSocketUpgrade| async move {
            upgrade.protocols(["shout"]).on_upgrade(|mut socket| async move {
                while let Some(Ok(message)) = socket.recv().await {
                    if let AxumMessage::Text(text) = message {
                        socket.send(AxumMessage::Text(text.to_uppercase().into())).await.unwrap();
                    }
                }
            })
        };
        pair.right.serve_http(Router::new().route("/shout", any(serve))).unwrap();
        let mut socket = pair.to_right.ws("/shout").protocols(["shout"]).await.unwrap();
        assert_eq!(socket.protocol(), Some("shout"));
        for word in ["hello", "world"] {
            socket.send(word).await.unwrap();
            assert_eq!(socket.receive().await.unwrap(), Some(Message::from(word.to_uppercase())));
        }
        socket.close(1000, "").await.unwrap();
    });
}

#[test]
fn a_peer_that_switches_wrongly_is_not_believed() {
    run(|pair: MemoryPair| async move {
        let serve = |headers: http::HeaderMap| async move {
            let (name, value) = match headers["x-case"].to_str().unwrap() {
                "accept" => ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                _ => ("x", "y"),
            };
            let response = http::Response::builder().status(101).header("connection", "upgrade");
            response
                .header("upgrade", "websocket")
                .header(name, value)
                .body(axum::body::Body::empty())
                .unwrap()
        };
        pair.right.serve_http(Router::new().route("/", any(serve))).unwrap();
        for case in ["accept", "nothing"] {
            let name = http::HeaderName::from_static("x-case");
            let error = pair.to_right.ws("/").header(name, HeaderValue::from_static(case)).await.unwrap_err();
            assert!(
                matches!(error, ConnectError::Handshake("a wrong sec-websocket-accept")),
                "{case}: {error}"
            );
        }
    });
}
