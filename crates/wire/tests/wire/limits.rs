//! Every limit at its value and one past it.

use telemesh_hashname::{CipherSetId, PublicKeys};
use telemesh_wire::limits::{
    MAX_ANSWER_LENGTH, MAX_CHANNEL_TYPE_LENGTH, MAX_CONTROL_LENGTH, MAX_CREDENTIAL_LENGTH,
    MAX_HEADER_NAME_LENGTH, MAX_HEADERS, MAX_HELLO_LENGTH, MAX_LINK_JSON_LENGTH, MAX_OPEN_LENGTH, MAX_PATHS,
    MAX_REASON_LENGTH, MAX_RENEWAL_NOISE_LENGTH, MAX_URI_LENGTH,
};
use telemesh_wire::{
    Answer, Control, Credential, DecodeError, Frame, Hello, HelloReply, InvalidValue, InviteSecret, LinkInfo,
    LinkInfoError, LinkUri, NoiseMessage, Open, ParseLinkUriError, PathAddress, Refusal, RefusalCode,
};

use crate::proto::Proto;
use crate::values::{hello, keys, largest_hello, most_keys};

fn too_long<T>(result: Result<T, DecodeError>) -> bool {
    matches!(result, Err(DecodeError::Value(InvalidValue::TooLong { .. })))
}

#[test]
fn the_largest_hello_and_reply_fit_into_their_limit() {
    let largest = largest_hello();
    assert_eq!(Hello::decode(&largest.encode()).unwrap(), largest);
    let reply = HelloReply { hello: largest, observed_address: Some("[2001:db8::1]:65535".parse().unwrap()) };
    let bytes = reply.encode();
    assert!(bytes.len() <= MAX_HELLO_LENGTH, "{} bytes", bytes.len());
    assert_eq!(HelloReply::decode(&bytes).unwrap(), reply);
}

#[test]
fn a_hello_is_read_up_to_its_limit() {
    let padded = |length: usize| {
        let bytes = Proto::new().raw(&*hello().encode());
        // An unknown field fills it up: two bytes of key, two of length.
        let filler = length - bytes.0.len() - 4;
        bytes.bytes(1_000, vec![0; filler])
    };
    let at_limit = padded(MAX_HELLO_LENGTH);
    assert_eq!(at_limit.0.len(), MAX_HELLO_LENGTH);
    assert_eq!(Hello::decode(at_limit.as_ref()), Ok(hello()));
    let past = padded(MAX_HELLO_LENGTH + 1);
    assert!(too_long(Hello::decode(past.as_ref())));
}

#[test]
fn a_credential_has_512_bytes_at_most() {
    assert!(Credential::new(vec![1; MAX_CREDENTIAL_LENGTH]).is_ok());
    assert!(Credential::new(vec![1; MAX_CREDENTIAL_LENGTH + 1]).is_err());

    let mut without = hello();
    without.credential = Credential::none();
    let bytes = Proto::new().raw(&*without.encode()).bytes(6, vec![1; MAX_CREDENTIAL_LENGTH + 1]);
    assert!(too_long(Hello::decode(bytes.as_ref())));
}

#[test]
fn an_open_message_has_65536_bytes_at_most() {
    // 8 bytes of type, 2 of kind, 4 of the body's key and length.
    let at_limit = Open::reliable("stream").with_body(vec![7; MAX_OPEN_LENGTH - 14]);
    let bytes = at_limit.encode().unwrap();
    assert_eq!(bytes.len(), MAX_OPEN_LENGTH);
    assert_eq!(Open::decode(&bytes).unwrap(), at_limit);
    let delimited = at_limit.encode_delimited().unwrap();
    assert_eq!(Open::decode_delimited(&delimited).unwrap(), Some((at_limit, delimited.len())));

    let past = Open::reliable("stream").with_body(vec![7; MAX_OPEN_LENGTH - 13]);
    let limit = MAX_OPEN_LENGTH;
    assert_eq!(past.encode(), Err(InvalidValue::TooLong { what: "open message", length: limit + 1, limit }));
    let mut out = vec![1];
    assert!(Frame::Open { channel: 1, open: past }.encode_into(&mut out).is_err());
    assert_eq!(out, [1], "nothing was written");
    assert!(too_long(Open::decode(&vec![0; MAX_OPEN_LENGTH + 1])));
}

