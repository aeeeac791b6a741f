//! Tests of the handshake record, against a model that remembers every answered `at`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

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
    let mut record = PeerRecord { sent_at: u64::MAX, highest_at: u64::MAX, answered_below: 0 };
    assert_eq!(record.next_at(u64::MAX, YEAR), u64::MAX);
    record.answered(u64::MAX);
    record.answered(0);
}

#[test]
fn a_record_comes_back_from_its_bytes() {
    let record = PeerRecord { sent_at: 1, highest_at: 0x0203, answered_below: 1 << 63 };
    let bytes = record.to_bytes();
    assert_eq!(
        bytes[..],
        [1, 1, 0, 0, 0, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0]
    );
    assert_eq!(PeerRecord::from_bytes(&bytes), Ok(record));
    assert_eq!(PeerRecord::default().to_bytes()[..], [[1].as_slice(), &[0; 26]].concat());
}

#[test]
fn damaged_bytes_are_no_record() {
    let bytes = PeerRecord::default().to_bytes();
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
