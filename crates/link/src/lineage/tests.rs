//! Tests of which session is preferred: both ends must come to the same result, and never back to what is used up.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::tests::start;

fn root(index: u32, created: Instant, started_by_us: bool) -> Lineage {
    let tags = SessionTags::derive(&[1; 32], &[2; 32], true);
    Lineage::of_initiation(index, created, started_by_us, tags)
}

#[test]
fn of_two_initiations_that_crossed_the_higher_hashnames_wins_in_any_order() {
    let now = start();
    let ours = root(1, now, true);
    for millis in [0, 1, 4_999] {
        let theirs = root(2, now + Duration::from_millis(millis), false);
        for we_are_higher in [true, false] {
            assert_eq!(ours.replaces(&theirs, we_are_higher), we_are_higher);
            assert_eq!(theirs.replaces(&ours, we_are_higher), !we_are_higher);
        }
    }
}

#[test]
fn past_five_seconds_and_for_initiations_of_one_end_the_younger_wins() {
    let now = start();
    let old = root(1, now, true);
    let pairs = [(Duration::from_secs(5), false), (Duration::from_millis(1), true)];
    for (apart, started_by_us) in pairs {
        let young = root(2, now + apart, started_by_us);
        for we_are_higher in [true, false] {
            assert!(young.replaces(&old, we_are_higher));
            assert!(!old.replaces(&young, we_are_higher));
        }
    }
}

#[test]
fn a_renewal_wins_over_what_it_renews_however_quickly_it_follows() {
    let original = root(1, start(), true);
    for renewed_by_us in [true, false] {
        let renewed = original.renewed(renewed_by_us);
        let again = renewed.renewed(!renewed_by_us);
        for we_are_higher in [true, false] {
            assert!(renewed.replaces(&original, we_are_higher));
            assert!(!original.replaces(&renewed, we_are_higher));
            assert!(again.replaces(&renewed, we_are_higher) && again.replaces(&original, we_are_higher));
        }
    }
}

#[test]
fn of_two_renewals_of_one_session_the_higher_hashnames_wins() {
    let original = root(1, start(), true);
    let (ours, theirs) = (original.renewed(true), original.renewed(false));
    for we_are_higher in [true, false] {
        assert_eq!(ours.replaces(&theirs, we_are_higher), we_are_higher);
        assert_eq!(theirs.replaces(&ours, we_are_higher), !we_are_higher);
    }
}

#[test]
fn a_renewal_of_the_old_does_not_undo_a_new_initiation() {
    let now = start();
    let renewed = root(1, now, true).renewed(false);
    let fresh = root(2, now + Duration::from_secs(60), true);
    for we_are_higher in [true, false] {
        assert!(fresh.replaces(&renewed, we_are_higher));
        assert!(!renewed.replaces(&fresh, we_are_higher));
    }
}

/// The same session as both ends see it: who started what is the opposite.
#[derive(Clone, Debug)]
struct Both {
    created: u64,
    by_first: bool,
    renewed_by_first: Vec<bool>,
}

impl Both {
    fn seen(&self, index: u32, start: Instant, first: bool) -> Lineage {
        let created = start + Duration::from_millis(self.created);
        let renew = |lineage: Lineage, &by_first: &bool| lineage.renewed(by_first == first);
        self.renewed_by_first.iter().fold(root(index, created, self.by_first == first), renew)
    }
}

fn both() -> impl Strategy<Value = Both> {
    (0u64..20_000, any::<bool>(), proptest::collection::vec(any::<bool>(), 0..4))
        .prop_map(|(created, by_first, renewed_by_first)| Both { created, by_first, renewed_by_first })
}

proptest! {
    #[test]
    fn both_ends_prefer_the_same_of_any_two_sessions(left in both(), right in both(), same_root: bool) {
        let start = start();
        let right = if same_root {
            Both { created: left.created, by_first: left.by_first, ..right }
        } else {
            right
        };
        prop_assume!(same_root || left.created != right.created);
        let number = if same_root { 1 } else { 2 };
        let seen = |first| {
            let (left, right) = (left.seen(1, start, first), right.seen(number, start, first));
            // The first end is the higher one. Each end has got them in either order.
            (left.replaces(&right, first), right.replaces(&left, first))
        };
        let (at_first, at_second) = (seen(true), seen(false));
        let tie = same_root
            && left.renewed_by_first.len() == right.renewed_by_first.len()
            && left.renewed_by_first.last() == right.renewed_by_first.last();
        if !tie {
            prop_assert_ne!(at_first.0, at_first.1, "one of them wins, whichever came first");
            prop_assert_eq!(at_first, at_second);
        }
    }
}
