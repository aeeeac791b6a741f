//! Tests of the handshake record, against a model that remembers every answered `at`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::tags::SessionTags;

const YEAR: u64 = 366 * 86_400_000_000;

#[test]
fn at_follows_the_clock_and_never_goes_back() {
    let mut record = PeerRecord::default();
    assert_eq!(record.next_at(1_000, 0), 1_000);
    assert_eq!(record.next_at(1_000, 0), 1_001);
    assert_eq!(record.next_at(5, 0), 1_002, "the clock went back");
    assert_eq!(record.next_at(9_000, 0), 9_000);
}

#[test]
fn leaps_stop_two_centuries_ahead_of_the_clock() {
    let mut record = PeerRecord::default();
    for _ in 0..10_000 {
        record.next_at(1_000, YEAR);
    }
    assert!(record.sent_at <= 1_000 + AT_LEAP_LIMIT + 10_000);
    assert!(record.sent_at > 1_000 + AT_LEAP_LIMIT - 2 * YEAR);
}

#[test]
fn the_end_of_the_numbers_is_no_panic() {
    let mut record =
        PeerRecord { sent_at: u64::MAX, highest_at: u64::MAX, answered_below: 0, ..PeerRecord::default() };
    assert_eq!(record.next_at(u64::MAX, YEAR), u64::MAX);
    record.answered(u64::MAX);
    record.answered(0);
}

fn full() -> PeerRecord {
    let mut record =
        PeerRecord { sent_at: 1, highest_at: 0x0203, answered_below: 1 << 63, ..PeerRecord::default() };
    let tags = (0..).map(|number| SessionTags::derive(&[number; 32], &[9; 32], true));
    for tags in tags.take(MAX_ACCEPTED_TAGS) {
        record.tags.present = Some(tags.present);
        record.tags.offer(tags.accept);
    }
    record
}

#[test]
fn a_record_comes_back_from_its_bytes() {
    for record in [PeerRecord::default(), full()] {
        assert_eq!(PeerRecord::from_bytes(&record.to_bytes()), Ok(record));
    }
    let mut only_accepted = full();
    only_accepted.tags.present = None;
    assert_eq!(PeerRecord::from_bytes(&only_accepted.to_bytes()), Ok(only_accepted));
    assert_eq!(full().to_bytes().len(), 27 + 40 * (1 + MAX_ACCEPTED_TAGS));
}

#[test]
fn the_bytes_of_a_record_stay_as_they_are() {
    let mut record = full();
    record.tags.accepted.truncate(1);
    let bytes = record.to_bytes();
    let head = [1, 1, 0, 0, 0, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 1, 1];
    assert_eq!(bytes[..27], head);
    assert_eq!(PeerRecord::default().to_bytes()[..], [[1].as_slice(), &[0; 26]].concat());
    let mut shown = Vec::new();
    record.tags.present.unwrap().write_to(&mut shown);
    assert_eq!(bytes[27..67], shown);
}

#[test]
fn damaged_bytes_are_no_record() {
    let bytes = full().to_bytes();
    for length in 0..bytes.len() {
        assert_eq!(PeerRecord::from_bytes(&bytes[..length]), Err(RecordError::Malformed), "{length} bytes");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(PeerRecord::from_bytes(&longer), Err(RecordError::Malformed));
    let changed = |place: usize, byte: u8| {
        let mut bytes = bytes.to_vec();
        bytes[place] = byte;
        PeerRecord::from_bytes(&bytes)
    };
    assert_eq!(changed(0, 2), Err(RecordError::Version(2)));
    assert_eq!(changed(25, 2), Err(RecordError::Malformed), "two tags to show");
    assert_eq!(changed(26, 16), Err(RecordError::Malformed));
    assert_eq!(changed(26, 18), Err(RecordError::Malformed));
    let mut zero_id = bytes.to_vec();
    zero_id[27..35].fill(0);
    assert_eq!(PeerRecord::from_bytes(&zero_id), Err(RecordError::Malformed), "zero means no tag");
    let one_too_many = [&bytes[..26], &[18], &bytes[27..], &bytes[27..67]].concat();
    assert_eq!(PeerRecord::from_bytes(&one_too_many), Err(RecordError::Malformed));
}

#[test]
fn a_record_shows_no_secret() {
    let record = full();
    let text = format!("{record:?}");
    assert!(text.contains("tags: ReturnTags { present: true, accepted: 17 }"), "{text}");
    let bytes = record.to_bytes();
    for window in bytes[27..].windows(3) {
        assert!(!text.contains(&format!("{window:?}").replace(['[', ']'], "")), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_is_read_as_a_record_is_written_the_same(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        counts in (0u8..3, 0u8..4),
        exact: bool,
    ) {
        let mut bytes = bytes;
        if exact {
            bytes.resize(27 + 40 * usize::from(counts.0 + counts.1), 7);
            bytes[0] = VERSION;
            (bytes[25], bytes[26]) = counts;
        }
        if let Ok(record) = PeerRecord::from_bytes(&bytes) {
            prop_assert_eq!(record.to_bytes().to_vec(), bytes);
        } else {
            prop_assert!(!exact || counts.0 > 1 || bytes[27..].chunks(40).any(|tag| tag[..8] == [0; 8]));
        }
    }
}

#[cfg(not(feature = "danger-no-at-check"))]
#[test]
fn zero_is_never_new() {
    assert!(PeerRecord::default().is_stale(0));
}

#[cfg(not(feature = "danger-no-at-check"))]
proptest! {
    #[test]
    fn an_at_is_new_once_within_the_window(
        steps in proptest::collection::vec((0u64..200, any::<bool>()), 1..300)
    ) {
        let (mut record, mut seen) = (PeerRecord::default(), BTreeSet::new());
        for (distance, forward) in steps {
            let highest = seen.last().copied().unwrap_or(1_000);
            let at = if forward { highest + distance } else { highest - distance };
            let stale = seen.contains(&at) || seen.last().is_some_and(|last| last - 64.min(*last) > at);
            prop_assert_eq!(record.is_stale(at), stale);
            if !stale {
                record.answered(at);
                seen.insert(at);
                prop_assert!(record.has_answered(at));
            }
        }
    }
}
