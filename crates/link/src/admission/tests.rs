//! Tests of the budgets for strangers.

use std::time::Duration;

use super::*;
use crate::tests::start;

fn udp(text: &str) -> PathAddress {
    PathAddress::Udp(text.parse().unwrap())
}

/// A different IPv4 address for each number.
fn somebody(number: u32) -> PathAddress {
    PathAddress::Udp((std::net::Ipv4Addr::from(0x0a00_0000 + number), 4242).into())
}

fn strangers() -> Strangers {
    Strangers::new(STRANGERS, STRANGERS_PER_ADDRESS)
}

#[test]
fn all_strangers_together_get_the_burst_and_then_the_rate() {
    let (mut strangers, now) = (strangers(), start());
    let mut next = 0;
    let mut taken = |strangers: &mut Strangers, at| {
        let tried = (0..5_000).map(|_| {
            next += 1;
            strangers.take(at, &somebody(next))
        });
        let results: Vec<_> = tried.collect();
        assert!(results.iter().flatten().count() == results.iter().filter(|result| result.is_ok()).count());
        assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(DropReason::Overload))));
        results.into_iter().filter(Result::is_ok).count()
    };
    assert_eq!(taken(&mut strangers, now), 1_000);
    assert_eq!(taken(&mut strangers, now), 0);
    assert_eq!(taken(&mut strangers, now + Duration::from_micros(499)), 0);
    assert_eq!(taken(&mut strangers, now + Duration::from_micros(500)), 1);
    assert_eq!(taken(&mut strangers, now + Duration::from_millis(250)), 499);
    assert_eq!(taken(&mut strangers, now + Duration::from_secs(10)), 1_000);
}

#[test]
fn there_is_load_when_more_than_an_eighth_of_the_burst_is_used() {
    let (mut strangers, now) = (strangers(), start());
    for number in 0..125 {
        assert!(!strangers.is_under_load(now), "after {number}");
        assert!(strangers.take(now, &udp("192.0.2.1:1")).is_ok(), "one address may use up this part alone");
    }
    assert!(!strangers.is_under_load(now), "an eighth is not more than an eighth");
    assert!(strangers.take(now, &udp("192.0.2.1:1")).is_ok());
    assert!(strangers.is_under_load(now));
    assert!(!strangers.is_under_load(now + Duration::from_micros(500)));
}

/// Uses up an eighth of the common budget, so that there is load for as long as time stands still.
fn under_load(now: Instant) -> Strangers {
    let mut strangers = strangers();
    (0..126).for_each(|_| strangers.take(now, &udp("203.0.113.1:1")).unwrap());
    assert!(strangers.is_under_load(now));
    strangers
}

fn allowed(strangers: &mut Strangers, now: Instant, from: &PathAddress, tries: u32) -> usize {
    (0..tries).filter(|_| strangers.take(now, from).is_ok()).count()
}

#[test]
fn under_load_an_address_gets_five_at_once_and_then_twenty_a_second() {
    let now = start();
    let mut strangers = under_load(now);
    let from = udp("192.0.2.7:1");
    assert_eq!(allowed(&mut strangers, now, &from, 5), 5);
    assert_eq!(strangers.take(now, &from), Err(DropReason::AddressLimit));
    // The load goes on, from elsewhere.
    let later = now + Duration::from_millis(49);
    (0..200).for_each(|number| strangers.take(later, &somebody(number)).unwrap());
    assert_eq!(allowed(&mut strangers, later, &from, 10), 0);
    assert_eq!(allowed(&mut strangers, now + Duration::from_millis(50), &from, 10), 1);
    assert_eq!(allowed(&mut strangers, now + Duration::from_millis(50), &udp("192.0.2.8:1"), 10), 5);
}

#[test]
fn what_is_over_an_addresss_budget_takes_nothing_from_the_others() {
    let now = start();
    let mut strangers = under_load(now);
    allowed(&mut strangers, now, &udp("192.0.2.7:1"), 100_000);
    let others = (0..2_000).filter(|&number| strangers.take(now, &somebody(number)).is_ok()).count();
    assert_eq!(others, 1_000 - 126 - 5);
}

