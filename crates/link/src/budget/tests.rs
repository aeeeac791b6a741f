//! Tests of the probe budget.

use telemesh_hashname::Hashname;

use super::*;

fn start() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "virtual time has to start from some instant")]
    Instant::now()
}

fn udp(text: &str) -> PathAddress {
    PathAddress::Udp(text.parse().unwrap())
}

#[test]
fn one_prefix_gets_its_burst_and_then_ten_a_second() {
    let (budget, now) = (ProbeBudget::new(), start());
    let taken = |at, count: u32| (0..count).filter(|_| budget.take(at, &udp("192.0.2.7:1"))).count();
    assert_eq!(taken(now, 100), 30);
    assert_eq!(taken(now + Duration::from_secs(1), 100), 10);
    assert_eq!(taken(now + Duration::from_secs(60), 100), 30);
}

#[test]
fn links_share_a_budget_and_prefixes_do_not() {
    let (budget, now) = (ProbeBudget::new(), start());
    let other_link = budget.clone();
    for host in 0..30 {
        assert!(budget.take(now, &udp(&format!("192.0.2.{host}:1"))));
    }
    assert!(!other_link.take(now, &udp("192.0.2.99:1")));
    assert!(!other_link.take(now, &udp("[::ffff:192.0.2.99]:1")), "mapped IPv4 is IPv4");
    assert!(other_link.take(now, &udp("192.0.3.99:1")));
    assert!(other_link.take(now, &udp("[2001:db8::1]:1")));
}

#[test]
fn a_dial_by_quic_costs_as_much_as_the_datagrams_that_it_sends_to_nobody() {
    let (budget, now) = (ProbeBudget::new(), start());
    let quic = PathAddress::Quic("192.0.2.7:443".parse().unwrap());
    let dials = (0..100).filter(|_| budget.take(now, &quic)).count();
    assert_eq!(dials, 5, "all of 30");
    assert!(!budget.take(now, &udp("192.0.2.8:1")), "nothing is left for others");
    let second = now + Duration::from_secs(1);
    assert_eq!((0..100).filter(|_| budget.take(second, &quic)).count(), 1, "6 of 10");
    assert_eq!((0..100).filter(|_| budget.take(second, &udp("192.0.2.8:1"))).count(), 4, "the rest");
}

#[test]
fn an_ipv6_site_is_one_prefix() {
    let (budget, now) = (ProbeBudget::new(), start());
    let taken =
        (0..100u16).filter(|host| budget.take(now, &udp(&format!("[2001:db8:1:{host:x}::1]:1")))).count();
    assert_eq!(taken, 30);
    assert!(budget.take(now, &udp("[2001:db8:2::1]:1")));
}

#[test]
fn the_number_of_remembered_prefixes_is_bounded() {
    let (budget, now) = (ProbeBudget::new(), start());
    let prefix = |number: usize| udp(&format!("10.{}.{}.1:1", number / 256, number % 256));
    for number in 0..MAX_PREFIXES {
        assert!(budget.take(now, &prefix(number)));
    }
    assert!(!budget.take(now, &prefix(MAX_PREFIXES)), "all are busy");
    assert!(budget.take(now, &prefix(0)), "a known one still has its budget");
    assert!(budget.take(now + Duration::from_secs(1), &prefix(MAX_PREFIXES)), "idle ones are forgotten");
    assert!(budget.buckets.lock().unwrap().len() <= MAX_PREFIXES);
}

#[test]
fn attempts_at_birthday_probing_are_one_at_a_time_and_rare_towards_one_network() {
    let (budget, now) = (ProbeBudget::new(), start());
    let (victim, neighbour, other) = (udp("192.0.2.7:1"), udp("192.0.2.8:2"), udp("192.0.3.7:1"));
    assert!(budget.take_birthday(now, &victim));
    assert!(!budget.clone().take_birthday(now + BIRTHDAY_PAUSE / 2, &other), "one at a time");
    let later = now + BIRTHDAY_PAUSE;
    assert!(!budget.take_birthday(later, &neighbour), "the same network");
    assert!(budget.take_birthday(later, &other));
    assert!(budget.take_birthday(now + BIRTHDAY_AGAIN, &neighbour));
    let remembered = budget.birthdays.lock().unwrap().prefixes.len();
    assert_eq!(remembered, 2, "those that may be tried again are forgotten");
    assert!(
        !budget.take_birthday(now + BIRTHDAY_AGAIN * 2, &PathAddress::Peer(Hashname::from_bytes([1; 32])))
    );
}

#[test]
fn an_hour_of_attempts_towards_ever_new_networks_stays_within_three_a_minute() {
    let (budget, now) = (ProbeBudget::new(), start());
    let began = (0..3_600u32).filter(|second| {
        let to = udp(&format!("10.{}.{}.1:1", second / 256, second % 256));
        budget.take_birthday(now + Duration::from_secs(1) * *second, &to)
    });
    assert_eq!(began.count(), 180);
    assert!(budget.birthdays.lock().unwrap().prefixes.len() <= 3);
}
