//! The messages that endpoints exchange. What was decoded can be encoded, and means the same then; within their limits.

use telemesh_wire::limits::{
    FRAME_HEADER_LENGTH, MAX_ANSWER_LENGTH, MAX_CHANNEL_TYPE_LENGTH, MAX_CONTROL_LENGTH, MAX_HEADERS,
    MAX_HELLO_LENGTH, MAX_OPEN_LENGTH, MAX_REASON_LENGTH,
};
use telemesh_wire::{
    Answer, Connection, Control, DecodeError, Frame, Hello, HelloReply, Introduction, Open, Refusal,
};

/// [`Hello`] and [`HelloReply`].
pub fn hello(data: &[u8]) {
    if let Ok(hello) = Hello::decode(data) {
        let bytes = hello.encode();
        assert!(bytes.len() <= MAX_HELLO_LENGTH);
        assert_eq!(Hello::decode(&bytes), Ok(hello.clone()));
        if let Ok(keys) = hello.keys.to_public_keys() {
            assert_eq!(keys.hashname(), Ok(hello.keys.hashname()));
        }
    }
    if let Ok(reply) = HelloReply::decode(data) {
        assert_eq!(HelloReply::decode(&reply.encode()), Ok(reply));
    }
}

/// [`Open`], alone and at the beginning of a stream.
pub fn open(data: &[u8]) {
    if let Ok(open) = Open::decode(data) {
        assert_eq!(open.check(), Ok(()));
        let bytes = encoded(&open);
        assert_eq!(bytes.len(), open.encoded_length());
        assert!(bytes.len() <= MAX_OPEN_LENGTH);
        assert!(open.channel_type.len() <= MAX_CHANNEL_TYPE_LENGTH && open.headers.len() <= MAX_HEADERS);
        assert_eq!(Open::decode(&bytes), Ok(open));
    }
    let encode = |open: &Open| open.encode_delimited().unwrap_or_default();
    delimited(data, MAX_OPEN_LENGTH, Open::decode_delimited, encode);
}

fn encoded(open: &Open) -> Vec<u8> {
    match open.encode() {
        Ok(bytes) => bytes,
        Err(error) => panic!("what was decoded cannot be encoded: {error}"),
    }
}

/// [`Answer`] and [`Refusal`], alone and at the beginning of a stream.
pub fn answer(data: &[u8]) {
    if let Ok(refusal) = Refusal::decode(data) {
        assert!(refusal.reason().len() <= MAX_REASON_LENGTH);
        assert_eq!(Refusal::decode(&refusal.encode()), Ok(refusal));
    }
    if let Ok(answer) = Answer::decode(data) {
        assert!(answer.encode().len() <= MAX_ANSWER_LENGTH);
        assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }
    delimited(data, MAX_ANSWER_LENGTH, Answer::decode_delimited, Answer::encode_delimited);
}

/// [`Control`].
pub fn control(data: &[u8]) {
    if let Ok(control) = Control::decode(data) {
        let bytes = control.encode();
        assert!(bytes.len() <= MAX_CONTROL_LENGTH);
        assert_eq!(Control::decode(&bytes), Ok(control));
    }
}

/// [`Introduction`] and [`Connection`].
pub fn introduction(data: &[u8]) {
    let data = bytes::Bytes::copy_from_slice(data);
    if let Ok(introduction) = Introduction::decode(&data) {
        let bytes = introduction.encode().unwrap_or_default();
        assert_eq!(Introduction::decode(&bytes.into()), Ok(introduction));
    }
    if let Ok(connection) = Connection::decode(&data) {
        let bytes = connection.encode().unwrap_or_default();
        assert_eq!(Connection::decode(&bytes.into()), Ok(connection));
    }
}

/// [`Frame`]. Nothing is lost of a message, whatever is in it.
pub fn frame(data: &[u8]) {
    let Ok(frame) = Frame::decode(data) else { return };
    let mut bytes = Vec::new();
    assert_eq!(frame.encode_into(&mut bytes), Ok(()));
    assert_eq!(Frame::decode(&bytes), Ok(frame.clone()));
    if let Frame::Message { channel, payload } = frame {
        assert_eq!((bytes.as_slice(), Some(payload)), (data, data.get(FRAME_HEADER_LENGTH..)));
        assert!(data.starts_with(&Frame::message_header(channel)));
    }
}

/// A message with its length in front: it takes no more than it needs, wants no more than its limit, and what comes in
/// small pieces is the same in the end as what comes at once.
fn delimited<T: PartialEq + std::fmt::Debug>(
    data: &[u8],
    limit: usize,
    decode: impl Fn(&[u8]) -> Result<Option<(T, usize)>, DecodeError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    match decode(data) {
        Ok(Some((message, taken))) => {
            let (own, _) = data.split_at(taken);
            assert_eq!(decode(own).map(|decoded| decoded.map(|(_, taken)| taken)), Ok(Some(taken)));
            let (short, _) = own.split_at(taken.saturating_sub(1));
            assert_eq!(decode(short), Ok(None), "one byte less must be too few");
            let again = encode(&message);
            assert_eq!(decode(&again), Ok(Some((message, again.len()))));
        }
        Ok(None) => assert!(data.len() < limit + LONGEST_LENGTH, "more is wanted than the limit allows"),
        Err(_) => {}
    }
}

/// Bytes of the longest length that stands in front of a message.
const LONGEST_LENGTH: usize = 10;
