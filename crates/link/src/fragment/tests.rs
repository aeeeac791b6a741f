//! Tests of fragments.

use proptest::prelude::*;

use super::*;

fn half(number: u16, second: bool, bytes: &[u8]) -> Vec<u8> {
    [&header(number, second)[..], bytes].concat()
}

#[test]
fn two_halves_in_either_order_make_a_whole() {
    for order in [[false, true], [true, false]] {
        let mut reassembly = Reassembly::default();
        let of = |second| half(9, second, if second { b"world" } else { b"hello " });
        assert_eq!(reassembly.take(&of(order[0])), Ok(None));
        assert_eq!(reassembly.take(&of(order[1])), Ok(Some(b"hello world".to_vec())));
        assert!(reassembly.waiting.is_empty());
    }
}

#[test]
fn a_half_that_comes_twice_completes_nothing() {
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.take(&half(1, false, b"old")), Ok(None));
    assert_eq!(reassembly.take(&half(1, false, b"new")), Ok(None));
    assert_eq!(reassembly.take(&half(1, true, b"er")), Ok(Some(b"newer".to_vec())));
}

#[test]
fn only_so_many_halves_wait() {
    let mut reassembly = Reassembly::default();
    for number in 0..1_000 {
        assert_eq!(reassembly.take(&half(number, false, &[1; MAX_HALF])), Ok(None));
        assert!(reassembly.waiting.len() <= MAX_WAITING);
    }
    assert_eq!(reassembly.take(&half(0, true, b"x")), Ok(None), "the first one is forgotten");
    assert!(reassembly.take(&half(999, true, b"x")).unwrap().is_some());
}

#[test]
fn what_is_no_half_is_refused() {
    let mut reassembly = Reassembly::default();
    let bad =
        [half(1, false, b""), half(1, false, &[0; MAX_HALF + 1]), vec![5, 0, 0, 2, 1], vec![5, 0], vec![]];
    for fragment in bad {
        assert_eq!(reassembly.take(&fragment), Err(BadFragment));
    }
}

proptest! {
    #[test]
    fn memory_is_bounded_whatever_comes(
        fragments in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..200)
    ) {
        let mut reassembly = Reassembly::default();
        for fragment in fragments {
            let _ = reassembly.take(&fragment);
            prop_assert!(reassembly.waiting.len() <= MAX_WAITING);
        }
    }
}
