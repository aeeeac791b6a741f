//! Quotas at the limit and one past, who goes first, and what is there after a restart.

use super::*;
use crate::id::{CacheSecret, Keying};
use crate::limits::PART;
use crate::store::keys::{CACHE, part};
use crate::store::{MemoryStore, Store as _};

const LIMITS: ShelfLimits = ShelfLimits {
    per_giver: 64 * 1024,
    per_recipient: 128 * 1024,
    total: 256 * 1024,
    max_message: 32 * 1024,
    time_to_live: 100,
    evicts: true,
};

fn offered(name: u32, giver: u8, recipient: u8, size: u32) -> Offered {
    let id = MessageId::of(&name.to_be_bytes());
    Offered { id, giver: Tag([giver; 16]), recipient: Tag([recipient; 16]), size }
}

/// Brings a message; whether it was taken.
fn put(shelf: &mut Shelf, offered: Offered) -> bool {
    match shelf.admit(offered, 1_000) {
        Admission::Bring(claim) => shelf.whole(claim),
        Admission::Whole => true,
        Admission::Refused(_) => false,
    }
}

fn has(shelf: &Shelf, offered: Offered) -> bool {
    shelf.by_id.contains_key(&(offered.id, offered.giver))
}

const SIXTEEN: u32 = 16 * 1024;

#[test]
fn a_givers_quota_is_full_at_its_limit_and_the_oldest_goes_one_past_it() {
    let mut shelf = Shelf::new(LIMITS);
    for name in 0..4 {
        assert!(put(&mut shelf, offered(name, 1, 1, SIXTEEN)));
    }
    assert_eq!((shelf.len(), shelf.total()), (4, 64 * 1024));
    assert!(shelf.take_doomed().is_empty(), "nothing had to go");
    assert!(put(&mut shelf, offered(4, 1, 1, SIXTEEN)));
    assert_eq!((shelf.len(), shelf.total()), (4, 64 * 1024));
    assert!(!has(&shelf, offered(0, 1, 1, SIXTEEN)));
    assert_eq!(shelf.take_doomed(), [(0, 1)]);
}

#[test]
fn a_recipients_quota_and_that_of_all_are_kept_too() {
    let mut shelf = Shelf::new(LIMITS);
    for name in 0..8 {
        assert!(put(&mut shelf, offered(name, u8::try_from(name).unwrap() / 2, 1, SIXTEEN)));
    }
    assert_eq!(shelf.total(), 128 * 1024);
    assert!(put(&mut shelf, offered(8, 9, 1, SIXTEEN)), "the recipient's oldest goes");
    assert!(!has(&shelf, offered(0, 0, 1, SIXTEEN)) && shelf.total() == 128 * 1024);
    for name in 10..18 {
        assert!(put(&mut shelf, offered(name, 20 + u8::try_from(name).unwrap() / 2, 2, SIXTEEN)));
    }
    assert_eq!(shelf.total(), 256 * 1024);
    assert!(put(&mut shelf, offered(20, 40, 3, 1)), "the oldest of all goes");
    assert!(!has(&shelf, offered(1, 0, 1, SIXTEEN)));
}

#[test]
fn the_last_small_message_of_each_giver_stays() {
    let mut shelf = Shelf::new(LIMITS);
    assert!(put(&mut shelf, offered(0, 1, 1, SMALL)));
    assert!(put(&mut shelf, offered(1, 2, 1, SMALL)));
    assert!(put(&mut shelf, offered(2, 2, 1, SMALL)));
    for name in 10..60 {
        assert!(put(&mut shelf, offered(name, 3 + u8::try_from(name).unwrap() % 9, 1, SIXTEEN)));
    }
    assert!(has(&shelf, offered(0, 1, 1, SMALL)));
    assert!(!has(&shelf, offered(1, 2, 1, SMALL)), "not the last one");
    assert!(has(&shelf, offered(2, 2, 1, SMALL)));
}

#[test]
fn a_message_at_the_limit_is_taken_and_a_longer_one_is_not() {
    let mut shelf = Shelf::new(LIMITS);
    assert!(put(&mut shelf, offered(0, 1, 1, LIMITS.max_message)));
    let longer = shelf.admit(offered(1, 1, 1, LIMITS.max_message + 1), 0);
    assert_eq!(longer, Admission::Refused(Reason::TooLarge));
    assert_eq!(shelf.admit(offered(2, 1, 1, 0), 0), Admission::Refused(Reason::Damaged));
}

#[test]
fn many_tiny_messages_count_as_what_they_cost() {
    let mut shelf = Shelf::new(LIMITS);
    for name in 0..1_000 {
        assert!(put(&mut shelf, offered(name, 1, 1, 1)));
    }
    assert_eq!(shelf.len(), usize::try_from(LIMITS.per_giver / MIN_CHARGE).unwrap());
}

