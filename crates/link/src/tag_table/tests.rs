//! Tests of the table of tags: what it recognises, and who may put in and take out what.

use std::time::Duration;

use telemesh_hashname::CipherSetId;

use super::*;
use crate::gate::PER_TAG;
use crate::packet::NOISE_1_SIZE;
use crate::tags::SessionTags;
use crate::tests::start;

const PEER: Hashname = Hashname::from_bytes([1; 32]);
const OTHER: Hashname = Hashname::from_bytes([2; 32]);

fn tag(number: u8) -> ReturnTag {
    SessionTags::derive(&[number; 32], &[0; 32], true).accept
}

/// The `number`th initiation that shows a tag.
fn showing(tag: &ReturnTag, number: u16) -> Box<[u8]> {
    let mut noise = [0; NOISE_1_SIZE];
    noise[..2].copy_from_slice(&number.to_le_bytes());
    let mut packet = Initiation::write(CipherSetId::CS21, 1, &noise);
    mac::write_mac2(tag.key(), tag.id().get(), &mut packet);
    packet
}

fn says(table: &TagTable, now: Instant, packet: &[u8]) -> Recognition {
    table.recognize(now, PER_TAG, &Initiation::parse(packet).unwrap())
}

#[test]
fn a_tag_is_known_from_when_it_is_put_in_until_it_is_taken_out() {
    let (table, now) = (TagTable::new(), start());
    let mut registration = table.register(PEER);
    assert_eq!(says(&table, now, &showing(&tag(1), 0)), Recognition::Unknown);
    registration.set(&[tag(1), tag(2)]);
    assert_eq!(table.len(), 2);
    assert_eq!(says(&table, now, &showing(&tag(1), 0)), Recognition::Peer(PEER));
    registration.set(&[tag(2), tag(3)]);
    assert_eq!(says(&table, now, &showing(&tag(1), 1)), Recognition::Unknown);
    assert_eq!(says(&table, now, &showing(&tag(2), 0)), Recognition::Peer(PEER));
    assert_eq!(says(&table, now, &showing(&tag(3), 0)), Recognition::Peer(PEER));
    drop(registration);
    assert!(table.is_empty());
}

#[test]
fn a_packet_without_a_return_id_is_a_strangers() {
    let table = TagTable::new();
    let mut registration = table.register(PEER);
    registration.set(&[tag(1)]);
    let packet = Initiation::write(CipherSetId::CS21, 1, &[0; NOISE_1_SIZE]);
    assert_eq!(says(&table, start(), &packet), Recognition::Unknown);
}

#[test]
fn a_flipped_bit_at_any_offset_makes_a_tagged_initiation_wrong_or_a_strangers() {
    let (table, now) = (TagTable::new(), start());
    let mut registration = table.register(PEER);
    registration.set(&[tag(1)]);
    let packet = showing(&tag(1), 0);
    // The type, the reserved bytes: nobody hands those on as an initiation.
    for bit in 4 * 8..packet.len() * 8 {
        let mut changed = packet.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let in_id = (1_176..1_184).contains(&(bit / 8));
        let expected = if in_id { Recognition::Unknown } else { Recognition::Wrong };
        assert_eq!(says(&table, now, &changed), expected, "bit {bit}");
    }
    assert_eq!(says(&table, now, &packet), Recognition::Peer(PEER), "and none of it counted");
}

#[test]
fn copies_are_told_from_fresh_ones_and_cost_nothing() {
    let (table, now) = (TagTable::new(), start());
    let mut registration = table.register(PEER);
    registration.set(&[tag(1)]);
    let packet = showing(&tag(1), 0);
    assert_eq!(says(&table, now, &packet), Recognition::Peer(PEER));
    for _ in 0..1_000 {
        assert_eq!(says(&table, now, &packet), Recognition::Copy);
    }
    assert_eq!(
        says(&table, now, &showing(&tag(1), 1)),
        Recognition::Peer(PEER),
        "the bucket is as full as before"
    );
}

#[test]
fn a_tag_has_its_burst_and_then_four_a_second_however_many_recordings_there_are() {
    let (table, now) = (TagTable::new(), start());
    let mut registration = table.register(PEER);
    registration.set(&[tag(1), tag(2)]);
    let known = |at, tag: &ReturnTag, numbers: std::ops::Range<u16>| {
        numbers.filter(|&number| says(&table, at, &showing(tag, number)) == Recognition::Peer(PEER)).count()
    };
    assert_eq!(known(now, &tag(1), 0..24), 24);
    assert_eq!(says(&table, now, &showing(&tag(1), 24)), Recognition::TooOften);
    assert_eq!(known(now, &tag(2), 0..30), 24, "each has its own");
    let later = now + Duration::from_secs(1);
    assert_eq!(
        known(later, &tag(1), 0..1_000),
        4,
        "those that were forgotten since cost as much as fresh ones"
    );
    let remembered = table.lock().by_id.values().map(|entry| entry.seen.len()).max();
    assert_eq!(remembered, Some(REMEMBERED));
}

#[test]
fn an_attempt_on_eight_paths_passes_whole() {
    let (table, mut now) = (TagTable::new(), start());
    let mut registration = table.register(PEER);
    registration.set(&[tag(1)]);
    let mut number = 0;
    for wait in [0, 500, 1_000, 2_000, 4_000, 8_000] {
        now += Duration::from_millis(wait);
        for _ in 0..8 {
            number += 1;
            assert_eq!(
                says(&table, now, &showing(&tag(1), number)),
                Recognition::Peer(PEER),
                "copy {number}"
            );
        }
    }
}

#[test]
fn a_newer_link_with_the_same_peer_takes_its_tags_over() {
    let (table, now) = (TagTable::new(), start());
    let mut old = table.register(PEER);
    old.set(&[tag(1)]);
    let mut new = table.register(PEER);
    new.set(&[tag(1)]);
    drop(old);
    assert_eq!(says(&table, now, &showing(&tag(1), 0)), Recognition::Peer(PEER));
    drop(new);
    assert!(table.is_empty());
}

#[test]
fn a_peer_cannot_take_the_place_of_another_ones_tag() {
    let (table, now) = (TagTable::new(), start());
    let mut first = table.register(PEER);
    first.set(&[tag(1)]);
    let mut thief = table.register(OTHER);
    thief.set(&[tag(1)]);
    assert_eq!(says(&table, now, &showing(&tag(1), 0)), Recognition::Peer(PEER));
    drop(thief);
    assert_eq!(says(&table, now, &showing(&tag(1), 1)), Recognition::Peer(PEER));
}
