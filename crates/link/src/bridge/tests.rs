//! Scenarios of a router's circuits.

use super::*;

#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn start() -> Instant {
    Instant::now()
}

fn peer(number: u8) -> Hashname {
    Hashname::from_bytes([number; 32])
}

fn asked(number: u64) -> CircuitId {
    CircuitId::asked(number)
}

fn bridge() -> Bridge {
    Bridge::new(BridgeConfig::default(), 7)
}

const ONE: (u64, u64) = (1, 100);

#[test]
fn packets_go_both_ways_under_the_number_of_the_other_link() {
    let (now, mut bridge) = (start(), bridge());
    let routed = bridge.join(now, &peer(1), asked(5), &peer(2)).unwrap();
    assert!(routed.is_routed());
    assert_eq!(bridge.forward(now, &peer(1), asked(5), ONE), Some((peer(2), routed)));
    assert_eq!(bridge.forward(now, &peer(2), routed, ONE), Some((peer(1), asked(5))));
    assert_eq!(bridge.stats().packets, 2);
}

#[test]
fn a_number_is_worth_something_only_on_its_own_link() {
    let (now, mut bridge) = (start(), bridge());
    let routed = bridge.join(now, &peer(1), asked(5), &peer(2)).unwrap();
    for (from, number) in [(3, asked(5)), (3, routed), (1, routed), (2, asked(5)), (1, asked(6))] {
        assert_eq!(bridge.forward(now, &peer(from), number, ONE), None);
    }
    assert_eq!(bridge.stats().unknown, 5);
}

#[test]
fn asking_again_keeps_the_circuit_and_cannot_turn_it_elsewhere() {
    let (now, mut bridge) = (start(), bridge());
    let routed = bridge.join(now, &peer(1), asked(5), &peer(2)).unwrap();
    assert_eq!(bridge.join(now, &peer(1), asked(5), &peer(2)), Ok(routed));
    assert_eq!(bridge.join(now, &peer(1), asked(5), &peer(3)), Err(BridgeError::Number));
    assert_eq!(bridge.stats().circuits, 1);
    // The same number of somebody else's is another circuit.
    assert_ne!(bridge.join(now, &peer(4), asked(5), &peer(2)), Ok(routed));
}

#[test]
fn circuits_to_oneself_and_numbers_of_routers_are_refused() {
    let (now, mut bridge) = (start(), bridge());
    assert_eq!(bridge.join(now, &peer(1), asked(5), &peer(1)), Err(BridgeError::Loop));
    assert_eq!(bridge.join(now, &peer(1), CircuitId::routed(5), &peer(2)), Err(BridgeError::Number));
    assert_eq!(bridge.stats().circuits, 0);
}

#[test]
fn an_idle_circuit_ends_and_a_used_one_does_not() {
    let (now, mut bridge) = (start(), bridge());
    bridge.join(now, &peer(1), asked(1), &peer(2)).unwrap();
    bridge.join(now, &peer(1), asked(2), &peer(2)).unwrap();
    let mut at = now;
    for _ in 0..5 {
        at += CIRCUIT_IDLE / 2;
        bridge.expire(at);
        assert!(bridge.forward(at, &peer(1), asked(2), ONE).is_some());
    }
    assert_eq!(bridge.forward(at, &peer(1), asked(1), ONE), None);
    bridge.expire(at + CIRCUIT_IDLE);
    assert_eq!(bridge.stats().circuits, 0);
    assert!(bridge.per_link.is_empty(), "nothing is kept of those who are gone");
}

#[test]
fn a_link_has_so_many_circuits_and_not_one_more_at_either_end() {
    let (now, mut bridge) = (start(), bridge());
    let limit = u8::try_from(MAX_CIRCUITS_PER_LINK / MAX_CIRCUITS_PER_PAIR).unwrap();
    let pair = u64::try_from(MAX_CIRCUITS_PER_PAIR).unwrap();
    // One asks for sixteen, and sixteen ask for another one: both are full.
    for other in 0..limit {
        for number in 0..pair {
            let asker = u64::from(other) * pair + number;
            bridge.join(now, &peer(1), asked(asker), &peer(100 + other)).unwrap();
            bridge.join(now, &peer(100 + other), asked(number), &peer(2)).unwrap();
        }
    }
    let later = now + CIRCUIT_IDLE / 2;
    assert_eq!(bridge.join(later, &peer(1), asked(9_999), &peer(3)), Err(BridgeError::TooMany));
    assert_eq!(bridge.join(now, &peer(3), asked(0), &peer(2)), Err(BridgeError::TooMany));
    assert!(bridge.join(now, &peer(3), asked(0), &peer(4)).is_ok());
    bridge.forget(now, &peer(100));
    assert!(bridge.join(later, &peer(1), asked(9_999), &peer(3)).is_ok());
    assert!(bridge.join(now, &peer(3), asked(1), &peer(2)).is_ok());
}

#[test]
fn nobody_takes_all_the_places_of_a_target() {
    let (now, mut bridge) = (start(), bridge());
    let limit = u64::try_from(MAX_CIRCUITS_PER_PAIR).unwrap();
    for number in 0..limit {
        bridge.join(now, &peer(1), asked(number), &peer(2)).unwrap();
    }
    assert_eq!(bridge.join(now, &peer(1), asked(limit), &peer(2)), Err(BridgeError::TooMany));
    assert!(bridge.join(now, &peer(1), asked(0), &peer(2)).is_ok(), "those that are there stay");
    assert!(bridge.join(now, &peer(3), asked(0), &peer(2)).is_ok(), "others find room");
    assert!(bridge.join(now, &peer(2), asked(0), &peer(1)).is_ok(), "the other way round is another pair");
    bridge.expire(now + CIRCUIT_IDLE);
    assert!(bridge.join(now + CIRCUIT_IDLE, &peer(1), asked(limit), &peer(2)).is_ok());
    assert_eq!(bridge.per_pair.len(), 1, "nothing is kept of circuits that are gone");
}

