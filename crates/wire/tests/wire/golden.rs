//! Checked-in bytes and texts of every format, so that a change of one is noticed. They were made by a program that
//! shares nothing with this crate.

use data_encoding::HEXLOWER;
use telemesh_hashname::CipherSetId;
use telemesh_wire::{
    Answer, Authority, ChannelKind, CloseReason, Control, Frame, Hello, HelloReply, InviteSecret, LinkInfo,
    LinkUri, NoiseMessage, Open, PathAddress, Refusal, RefusalCode, socket_address_to_bytes,
};

use crate::values::{hello, keys};

const HELLO: &str = "0a240811122002d449a31fbb267c8f352e9968a79e3e5fc95c1bbeaa502fd6454ebde5a4bedc\
    0a24082112209f72ea0cf49536e3c66c787f705186df9a4378083753ae9536d65b3ad7fcddc4\
    1100401e18240a060019efcdab896745230120012805320570726f6f66\
    3a10000102030405060708090a0b0c0d0e0f";

#[track_caller]
fn assert_bytes(bytes: &[u8], golden: &str) {
    assert_eq!(HEXLOWER.encode(bytes), golden);
}

fn from_hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

#[test]
fn hello_keeps_its_bytes() {
    assert_bytes(&hello().encode(), HELLO);
    assert_eq!(Hello::decode(&from_hex(HELLO)), Ok(hello()));
}

#[test]
fn hello_reply_keeps_its_bytes() {
    let cases = [
        (None, ""),
        (Some("192.0.2.1:42424".parse().unwrap()), "1206c0000201a5b8"),
        (Some("[2001:db8::1]:443".parse().unwrap()), "121220010db800000000000000000000000101bb"),
    ];
    for (observed_address, tail) in cases {
        let reply = HelloReply { hello: hello(), observed_address };
        let golden = format!("0a7b{HELLO}{tail}");
        assert_bytes(&reply.encode(), &golden);
        assert_eq!(HelloReply::decode(&from_hex(&golden)), Ok(reply));
    }
}

#[test]
fn open_keeps_its_bytes() {
    const OPEN: &str = "0a116f72672e6578616d706c652e7468696e6710011a060a01611201311a030a0162220568656c6c6f";
    let open = Open::new("org.example.thing", ChannelKind::Reliable)
        .with_header("b", "")
        .with_header("a", "1")
        .with_body("hello");
    assert_bytes(&open.encode().unwrap(), OPEN);
    assert_bytes(&open.encode_delimited().unwrap(), &format!("29{OPEN}"));
    assert_eq!(Open::decode(&from_hex(OPEN)), Ok(open));
}

#[test]
fn refusal_and_answer_keep_their_bytes() {
    const REFUSAL: &str = "08031209747279206c61746572";
    let refusal = Refusal::new(RefusalCode::Busy, "try later");
    assert_bytes(&refusal.encode(), REFUSAL);
    assert_eq!(Refusal::decode(&from_hex(REFUSAL)), Ok(refusal.clone()));

    assert_bytes(&Answer::Accepted.encode_delimited(), "00");
    let answer = Answer::Refused(refusal);
    assert_bytes(&answer.encode_delimited(), &format!("0f0a0d{REFUSAL}"));
    assert_eq!(Answer::decode(&from_hex(&format!("0a0d{REFUSAL}"))), Ok(answer));
}

#[test]
fn refusal_codes_keep_their_numbers() {
    let codes = [
        (RefusalCode::UnknownType, "0801"),
        (RefusalCode::NotAllowed, "0802"),
        (RefusalCode::Busy, "0803"),
        (RefusalCode::Internal, "0804"),
        (RefusalCode::Application, "0805"),
        (RefusalCode::Unrecognised, ""),
    ];
    for (code, golden) in codes {
        assert_bytes(&Refusal::new(code, "").encode(), golden);
        assert_eq!(Refusal::decode(&from_hex(golden)).map(|refusal| refusal.code()), Ok(code));
    }
}

#[test]
fn control_messages_keep_their_bytes() {
    let noise = |bytes: &[u8]| NoiseMessage::new(bytes.to_vec()).unwrap();
    let messages = [
        (Control::Close { reason: CloseReason::ShuttingDown }, "0a020802"),
        (
            Control::RenewInitiation { sender_index: 0x0102_0304, noise: noise(&[0xaa; 3]) },
            "120a0d040302011203aaaaaa",
        ),
        (
            Control::RenewResponse {
                sender_index: 0x0102_0304,
                receiver_index: 0x0a0b_0c0d,
                noise: noise(&[0xbb; 2]),
            },
            "1a0e0d04030201150d0c0b0a1a02bbbb",
        ),
        (Control::EngineGone { number: 300 }, "220308ac02"),
    ];
    for (message, golden) in messages {
        assert_bytes(&message.encode(), golden);
        assert_eq!(Control::decode(&from_hex(golden)), Ok(message));
    }
}

