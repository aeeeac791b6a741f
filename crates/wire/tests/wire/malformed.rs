//! Messages that no honest endpoint sends: cut off, doubled, overlong, of the wrong type, or simply noise.

use bytes::Bytes;
use telemesh_hashname::{Hashname, RollupError};
use telemesh_wire::limits::{MAX_CREDENTIAL_LENGTH, MAX_INTRODUCTION_BODY_LENGTH};
use telemesh_wire::{
    Answer, Body, ChannelKind, CircuitId, CloseReason, Connection, Control, DecodeError, Frame, Hello,
    HelloReply, Introduction, InvalidValue, Open, Refusal, RefusalCode, Target,
};

use crate::proto::Proto;
use crate::values::hello;

/// One entry of a Hello's list.
fn entry(csid: u64) -> Proto {
    Proto::new().varint(1, csid).bytes(2, [7; 32])
}

/// A Hello with this list and otherwise nothing but what must be there.
fn hello_with(entries: impl IntoIterator<Item = Proto>) -> Proto {
    entries.into_iter().fold(Proto::new().bytes(7, [0; 16]), |bytes, entry| bytes.bytes(1, entry))
}

#[test]
fn a_hello_must_list_its_cipher_sets() {
    assert_eq!(Hello::decode(hello_with([]).as_ref()), Err(DecodeError::KeyDigests(RollupError::Empty)));
    assert_eq!(Hello::decode(&[]), Err(DecodeError::Missing { what: "response mac key" }));
}

#[test]
fn cipher_sets_are_strictly_ascending() {
    for csids in [[0x11, 0x11], [0x21, 0x11]] {
        let result = Hello::decode(hello_with(csids.map(entry)).as_ref());
        assert!(
            matches!(result, Err(DecodeError::KeyDigests(RollupError::NotAscending { .. }))),
            "{result:?}"
        );
    }
    assert!(Hello::decode(hello_with([0x11, 0x21].map(entry)).as_ref()).is_ok());
}

#[test]
fn cipher_sets_that_this_build_does_not_know_are_kept() {
    let hello = Hello::decode(hello_with([0x00, 0x1a, 0xff].map(entry)).as_ref()).unwrap();
    let csids: Vec<u8> = hello.keys.cipher_sets().map(|csid| csid.number()).collect();
    assert_eq!(csids, [0x00, 0x1a, 0xff]);
}

#[test]
fn a_cipher_set_is_one_byte_and_a_digest_32() {
    for csid in [256, u64::from(u32::MAX)] {
        assert!(matches!(
            Hello::decode(hello_with([entry(csid)]).as_ref()),
            Err(DecodeError::Value(InvalidValue::Form { .. }))
        ));
    }
    for length in [0, 31, 33] {
        let short = Proto::new().varint(1, 0x11).bytes(2, vec![7; length]);
        assert!(matches!(
            Hello::decode(hello_with([short]).as_ref()),
            Err(DecodeError::Value(InvalidValue::WrongLength { .. }))
        ));
    }
}

#[test]
fn long_lists_of_cipher_sets_are_refused() {
    let eight: Vec<Proto> = (1..=8).map(entry).collect();
    assert!(Hello::decode(hello_with(eight).as_ref()).is_ok());
    let nine: Vec<Proto> = (1..=9).map(entry).collect();
    assert!(matches!(
        Hello::decode(hello_with(nine).as_ref()),
        Err(DecodeError::Value(InvalidValue::TooMany { limit: 8, .. }))
    ));
    // Empty entries take two bytes each, so that many more than eight fit into a Hello.
    let empty = vec![Proto::new(); 400];
    assert!(matches!(
        Hello::decode(hello_with(empty).as_ref()),
        Err(DecodeError::Value(InvalidValue::TooMany { limit: 8, .. }))
    ));
    let ten_thousand: Vec<Proto> = (0..10_000).map(entry).collect();
    assert!(matches!(
        Hello::decode(hello_with(ten_thousand).as_ref()),
        Err(DecodeError::Value(InvalidValue::TooLong { .. }))
    ));
}

#[test]
fn the_response_mac_key_has_16_bytes() {
    for length in [1, 15, 17] {
        let bytes = Proto::new().bytes(1, entry(0x11)).bytes(7, vec![1; length]);
        assert!(matches!(
            Hello::decode(bytes.as_ref()),
            Err(DecodeError::Value(InvalidValue::WrongLength { .. }))
        ));
    }
}

