//! Each fault alone: it fires, it is counted, it does what it says, and it stops when switched off.

mod common;

use std::time::Duration;

use common::{B, Pair, SECOND, addr, ms, number, pair};
use telemesh_simnet::{Conditions, DropReason, MAX_PAYLOAD, Network, Realm, Scope, SendError};

/// Switches all conditions off and shows that a burst then passes untouched and nothing more is counted.
fn assert_back_to_perfect(pair: &mut Pair) {
    pair.network.set_conditions(Scope::Everywhere, Conditions::new());
    let before = pair.network.counts();
    let arrived = pair.burst(100, 100, ms(1));
    let start = arrived[0].at;
    for (position, delivery) in (0..).zip(&arrived) {
        assert_eq!((number(&delivery.payload), delivery.at), (position, start + ms(position)));
    }
    let after = pair.network.counts();
    assert_eq!(after.delivered - before.delivered, 100);
    assert_eq!(after.sent - before.sent, 100);
    let faults = |counts: telemesh_simnet::FaultCounts| {
        let copies = [counts.delayed, counts.jittered, counts.queued, counts.reordered];
        (copies, counts.duplicated, counts.corrupted, counts.dropped_in_all())
    };
    assert_eq!(faults(after), faults(before));
}

#[test]
fn a_perfect_network_delivers_everything_at_once_and_in_order() {
    assert_back_to_perfect(&mut pair());
}

#[test]
fn delay_is_exact() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().delay(ms(30)));
    let arrived = pair.burst(50, 8, ms(7));
    assert_eq!(arrived.len(), 50);
    for (position, delivery) in (0..).zip(&arrived) {
        assert_eq!((number(&delivery.payload), delivery.at), (position, ms(30 + 7 * position)));
    }
    assert_eq!(pair.network.counts().delayed, 50);
    assert_back_to_perfect(&mut pair);
}

#[test]
fn jitter_spreads_the_delay_within_its_bound_and_keeps_the_order() {
    let mut pair = pair();
    let conditions = Conditions::new().delay(ms(30)).jitter(ms(10));
    pair.network.set_conditions(Scope::Everywhere, conditions);
    for spacing in [ms(20), ms(1), Duration::from_micros(50)] {
        let start = pair.network.time();
        let arrived = pair.burst(1_000, 8, spacing);
        let delays: Vec<_> = (0..)
            .zip(&arrived)
            .map(|(position, delivery)| {
                assert_eq!(number(&delivery.payload), u64::from(position));
                delivery.at - (start + spacing * position)
            })
            .collect();
        assert!(delays.iter().all(|delay| (ms(30)..=ms(40)).contains(delay)), "{delays:?}");
        assert!(delays.iter().min().unwrap() < &ms(33), "every spacing has some small ones");
        assert!(delays.iter().max().unwrap() > &ms(37), "and some large ones");
    }
    assert!(pair.network.counts().jittered > 2_900);
    assert_back_to_perfect(&mut pair);
}

#[test]
fn loss_takes_its_share() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().loss(0.2));
    let arrived = pair.burst(5_000, 8, ms(1));
    let lost = pair.network.counts().dropped(DropReason::Loss);
    assert!((900..1_100).contains(&lost), "{lost}");
    assert_eq!(arrived.len() as u64, 5_000 - lost);
    assert_back_to_perfect(&mut pair);
}

#[test]
fn a_loss_of_one_lets_nothing_through() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().loss(1.0));
    assert!(pair.burst(100, 8, ms(1)).is_empty());
    assert_back_to_perfect(&mut pair);
}

#[test]
fn reordering_lets_later_datagrams_overtake() {
    let mut pair = pair();
    let conditions = Conditions::new().delay(ms(10)).reorder(0.1, ms(5));
    pair.network.set_conditions(Scope::Everywhere, conditions);
    let arrived = pair.burst(1_000, 8, ms(2));
    assert_eq!(arrived.len(), 1_000);
    let held_back = pair.network.counts().reordered;
    assert!((70..130).contains(&held_back), "{held_back}");
    let mut late = 0;
    let mut newest = 0;
    for delivery in &arrived {
        let position = number(&delivery.payload);
        late += u64::from(position < newest);
        newest = newest.max(position);
        let took = delivery.at - ms(2 * position);
        assert!(took == ms(10) || took == ms(15), "{took:?}");
    }
    // One that is held back is overtaken, unless the next two are held back as well (or it is the last).
    assert!(late > held_back * 8 / 10 && late <= held_back, "{late} of {held_back}");
    assert_back_to_perfect(&mut pair);
}

#[test]
fn duplication_delivers_some_twice() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().duplicate(0.3));
    let arrived = pair.burst(1_000, 8, ms(1));
    let duplicated = pair.network.counts().duplicated;
    assert!((250..350).contains(&duplicated), "{duplicated}");
    assert_eq!(arrived.len() as u64, 1_000 + duplicated);
    for position in 0..1_000 {
        let copies = arrived.iter().filter(|delivery| number(&delivery.payload) == position).count();
        assert!(copies == 1 || copies == 2);
    }
    assert_back_to_perfect(&mut pair);
}