#[test]
fn a_delimited_message_past_its_limit_is_refused_before_it_has_arrived() {
    // 65,536 and 65,537 as varints.
    assert_eq!(Open::decode_delimited(&[0x80, 0x80, 0x04]), Ok(None));
    assert!(too_long(Open::decode_delimited(&[0x81, 0x80, 0x04])));
    // 1,024 and 1,025.
    assert_eq!(MAX_ANSWER_LENGTH, 1_024);
    assert_eq!(Answer::decode_delimited(&[0x80, 0x08]), Ok(None));
    assert!(too_long(Answer::decode_delimited(&[0x81, 0x08])));
}

#[test]
fn a_channel_type_has_253_bytes_at_most() {
    assert!(Open::reliable("a".repeat(MAX_CHANNEL_TYPE_LENGTH)).check().is_ok());
    assert!(Open::reliable("a".repeat(MAX_CHANNEL_TYPE_LENGTH + 1)).check().is_err());
    let bytes = Proto::new().bytes(1, "a".repeat(MAX_CHANNEL_TYPE_LENGTH + 1)).varint(2, 1);
    assert!(too_long(Open::decode(bytes.as_ref())));
}

#[test]
fn an_open_message_has_128_headers_at_most() {
    let mut open = Open::reliable("stream");
    for number in 0..MAX_HEADERS {
        open = open.with_header(format!("{number:03}"), "");
    }
    let bytes = open.encode().unwrap();
    assert_eq!(Open::decode(&bytes).unwrap(), open);

    let past = open.with_header("999", "");
    assert!(matches!(past.encode(), Err(InvalidValue::TooMany { .. })));
    let bytes = Proto::new().raw(bytes).bytes(3, Proto::new().bytes(1, "999"));
    assert!(matches!(
        Open::decode(bytes.as_ref()),
        Err(DecodeError::Value(InvalidValue::TooMany { limit: MAX_HEADERS, .. }))
    ));
}

#[test]
fn a_header_name_has_64_bytes_at_most() {
    let named = |length| Open::reliable("stream").with_header("n".repeat(length), "value");
    assert!(named(MAX_HEADER_NAME_LENGTH).encode().is_ok());
    assert!(named(MAX_HEADER_NAME_LENGTH + 1).encode().is_err());
}

#[test]
fn a_reason_is_cut_at_512_bytes_and_between_characters() {
    let reason = |text: String| Refusal::new(RefusalCode::Application, text).reason().len();
    assert_eq!(reason("x".repeat(MAX_REASON_LENGTH)), MAX_REASON_LENGTH);
    assert_eq!(reason("x".repeat(MAX_REASON_LENGTH + 1)), MAX_REASON_LENGTH);
    assert_eq!(reason("é".repeat(MAX_REASON_LENGTH)), MAX_REASON_LENGTH);
    assert_eq!(reason(format!("x{}", "é".repeat(MAX_REASON_LENGTH))), MAX_REASON_LENGTH - 1);

    let longest = Refusal::new(RefusalCode::Application, "x".repeat(MAX_REASON_LENGTH));
    assert_eq!(Refusal::decode(&longest.encode()), Ok(longest));
    let past = Proto::new().varint(1, 3).bytes(2, "x".repeat(MAX_REASON_LENGTH + 1));
    assert!(too_long(Refusal::decode(past.as_ref())));
}

#[test]
fn a_renewal_has_1024_bytes_of_noise_at_most() {
    let longest = NoiseMessage::new(vec![9; MAX_RENEWAL_NOISE_LENGTH]).unwrap();
    let message = Control::RenewResponse { sender_index: u32::MAX, receiver_index: u32::MAX, noise: longest };
    let bytes = message.encode();
    assert!(bytes.len() <= MAX_CONTROL_LENGTH, "{} bytes", bytes.len());
    assert_eq!(Control::decode(&bytes), Ok(message));

    assert!(NoiseMessage::new(vec![9; MAX_RENEWAL_NOISE_LENGTH + 1]).is_err());
    assert!(NoiseMessage::new(Vec::new()).is_err());
    let past = Proto::new().bytes(2, Proto::new().bytes(2, vec![9; MAX_RENEWAL_NOISE_LENGTH + 1]));
    assert!(too_long(Control::decode(past.as_ref())));
    assert!(too_long(Control::decode(&vec![0; MAX_CONTROL_LENGTH + 1])));
}