#[test]
fn no_field_of_a_hello_is_there_twice() {
    let twice = [
        Proto::new().fixed64(2, 1),
        Proto::new().fixed64(3, 1),
        Proto::new().varint(4, 1),
        Proto::new().varint(5, 1),
        Proto::new().bytes(6, "other"),
        Proto::new().bytes(7, [9; 16]),
    ];
    for second in twice {
        let bytes = Proto::new().raw(&*hello().encode()).raw(&second);
        assert!(matches!(Hello::decode(bytes.as_ref()), Err(DecodeError::Duplicate { .. })));
        // Inside a reply as well, where prost would merge two Hellos into one.
        let reply = Proto::new().bytes(1, &bytes);
        assert!(matches!(HelloReply::decode(reply.as_ref()), Err(DecodeError::Duplicate { .. })));
    }
    let two_hellos = Proto::new().bytes(1, &*hello().encode()).bytes(1, Proto::new().varint(4, 9));
    assert_eq!(HelloReply::decode(two_hellos.as_ref()), Err(DecodeError::Duplicate { what: "hello" }));
    let two_csids = entry(0x11).varint(1, 0x21);
    assert!(matches!(Hello::decode(hello_with([two_csids]).as_ref()), Err(DecodeError::Duplicate { .. })));
}

#[test]
fn unknown_fields_are_skipped() {
    let unknown = Proto::new()
        .varint(100, 1)
        .fixed64(101, 2)
        .bytes(102, "anything")
        .raw([0xbd, 0x06, 1, 2, 3, 4])
        .varint(100, 1);
    let bytes = Proto::new().raw(&unknown).raw(&*hello().encode()).raw(&unknown);
    assert_eq!(Hello::decode(bytes.as_ref()), Ok(hello()));
    let open = Open::reliable("stream");
    let bytes = Proto::new().raw(open.encode().unwrap()).raw(&unknown);
    assert_eq!(Open::decode(bytes.as_ref()), Ok(open));
    let bytes = Proto::new().raw(Control::EngineGone { number: 1 }.encode()).raw(&unknown);
    assert_eq!(Control::decode(bytes.as_ref()), Ok(Control::EngineGone { number: 1 }));
}

#[test]
fn fields_of_another_type_are_malformed() {
    let bytes = [
        // A list entry that is a number, a number that is text, text that is a number.
        Proto::new().bytes(7, [0; 16]).varint(1, 5),
        hello_with([entry(0x11)]).bytes(4, "one"),
        hello_with([entry(0x11)]).varint(6, 5),
    ];
    for bytes in bytes {
        let result = Hello::decode(bytes.as_ref());
        assert_eq!(result, Err(DecodeError::Malformed { what: "hello" }));
    }
}

#[test]
fn what_is_not_protobuf_is_malformed() {
    let endless_varint = [0x08; 1].into_iter().chain([0xff; 20]).collect::<Vec<u8>>();
    let cases: [&[u8]; 8] = [
        &[0x00],                                     // field number 0
        &[0x0a, 0x05, 1],                            // longer than what follows
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], // far longer
        &[0x13],                                     // a group
        &[0x14],                                     // the end of one
        &[0x17],                                     // a type that does not exist
        &[0xff],                                     // cut off in a field's number
        &endless_varint,
    ];
    for bytes in cases {
        assert!(matches!(Hello::decode(bytes), Err(DecodeError::Malformed { .. })), "{bytes:?}");
        assert!(matches!(Open::decode(bytes), Err(DecodeError::Malformed { .. })), "{bytes:?}");
        assert!(matches!(Control::decode(bytes), Err(DecodeError::Malformed { .. })), "{bytes:?}");
        assert!(matches!(Answer::decode(bytes), Err(DecodeError::Malformed { .. })), "{bytes:?}");
    }
}

#[test]
fn a_message_that_was_cut_off_is_never_taken_for_the_whole() {
    let whole = hello().encode();
    for length in 0..whole.len() {
        assert_ne!(Hello::decode(&whole[..length]).ok(), Some(hello()), "{length}");
    }
}

#[test]
fn a_flipped_bit_never_gives_the_same_hello() {
    let whole = hello().encode();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(Hello::decode(&bytes).ok(), Some(hello()), "bit {bit}");
    }
}

