//! What only shows inside: the memory of the state machine's endpoint.

use telemesh_hashname::Hashname;

use super::*;

/// A first packet of another connection, as a hostile peer would make it (RFC 9000, section 17.2.2): version 1, two
/// connection ids, no token, padded to 1,200 bytes.
fn initial(number: u16) -> BytesMut {
    let mut packet = vec![0xc0, 0, 0, 0, 1, 8];
    packet.extend([0xaa; 6]);
    packet.extend(number.to_be_bytes());
    packet.extend([4, 1, 2, 3, 4]);
    packet.push(0);
    packet.extend((0x4000 | (1_200 - 22_u16)).to_be_bytes());
    packet.resize(1_200, 0);
    packet.as_slice().into()
}

#[test]
fn first_packets_of_other_connections_leave_nothing_behind() {
    let names = [1, 2].map(|byte| Hashname::from_bytes([byte; 32]));
    for local in [0, 1] {
        let seed = Seed::new((names[local], 1), (names[1 - local], 1), 0);
        #[allow(clippy::disallowed_methods, reason = "a test starts from some instant")]
        let now = Instant::now();
        let mut engine = Engine::start(&seed, &Config::default(), now).unwrap();
        for number in 0..100 {
            assert!(!engine.handle_packet(now, initial(number)));
        }
        let endpoint = format!("{:?}", engine.half.endpoint);
        assert!(endpoint.contains("incoming_buffers.len: 0"), "{endpoint}");
        assert_eq!(engine.poll_event(), None);
    }
}