#[test]
fn ports_and_clothing_make_no_other_sender_and_an_ipv6_site_is_one() {
    let now = start();
    let mut strangers = under_load(now);
    let same = [
        ["192.0.2.7:1", "192.0.2.7:2", "[::ffff:192.0.2.7]:3"],
        ["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:0:ffff::1]:2"],
    ];
    for group in same {
        let taken: usize = group.iter().map(|address| allowed(&mut strangers, now, &udp(address), 5)).sum();
        assert_eq!(taken, 5, "{group:?}");
    }
    assert_eq!(allowed(&mut strangers, now, &udp("[2001:db8:0:1::1]:1"), 9), 5, "another /64");
    let quic = PathAddress::Quic("192.0.2.7:1".parse().unwrap());
    assert_eq!(allowed(&mut strangers, now, &quic, 9), 0, "the way makes no difference");
    let [asker, other] = [1, 2].map(|number| PathAddress::Peer(Hashname::from_bytes([number; 32])));
    assert_eq!(allowed(&mut strangers, now, &asker, 9), 5);
    assert_eq!(allowed(&mut strangers, now, &other, 9), 5);
}

#[test]
fn circuits_that_a_router_makes_up_are_no_senders_without_end() {
    let now = start();
    let mut strangers = under_load(now);
    let [router, other] = [1, 2].map(|number| Hashname::from_bytes([number; 32]));
    let through = |router, number| {
        PathAddress::Circuit(Circuit { router, id: telemesh_wire::CircuitId::routed(number) })
    };
    assert_eq!(allowed(&mut strangers, now, &through(router, 0), 9), 5, "one of them is like an address");
    let taken = (1..10_000).filter(|&number| strangers.take(now, &through(router, number)).is_ok()).count();
    // What was refused to the first has been counted, too.
    assert_eq!(taken, 50 - 9);
    assert_eq!(allowed(&mut strangers, now, &through(other, 0), 9), 5, "others find room");
    assert_eq!(allowed(&mut strangers, now, &udp("192.0.2.7:1"), 9), 5);
    assert!(strangers.addresses.len() <= 50 + 4);
}

#[test]
fn forged_addresses_do_not_make_an_address_that_is_over_its_budget_forgotten() {
    let now = start();
    // The common budget as large as it gets, so that only the table is in the way.
    let mut strangers = Strangers::new(Rate { burst: 1_000_000, per_second: 1 }, STRANGERS_PER_ADDRESS);
    for number in 0..125_001 {
        strangers.take(now, &somebody(number)).unwrap();
    }
    assert!(strangers.is_under_load(now) && strangers.addresses.is_empty());
    let victim = udp("192.0.2.7:1");
    assert_eq!(allowed(&mut strangers, now, &victim, 9), 5);
    let taken = (0..100_000).filter(|&number| strangers.take(now, &somebody(number)).is_ok()).count();
    assert_eq!((taken, strangers.addresses.len()), (MAX_ADDRESSES - 1, MAX_ADDRESSES));
    assert_eq!(allowed(&mut strangers, now, &victim, 9), 0, "its entry is still there");
    let later = now + Duration::from_millis(250);
    assert_eq!(allowed(&mut strangers, later, &somebody(200_000), 9), 5, "full buckets have made room");
    assert!(strangers.addresses.len() < 10);
}

#[test]
fn with_the_default_rates_the_table_never_fills_up() {
    let (mut strangers, start) = (strangers(), start());
    let mut busy = 0;
    for number in 0..200_000 {
        // Twenty times what is allowed, each from an address of its own.
        let now = start + Duration::from_micros(25) * number;
        let _ = strangers.take(now, &somebody(number));
        if number % 1_000 == 0 {
            let of_use = strangers.addresses.values().filter(|bucket| !bucket.is_full(now)).count();
            busy = busy.max(of_use);
        }
    }
    assert!(busy <= 1_500 && strangers.addresses.len() <= MAX_ADDRESSES, "{busy} at once");
}