#[test]
fn a_reply_needs_a_hello_and_an_address_that_can_be() {
    assert_eq!(HelloReply::decode(&[]), Err(DecodeError::Missing { what: "hello" }));
    let with_address = |address: &[u8]| {
        HelloReply::decode(Proto::new().bytes(1, &*hello().encode()).bytes(2, address).as_ref())
    };
    assert_eq!(with_address(&[]).unwrap().observed_address, None);
    assert!(with_address(&[192, 0, 2, 1, 1, 2]).is_ok());
    for bad in [&[1][..], &[1, 2, 3, 4, 5], &[0; 7], &[1; 17], &[1; 19]] {
        assert!(matches!(with_address(bad), Err(DecodeError::Value(InvalidValue::WrongLength { .. }))));
    }
    // Port 0, nowhere, everywhere.
    for bad in [[192, 0, 2, 1, 0, 0], [0, 0, 0, 0, 1, 2], [255, 255, 255, 255, 1, 2], [224, 0, 0, 1, 1, 2]] {
        assert!(matches!(with_address(&bad), Err(DecodeError::Value(InvalidValue::Form { .. }))));
    }
}

#[test]
fn an_open_message_needs_a_type_and_a_kind() {
    let kind = |kind| Proto::new().bytes(1, "stream").varint(2, kind);
    assert_eq!(Open::decode(kind(1).as_ref()).unwrap().kind, ChannelKind::Reliable);
    assert_eq!(Open::decode(kind(2).as_ref()).unwrap().kind, ChannelKind::Unreliable);
    assert_eq!(Open::decode(kind(0).as_ref()), Err(DecodeError::Missing { what: "channel kind" }));
    assert_eq!(Open::decode(kind(3).as_ref()), Err(DecodeError::UnknownKind { what: "channel" }));
    assert_eq!(Open::decode(kind(u64::MAX).as_ref()), Err(DecodeError::UnknownKind { what: "channel" }));

    for channel_type in ["", "Stream", "a b", "a/b", "a\n", "é", "a\u{202e}b"] {
        let bytes = Proto::new().bytes(1, channel_type).varint(2, 1);
        assert_eq!(
            Open::decode(bytes.as_ref()),
            Err(DecodeError::Value(InvalidValue::Form { what: "channel type" })),
            "{channel_type:?}"
        );
        assert!(Open::reliable(channel_type).encode().is_err());
    }
    let not_utf8 = Proto::new().bytes(1, [0xff, 0xfe]).varint(2, 1);
    assert_eq!(Open::decode(not_utf8.as_ref()), Err(DecodeError::Malformed { what: "open message" }));
}

#[test]
fn headers_are_unique_and_in_order() {
    let with_names = |names: &[&str]| {
        let open = Proto::new().bytes(1, "stream").varint(2, 1);
        let open = names.iter().fold(open, |open, name| open.bytes(3, Proto::new().bytes(1, name)));
        Open::decode(open.as_ref())
    };
    assert!(with_names(&["a", "b"]).is_ok());
    assert_eq!(with_names(&["a", "a"]), Err(DecodeError::Duplicate { what: "header" }));
    assert_eq!(with_names(&["b", "a"]), Err(DecodeError::Duplicate { what: "header" }));
    for name in ["", "Upper", "a b", "é", "a\r\nb"] {
        assert_eq!(
            with_names(&[name]),
            Err(DecodeError::Value(InvalidValue::Form { what: "name of a header" })),
            "{name:?}"
        );
    }
}

#[test]
fn thirty_thousand_empty_headers_are_refused() {
    let open = Proto::new().bytes(1, "stream").varint(2, 1);
    let bytes = (0..30_000).fold(open, |open, _| open.bytes(3, []));
    assert!(bytes.0.len() < 65_536);
    assert!(matches!(
        Open::decode(bytes.as_ref()),
        Err(DecodeError::Value(InvalidValue::TooMany { limit: 128, .. }))
    ));
}

#[test]
fn codes_of_a_newer_build_are_unrecognised() {
    for code in [6, 7_000, u64::MAX] {
        let refusal = Refusal::decode(Proto::new().varint(1, code).as_ref()).unwrap();
        assert_eq!(refusal.code(), RefusalCode::Unrecognised);
        let close = Control::decode(Proto::new().bytes(1, Proto::new().varint(1, code)).as_ref());
        assert_eq!(close, Ok(Control::Close { reason: CloseReason::Unrecognised }));
    }
}

#[test]
fn a_control_message_is_exactly_one() {
    assert_eq!(Control::decode(&[]), Err(DecodeError::UnknownKind { what: "control message" }));
    let unknown = Proto::new().bytes(9, "later");
    assert_eq!(Control::decode(unknown.as_ref()), Err(DecodeError::UnknownKind { what: "control message" }));
    let gone = Control::EngineGone { number: 1 }.encode();
    let close = Control::Close { reason: CloseReason::Closed }.encode();
    for second in [&gone, &close] {
        let both = Proto::new().raw(&close).raw(second);
        assert!(matches!(Control::decode(both.as_ref()), Err(DecodeError::Duplicate { .. })));
    }
    let no_noise = Proto::new().bytes(2, []);
    assert!(matches!(
        Control::decode(no_noise.as_ref()),
        Err(DecodeError::Value(InvalidValue::WrongLength { .. }))
    ));
}