#[test]
fn close_reasons_keep_their_numbers() {
    let reasons = [
        CloseReason::Unrecognised,
        CloseReason::Closed,
        CloseReason::ShuttingDown,
        CloseReason::NotTrusted,
        CloseReason::Failed,
    ];
    for (number, reason) in reasons.into_iter().enumerate() {
        let golden = if number == 0 { "0a00".to_owned() } else { format!("0a0208{number:02x}") };
        assert_bytes(&Control::Close { reason }.encode(), &golden);
        assert_eq!(reason.code() as usize, number);
        assert_eq!(Control::decode(&from_hex(&golden)), Ok(Control::Close { reason }));
    }
}

#[test]
fn frames_keep_their_bytes() {
    let refusal = Some(Refusal::new(RefusalCode::Busy, "try later"));
    let frames = [
        (Frame::Open { channel: 7, open: Open::unreliable("path") }, "01070000000a04706174681002"),
        (Frame::Message { channel: 0x0102_0304, payload: b"hi" }, "02040302016869"),
        (Frame::Close { channel: 7, refusal: None }, "0307000000"),
        (Frame::Close { channel: 7, refusal }, "03070000000a0d08031209747279206c61746572"),
    ];
    for (frame, golden) in frames {
        let mut bytes = Vec::new();
        frame.encode_into(&mut bytes).unwrap();
        assert_bytes(&bytes, golden);
        assert_eq!(Frame::decode(&from_hex(golden)), Ok(frame));
    }
    assert_bytes(&Frame::message_header(0x0102_0304), "0204030201");
}

#[test]
fn socket_addresses_keep_their_bytes() {
    assert_bytes(&socket_address_to_bytes("192.0.2.1:42424".parse().unwrap()), "c0000201a5b8");
    assert_bytes(
        &socket_address_to_bytes("[2001:db8::1]:443".parse().unwrap()),
        "20010db800000000000000000000000101bb",
    );
}

#[test]
fn link_json_keeps_its_text() {
    const JSON: &str = concat!(
        r#"{"digests":{"11":"alketiy7xmthzdzvf2mwrj46hzp4sxa3x2vfal6wivhl3znex3oa"},"#,
        r#""hashname":"cnz2ggdippuvynhnzosrlvsc3p3fnkl3t2ynvdsldnzc5gmtawda","#,
        r#""keys":{"21":"eirceirceirceirceirceirceirceirceirceirceirceirceira"},"#,
        r#""paths":[{"ip":"192.0.2.1","port":42424,"type":"udp4"},"#,
        r#"{"ip":"2001:db8::1","port":42424,"type":"udp6"},"#,
        r#"{"ip":"2001:db8::1","port":443,"type":"quic"},"#,
        r#"{"hashname":"cnz2ggdippuvynhnzosrlvsc3p3fnkl3t2ynvdsldnzc5gmtawda","type":"peer"}]}"#
    );
    let full = keys();
    let mut shown = telemesh_hashname::PublicKeys::new();
    shown.insert_digest(CipherSetId::CS11, full.digest(CipherSetId::CS11).unwrap()).unwrap();
    shown.insert_key(CipherSetId::CS21, full.key(CipherSetId::CS21).unwrap()).unwrap();
    let paths = ["udp:192.0.2.1:42424", "udp:[2001:db8::1]:42424", "quic:[2001:db8::1]:443"];
    let mut info = LinkInfo::new(shown).unwrap();
    for path in paths {
        info = info.with_path(path.parse::<PathAddress>().unwrap()).unwrap();
    }
    let info = info.with_path(PathAddress::Peer(full.hashname().unwrap())).unwrap();
    assert_eq!(info.to_json(), JSON);
    assert_eq!(LinkInfo::from_json(JSON), Ok(info));
}

#[test]
fn link_uri_keeps_its_text() {
    const URI: &str = "link://192.0.2.1/\
        ?cs11=ceirceirceirceirceirceirceirceirceirceirceirceirceiq\
        &cs21=eirceirceirceirceirceirceirceirceirceirceirceirceira\
        &paths=quic:%5B2001:db8::1%5D:443\
        #eesrm5ewh2qtt6oubjc4t6rjo4.aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq";
    let secret = std::array::from_fn(|index| index as u8);
    let path: PathAddress = "quic:[2001:db8::1]:443".parse().unwrap();
    let uri = LinkUri::new(LinkInfo::new(keys()).unwrap().with_path(path).unwrap())
        .with_authority("192.0.2.1:42424".parse::<Authority>().unwrap())
        .with_invite(InviteSecret::from_bytes(secret));
    assert_eq!(*uri.to_secret_string(), URI);
    assert_eq!(URI.parse(), Ok(uri));
}
