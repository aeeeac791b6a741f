//! Tests of the packet layouts.

use proptest::prelude::*;

use super::*;

fn packet(kind: u8, size: usize) -> Vec<u8> {
    let mut packet = vec![0; size];
    if let Some(first) = packet.first_mut() {
        *first = kind;
    }
    packet
}

#[test]
fn each_type_has_exactly_its_sizes() {
    for (kind, good) in
        [(1, HANDSHAKE_SIZE), (2, HANDSHAKE_SIZE), (3, 64), (4, DATA_MIN_SIZE), (4, DATA_MAX_SIZE)]
    {
        assert!(classify(&packet(kind, good)).is_ok(), "type {kind} of {good} bytes");
    }
    for (kind, bad) in [
        (1, HANDSHAKE_SIZE - 1),
        (1, HANDSHAKE_SIZE + 1),
        (2, HANDSHAKE_SIZE - 1),
        (2, HANDSHAKE_SIZE + 1),
        (3, COOKIE_SIZE - 1),
        (3, COOKIE_SIZE + 1),
        (3, HANDSHAKE_SIZE),
        (3, 4),
        (4, DATA_MIN_SIZE - 1),
        (4, DATA_MAX_SIZE + 1),
        (1, 0),
        (1, 1),
        (2, 3),
        (4, 4),
        (1, DATA_MAX_SIZE),
        (5, 4),
        (5, CIRCUIT_HEADER_SIZE + DATA_MIN_SIZE - 1),
        (5, DATA_MAX_SIZE + 1),
    ] {
        assert_eq!(classify(&packet(kind, bad)), Err(PacketError::Size), "type {kind} of {bad} bytes");
    }
}

#[test]
fn unknown_types_and_reserved_bytes_are_refused() {
    for kind in (0..=255).filter(|kind| !(1..=5).contains(kind)) {
        assert_eq!(classify(&packet(kind, HANDSHAKE_SIZE)), Err(PacketError::UnknownType));
    }
    for kind in 1..=5 {
        for place in 1..4 {
            for bit in 0..8 {
                let mut packet = packet(kind, HANDSHAKE_SIZE);
                packet[place] = 1 << bit;
                assert_eq!(classify(&packet), Err(PacketError::Reserved));
            }
        }
    }
}

#[test]
fn the_noise_messages_fill_their_packets_and_leave_room_for_the_largest_hello() {
    assert_eq!((NOISE_1_SIZE, PAYLOAD_1_SIZE), (1_151, 1_055));
    assert_eq!((NOISE_2_SIZE, PAYLOAD_2_SIZE), (1_147, 1_099));
    const { assert!(PAYLOAD_1_SIZE - 2 >= telemesh_wire::limits::MAX_HELLO_LENGTH) };
    const { assert!(PAYLOAD_2_SIZE - 2 >= telemesh_wire::limits::MAX_HELLO_LENGTH) };
}

#[test]
fn what_is_written_is_read_back() {
    let noise: [u8; NOISE_1_SIZE] = std::array::from_fn(|place| place.to_le_bytes()[0]);
    let mut written = Initiation::write(CipherSetId::CS21, 0x0102_0304, &noise);
    let (_, mac1) = split_mac1(&mut written).unwrap();
    *mac1 = [9; MAC_SIZE];
    let read = Initiation::parse(&written).unwrap();
    assert_eq!((read.csid, read.sender_index), (CipherSetId::CS21, 0x0102_0304));
    assert_eq!((read.noise, read.mac1), (&noise[..], &[9; MAC_SIZE]));
    assert_eq!(read.covered.len(), 1_160);
    assert_eq!(receiver_index(&written), None);

    let noise = [7; NOISE_2_SIZE];
    let written = Response::write(CipherSetId::CS11, 5, 6, &noise);
    let read = Response::parse(&written).unwrap();
    assert_eq!((read.csid, read.sender_index, read.receiver_index), (CipherSetId::CS11, 5, 6));
    assert_eq!(read.noise, &noise[..]);
    assert_eq!(receiver_index(&written), Some(6));
    assert_eq!(&written[..13], &[2, 0, 0, 0, 0x11, 5, 0, 0, 0, 6, 0, 0, 0]);
}

#[test]
fn a_slot_is_the_upper_twenty_bits_of_an_index() {
    assert_eq!(slot_of(0xabcd_e123), 0xabcde);
    assert_eq!(slot_of(u32::MAX), MAX_SLOTS - 1);
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..1_300), kind in 0u8..7) {
        if let Some([first, a, b, c]) = bytes.first_chunk_mut() {
            *first = kind;
            (*a, *b, *c) = (0, 0, 0);
        }
        let _ = Initiation::parse(&bytes).is_ok();
        let _ = Response::parse(&bytes).is_ok();
        let _ = receiver_index(&bytes);
        let kind = classify(&bytes);
        prop_assert_eq!(DataMut::parse(&mut bytes).is_ok(), kind == Ok(PacketKind::Data));
    }

    #[test]
    fn a_data_header_is_read_back(index: u32, counter: u64, rest in 16usize..64) {
        let mut packet = data_header(index, counter).to_vec();
        packet.resize(DATA_HEADER_SIZE + rest, 3);
        prop_assert_eq!(receiver_index(&packet), Some(index));
        let data = DataMut::parse(&mut packet).unwrap();
        prop_assert_eq!((data.receiver_index, data.counter, data.sealed.len()), (index, counter, rest));
    }
}