#[test]
fn frames_need_a_kind_and_a_channel() {
    for length in 0..5 {
        assert_eq!(Frame::decode(&[2; 5][..length]), Err(DecodeError::Malformed { what: "frame" }));
    }
    for kind in [0, 5, 255] {
        assert_eq!(Frame::decode(&[kind, 0, 0, 0, 0]), Err(DecodeError::UnknownKind { what: "frame" }));
    }
    assert_eq!(Frame::decode(&[2, 0, 0, 0, 0]), Ok(Frame::Message { channel: 0, payload: &[] }));
    assert!(Frame::decode(&[1, 0, 0, 0, 0]).is_err(), "an open without a message");
    assert!(Frame::decode(&[3, 0, 0, 0, 0, 1]).is_err(), "a close with rubbish");
    let mut notice = Vec::new();
    Frame::Notice { open: Open::unreliable("path") }.encode_into(&mut notice).unwrap();
    assert!(Frame::decode(&notice).is_ok());
    notice[1] = 1;
    assert_eq!(
        Frame::decode(&notice),
        Err(DecodeError::Malformed { what: "frame" }),
        "a notice with a number"
    );
}

#[test]
fn introductions_are_read_whole_or_not_at_all() {
    let whole = Introduction {
        target: Target::Ticket(Bytes::from_static(&[7; 40])),
        circuit: CircuitId::asked(1),
        body: Body::Packet(Bytes::from_static(b"packet")),
    };
    let bytes = Bytes::from(whole.encode().unwrap());
    for length in 0..8 + 1 + 2 + 40 + 1 {
        assert!(Introduction::decode(&bytes.slice(..length)).is_err(), "{length} bytes");
    }
    for (place, value) in [(8, 2), (51, 3)] {
        let mut unknown = bytes.to_vec();
        unknown[place] = value;
        assert!(Introduction::decode(&unknown.into()).is_err(), "byte {place} is {value}");
    }
    for at in [None, Some("192.0.2.7:40000".parse().unwrap()), Some("[2001:db8::7]:1".parse().unwrap())] {
        let seen = Connection {
            circuit: CircuitId::routed(9),
            body: Body::Seen { who: Hashname::from_bytes([7; 32]), at },
        };
        let bytes = Bytes::from(seen.encode().unwrap());
        assert_eq!(Connection::decode(&bytes), Ok(seen));
        let cut = bytes.slice(..bytes.len() - 1);
        assert!(Connection::decode(&cut).is_err(), "{at:?} without its last byte");
    }
    let keys = [&[0; 8][..], &[1], b"{\"hashname\":1}"].concat();
    assert!(Connection::decode(&keys.into()).is_err(), "keys that are none");
    assert!(Connection::decode(&Bytes::from_static(&[0; 8])).is_err(), "no body");
}

#[test]
fn introductions_have_their_limits() {
    let with = |target: usize, body: usize| {
        let introduction = Introduction {
            target: Target::Ticket(vec![1; target].into()),
            circuit: CircuitId::asked(1),
            body: Body::Sealed(vec![2; body].into()),
        };
        introduction.encode().map(|bytes| {
            assert_eq!(Introduction::decode(&bytes.into()), Ok(introduction.clone()));
        })
    };
    assert!(with(MAX_CREDENTIAL_LENGTH, MAX_INTRODUCTION_BODY_LENGTH).is_ok());
    assert!(with(MAX_CREDENTIAL_LENGTH + 1, 0).is_err());
    assert!(with(0, MAX_INTRODUCTION_BODY_LENGTH + 1).is_err());
    let long = [&[0; 8][..], &[0], &vec![0; MAX_INTRODUCTION_BODY_LENGTH + 1]].concat();
    assert!(Connection::decode(&long.into()).is_err());
}

#[test]
fn a_length_that_never_ends_is_malformed() {
    assert_eq!(Open::decode_delimited(&[0x80; 9]), Ok(None));
    assert_eq!(Open::decode_delimited(&[0x80; 10]), Err(DecodeError::Malformed { what: "open message" }));
    // The tenth byte has room for one bit; with a second one this would be a length of nothing.
    let overflowing = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
    assert_eq!(Answer::decode_delimited(&overflowing), Err(DecodeError::Malformed { what: "answer" }));
    assert_eq!(Answer::decode_delimited(&[0xff; 11]), Err(DecodeError::Malformed { what: "answer" }));
}
