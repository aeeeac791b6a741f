//! Tests of the replay window, against a model that simply remembers everything.

#![cfg(not(feature = "danger-no-replay-window"))]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn counter_zero_is_accepted_once() {
    let mut window = ReplayWindow::default();
    assert_eq!(window.accept(0), Ok(()));
    assert_eq!(window.accept(0), Err(ReplayError::Duplicate));
}

#[test]
fn both_edges_of_the_window_are_exact() {
    for highest in [REPLAY_WINDOW, REPLAY_WINDOW + 63, 1_000_000, (1 << 60) - 1, u64::MAX - 1] {
        let mut window = ReplayWindow::default();
        assert_eq!(window.accept(highest), Ok(()));
        let oldest = highest + 1 - REPLAY_WINDOW;
        assert_eq!(window.accept(oldest), Ok(()), "oldest below {highest}");
        assert_eq!(window.accept(oldest), Err(ReplayError::Duplicate));
        assert_eq!(window.accept(oldest - 1), Err(ReplayError::TooOld));
        assert_eq!(window.accept(highest), Err(ReplayError::Duplicate));
    }
}

#[test]
fn the_largest_counter_is_accepted_once() {
    let mut window = ReplayWindow::default();
    assert_eq!(window.accept(u64::MAX), Ok(()));
    assert_eq!(window.accept(u64::MAX), Err(ReplayError::Duplicate));
    assert_eq!(window.accept(0), Err(ReplayError::TooOld));
}

#[test]
fn memory_grows_with_what_is_seen_and_never_beyond_the_window() {
    let mut window = ReplayWindow::default();
    assert_eq!(window.words.capacity(), 0);
    for counter in 0..128 {
        window.accept(counter).unwrap();
    }
    assert_eq!(window.words.capacity(), 2);
    window.accept(1 << 60).unwrap();
    assert_eq!(window.words.capacity(), 129);
}

proptest! {
    #[test]
    fn the_window_agrees_with_a_model(
        steps in proptest::collection::vec((0u64..20_000, any::<bool>(), 0u64..3), 1..400)
    ) {
        let (mut window, mut seen, mut highest) = (ReplayWindow::default(), BTreeSet::new(), None);
        for (distance, forward, scale) in steps {
            let distance = distance / 10u64.pow(u32::try_from(scale).unwrap() * 2);
            let from = highest.unwrap_or(0);
            let counter = if forward { from + distance } else { u64::saturating_sub(from, distance) };
            let expected = match highest {
                Some(highest) if counter + REPLAY_WINDOW <= highest => Err(ReplayError::TooOld),
                _ if seen.contains(&counter) => Err(ReplayError::Duplicate),
                _ => Ok(()),
            };
            prop_assert_eq!(window.accept(counter), expected, "counter {} after {:?}", counter, highest);
            seen.insert(counter);
            highest = highest.max(Some(counter));
        }
    }
}