#[test]
fn guests_take_half_the_places_of_a_target_and_give_them_back() {
    let (now, mut bridge) = (start(), bridge());
    let guests = u8::try_from(MAX_GUEST_CIRCUITS_PER_TARGET / MAX_CIRCUITS_PER_PAIR).unwrap();
    let pair = u64::try_from(MAX_CIRCUITS_PER_PAIR).unwrap();
    for (guest, number) in (100..100 + guests).flat_map(|guest| (0..pair).map(move |number| (guest, number)))
    {
        bridge.join_guest(now, &peer(guest), asked(number), &peer(2)).unwrap();
    }
    assert_eq!(bridge.join_guest(now, &peer(3), asked(0), &peer(2)), Err(BridgeError::TooMany));
    assert!(bridge.join_guest(now, &peer(100), asked(0), &peer(2)).is_ok(), "those that are there stay");
    assert!(bridge.join_guest(now, &peer(3), asked(0), &peer(4)).is_ok(), "another target has places");
    // All others are left to those whom the router knows, and the target can ask, too.
    for (known, number) in (200..200 + guests).flat_map(|known| (0..pair).map(move |number| (known, number)))
    {
        let (asker, target) = if known == 200 { (2, known) } else { (known, 2) };
        bridge.join(now, &peer(asker), asked(number), &peer(target)).unwrap();
    }
    // A guest that is gone makes room for guests.
    bridge.forget(now, &peer(100));
    assert!(bridge.join_guest(now, &peer(3), asked(1), &peer(2)).is_ok());
    bridge.expire(now + CIRCUIT_IDLE);
    assert!(bridge.per_link.values().all(|of| of.by_guests == 0));
}

#[test]
fn a_link_that_comes_and_goes_leaves_nothing_behind() {
    let (now, mut bridge) = (start(), bridge());
    let mut at = now;
    for _ in 0..1_000 {
        bridge.join(at, &peer(1), asked(1), &peer(2)).unwrap();
        at += CIRCUIT_IDLE / 10;
        bridge.forget(at, &peer(2));
    }
    assert!(bridge.idle.len() <= 10 + 1, "{} times to look at one circuit", bridge.idle.len());
    assert!(bridge.circuits.len() == 1 && bridge.places.is_empty() && bridge.per_pair.is_empty());
}

#[test]
fn an_accomplice_that_comes_and_goes_does_not_refill_the_budget_of_introductions() {
    let (now, mut bridge) = (start(), bridge());
    let mut passed = 0;
    for number in 0..1_000 {
        passed += usize::from(bridge.join(now, &peer(1), asked(number), &peer(2)).is_ok());
        bridge.forget(now, &peer(2));
    }
    assert_eq!(passed, usize::try_from(INTRODUCTIONS.burst).unwrap());
}

#[test]
fn a_router_has_so_many_circuits_and_not_one_more() {
    let now = start();
    let mut bridge = Bridge::new(BridgeConfig { max_circuits: 2, ..BridgeConfig::default() }, 0);
    assert!(bridge.join(now, &peer(1), asked(1), &peer(2)).is_ok());
    assert!(bridge.join(now, &peer(1), asked(2), &peer(2)).is_ok());
    assert_eq!(bridge.join(now, &peer(1), asked(3), &peer(2)), Err(BridgeError::TooMany));
}

#[test]
fn whoever_asks_too_often_is_not_passed_on() {
    let (now, mut bridge) = (start(), bridge());
    let passed = (0..1_000).filter(|_| bridge.join(now, &peer(1), asked(1), &peer(2)).is_ok()).count();
    assert_eq!(passed, usize::try_from(INTRODUCTIONS.burst).unwrap());
    assert!(bridge.join(now, &peer(3), asked(1), &peer(2)).is_ok(), "others do not notice");
    assert!(bridge.join(now + Duration::from_secs(1), &peer(1), asked(1), &peer(2)).is_ok());
}

#[test]
fn a_circuit_carries_its_rate_and_no_more() {
    let now = start();
    let mut bridge = Bridge::new(BridgeConfig { bytes_per_second: 1_000, ..BridgeConfig::default() }, 0);
    bridge.join(now, &peer(1), asked(1), &peer(2)).unwrap();
    let taken = |bridge: &mut Bridge, at| {
        (0..100).filter(|_| bridge.forward(at, &peer(1), asked(1), ONE).is_some()).count()
    };
    assert_eq!(taken(&mut bridge, now), 10);
    assert_eq!(taken(&mut bridge, now + Duration::from_millis(500)), 5);
    assert_eq!(taken(&mut bridge, now + Duration::from_secs(60)), 10, "a second's worth at most");
}

#[test]
fn circuits_of_a_link_that_is_gone_are_gone_for_both_ends() {
    let (now, mut bridge) = (start(), bridge());
    let routed = bridge.join(now, &peer(1), asked(5), &peer(2)).unwrap();
    bridge.forget(now, &peer(2));
    assert_eq!(bridge.forward(now, &peer(1), asked(5), ONE), None);
    assert_eq!(bridge.forward(now, &peer(2), routed, ONE), None);
    assert_eq!(bridge.stats().circuits, 0);
}