#[test]
fn corruption_flips_exactly_one_bit_anywhere() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().corrupt(0.5));
    let mut flipped_bytes = [0u32; 10];
    let mut corrupted = 0;
    for _ in 0..1_000 {
        pair.network.send(pair.network.time(), pair.at_a, addr(B), &[0b0110_1001; 10]).unwrap();
        let mut payload = pair.network.deliver(pair.network.time()).unwrap().payload;
        payload.iter_mut().for_each(|byte| *byte ^= 0b0110_1001);
        let ones: u32 = payload.iter().map(|byte| byte.count_ones()).sum();
        assert!(ones <= 1);
        corrupted += u64::from(ones);
        for (count, byte) in flipped_bytes.iter_mut().zip(&payload) {
            *count += byte.count_ones();
        }
    }
    assert_eq!(pair.network.counts().corrupted, corrupted);
    assert!((450..550).contains(&corrupted), "{corrupted}");
    assert!(flipped_bytes.iter().all(|&count| count > 20), "{flipped_bytes:?}");
    assert_back_to_perfect(&mut pair);
}

#[test]
fn an_empty_datagram_has_no_bit_to_flip() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().corrupt(1.0));
    pair.network.send(Duration::ZERO, pair.at_a, addr(B), b"").unwrap();
    assert_eq!(pair.network.deliver(SECOND).unwrap().payload, b"");
    assert_eq!(pair.network.counts().corrupted, 0);
}

#[test]
fn a_rate_spaces_datagrams_and_a_full_queue_drops_them() {
    let mut pair = pair();
    // 972 bytes of payload are 1,000 on the wire: one each millisecond, and room for ten.
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().rate(1_000_000, 10_000));
    let arrived = pair.burst(15, 972, Duration::ZERO);
    let numbers: Vec<_> = arrived.iter().map(|delivery| number(&delivery.payload)).collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>(), "the tail is dropped");
    for (position, delivery) in (1..).zip(&arrived) {
        assert_eq!(delivery.at, ms(position));
    }
    let counts = pair.network.counts();
    assert_eq!((counts.queued, counts.dropped(DropReason::QueueFull)), (9, 5));
    assert_back_to_perfect(&mut pair);
}

#[test]
fn a_rate_that_was_off_meanwhile_begins_with_an_empty_queue() {
    let mut pair = pair();
    let slow = Conditions::new().rate(1_000, 2_000);
    let now = pair.network.time();
    for conditions in [slow, Conditions::new(), slow] {
        pair.network.set_conditions(Scope::Everywhere, conditions);
        for _ in 0..2 {
            pair.network.send(now, pair.at_a, addr(B), &[0; 972]).unwrap();
        }
    }
    assert_eq!(pair.network.counts().dropped(DropReason::QueueFull), 0);
    assert_eq!(pair.network.counts().queued, 2, "one in each slow phase");
}

#[test]
fn traffic_below_the_rate_waits_for_nobody() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().rate(1_000_000, 10_000));
    let arrived = pair.burst(200, 972, ms(1));
    assert_eq!(arrived.len(), 200);
    assert_eq!(pair.network.counts().queued, 0);
}

#[test]
fn each_direction_has_a_queue_of_its_own() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().rate(1_000_000, 10_000));
    for _ in 0..10 {
        pair.network.send(Duration::ZERO, pair.at_a, addr(B), &[0; 972]).unwrap();
    }
    pair.network.send(Duration::ZERO, pair.at_b, addr(common::A), &[0; 972]).unwrap();
    assert_eq!(pair.network.counts().queued, 9);
    assert_eq!(pair.network.counts_between(pair.b, pair.a).queued, 0);
}

#[test]
fn an_mtu_drops_what_is_one_byte_larger() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().mtu(1_500));
    for size in [0, 1_471, 1_472, 1_473, MAX_PAYLOAD] {
        pair.network.send(Duration::ZERO, pair.at_a, addr(B), &vec![0; size]).unwrap();
    }
    let sizes: Vec<_> = common::drain(&mut pair.network).iter().map(|d| d.payload.len()).collect();
    assert_eq!(sizes, [0, 1_471, 1_472]);
    assert_eq!(pair.network.counts().dropped(DropReason::TooBig), 2);
    assert_back_to_perfect(&mut pair);
}

#[test]
fn ipv6_headers_leave_twenty_bytes_less_of_an_mtu() {
    let mut network = Network::new(1);
    let (_, sender) = common::host(&mut network, Realm::INTERNET, "2001:db8::1");
    common::host(&mut network, Realm::INTERNET, "2001:db8::2");
    network.set_conditions(Scope::Everywhere, Conditions::new().mtu(1_280));
    for size in [1_232, 1_233] {
        network.send(Duration::ZERO, sender, addr("[2001:db8::2]:5000"), &vec![0; size]).unwrap();
    }
    assert_eq!(network.deliver(SECOND).unwrap().payload.len(), 1_232);
    assert_eq!(network.deliver(SECOND), None);
}

