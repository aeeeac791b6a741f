//! The `sock` channel: messages of UDP tunnels and their fragments, datagrams of SOCKS clients, and the texts of targets and grants.

use bytes::Bytes;
use telemesh_sock::datagram::{Message, Reassembly};
use telemesh_sock::socks::{decode_datagram, encode_datagram};
use telemesh_sock::{SockGrant, Target};

use crate::input::Input;

/// What was read is read again when it is written, a grant allows nothing that must be named unless it names it, and partial
/// datagrams hold a bounded number of bytes.
pub fn sock(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => messages(input),
        1 => socks(input.all()),
        2 => text::<Target>(input.all()),
        _ => text::<SockGrant>(input.all()),
    }
}

fn messages(mut input: Input<'_>) {
    let mut reassembly = Reassembly::new();
    loop {
        let bytes = input.counted();
        if bytes.is_empty() {
            return;
        }
        if let Ok(message) = Message::decode(Bytes::copy_from_slice(bytes)) {
            assert_eq!(Message::decode(message.encode()).as_ref(), Ok(&message));
            reassembly.take(message);
            assert!(reassembly.held() <= 128 << 10, "{} bytes are held", reassembly.held());
        }
    }
}

fn socks(bytes: &[u8]) {
    if let Ok((target, data)) = decode_datagram(Bytes::copy_from_slice(bytes)) {
        assert_ne!(target.port(), 0);
        assert_eq!(decode_datagram(encode_datagram(&target, &data)), Ok((target, data)));
    }
}

fn text<T: std::str::FromStr + ToString + PartialEq>(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(value) = text.parse::<T>() {
        assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value), "{text:?}");
    }
}
