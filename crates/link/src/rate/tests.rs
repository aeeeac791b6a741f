//! Tests of the bucket against the definition: never more than the burst and what has flowed in since.

use proptest::prelude::*;

use super::*;
use crate::tests::start;

#[test]
fn a_bucket_gives_its_burst_and_not_one_more() {
    let (mut bucket, now) = (TokenBucket::default(), start());
    let interval = Duration::from_millis(50);
    for left in (0..5).rev() {
        assert!(bucket.take(now, 5, interval));
        assert_eq!(bucket.has(now, 5, interval), left > 0);
    }
    assert!(!bucket.take(now, 5, interval));
    assert!(!bucket.take(now + Duration::from_millis(49), 5, interval));
    assert!(bucket.take(now + Duration::from_millis(50), 5, interval));
    assert_eq!(bucket.until_full(now + Duration::from_millis(50)), Duration::from_millis(250));
    assert!(!bucket.is_full(now + Duration::from_millis(299)));
    assert!(bucket.is_full(now + Duration::from_millis(300)));
}

#[test]
fn rates_at_the_extremes_are_no_panic() {
    let now = start();
    for rate in [Rate { burst: 0, per_second: 0 }, Rate { burst: 0, per_second: u32::MAX }] {
        assert!(!TokenBucket::default().take(now, rate.burst, rate.interval()), "{rate:?}");
    }
    for rate in [Rate { burst: u32::MAX, per_second: 0 }, Rate { burst: u32::MAX, per_second: u32::MAX }] {
        assert!(TokenBucket::default().take(now, rate.burst, rate.interval()), "{rate:?}");
    }
    assert_eq!(Rate { burst: 1, per_second: u32::MAX }.interval(), Duration::from_nanos(1));
    assert_eq!(Rate { burst: 1, per_second: 0 }.interval(), Duration::from_secs(1));
    assert_eq!(Rate { burst: 1, per_second: 2_000 }.interval(), Duration::from_micros(500));
}

proptest! {
    #[test]
    fn in_no_span_of_time_more_is_given_than_the_burst_and_what_flows_in(
        burst in 1u32..20,
        interval in 1u64..100,
        pauses in proptest::collection::vec(0u64..150, 1..200),
    ) {
        let (mut bucket, start) = (TokenBucket::default(), start());
        let (mut at, mut taken) = (0, Vec::new());
        for pause in pauses {
            at += pause;
            let now = start + Duration::from_millis(at);
            let before = taken.iter().filter(|&&time: &&u64| time == at).count();
            if bucket.take(now, burst, Duration::from_millis(interval)) {
                taken.push(at);
            } else {
                // Refused only when some span up to now is used up.
                let used_up = taken.iter().enumerate().any(|(first, &since)| {
                    let count = taken.len() - first;
                    count as u64 * interval + interval > u64::from(burst) * interval + (at - since)
                });
                prop_assert!(used_up, "refused at {at} after {before} of {burst}: {taken:?}");
            }
        }
        for (first, &since) in taken.iter().enumerate() {
            for (last, &until) in taken.iter().enumerate().skip(first) {
                let count = (last - first + 1) as u64;
                prop_assert!(count * interval <= u64::from(burst) * interval + (until - since));
            }
        }
    }
}
