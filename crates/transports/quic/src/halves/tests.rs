//! Parts in any order, with losses, and from somebody who makes them up.

use proptest::prelude::*;

use super::*;

fn joined(joiner: &mut Joiner, datagram: &Bytes) -> Option<Vec<u8>> {
    joiner.join(datagram.clone()).map(|packet| {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes);
        assert_eq!(bytes.len(), packet.length());
        bytes.to_vec()
    })
}

#[test]
fn a_packet_that_fits_stays_whole_and_one_byte_more_makes_two() {
    let packet = [7; 1_200];
    let mut splitter = Splitter::default();
    let whole = splitter.split([&packet[..]], 1_201).unwrap();
    assert_eq!(whole.len(), 1);
    assert_eq!(joined(&mut Joiner::default(), &whole[0]).unwrap(), packet);

    let parts = splitter.split([&packet[..]], 1_200).unwrap();
    assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [1_200, 2]);
    for order in [[0, 1], [1, 0]] {
        let mut joiner = Joiner::default();
        assert_eq!(joined(&mut joiner, &parts[order[0]]), None);
        assert_eq!(joined(&mut joiner, &parts[order[1]]).unwrap(), packet);
        assert_eq!(joiner.waiting(), 0);
    }
}

#[test]
fn the_largest_packet_fills_two_datagrams_and_one_byte_more_is_refused() {
    let packet = [7; 2 * 1_159];
    let mut splitter = Splitter::default();
    let parts = splitter.split([&packet[..]], 1_160).unwrap();
    assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [1_160, 1_160]);
    assert_eq!(splitter.split([&[7; 2 * 1_159 + 1][..]], 1_160), None);
    assert_eq!(splitter.split([&packet[..]], 0), None);
}

#[test]
fn the_rests_of_a_group_come_after_its_first_parts() {
    let packets = vec![vec![7; 1_472]; GROUP];
    let datagrams = Splitter::default().split(packets.iter().map(Vec::as_slice), 1_420).unwrap();
    assert_eq!(datagrams.len(), 2 * GROUP);
    assert!(datagrams[..GROUP].iter().all(|part| part.len() == 1_420));
    let rests: usize = datagrams[GROUP..].iter().map(Bytes::len).sum();
    assert!(rests < 1_420, "they share one packet: {rests}");
}

#[test]
fn a_lost_part_costs_only_its_own_packet() {
    let packets = [vec![1; 1_300], vec![2; 1_300], vec![3; 1_300]];
    let datagrams = Splitter::default().split(packets.iter().map(Vec::as_slice), 1_160).unwrap();
    let mut joiner = Joiner::default();
    let arrived = datagrams.iter().enumerate().filter(|(place, _)| *place != 1);
    let out: Vec<_> = arrived.filter_map(|(_, datagram)| joined(&mut joiner, datagram)).collect();
    assert_eq!(out, [packets[0].clone(), packets[2].clone()]);
    assert_eq!(joiner.waiting(), 1);
}

#[test]
fn parts_without_their_other_half_are_forgotten() {
    let mut joiner = Joiner::default();
    for number in 0..64u8 {
        assert_eq!(joined(&mut joiner, &Bytes::from(vec![FIRST | number; 1_000])), None);
        assert!(joiner.waiting() <= MAX_WAITING);
    }
    assert_eq!(joined(&mut joiner, &Bytes::from_static(&[SECOND, 1])), None, "that one is gone");
    assert!(joined(&mut joiner, &Bytes::from_static(&[SECOND | 63, 1])).is_some());
}

#[test]
fn what_is_no_datagram_of_ours_is_dropped() {
    for datagram in [&[][..], &[0xc0, 1], &[0xff], &[WHOLE | 1, 1], &[FIRST], &[SECOND | 3]] {
        let mut joiner = Joiner::default();
        assert_eq!(joined(&mut joiner, &Bytes::copy_from_slice(datagram)), None, "{datagram:?}");
        assert_eq!(joiner.waiting(), 0);
    }
    assert_eq!(joined(&mut Joiner::default(), &Bytes::from_static(&[WHOLE])), Some(Vec::new()));
}

proptest! {
    #[test]
    fn packets_come_out_as_they_went_in(
        lengths in prop::collection::vec(0usize..600, 1..=GROUP),
        limit in 300usize..700,
        seed in any::<u8>(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 2 * GROUP),
    ) {
        let packets: Vec<Vec<u8>> = lengths
            .iter()
            .zip(0u8..)
            .map(|(length, number)| (0..*length).map(|at| seed ^ number ^ (at % 251) as u8).collect())
            .collect();
        let mut splitter = Splitter { number: seed & NUMBER };
        match splitter.split(packets.iter().map(Vec::as_slice), limit) {
            None => prop_assert!(lengths.iter().any(|length| *length > 2 * (limit - HEADER))),
            Some(mut datagrams) => {
                prop_assert!(datagrams.iter().all(|datagram| datagram.len() <= limit));
                for (place, index) in order.iter().enumerate().take(datagrams.len()) {
                    let other = index.index(datagrams.len());
                    datagrams.swap(place, other);
                }
                let mut joiner = Joiner::default();
                let mut out: Vec<_> =
                    datagrams.iter().filter_map(|datagram| joined(&mut joiner, datagram)).collect();
                out.sort();
                let mut expected = packets.clone();
                expected.sort();
                prop_assert_eq!(out, expected);
                prop_assert_eq!(joiner.waiting(), 0);
            }
        }
    }

    #[test]
    fn memory_is_bounded_whatever_comes_in(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..200),
    ) {
        let mut joiner = Joiner::default();
        for datagram in datagrams {
            let length = datagram.len();
            if let Some(packet) = joiner.join(datagram.into()) {
                prop_assert!(packet.length() <= length + 8);
            }
            prop_assert!(joiner.waiting() <= MAX_WAITING);
        }
    }
}
