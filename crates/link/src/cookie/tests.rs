//! Tests of cookies: who can make, read and use them, and for how long.

use proptest::prelude::*;

use super::*;
use crate::packet::{COOKIE_SIZE, PacketKind, classify, receiver_index};
use crate::tests::start;

const KEY: [u8; 32] = [3; 32];
const MAC1: [u8; MAC_SIZE] = [4; MAC_SIZE];

fn udp(text: &str) -> PathAddress {
    PathAddress::Udp(text.parse().unwrap())
}

fn shown(maker: &CookieMaker, now: Instant, from: &PathAddress, cookie: &CookieBytes) -> bool {
    maker.valid(now, from).iter().flatten().any(|valid| valid == cookie)
}

#[test]
fn a_cookie_comes_back_out_of_its_packet_and_is_valid_for_its_address_only() {
    let (mut maker, now) = (CookieMaker::new([1; 32], start()), start());
    let from = udp("192.0.2.1:1111");
    let bytes = maker.packet(now, &from, &KEY, 0x0102_0304, &MAC1).unwrap();
    assert_eq!((bytes.len(), classify(&bytes)), (COOKIE_SIZE, Ok(PacketKind::Cookie)));
    assert_eq!((&bytes[..8], receiver_index(&bytes)), (&[3, 0, 0, 0, 4, 3, 2, 1][..], Some(0x0102_0304)));
    let packet = Cookie::parse(&bytes).unwrap();
    let cookie = open(&packet, &KEY, &MAC1).unwrap();
    assert!(shown(&maker, now, &from, &cookie));
    assert!(shown(&maker, now, &udp("[::ffff:192.0.2.1]:1111"), &cookie), "the same address");
    for other in [udp("192.0.2.1:1112"), udp("192.0.2.2:1111"), udp("[2001:db8::1]:1111")] {
        assert!(!shown(&maker, now, &other, &cookie), "{other}");
    }
    assert!(!shown(&maker, now, &PathAddress::Quic("192.0.2.1:1111".parse().unwrap()), &cookie));
    assert_eq!(open(&packet, &[5; 32], &MAC1), None, "who does not know our key cannot read it");
    assert_eq!(open(&packet, &KEY, &[5; MAC_SIZE]), None, "it answers this initiation and no other");
}

#[test]
fn a_cookie_is_good_until_its_secret_is_the_last_but_one() {
    let start = start();
    let (mut maker, from) = (CookieMaker::new([1; 32], start), udp("192.0.2.1:1111"));
    let given_at = start + Duration::from_secs(119);
    let bytes = maker.packet(given_at, &from, &KEY, 1, &MAC1).unwrap();
    let cookie = open(&Cookie::parse(&bytes).unwrap(), &KEY, &MAC1).unwrap();
    for (second, good) in [(0, true), (119, true), (120, true), (239, true), (240, false), (100_000, false)] {
        assert_eq!(shown(&maker, start + Duration::from_secs(second), &from, &cookie), good, "{second} s");
    }
    assert_eq!(maker.valid(start, &from)[1], None, "before the first secret there was none");
}

#[test]
fn every_packet_is_sealed_with_a_key_of_its_own() {
    let (mut maker, now) = (CookieMaker::new([1; 32], start()), start());
    let from = udp("192.0.2.1:1111");
    let [first, second] = [1, 1].map(|index| maker.packet(now, &from, &KEY, index, &MAC1).unwrap());
    assert_ne!(first[8..32], second[8..32]);
    assert_ne!(first[32..], second[32..]);
    let [first, second] =
        [first, second].map(|bytes| open(&Cookie::parse(&bytes).unwrap(), &KEY, &MAC1).unwrap());
    assert_eq!(first, second, "though it holds the same cookie");
}

#[test]
fn a_flipped_bit_at_any_place_of_the_sealed_part_is_noticed() {
    let (mut maker, now) = (CookieMaker::new([1; 32], start()), start());
    let bytes = maker.packet(now, &udp("192.0.2.1:1111"), &KEY, 1, &MAC1).unwrap();
    for bit in 8 * 8..COOKIE_SIZE * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&Cookie::parse(&changed).unwrap(), &KEY, &MAC1), None, "bit {bit}");
    }
}

#[test]
fn two_addresses_have_one_form_only_when_they_are_one_address() {
    let all = [
        udp("192.0.2.1:1"),
        udp("192.0.2.1:256"),
        udp("192.0.2.2:1"),
        udp("[2001:db8::1]:1"),
        PathAddress::Quic("192.0.2.1:1".parse().unwrap()),
        PathAddress::Peer(telemesh_hashname::Hashname::from_bytes([1; 32])),
        PathAddress::Peer(telemesh_hashname::Hashname::from_bytes([2; 32])),
    ];
    let forms: std::collections::BTreeSet<_> = all.iter().map(address_bytes).collect();
    assert_eq!(forms.len(), all.len());
    assert_eq!(address_bytes(&all[0]), *b"udp\0\xc0\x00\x02\x01\x00\x01");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_no_bytes_are_a_panic(
        index: u32, nonce: [u8; 24], encrypted: [u8; 16], tag: [u8; 16],
        junk in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let bytes = Cookie::write(index, &nonce, &encrypted, &tag);
        let read = Cookie::parse(&bytes).unwrap();
        prop_assert_eq!((read.receiver_index, read.nonce), (index, &nonce));
        prop_assert_eq!(&read.sealed[..], &[encrypted, tag].concat()[..]);
        prop_assert_eq!(open(&read, &KEY, &MAC1), None, "not sealed by anybody");
        prop_assert!(Cookie::parse(&junk).is_err() || junk.len() == COOKIE_SIZE);
    }
}