#[test]
fn the_largest_payload_passes_and_one_byte_more_is_refused() {
    let mut pair = pair();
    let too_large = vec![0; MAX_PAYLOAD + 1];
    let result = pair.network.send(Duration::ZERO, pair.at_a, addr(B), &too_large);
    assert_eq!(result, Err(SendError::TooLarge(MAX_PAYLOAD + 1)));
    assert_eq!(pair.network.counts().sent, 0);
    pair.network.send(Duration::ZERO, pair.at_a, addr(B), &too_large[1..]).unwrap();
    assert_eq!(pair.network.deliver(SECOND).unwrap().payload.len(), MAX_PAYLOAD);
}

#[test]
fn a_one_way_block_stops_one_direction() {
    let mut pair = pair();
    pair.network.block(pair.a, pair.b);
    assert_eq!(common::try_send(&mut pair.network, pair.at_a, addr(B)), Err(DropReason::Partition));
    assert_eq!(common::try_send(&mut pair.network, pair.at_b, addr(common::A)), Ok(addr(B)));
    pair.network.unblock(pair.a, pair.b);
    assert_back_to_perfect(&mut pair);
}

#[test]
fn a_partition_separates_groups_and_leaves_each_whole() {
    let mut network = Network::new(1);
    let hosts: Vec<_> = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]
        .map(|address| common::host(&mut network, Realm::INTERNET, address))
        .into();
    let ids: Vec<_> = hosts.iter().map(|(host, _)| *host).collect();
    network.partition(&ids[..2], &ids[2..]);
    let reaches = |network: &mut Network, from: usize, to: usize| {
        let to = network.addresses(ids[to]).next().unwrap();
        common::try_send(network, hosts[from].1, (to, common::PORT).into()).is_ok()
    };
    for from in 0..4 {
        for to in 0..4 {
            assert_eq!(reaches(&mut network, from, to), (from < 2) == (to < 2), "{from} to {to}");
        }
    }
    network.heal();
    assert!((0..4).all(|from| (0..4).all(|to| reaches(&mut network, from, to))));
}

#[test]
fn a_partition_also_stops_what_is_on_its_way() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().delay(ms(10)));
    pair.network.send(Duration::ZERO, pair.at_a, addr(B), b"x").unwrap();
    pair.network.partition(&[pair.a], &[pair.b]);
    assert_eq!(pair.network.deliver(SECOND), None);
    assert_eq!(pair.counts().dropped(DropReason::Partition), 1);
    assert_eq!(pair.network.in_flight(), 0);
}

#[test]
fn the_narrowest_conditions_hold() {
    let mut pair = pair();
    let delay = |milliseconds| Conditions::new().delay(ms(milliseconds));
    let by_host = Scope::Hosts { from: pair.a, to: pair.b };
    let by_address = Scope::Addresses { from: common::ip("192.0.2.1"), to: common::ip("192.0.2.2") };
    let took = |pair: &mut Pair| {
        let start = pair.network.time();
        pair.burst(1, 8, ms(0))[0].at - start
    };
    pair.network.set_conditions(by_address, delay(3));
    pair.network.set_conditions(by_host, delay(2));
    pair.network.set_conditions(Scope::Everywhere, delay(1));
    assert_eq!(took(&mut pair), ms(3));
    pair.network.clear_conditions(by_address);
    assert_eq!(took(&mut pair), ms(2));
    pair.network.clear_conditions(by_host);
    assert_eq!(took(&mut pair), ms(1));
    pair.network.clear_conditions(Scope::Everywhere);
    assert_eq!(took(&mut pair), ms(0));
}

#[test]
fn conditions_hold_in_their_direction_only() {
    let mut pair = pair();
    let scope = Scope::Hosts { from: pair.a, to: pair.b };
    pair.network.set_conditions(scope, Conditions::new().loss(1.0));
    assert_eq!(common::try_send(&mut pair.network, pair.at_a, addr(B)), Err(DropReason::Loss));
    assert!(common::try_send(&mut pair.network, pair.at_b, addr(common::A)).is_ok());
}

#[test]
fn a_shorter_delay_does_not_reorder() {
    let mut pair = pair();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().delay(ms(100)));
    pair.network.send(ms(0), pair.at_a, addr(B), b"first").unwrap();
    pair.network.set_conditions(Scope::Everywhere, Conditions::new().delay(ms(1)));
    pair.network.send(ms(10), pair.at_a, addr(B), b"second").unwrap();
    let arrived = common::drain(&mut pair.network);
    assert_eq!((arrived[0].payload.as_slice(), arrived[0].at), (&b"first"[..], ms(100)));
    assert_eq!((arrived[1].payload.as_slice(), arrived[1].at), (&b"second"[..], ms(100)));
}

#[test]
#[should_panic(expected = "a probability is between 0 and 1")]
fn a_percentage_is_no_probability() {
    let _ = Conditions::new().loss(5.0);
}

#[test]
#[should_panic(expected = "a probability is between 0 and 1")]
fn not_a_number_is_no_probability() {
    let _ = Conditions::new().corrupt(f64::NAN);
}
