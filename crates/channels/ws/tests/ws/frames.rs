//! Frames as a hostile or clumsy client sends them: the cases of the Autobahn test suite that decide about errors, by their
//! numbers there.

use bytes::Bytes;
use http::Request;
use telemesh_channel::memory::MemoryPair;
use telemesh_thtp::{Body, HttpOpener as _, Upgraded, upgraded};
use telemesh_ws::WsServer as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::run::run;
use crate::sockets::echo;

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame of a client, masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

async fn raw(pair: &MemoryPair) -> Upgraded {
    let request = Request::get("/echo")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Body::empty())
        .unwrap();
    upgraded(&mut pair.to_right.http(request).await.unwrap()).unwrap()
}

/// What the server sends until it ends: kind and content of each frame.
async fn answers(io: &mut Upgraded) -> Vec<(u8, Bytes)> {
    let mut frames = Vec::new();
    while let Ok(first) = io.read_u8().await {
        let length = match io.read_u8().await.unwrap() {
            126 => usize::from(io.read_u16().await.unwrap()),
            127 => usize::try_from(io.read_u64().await.unwrap()).unwrap(),
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        io.read_exact(&mut payload).await.unwrap();
        frames.push((first, payload.into()));
    }
    frames
}

/// What comes of these bytes in one piece, and it is the same when they come one by one.
async fn outcome(pair: &MemoryPair, bytes: &[u8]) -> Vec<(u8, Bytes)> {
    let mut outcomes = Vec::new();
    for size in [bytes.len().max(1), 1] {
        let mut io = raw(pair).await;
        for piece in bytes.chunks(size) {
            // It may have ended already.
            if io.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = io.shutdown().await;
        outcomes.push(answers(&mut io).await);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    outcomes.remove(0)
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

#[test]
fn what_is_not_allowed_ends_the_socket_with_its_code() {
    let text = |bytes: &[u8]| frame(FIN | TEXT, bytes);
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("2.5 ping of 126 bytes", frame(FIN | PING, &[0xfe; 126]), 1002),
        ("3.1 reserved bit 3", frame(FIN | TEXT | 0x10, b"x"), 1002),
        ("3.3 reserved bit 2", frame(FIN | TEXT | 0x20, b"x"), 1002),
        ("3.5 reserved bit 1 (compression was not offered)", frame(FIN | TEXT | 0x40, b"x"), 1002),
        ("3.7 all reserved bits in a close", frame(FIN | CLOSE | 0x70, b""), 1002),
        ("4.1.1 reserved kind 3", frame(FIN | 3, b""), 1002),
        ("4.1.5 reserved kind 7", frame(FIN | 7, b"x"), 1002),
        ("4.2.1 reserved control kind 11", frame(FIN | 11, b""), 1002),
        ("4.2.5 reserved control kind 15", frame(FIN | 15, b"x"), 1002),
        ("5.1 fragmented ping", frame(PING, b"x"), 1002),
        ("5.2 fragmented pong", frame(PONG, b"x"), 1002),
        ("5.9 continuation of nothing", frame(FIN, b"x"), 1002),
        ("5.11 continuation of nothing, unfinished", frame(0, b"x"), 1002),
        (
            "5.15 continuation behind the last",
            [frame(TEXT, b"a"), frame(FIN, b"b"), frame(0, b"c")].concat(),
            1002,
        ),
        ("5.18 a text in the middle of a text", [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat(), 1002),
        (
            "6.3.1 surrogates in UTF-8",
            text(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"),
            1007,
        ),
        ("6.6.1 half a character", text(b"\xce"), 1007),
        ("6.8.1 a character of five bytes", text(b"\xf8\x88\x80\x80\x80"), 1007),
        ("6.10.1 more than Unicode has", text(b"\xf7\xbf\xbf\xbf"), 1007),
        ("6.12.1 a byte of a character's middle", text(b"\x80"), 1007),
        ("6.18.1 overlong slash", text(b"\xc0\xaf"), 1007),
        ("6.20.1 a surrogate alone", text(b"\xed\xa0\x80"), 1007),
        ("7.3.2 close with one byte", frame(FIN | CLOSE, b"x"), 1002),
        ("7.3.6 close with 124 bytes of reason", close(1000, &[b'x'; 124]), 1002),
        ("unmasked", vec![FIN | TEXT, 1, b'x'], 1002),
        ("9.x a message past the limit", vec![FIN | BINARY, 0xff, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0], 1009),
        ("a length of 2^63", vec![FIN | BINARY, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
    ];
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/echo", echo).unwrap();
        for (case, bytes, code) in cases {
            let outcome = outcome(&pair, &bytes).await;
            let (last, payload) = outcome.last().unwrap_or_else(|| panic!("{case}: no answer"));
            assert_eq!(
                (*last, &payload[..2.min(payload.len())]),
                (FIN | CLOSE, &code.to_be_bytes()[..]),
                "{case}"
            );
            // What was whole before is echoed, nothing else.
            assert_eq!(outcome.len(), if case.starts_with("5.15") { 2 } else { 1 }, "{case}");
        }
    });
}

#[test]
fn close_codes_that_may_be_sent_are_answered_and_others_are_errors() {
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/echo", echo).unwrap();
        // 7.7: allowed.
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
            let outcome = outcome(&pair, &close(code, b"bye")).await;
            assert_eq!(outcome.len(), 1, "7.7 {code}");
            assert_eq!(&outcome[0].1[..2], &code.to_be_bytes(), "7.7 {code}");
        }
        // 7.9 and 7.13: never on the wire.
        for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
            let outcome = outcome(&pair, &close(code, b"")).await;
            assert_eq!(&outcome[0].1[..2], &1002_u16.to_be_bytes(), "7.9 {code}");
        }
        // 7.3.1: without a code.
        assert_eq!(outcome(&pair, &frame(FIN | CLOSE, b"")).await, [(FIN | CLOSE, Bytes::new())]);
        // 7.5.1: a reason that is no UTF-8.
        let bad =
            outcome(&pair, &close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80")).await;
        assert!([1007_u16, 1002].iter().any(|code| bad[0].1[..2] == code.to_be_bytes()), "{bad:?}");
        // 7.1.3, 7.1.4: whatever follows a close is not looked at.
        let late = [close(1000, b""), frame(FIN | PING, b"x"), frame(FIN | TEXT, b"x")].concat();
        assert_eq!(outcome(&pair, &late).await.len(), 1);
    });
}

#[test]
fn messages_in_pieces_with_pings_between_them_arrive_whole() {
    run(|pair: MemoryPair| async move {
        pair.right.on_ws("/echo", echo).unwrap();
        // 5.6, 5.19: pings in the middle of a message are answered before it ends.
        let bytes = [
            frame(TEXT, b"one "),
            frame(FIN | PING, b"p1"),
            frame(0, "zw\u{f6}".as_bytes().split_at(3).0),
            frame(FIN | PING, b"p2"),
            frame(FIN, "zw\u{f6}".as_bytes().split_at(3).1),
            close(1000, b""),
        ]
        .concat();
        let outcome = outcome(&pair, &bytes).await;
        let texts: Vec<_> = outcome.iter().filter(|(first, _)| *first == FIN | TEXT).collect();
        assert_eq!(texts.len(), 1);
        assert_eq!(texts[0].1, "one zw\u{f6}");
        assert!(outcome.iter().any(|(first, payload)| *first == FIN | PONG && payload == "p2"));
        // 6.1.3, 6.4: empty pieces, and characters cut in two.
        let empty = [frame(TEXT, b""), frame(0, b""), frame(FIN, b""), close(1000, b"")].concat();
        assert_eq!(crate::frames::outcome(&pair, &empty).await[0], (FIN | TEXT, Bytes::new()));
        // 2.7: a pong that nobody has asked for changes nothing.
        let pong = [frame(FIN | PONG, b"x"), frame(FIN | BINARY, b"y"), close(1000, b"")].concat();
        assert_eq!(crate::frames::outcome(&pair, &pong).await[0], (FIN | BINARY, Bytes::from_static(b"y")));
    });
}
