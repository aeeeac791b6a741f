//! The frames of a message, whole, in pieces, and broken.

use proptest::prelude::*;

use super::*;

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

/// Everything that is found when the bytes come in pieces of this size; the first head is taken for the final one.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<Event>, FrameError> {
    let mut decoder = Decoder::new();
    let mut events: Vec<Event> = Vec::new();
    for chunk in bytes.chunks(piece.max(1)) {
        let mut input = Bytes::copy_from_slice(chunk);
        loop {
            let Some(event) = decoder.next(&mut input)? else { break };
            match (event, events.last_mut()) {
                (Event::Head { block, end }, _) => {
                    decoder.begin_body();
                    events.push(Event::Head { block, end });
                }
                // Data comes in any pieces.
                (Event::Data(data), Some(Event::Data(before))) => {
                    *before = [&before[..], &data[..]].concat().into();
                }
                (event, _) => events.push(event),
            }
        }
        assert!(input.is_empty());
    }
    Ok(events)
}

#[test]
fn a_message_is_a_head_data_and_trailers() {
    let bytes = [frame(1, b"head"), frame(0, b"da"), frame(0, b"ta"), frame(0x82, b"trailers")].concat();
    let events = read(&bytes, usize::MAX).unwrap();
    let head = Event::Head { block: Bytes::from_static(b"head"), end: false };
    let trailers = Event::Trailers(Bytes::from_static(b"trailers"));
    assert_eq!(events, [head, Event::Data(Bytes::from_static(b"data")), trailers]);
}

#[test]
fn the_last_data_may_end_it_and_may_be_empty() {
    let head = || Event::Head { block: Bytes::from_static(b"h"), end: false };
    let events = read(&[frame(1, b"h"), frame(0x80, b"x")].concat(), 1).unwrap();
    assert_eq!(events, [head(), Event::Data(Bytes::from_static(b"x")), Event::End]);
    let events = read(&[frame(1, b"h"), frame(0x80, b"")].concat(), usize::MAX).unwrap();
    assert_eq!(events, [head(), Event::End]);
}

#[test]
fn what_is_out_of_order_is_refused() {
    let error = |bytes: Vec<u8>| read(&bytes, usize::MAX).unwrap_err();
    assert_eq!(error(frame(0, b"x")), FrameError::Order);
    assert_eq!(error(frame(0x82, b"x")), FrameError::Order);
    assert_eq!(error([frame(1, b"h"), frame(1, b"h")].concat()), FrameError::Order);
    assert_eq!(error([frame(1, b"h"), frame(2, b"t")].concat()), FrameError::Order);
    assert_eq!(error([frame(1, b"h"), frame(0, b"")].concat()), FrameError::Empty);
    assert_eq!(error([frame(0x81, b"h"), frame(0, b"x")].concat()), FrameError::AfterEnd);
    assert_eq!(error([frame(1, b"h"), frame(0x80, b"x"), vec![0]].concat()), FrameError::AfterEnd);
    assert_eq!(error(frame(3, b"x")), FrameError::UnknownKind(3));
    assert_eq!(error(frame(0x7f, b"x")), FrameError::UnknownKind(0x7f));
}

#[test]
fn a_head_is_as_long_as_allowed_and_not_a_byte_longer() {
    let longest = vec![7; MAX_HEADER_LIST];
    let events = read(&frame(0x81, &longest), 1000).unwrap();
    assert_eq!(events, [Event::Head { block: longest.into(), end: true }]);
    // Refused by its length alone, before a byte of it is there.
    let length = u32::try_from(MAX_HEADER_LIST + 1).unwrap().to_be_bytes();
    let header = [&[0x81], &length[1..]].concat();
    assert_eq!(read(&header, 4).unwrap_err(), FrameError::TooLong(MAX_HEADER_LIST + 1));
}

proptest! {
    #[test]
    fn the_size_of_the_pieces_makes_no_difference(
        head in proptest::collection::vec(any::<u8>(), 0..200),
        data in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..5),
        trailers in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..100)),
        piece in 1_usize..400,
    ) {
        let mut bytes = frame(1, &head);
        data.iter().for_each(|data| bytes.extend(frame(0, data)));
        match &trailers {
            Some(trailers) => bytes.extend(frame(0x82, trailers)),
            None => bytes.extend(frame(0x80, b"")),
        }
        let events = read(&bytes, piece).unwrap();
        prop_assert_eq!(&events, &read(&bytes, usize::MAX).unwrap());
        let all = data.concat();
        let found: Vec<u8> = events.iter().filter_map(|event| match event {
            Event::Data(data) => Some(data.to_vec()),
            _ => None,
        }).flatten().collect();
        prop_assert_eq!(found, all);
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600), piece in 1_usize..64) {
        let _ = read(&bytes, piece);
    }
}