fn address(number: usize) -> PathAddress {
    format!("udp:192.0.2.1:{}", number + 1).parse().unwrap()
}

#[test]
fn a_link_json_has_32_paths_at_most() {
    let mut info = LinkInfo::new(keys()).unwrap();
    for number in 0..MAX_PATHS {
        info = info.with_path(address(number)).unwrap();
    }
    let json = info.to_json();
    assert_eq!(LinkInfo::from_json(&json).unwrap(), info);
    assert_eq!(info.with_path(address(99)), Err(LinkInfoError::TooManyPaths));
    let past = json.replace(r#""paths":["#, r#""paths":[{"type":"new"},"#);
    assert_eq!(LinkInfo::from_json(&past), Err(LinkInfoError::TooManyPaths));
}

#[test]
fn a_link_json_has_65536_bytes_at_most() {
    let json = LinkInfo::new(keys()).unwrap().to_json();
    let padded = |length: usize| format!("{json}{}", " ".repeat(length - json.len()));
    assert!(LinkInfo::from_json(&padded(MAX_LINK_JSON_LENGTH)).is_ok());
    assert!(matches!(
        LinkInfo::from_json(&padded(MAX_LINK_JSON_LENGTH + 1)),
        Err(LinkInfoError::Value(InvalidValue::TooLong { .. }))
    ));
}

#[test]
fn the_largest_uri_fits_into_its_limit() {
    let mut info = LinkInfo::new(most_keys()).unwrap();
    for number in 0..MAX_PATHS {
        let path = format!("quic:[fe80::ffff:ffff:ffff:ffff%4294967295]:{}", 65_535 - number);
        info = info.with_path(path.parse::<PathAddress>().unwrap()).unwrap();
    }
    let uri = LinkUri::new(info)
        .with_scheme(&"s".repeat(32))
        .unwrap()
        .with_authority(format!("{}.example:65535", "h".repeat(245)).parse().unwrap())
        .with_invite(InviteSecret::from_bytes([0xff; 32]));
    let text = uri.to_secret_string();
    assert!(text.len() <= MAX_URI_LENGTH - 600, "{} bytes leave no room for a session id", text.len());
    assert_eq!(text.parse::<LinkUri>().unwrap(), uri);
}

#[test]
fn a_uri_is_read_up_to_its_limit() {
    let uri = LinkUri::new(LinkInfo::new(keys()).unwrap()).to_string();
    let padded = |length: usize| format!("{uri}&x={}", "y".repeat(length - uri.len() - 3));
    assert!(padded(MAX_URI_LENGTH).parse::<LinkUri>().is_ok());
    assert!(matches!(
        padded(MAX_URI_LENGTH + 1).parse::<LinkUri>(),
        Err(ParseLinkUriError::Value(InvalidValue::TooLong { .. }))
    ));
}

#[test]
fn a_uri_has_32_paths_at_most_of_known_and_unknown_kinds() {
    let uri = LinkUri::new(LinkInfo::new(keys()).unwrap()).to_string();
    let with_paths = |count: usize| {
        let paths: Vec<_> = (0..count)
            .map(|number| if number % 2 == 0 { address(number).to_string() } else { format!("new:{number}") })
            .collect();
        format!("{uri}&paths={}", paths.join(",")).parse::<LinkUri>()
    };
    assert!(with_paths(MAX_PATHS).is_ok());
    assert_eq!(with_paths(MAX_PATHS + 1), Err(ParseLinkUriError::Link(LinkInfoError::TooManyPaths)));
}

#[test]
fn a_uri_has_8_cipher_sets_at_most() {
    let uri = LinkUri::new(LinkInfo::new(most_keys()).unwrap()).to_string();
    assert!(uri.parse::<LinkUri>().is_ok());
    let mut ninth = PublicKeys::new();
    ninth.insert_key(CipherSetId::CS11, &[1; 32]).unwrap();
    let key = telemesh_hashname::base32::encode(ninth.key(CipherSetId::CS11).unwrap());
    assert!(matches!(
        format!("{uri}&cs11={key}").parse::<LinkUri>(),
        Err(ParseLinkUriError::Value(InvalidValue::TooMany { .. }))
    ));
}