#[test]
fn a_shelf_that_evicts_nothing_is_full_instead() {
    let mut shelf = Shelf::new(ShelfLimits { evicts: false, ..LIMITS });
    for name in 0..4 {
        assert!(put(&mut shelf, offered(name, 1, 1, SIXTEEN)));
    }
    assert_eq!(shelf.admit(offered(4, 1, 1, 1), 0), Admission::Refused(Reason::Full));
    assert!(has(&shelf, offered(0, 1, 1, SIXTEEN)));
}

#[test]
fn what_somebody_brings_right_now_is_not_evicted() {
    let mut shelf = Shelf::new(LIMITS);
    for name in 0..4 {
        assert!(matches!(shelf.admit(offered(name, 1, 1, SIXTEEN), 0), Admission::Bring(_)));
    }
    assert_eq!(shelf.admit(offered(4, 1, 1, SIXTEEN), 0), Admission::Refused(Reason::Full));
}

#[test]
fn the_later_of_two_who_bring_the_same_message_goes_on_where_the_earlier_was() {
    let mut shelf = Shelf::new(LIMITS);
    let Admission::Bring(first) = shelf.admit(offered(0, 1, 1, SIXTEEN), 0) else { panic!("refused") };
    assert!(shelf.held(first, 100));
    let Admission::Bring(second) = shelf.admit(offered(0, 1, 1, SIXTEEN), 0) else { panic!("refused") };
    assert_eq!(second.held, 100);
    assert!(!shelf.held(first, 200) && !shelf.whole(first));
    shelf.release(first);
    assert!(shelf.whole(second));
    assert_eq!(shelf.admit(offered(0, 1, 1, SIXTEEN), 0), Admission::Whole);
    let other_size = shelf.admit(offered(0, 1, 1, 5), 0);
    assert_eq!(other_size, Admission::Refused(Reason::Damaged));
}

#[test]
fn a_broken_claim_leaves_what_is_stored_and_nothing_if_nothing_is() {
    let mut shelf = Shelf::new(LIMITS);
    let Admission::Bring(empty) = shelf.admit(offered(0, 1, 1, SIXTEEN), 0) else { panic!("refused") };
    shelf.release(empty);
    assert_eq!((shelf.len(), shelf.total()), (0, 0));
    let Admission::Bring(begun) = shelf.admit(offered(0, 1, 1, SIXTEEN), 0) else { panic!("refused") };
    assert!(shelf.held(begun, 10));
    shelf.release(begun);
    assert_eq!(shelf.len(), 1);
    assert!(shelf.next_for(Tag([1; 16]), 0).is_none(), "half a message is not given out");
}

#[test]
fn messages_go_when_their_time_is_over_and_a_clock_that_jumps_back_does_not_keep_them_for_ever() {
    let mut shelf = Shelf::new(LIMITS);
    assert!(put(&mut shelf, offered(0, 1, 1, 10)));
    shelf.expire(1_000 + LIMITS.time_to_live - 1);
    assert_eq!(shelf.len(), 1);
    shelf.expire(1_000 + LIMITS.time_to_live);
    assert_eq!(shelf.len(), 0);
    assert!(put(&mut shelf, offered(1, 1, 1, 10)));
    shelf.expire(10);
    shelf.expire(10 + LIMITS.time_to_live);
    assert_eq!(shelf.len(), 0);
}

#[test]
fn a_shelf_is_the_same_after_a_restart_and_another_secret_is_noticed() {
    let keying = |byte| Keying::Secret(CacheSecret::from_bytes([byte; 32]));
    let store = MemoryStore::new();
    let mut shelf = load(&store, CACHE, &keying(1), LIMITS).unwrap();
    let large = offered(1, 1, 2, u32::try_from(PART).unwrap() * 3);
    let limits = ShelfLimits { per_giver: 1 << 20, max_message: 1 << 20, ..LIMITS };
    shelf.limits = ShelfLimits { per_recipient: 1 << 20, total: 1 << 20, ..limits };
    let Admission::Bring(whole) = shelf.admit(offered(0, 1, 2, 10), 5) else { panic!("refused") };
    let Admission::Bring(begun) = shelf.admit(large, 6) else { panic!("refused") };
    let row = |claim: Claim, whole| {
        entry_row(CACHE, &keying(1), claim.number, shelf.entry(claim.number).unwrap(), whole, claim.number)
    };
    let full = crate::store::Change::Put(part(CACHE, begun.number, 0), vec![0; PART].into());
    store.commit(&[row(whole, true), row(begun, false), full]).unwrap();

    let mut again = load(&store, CACHE, &keying(1), shelf.limits).unwrap();
    assert_eq!(again.admit(offered(0, 1, 2, 10), 7), Admission::Whole);
    let Admission::Bring(resumed) = again.admit(large, 7) else { panic!("refused") };
    assert_eq!((resumed.number, resumed.held), (begun.number, u32::try_from(PART).unwrap()));
    assert!(matches!(load(&store, CACHE, &keying(2), LIMITS), Err(crate::StoreError::OtherSecret)));

    again.remove(resumed.number);
    store.commit(&removals(CACHE, &again.take_doomed())).unwrap();
    let mut rows = 0;
    store
        .scan(b"C", &mut |_, _| {
            rows += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(rows, 0);
}
