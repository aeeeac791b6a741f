//! `docs/PROTOCOL.md` shows messages, frames, link JSON and a URI: here they are made, and must be what the page says.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use telemesh_hashname::{CipherSetId, Hashname, PublicKeys};
use telemesh_wire::{
    Answer, Authority, Body, ChannelKind, CircuitId, CloseReason, Connection, Control, Frame, Introduction,
    InviteSecret, LinkInfo, LinkUri, NoiseMessage, Open, PathAddress, Refusal, RefusalCode, Target,
};

use crate::values::keys;

/// The lines of the block with this information behind its fence.
fn block(information: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PROTOCOL.md");
    let page = std::fs::read_to_string(path).unwrap();
    let fence = format!("```{information}");
    let lines = page.lines().skip_while(|line| *line != fence).skip(1);
    let block: Vec<String> = lines.take_while(|line| *line != "```").map(str::to_owned).collect();
    assert!(!block.is_empty(), "the page has no block `{information}`");
    block
}

#[track_caller]
fn assert_shown(name: &str, bytes: &[u8]) {
    let lines = block(&format!("hex wire/{name}"));
    let digits: String = lines.iter().flat_map(|line| line.split('#').next()).collect();
    let digits: String = digits.split_whitespace().collect();
    assert_eq!(HEXLOWER.encode(bytes), digits, "{name}");
}

fn busy() -> Refusal {
    Refusal::new(RefusalCode::Busy, "try later")
}

#[test]
fn control_messages_are_those_on_the_page() {
    let noise = |bytes: &[u8]| NoiseMessage::new(bytes.to_vec()).unwrap();
    let (sender_index, receiver_index) = (0x0102_0304, 0x0a0b_0c0d);
    assert_shown("close", &Control::Close { reason: CloseReason::ShuttingDown }.encode());
    let initiation = Control::RenewInitiation { sender_index, noise: noise(&[0xaa; 3]) };
    assert_shown("renew-initiation", &initiation.encode());
    let response = Control::RenewResponse { sender_index, receiver_index, noise: noise(&[0xbb; 2]) };
    assert_shown("renew-response", &response.encode());
    assert_shown("engine-gone", &Control::EngineGone { number: 300 }.encode());
}

#[test]
fn opens_and_answers_are_those_on_the_page() {
    let open = Open::new("org.example.thing", ChannelKind::Reliable)
        .with_header("a", "1")
        .with_header("b", "")
        .with_body("hello");
    assert_shown("open", &open.encode_delimited().unwrap());
    assert_shown("accepted", &Answer::Accepted.encode_delimited());
    assert_shown("refused", &Answer::Refused(busy()).encode_delimited());
}

#[test]
fn frames_are_those_on_the_page() {
    for (name, frame) in [
        ("frame-open", Frame::Open { channel: 7, open: Open::unreliable("path") }),
        ("frame-message", Frame::Message { channel: 0x0102_0304, payload: b"hi" }),
        ("frame-close", Frame::Close { channel: 7, refusal: None }),
        ("frame-notice", Frame::Notice { open: Open::unreliable("path") }),
        ("frame-refusal", Frame::Close { channel: 7, refusal: Some(busy()) }),
    ] {
        let mut bytes = Vec::new();
        frame.encode_into(&mut bytes).unwrap();
        assert_shown(name, &bytes);
    }
}

#[test]
fn introductions_are_those_on_the_page() {
    let body = Body::Packet(Bytes::from_static(&[1, 0, 0, 0]));
    let target = Target::Hashname(Hashname::from_bytes([7; 32]));
    let introduction = Introduction { target, circuit: CircuitId::asked(5), body: body.clone() };
    assert_shown("introduction", &introduction.encode().unwrap());
    let connection = Connection { circuit: CircuitId::routed(9), body };
    assert_shown("connection", &connection.encode().unwrap());
}

#[test]
fn link_json_is_that_on_the_page() {
    let full = keys();
    let mut shown = PublicKeys::new();
    shown.insert_digest(CipherSetId::CS11, full.digest(CipherSetId::CS11).unwrap()).unwrap();
    shown.insert_key(CipherSetId::CS21, full.key(CipherSetId::CS21).unwrap()).unwrap();
    let mut info = LinkInfo::new(shown).unwrap();
    for path in ["udp:192.0.2.1:42424", "udp:[2001:db8::1]:42424", "quic:[2001:db8::1]:443"] {
        info = info.with_path(path.parse::<PathAddress>().unwrap()).unwrap();
    }
    let info = info.with_path(PathAddress::Peer(full.hashname().unwrap())).unwrap();
    assert_eq!(info.to_json(), block("text wire/link-json").concat());
}

#[test]
fn the_uri_is_that_on_the_page() {
    let path: PathAddress = "quic:[2001:db8::1]:443".parse().unwrap();
    let secret = std::array::from_fn(|index| index as u8);
    let uri = LinkUri::new(LinkInfo::new(keys()).unwrap().with_path(path).unwrap())
        .with_authority("192.0.2.1:42424".parse::<Authority>().unwrap())
        .with_invite(InviteSecret::from_bytes(secret));
    assert_eq!(*uri.to_secret_string(), block("text wire/uri").concat());
}
